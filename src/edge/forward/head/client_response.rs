//! What a client receives of an upstream's response: nothing that was said about the connection to the upstream, one
//! length, and what its route says.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header, response::Parts};

use crate::{
    decision::Route,
    edge::{
        armour::head::{FIELDS_MAX, is_length},
        forward::failure::Failure,
        respond::Asker,
    },
    rules::{
        cors::{Cors, is_cors_field},
        list::elements,
        rewrite::{REVEALING, Rewrites, hardening, is_framing_or_hop_by_hop, remove_hop_by_hop},
    },
};

/// What a response says of its end.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge::forward) struct Framing {
    /// Whether it has a length.
    pub(in crate::edge::forward) has_length: bool,
    /// Whether the connection on which it comes is best not used again. A length beside chunks is perhaps not what it
    /// seems (RFC 9112 section 6.3). To a server that says HTTP/1.0 hyper would speak that from then on, which has no
    /// chunks.
    pub(in crate::edge::forward) is_doubtful: bool,
}

/// Makes the upstream's head the client's. Gives how the response ends.
///
/// # Errors
/// [`Failure::Invalid`] where two readers could find two ends of the response.
pub(in crate::edge::forward) fn amend(
    response: &mut Parts,
    asker: &Asker<'_>,
    route: &Route,
) -> Result<Framing, Failure> {
    // What a client would have to upgrade to is said with 426 (RFC 9110 section 15.5.22), and in `Connection` too, so
    // that no proxy hands it on (section 7.8).
    let mut upgrades = vec![];
    if response.status == StatusCode::UPGRADE_REQUIRED {
        let named = response.headers.get_all(header::UPGRADE).iter().filter(|value| !value.is_empty());
        upgrades.extend(named.cloned());
    }
    // Over HTTP/1 hyper takes no more.
    if response.headers.len() > FIELDS_MAX {
        return Err(Failure::Invalid);
    }
    let framing = frame_once(response)?;
    remove_hop_by_hop(&mut response.headers);
    for upgrade in upgrades {
        response.headers.append(header::UPGRADE, upgrade);
        response.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    amend_by_route(response, asker, route);
    Ok(framing)
}

/// A field's name in the letters in which hyper writes it.
pub(in crate::edge::forward) fn title_case(name: &HeaderName) -> String {
    let words = name.as_str().split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}

/// An informational response as it is sent to a client of HTTP/1. The route says nothing of it: the final one speaks
/// for it.
pub(in crate::edge::forward) fn informational(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut headers = headers.clone();
    remove_hop_by_hop(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    // Nobody knows a reason phrase for each of them (RFC 9112 section 4).
    let phrase = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {phrase}\r\n", status.as_u16()).into_bytes();
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
pub(in crate::edge::forward) fn amend_by_route(response: &mut Parts, asker: &Asker<'_>, route: &Route) {
    if let Some(rewrites) = &route.settings.rewrites {
        rewrite(&mut response.headers, rewrites, asker.secure);
    }
    if let Some(cors) = &route.settings.cors {
        apply_cors(&mut response.headers, cors, asker);
    }
}

/// Makes the trailers of the upstream's response the client's: they frame nothing (RFC 9110 section 6.5.1), and what
/// the route takes out of a head does not come behind the body.
pub(in crate::edge::forward) fn amend_trailers(trailers: &mut HeaderMap, route: &Route) {
    let framing: Vec<_> = trailers.keys().filter(|name| is_framing_or_hop_by_hop(name.as_str())).cloned().collect();
    let rewrites = route.settings.rewrites.as_ref();
    let revealing = if rewrites.is_some_and(|rewrites| rewrites.harden) { &REVEALING[..] } else { &[] };
    let removed = rewrites.into_iter().flat_map(|rewrites| &rewrites.response.remove);
    for name in framing.iter().chain(revealing).chain(removed) {
        trailers.remove(name);
    }
}

/// Leaves one length, and none where there is no content (RFC 9110 section 8.6): the next reader of the response must
/// find the same end as we do.
fn frame_once(response: &mut Parts) -> Result<Framing, Failure> {
    let headers = &mut response.headers;
    let is_coded = headers.contains_key(header::TRANSFER_ENCODING);
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    let has_one_length = lengths.next().is_none() && length.is_some_and(|length| is_length(length.as_bytes()));
    let has_length = length.is_some();
    let is_doubtful = response.version == Version::HTTP_10 || is_coded && has_length;
    if response.status.is_informational() || response.status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
        return Ok(Framing { has_length: false, is_doubtful });
    }
    if is_coded {
        // Some servers say twice that there are chunks. Another coding, or one in HTTP/1.0, has no meaning that all
        // share (RFC 9112 section 6.1).
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        if response.version == Version::HTTP_10 || !codings.all(|one| one.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            return Err(Failure::Invalid);
        }
        // The chunks say where they end (RFC 9112 section 6.3).
        headers.remove(header::CONTENT_LENGTH);
        return Ok(Framing { has_length: false, is_doubtful });
    }
    if has_length && !has_one_length {
        let length = one_length(headers).ok_or(Failure::Invalid)?;
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(Framing { has_length, is_doubtful })
}

/// The length that every one of several says (RFC 9110 section 8.6).
#[cold]
fn one_length(headers: &HeaderMap) -> Option<u64> {
    // A number may have a sign where it is parsed, and has none here.
    let mut lengths = elements(headers, &header::CONTENT_LENGTH)
        .map(|length| Some(length).filter(|length| is_length(length.as_bytes()))?.parse().ok());
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}

#[inline(never)]
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
#[inline(never)]
fn apply_cors(headers: &mut HeaderMap, cors: &Cors, asker: &Asker<'_>) {
    let own: Vec<HeaderName> = headers.keys().filter(|name| is_cors_field(name)).cloned().collect();
    for name in own {
        headers.remove(&name);
    }
    for (name, value) in cors.response_fields(asker.headers) {
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
            let mut response = head(status, &fields);
            let framing = frame_once(&mut response).unwrap();
            let lengths: Vec<_> = response.headers.get_all("content-length").iter().collect();
            assert_eq!(lengths, left, "{status} {fields:?}");
            assert_eq!((framing.has_length, framing.is_doubtful), (!left.is_empty(), false), "{status} {fields:?}");
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
            let framing = frame_once(&mut response).ok().map(|framing| (framing.has_length, framing.is_doubtful));
            assert_eq!(framing, whole.then_some((false, true)), "{codings:?} {version:?}");
            assert_eq!(response.headers.contains_key(header::CONTENT_LENGTH), !whole);
        }
    }
}
