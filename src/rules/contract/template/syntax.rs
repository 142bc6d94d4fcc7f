//! A text with holes, taken apart.
//!
//! ```text
//! text        = *( letters / "{{" / "}}" / hole )
//! hole        = "{" alternative *( "else" alternative ) "}"
//! alternative = path *( "|" word *quoted )
//! quoted      = "'" letters "'" / DQUOTE letters DQUOTE
//! ```

use super::flaw::{At, Flaw};

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// It stands as it is.
    Letters(String),
    /// It is filled.
    Hole(RawHole),
}

/// A hole, as it is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawHole {
    /// With its braces.
    pub(super) written: String,
    /// What may fill it: the first that is there. At least one.
    pub(super) alternatives: Vec<Alternative>,
}

/// One way to fill a hole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Alternative {
    /// The value's name.
    pub(super) path: String,
    /// What is done with it, in order.
    pub(super) calls: Vec<Call>,
}

/// A formatter with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
}

/// Takes a text apart.
///
/// # Errors
/// The first brace or quote that makes no sense.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, Flaw> {
    let mut pieces = vec![];
    let mut letters = String::new();
    let mut rest = text;
    while let Some(found) = rest.find(['{', '}']) {
        letters.push_str(&rest[..found]);
        let tail = &rest[found..];
        if let Some(after) = tail.strip_prefix("{{") {
            letters.push('{');
            rest = after;
        } else if let Some(after) = tail.strip_prefix("}}") {
            letters.push('}');
            rest = after;
        } else if tail.starts_with('}') {
            let at = At::Hole(excerpt(text, found + text.len() - rest.len()));
            return Err(Flaw { at, message: "'}' closes no hole; write '}}' for the character '}'".to_owned() });
        } else {
            let Some(end) = end_of_hole(tail) else {
                let at = At::Hole(tail.chars().take(EXCERPT_CHARS_MAX).collect());
                let message = "'{' opens a hole that '}' does not close; write '{{' for the character '{'".to_owned();
                return Err(Flaw { at, message });
            };
            if !letters.is_empty() {
                pieces.push(Piece::Letters(std::mem::take(&mut letters)));
            }
            pieces.push(Piece::Hole(hole(&tail[..end])?));
            rest = &tail[end..];
        }
    }
    letters.push_str(rest);
    if !letters.is_empty() {
        pieces.push(Piece::Letters(letters));
    }
    Ok(pieces)
}

/// Characters of a text that say where something stands in it, at most.
const EXCERPT_CHARS_MAX: usize = 24;

/// The end of what stands before `at`, and the octet there.
fn excerpt(text: &str, at: usize) -> String {
    let before: Vec<_> = text[..at].chars().rev().take(EXCERPT_CHARS_MAX).collect();
    before.into_iter().rev().chain(['}']).collect()
}

/// The length of the hole that `text` begins with, braces between quotes left out of account.
fn end_of_hole(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None, '}') => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// What a hole is made of.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Pipe,
}

fn hole(written: &str) -> Result<RawHole, Flaw> {
    let wrong = |message: String| Flaw { at: At::Hole(written.to_owned()), message };
    let tokens = tokens(&written[1..written.len() - 1]).map_err(&wrong)?;
    let mut alternatives = vec![];
    for tokens in tokens.split(|token| *token == Token::Word("else".to_owned())) {
        alternatives.push(alternative(tokens).map_err(&wrong)?);
    }
    Ok(RawHole { written: written.to_owned(), alternatives })
}

fn alternative(tokens: &[Token]) -> Result<Alternative, String> {
    let mut parts = tokens.split(|token| *token == Token::Pipe);
    let path = match parts.next() {
        Some([Token::Word(path)]) => path.clone(),
        Some([]) => return Err("a value's name must stand first, such as account.name".to_owned()),
        _ => return Err("a value is one name, such as account.name; '|' stands before a formatter".to_owned()),
    };
    let mut calls = vec![];
    for part in parts {
        let [Token::Word(name), arguments @ ..] = part else {
            return Err("a formatter's name must stand behind '|', such as |iso_ms".to_owned());
        };
        let argument = |token: &Token| match token {
            Token::Quoted(text) => Ok(text.clone()),
            Token::Word(word) => Err(format!("an argument stands between quotes: '{word}'")),
            Token::Pipe => Err("two '|' stand one behind the other".to_owned()),
        };
        let arguments = arguments.iter().map(argument).collect::<Result<_, _>>()?;
        calls.push(Call { name: name.clone(), arguments });
    }
    Ok(Alternative { path, calls })
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = vec![];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '|' => {
                tokens.push(Token::Pipe);
                &rest[1..]
            }
            '\'' | '"' => {
                // `end_of_hole` saw the closing quote.
                let Some((quoted, after)) = rest[1..].split_once(first) else {
                    return Err(format!("{first} opens a quote that nothing closes"));
                };
                tokens.push(Token::Quoted(quoted.to_owned()));
                after
            }
            letter if is_word(letter) => {
                let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                &rest[end..]
            }
            other => return Err(format!("{other:?} has no meaning in a hole")),
        }
        .trim_start();
    }
    Ok(tokens)
}

const fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match pieces(text) {
            Ok(pieces) => format!("{pieces:?}"),
            Err(flaw) => flaw.message,
        }
    }

    #[test]
    fn a_text_is_letters_and_holes() {
        let pieces = pieces("a{{b}} {x.y|local '%H}' \"'\" | omit}!").unwrap();
        let [Piece::Letters(before), Piece::Hole(hole), Piece::Letters(after)] = &pieces[..] else {
            panic!("{pieces:?}")
        };
        assert_eq!((before.as_str(), after.as_str()), ("a{b} ", "!"));
        let [Alternative { path, calls }] = &hole.alternatives[..] else { panic!("{hole:?}") };
        assert_eq!(path, "x.y");
        assert_eq!(calls[0], Call { name: "local".into(), arguments: vec!["%H}".into(), "'".into()] });
        assert_eq!(calls[1], Call { name: "omit".into(), arguments: vec![] });
    }

    #[test]
    fn alternatives_have_formatters_of_their_own() {
        let pieces = pieces("{claim.a else issued_at|iso_ms}").unwrap();
        let [Piece::Hole(hole)] = &pieces[..] else { panic!("{pieces:?}") };
        assert_eq!(hole.alternatives.len(), 2);
        assert_eq!((hole.alternatives[0].calls.len(), hole.alternatives[1].calls.len()), (0, 1));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, message) in [
            ("a}", "'}' closes no hole; write '}}' for the character '}'"),
            ("{a", "'{' opens a hole that '}' does not close; write '{{' for the character '{'"),
            ("{a|b '}", "'{' opens a hole that '}' does not close; write '{{' for the character '{'"),
            ("{}", "a value's name must stand first, such as account.name"),
            ("{a b}", "a value is one name, such as account.name; '|' stands before a formatter"),
            ("{a|}", "a formatter's name must stand behind '|', such as |iso_ms"),
            ("{a|b c}", "an argument stands between quotes: 'c'"),
            ("{a + b}", "'+' has no meaning in a hole"),
            ("{a else }", "a value's name must stand first, such as account.name"),
        ] {
            assert_eq!(read(text), message, "{text}");
        }
    }
}
