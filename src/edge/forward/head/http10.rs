//! The head of a request of HTTP/1.0, in the form that one of HTTP/1.1 has.

use http::{HeaderValue, header, request::Parts, uri::Authority};

/// Says in `Host` whom a request is for that says so in its target alone (RFC 9112 section 3.2.2). HTTP/1.0 knows of no
/// `Host`.
pub(in crate::edge::forward) fn take(head: &mut Parts) {
    if head.headers.contains_key(header::HOST) {
        return;
    }
    let authority = head.uri.authority().map(Authority::as_str);
    if let Some(host) = authority.and_then(|authority| HeaderValue::from_str(authority).ok()) {
        head.headers.insert(header::HOST, host);
    }
}
