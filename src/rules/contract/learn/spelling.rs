//! How bodies, names and texts are read, and how texts are written into a template.

use serde_json::Value;

/// The JSON that a body is.
pub(super) fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

/// Whether a word stands in a name, in any case.
pub(super) fn hints(name: &str, words: &[&str]) -> bool {
    let name = name.to_lowercase();
    words.iter().any(|word| name.contains(word))
}

/// A text in a template: braces are doubled.
pub(super) fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// A text between quotes that it does not have; `None` where it has both.
pub(super) fn quoted(text: &str) -> Option<String> {
    ['\'', '"'].into_iter().find(|quote| !text.contains(*quote)).map(|quote| format!("{quote}{text}{quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted_with_what_it_does_not_have() {
        assert_eq!(quoted("El campo '").as_deref(), Some("\"El campo '\""));
        assert_eq!(quoted("a").as_deref(), Some("'a'"));
        assert_eq!(quoted("'\""), None);
    }
}
