//! Whether a draft would tell a secret.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// Characters from which on a secret that stands in a text is no part of one of its words by chance.
const WORD_CHARS: usize = 8;

/// What somebody may read in a draft: its text, its text without the doubled braces and the percent-encoding, and what
/// its words are in base64.
pub(super) fn readings(text: &str) -> Vec<String> {
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
pub(super) fn stands_in(text: &str, secret: &str) -> bool {
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let is_long = secret.chars().count() >= WORD_CHARS;
    text.match_indices(secret).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + secret.len()..]);
        is_long || !(is_letter(before.chars().next_back()) || is_letter(behind.chars().next()))
    })
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
}
