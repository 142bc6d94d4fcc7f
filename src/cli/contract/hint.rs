//! What is usually behind a difference.

use crate::rules::contract::{Difference, Expected};

/// What may help who reads a difference between `recorded`, the body of an answer, and a contract's.
pub(super) fn hint(recorded: &[u8], difference: &Difference) -> &'static str {
    let Some((at, expected)) = &difference.body else { return "the body is the same" };
    let Some(&theirs) = recorded.get(*at) else { return "the recording ends here" };
    if is_in_text(recorded, *at) { in_text(theirs, expected) } else { outside(theirs, expected) }
}

/// Between the quotes of a JSON string.
fn in_text(theirs: u8, expected: &Expected) -> &'static str {
    match (theirs, first(expected)) {
        (b'"', _) => "the recording's text ends here, and the contract's goes on",
        (_, Some(b'"')) => "the contract's text ends here, and the recording's goes on",
        (b'\\', Some(ours)) if ours != b'\\' => "the recording escapes a character that answers have as it is",
        (one, Some(other)) if one.eq_ignore_ascii_case(&other) => "the letters differ in case alone",
        (b' ', _) | (_, Some(b' ')) => "the texts differ in a space",
        _ => "the texts differ here: they are compared letter by letter",
    }
}

/// Where JSON's own characters stand.
fn outside(theirs: u8, expected: &Expected) -> &'static str {
    match (theirs, expected) {
        (b' ' | b'\n' | b'\r' | b'\t', _) => "the recording has white space here, and answers are written without any",
        (_, Expected::End) => "the recording goes on where the contract's body ends",
        (b'"', Expected::Value("a text")) => "the text does not have the letters that stand around the hole",
        (_, Expected::Value(_)) => "the recording has another value here than what stands in the hole",
        (one, Expected::Letters(_)) => match (one, first(expected)) {
            (b'"', Some(b'0'..=b'9' | b'-')) => "the recording has a text where the contract has a number",
            (b'0'..=b'9' | b'-', Some(b'"')) => "the recording has a number where the contract has a text",
            (b',', Some(b'}')) => "the recording has a member more",
            (b'}', Some(b',')) => "the recording has a member less",
            (b',', Some(b']')) => "the recording has an element more",
            (b']', Some(b',')) => "the recording has an element less",
            _ => "members stand in the contract's order",
        },
    }
}

fn first(expected: &Expected) -> Option<u8> {
    if let Expected::Letters(letters) = expected { letters.bytes().next() } else { None }
}

/// Whether the octet at `at` stands between the quotes of a string, its closing one counted in.
fn is_in_text(body: &[u8], at: usize) -> bool {
    let (mut inside, mut escaped) = (false, false);
    for &octet in &body[..at] {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(recorded: &str, at: usize, expected: Expected) -> &'static str {
        let body = Some((at, expected));
        let difference = Difference { nearest: "a login", status: (200, 200), media_type: None, body };
        hint(recorded.as_bytes(), &difference)
    }

    fn letters(letters: &str) -> Expected {
        Expected::Letters(letters.to_owned())
    }

    #[test]
    fn white_space_is_formatting_outside_of_texts_alone() {
        assert!(told(r#"{"a": 1}"#, 5, letters("1}")).contains("white space"));
        assert!(told("{}\n", 2, Expected::End).contains("white space"));
        assert!(told(r#"{"a": "x"}"#, 5, Expected::Value("a text")).contains("white space"));
        assert_eq!(told(r#"{"a":"x y"}"#, 7, letters("-y")), "the texts differ in a space");
        assert_eq!(told(r#"{"a":"x-y"}"#, 7, letters(" y")), "the texts differ in a space");
        let longer = "the contract's text ends here, and the recording's goes on";
        assert_eq!(told(r#"{"a":"q\" y"}"#, 9, letters("\"")), longer);
        assert_eq!(told(r#"{"a":"x "}"#, 7, letters("\"}")), longer);
    }

    #[test]
    fn texts_and_members_are_told_apart() {
        let apart = "the texts differ here: they are compared letter by letter";
        assert_eq!(told(r#"{"a":"x,"}"#, 7, letters("}")), apart);
        assert_eq!(told(r#"{"a":1,"b":2}"#, 6, letters("}")), "the recording has a member more");
        assert_eq!(told(r#"{"a":1}"#, 6, letters(",\"b\"")), "the recording has a member less");
        let shorter = "the recording's text ends here, and the contract's goes on";
        assert_eq!(told(r#"{"a":"x"}"#, 7, letters("y\"}")), shorter);
        assert_eq!(told(r#"{"a":"X"}"#, 6, letters("x\"}")), "the letters differ in case alone");
        let escaped = "the recording escapes a character that answers have as it is";
        assert_eq!(told(r#"{"a":"\/"}"#, 6, letters("/\"}")), escaped);
        let number = "the recording has a text where the contract has a number";
        assert_eq!(told(r#"{"a":"1"}"#, 5, letters("1}")), number);
        assert_eq!(told(r#"{"a":1"#, 6, letters("}")), "the recording ends here");
    }
}
