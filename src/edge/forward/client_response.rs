//! What a client receives of an upstream's response: nothing that was said about the connection to the upstream, one
//! length, and what its route says.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header, request::Parts as Request, response::Parts,
};

use super::failure::Failure;
use crate::{
    decision::Route,
    edge::{armour::head::is_length, respond::Asker},
    rules::{
        cors::{Cors, is_cors_field},
        list::elements,
        rewrite::{REVEALING, Rewrites, hardening, remove_hop_by_hop},
    },
};

/// What the response to a request depends on, beside the response.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// The fields that decide what a page of another origin may read; empty where the route says nothing of that.
    headers: HeaderMap,
    secure: bool,
}

impl Asked {
    pub(super) fn of(request: &Request, route: &Route, secure: bool) -> Self {
        let headers = route.settings.cors.as_ref().map(|_| request.headers.clone());
        Self { headers: headers.unwrap_or_default(), secure }
    }
}

/// Makes the upstream's head the client's.
///
/// # Errors
/// [`Failure::Invalid`] where two readers could find two ends of the response.
pub(super) fn amend(response: &mut Parts, asked: &Asked, route: &Route) -> Result<(), Failure> {
    // What a server would have to upgrade to is said with 426 (RFC 9110 section 15.5.22).
    let upgrade = (response.status == StatusCode::UPGRADE_REQUIRED)
        .then(|| response.headers.get(header::UPGRADE).cloned())
        .flatten();
    frame_once(response)?;
    remove_hop_by_hop(&mut response.headers);
    if let Some(upgrade) = upgrade {
        response.headers.insert(header::UPGRADE, upgrade);
    }
    amend_by_route(response, asked, route);
    Ok(())
}

/// A field's name in the letters in which hyper writes it.
pub(super) fn title_case(name: &HeaderName) -> String {
    let words = name.as_str().split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}

/// An informational response as it is sent to a client of HTTP/1. The route says nothing of it: the final one speaks for it.
pub(super) fn informational(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut headers = headers.clone();
    remove_hop_by_hop(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in &headers {
        bytes.extend_from_slice(title_case(name).as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// What the route says of a response.
pub(super) fn amend_by_route(response: &mut Parts, asked: &Asked, route: &Route) {
    if let Some(rewrites) = &route.settings.rewrites {
        rewrite(&mut response.headers, rewrites, asked.secure);
    }
    if let Some(cors) = &route.settings.cors {
        apply_cors(&mut response.headers, cors, &Asker { headers: &asked.headers, secure: asked.secure });
    }
}

/// Leaves one length, and none where there is no content (RFC 9110 section 8.6): who reads the response next must find the
/// same end as we do.
fn frame_once(response: &mut Parts) -> Result<(), Failure> {
    let headers = &mut response.headers;
    if response.status.is_informational() || response.status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
        return Ok(());
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // Some servers say twice that there are chunks. Another coding, or one in HTTP/1.0, has no meaning that all share
        // (RFC 9112 section 6.1).
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        if response.version == Version::HTTP_10 || !codings.all(|one| one.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            return Err(Failure::Invalid);
        }
        // The chunks say where they end (RFC 9112 section 6.3).
        headers.remove(header::CONTENT_LENGTH);
        return Ok(());
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    if lengths.next().is_none() && is_length(first.as_bytes()) {
        return Ok(());
    }
    let length = one_length(headers).ok_or(Failure::Invalid)?;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(())
}

/// The length that every one of several says (RFC 9110 section 8.6).
fn one_length(headers: &HeaderMap) -> Option<u64> {
    // A number may have a sign where it is parsed, and has none here.
    let mut lengths = elements(headers, &header::CONTENT_LENGTH)
        .map(|length| Some(length).filter(|length| is_length(length.as_bytes()))?.parse().ok());
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}

fn rewrite(headers: &mut HeaderMap, rewrites: &Rewrites, secure: bool) {
    if rewrites.harden {
        for name in &REVEALING {
            headers.remove(name);
        }
        for (name, value) in hardening(secure) {
            headers.entry(name).or_insert(value);
        }
    }
    for name in &rewrites.response.remove {
        headers.remove(name);
    }
    for (name, value) in &rewrites.response.set {
        headers.insert(name.clone(), value.clone());
    }
}

/// Puts the route's word in the place of the service's: two would be none to a browser.
fn apply_cors(headers: &mut HeaderMap, cors: &Cors, asker: &Asker<'_>) {
    let own: Vec<HeaderName> = headers.keys().filter(|name| is_cors_field(name)).cloned().collect();
    for name in own {
        headers.remove(&name);
    }
    for (name, value) in cors.answer(asker.headers) {
        headers.insert(name, value);
    }
    let says_origin = elements(headers, &header::VARY).any(|name| name == "*" || name.eq_ignore_ascii_case("origin"));
    if cors.varies() && !says_origin {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn head(status: u16, fields: &[(&'static str, &'static str)]) -> Parts {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_response_has_one_length_or_none() {
        for (status, lengths, left) in [
            (200, &["3"][..], &["3"][..]),
            (200, &["3, 3"], &["3"]),
            (200, &["3", "3"], &["3"]),
            (204, &["60"], &[]),
            (103, &["60"], &[]),
            (304, &["60"], &["60"]),
        ] {
            let fields: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
            let mut answer = head(status, &fields);
            frame_once(&mut answer).unwrap();
            let lengths: Vec<_> = answer.headers.get_all("content-length").iter().collect();
            assert_eq!(lengths, left, "{status} {fields:?}");
        }
        for several in [&["x"][..], &["x, x"], &["3, 4"], &["3", "4"], &["3", ""], &["+3", "+3"]] {
            let fields: Vec<_> = several.iter().map(|length| ("content-length", *length)).collect();
            assert!(frame_once(&mut head(200, &fields)).is_err(), "{several:?}");
        }
    }

    #[test]
    fn only_chunks_are_a_transfer_coding() {
        for (codings, version, whole) in [
            (&["chunked"][..], Version::HTTP_11, true),
            (&["Chunked", "chunked"], Version::HTTP_11, true),
            (&["gzip, chunked"], Version::HTTP_11, false),
            (&["gzip", "chunked"], Version::HTTP_11, false),
            (&["identity"], Version::HTTP_11, false),
            (&["chunked"], Version::HTTP_10, false),
        ] {
            let fields: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", *coding)).collect();
            let mut response = head(200, &fields);
            response.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
            response.version = version;
            assert_eq!(frame_once(&mut response).is_ok(), whole, "{codings:?} {version:?}");
            assert_eq!(response.headers.contains_key(header::CONTENT_LENGTH), !whole);
        }
    }
}
