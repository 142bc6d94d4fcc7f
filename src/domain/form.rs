//! Bodies that are forms (`application/x-www-form-urlencoded`): those of OAuth, and of contracts that take them.

use thiserror::Error;

/// The media type of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Why a body is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoForm {
    /// A name or a value is not UTF-8 behind its percent-encoding.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// A field stands there twice: two readers could see two different values.
    #[error("a parameter is repeated")]
    Repeated,
}

/// Whether a `Content-Type` says that a form follows, in any case and with any parameters.
#[must_use]
pub fn is_form(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(FORM.as_bytes())
}

/// The fields of a form in their order, decoded once.
///
/// # Errors
/// Where it has no single meaning.
pub fn fields(body: &[u8]) -> Result<Vec<(String, String)>, NoForm> {
    let mut fields: Vec<(String, String)> = vec![];
    for (name, value) in form_urlencoded::parse(body) {
        if [&name, &value].iter().any(|text| text.contains(char::REPLACEMENT_CHARACTER)) {
            return Err(NoForm::NotUtf8);
        }
        if fields.iter().any(|(known, _)| *known == name) {
            return Err(NoForm::Repeated);
        }
        fields.push((name.into_owned(), value.into_owned()));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_once() {
        let read = fields(b"user=a+b%20c&pin=50%2525&empty=&bare&x=%C3%B1").unwrap();
        let expected = [("user", "a b c"), ("pin", "50%25"), ("empty", ""), ("bare", ""), ("x", "\u{f1}")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(fields(b""), Ok(vec![]));
    }

    #[test]
    fn what_has_no_single_meaning_is_no_form() {
        for body in ["a=1&a=2", "a=1&a=1", "a&a=1", "b=2&%61=1&a=1"] {
            assert_eq!(fields(body.as_bytes()), Err(NoForm::Repeated), "{body}");
        }
        for body in [&b"a=\xff"[..], b"a=%ff", b"%c3=1"] {
            assert_eq!(fields(body), Err(NoForm::NotUtf8), "{body:?}");
        }
    }
}
