//! Drafts a contract's file from recorded exchanges of an old endpoint.
//!
//! ```text
//! purpose   what each exchange was for: the logins that succeeded, their members, the refreshes, the routes
//! success   an answer to a success, with holes where tokens, names and dates stand
//! tokens    what the tokens of the recordings tell of themselves
//! failure   which error each refusal was, and what the errors share
//! missing   how an error speaks of the members that are missing
//! draft     all of it as a file, with its guesses as comments
//! ```
//!
//! Passwords and tokens are recognised and never written. What a recording cannot say is guessed, and said to be.

mod draft;
mod failure;
mod missing;
mod purpose;
mod success;
mod tokens;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::Value;

use self::purpose::Purposes;
use super::Recorded;

/// An exchange and the path that it went to.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'r> {
    /// The path, without the query.
    pub path: &'r str,
    /// The exchange.
    pub recorded: &'r Recorded,
}

/// What was learnt.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// The text of a contract's file.
    pub text: String,
    /// The places of the exchanges that say nothing about it: another contract's denials.
    pub others: Vec<usize>,
}

/// The contract that answers as these exchanges do.
///
/// # Errors
/// Why there is none: no login succeeds, or a secret would have to be written.
pub fn learn(name: &str, observed: &[Observed<'_>]) -> Result<Learnt, String> {
    let purposes = Purposes::of(observed)?;
    let learnt = draft::write(name, &purposes, observed)?;
    let readings = readings(&learnt.text);
    for secret in purposes.secrets(observed) {
        if readings.iter().any(|text| stands_in(text, &secret)) {
            return Err(
                "an answer repeats a password or a token where none is recognised: take it out of the recording"
                    .to_owned(),
            );
        }
    }
    Ok(learnt)
}

/// Characters from which on a secret that stands in a text is no part of one of its words by chance.
const WORD_CHARS: usize = 8;

/// What somebody may read in a draft: its text, its text without the doubled braces and the percent-encoding, and what
/// its words are in base64.
fn readings(text: &str) -> Vec<String> {
    let plain = text.replace("{{", "{").replace("}}", "}");
    let of_form =
        form_urlencoded::parse(plain.as_bytes()).flat_map(|(name, value)| [name.into_owned(), value.into_owned()]);
    let of_base64 = plain.split(|letter: char| !letter.is_ascii_alphanumeric() && !"+/-_".contains(letter));
    let of_base64 = of_base64.filter_map(|word| {
        let word = word.replace('-', "+").replace('_', "/");
        STANDARD_NO_PAD.decode(word).ok().and_then(|bytes| String::from_utf8(bytes).ok())
    });
    let mut readings: Vec<_> = of_form.chain(of_base64).collect();
    readings.extend([text.to_owned(), plain]);
    readings
}

/// Whether a secret stands in a text; a short one as a word, with no letter or digit before or behind it.
fn stands_in(text: &str, secret: &str) -> bool {
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let is_long = secret.chars().count() >= WORD_CHARS;
    text.match_indices(secret).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + secret.len()..]);
        is_long || !(is_letter(before.chars().next_back()) || is_letter(behind.chars().next()))
    })
}

/// The JSON that a body is.
fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

/// Whether a word stands in a name, in any case.
fn hints(name: &str, words: &[&str]) -> bool {
    let name = name.to_lowercase();
    words.iter().any(|word| name.contains(word))
}

/// A text in a template: braces are doubled.
fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// A text between quotes that it does not have; `None` where it has both.
fn quoted(text: &str) -> Option<String> {
    ['\'', '"'].into_iter().find(|quote| !text.contains(*quote)).map(|quote| format!("{quote}{text}{quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_in_a_text_between_others() {
        assert!(stands_in("is 's3cret' it", "s3cret") && stands_in("s3cret", "s3cret"));
        assert!(!stands_in("incorrect", "correct") && !stands_in("ñs3cret", "s3cret"));
        assert!(stands_in("No {wacorrect horse", "correct horse"), "a long one is no part of a word by chance");
    }

    #[test]
    fn a_secret_is_found_however_an_answer_spells_it() {
        let found = |text: &str| readings(text).iter().any(|text| stands_in(text, "pa{s>? é"));
        for text in [
            "it was pa{s>? é",
            "it was pa{{s>? é",
            "body = '{\"next\":\"https://x/?p=pa%7Bs%3E%3F+%C3%A9\"}'",
            "it was cGF7cz4/IMOp",
            "it was cGF7cz4_IMOp",
            "it was 'Basic YW5hOnBhe3M+PyDDqQ=='",
        ] {
            assert!(found(text), "{text}");
        }
        assert!(!found("it was pa{s} and pa%7Bs"));
    }

    #[test]
    fn a_text_is_quoted_with_what_it_does_not_have() {
        assert_eq!(quoted("El campo '").as_deref(), Some("\"El campo '\""));
        assert_eq!(quoted("a").as_deref(), Some("'a'"));
        assert_eq!(quoted("'\""), None);
    }
}
