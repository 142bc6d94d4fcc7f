//! Methods are compared letter by letter (RFC 9110 section 9.1).

/// Whether a method has a lower-case letter. No registered method has one, so each spelling of a registered method that
/// differs only in case is found too. Many servers fold the case: what is no `POST` here would be one there, and would
/// have passed by the rules for another method.
#[inline]
#[must_use]
pub fn has_lower_case(method: &[u8]) -> bool {
    method.iter().any(u8::is_ascii_lowercase)
}
