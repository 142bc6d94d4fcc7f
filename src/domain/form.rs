//! Bodies that are forms (`application/x-www-form-urlencoded`): those of OAuth, and of contracts that take them.

use thiserror::Error;
use zeroize::Zeroize;

/// Fields of a form, at most: each is compared with all others. OAuth's longest request has ten.
const FIELDS_MAX: usize = 64;

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
    /// There are more than 64 fields.
    #[error("the body has too many parameters")]
    TooMany,
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
        fields.push((name.into_owned(), value.into_owned()));
        if let Some(why) = wrong_with_last(&fields) {
            // A secret may be among them.
            for (_, value) in &mut fields {
                value.zeroize();
            }
            return Err(why);
        }
    }
    Ok(fields)
}

/// Why these are no form, where all but the last one of them may be.
fn wrong_with_last(fields: &[(String, String)]) -> Option<NoForm> {
    let ((name, value), before) = fields.split_last()?;
    if before.len() == FIELDS_MAX {
        return Some(NoForm::TooMany);
    }
    if [name, value].iter().any(|text| text.contains(char::REPLACEMENT_CHARACTER)) {
        return Some(NoForm::NotUtf8);
    }
    before.iter().any(|(known, _)| known == name).then_some(NoForm::Repeated)
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
        let many = |count: usize| (0..count).map(|number| format!("{number}=")).collect::<Vec<_>>().join("&");
        assert_eq!(fields(many(FIELDS_MAX).as_bytes()).map(|fields| fields.len()), Ok(FIELDS_MAX));
        assert_eq!(fields(many(FIELDS_MAX + 1).as_bytes()), Err(NoForm::TooMany));
        for body in [&b"a=\xff"[..], b"a=%ff", b"%c3=1"] {
            assert_eq!(fields(body), Err(NoForm::NotUtf8), "{body:?}");
        }
    }
}
