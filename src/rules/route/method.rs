//! Methods are compared letter by letter (RFC 9110 section 9.1).

use http::Method;

/// Whether a method has a lower-case letter. No registered method has one, so each spelling of a registered method that
/// differs only in case is found too. Many servers fold the case: what is no `POST` here would be one there, and would
/// have passed by the rules for another method.
#[inline]
#[must_use]
pub fn has_lower_case(method: &[u8]) -> bool {
    method.iter().any(u8::is_ascii_lowercase)
}

/// Whether requests with a method never reach a server, whatever a route says. CONNECT would make a tunnel past every
/// check, and TRACE would send the token, and what the gateway adds, back to the reader of the response (RFC 9110
/// sections 9.3.6 and 9.3.8).
#[inline]
#[must_use]
pub const fn is_never_forwarded(method: &Method) -> bool {
    matches!(*method, Method::CONNECT | Method::TRACE)
}
