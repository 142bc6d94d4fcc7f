//! What a client receives of an upstream's answer: none of what was said about the connection to the upstream, one
//! length, and what its route says.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
};

use super::exchange::Exchange;
use crate::{
    edge::{armour::head::is_length, respond::Asker},
    rules::{
        cors::{Cors, is_cors_field},
        rewrite::{REVEALING, Rewrites, hardening},
    },
};

/// Fields that speak about one connection beside those that `Connection` names (RFC 9110 section 7.6.1).
const OF_CONNECTIONS: [HeaderName; 3] =
    [HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection"), header::UPGRADE];

/// Fields that frame a message: no nomination takes them away.
const FRAMING: [HeaderName; 3] = [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

impl Exchange {
    /// Makes the upstream's head the client's. Of interim heads the route says nothing: the final one speaks for it.
    pub(super) fn amend(&self, request: &RequestHeader, response: &mut ResponseHeader) -> Result<()> {
        leave_connection(response);
        frame_once(response)?;
        if response.status.is_informational() {
            response.remove_header(&header::CONNECTION);
            return Ok(());
        }
        let Some(settings) = self.route().map(|route| &route.settings) else { return Ok(()) };
        if let Some(rewrites) = &settings.rewrites {
            rewrite(response, rewrites, self.asker(request).secure)?;
        }
        settings.cors.as_ref().map_or(Ok(()), |cors| share(response, cors, &self.asker(request)))
    }

    /// The same for the head of a 101: what it says of the connection is the client's to read.
    pub(super) fn amend_switch(&self, request: &RequestHeader, response: &mut ResponseHeader) -> Result<()> {
        let rewrites = self.route().and_then(|route| route.settings.rewrites.as_ref());
        rewrites.map_or(Ok(()), |rewrites| rewrite(response, rewrites, self.asker(request).secure))
    }

    /// Looks at how much of the request's body has come. pingora counts each byte once, however often it is
    /// offered to a server.
    pub(super) fn take_body(&self, bytes: usize) -> Result<()> {
        let most = self.route().and_then(|route| route.settings.body_bytes_max);
        match most {
            // The error ends the request to the upstream before the end of its body.
            Some(most) if u64::try_from(bytes).unwrap_or(u64::MAX) > most => {
                Err(Error::new_down(ErrorType::HTTPStatus(413)))
            }
            _ => Ok(()),
        }
    }
}

/// Takes out what was said about the connection to the upstream.
fn leave_connection(response: &mut ResponseHeader) {
    if response.headers.contains_key(header::CONNECTION) {
        let lists = response.headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        let names = lists.flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse::<HeaderName>().ok());
        let nominated: Vec<_> = names.filter(|name| !FRAMING.contains(name)).collect();
        for name in nominated {
            response.remove_header(&name);
        }
    }
    // What a server would have to upgrade to is said with 426 (RFC 9110 section 15.5.22).
    let kept = (response.status == StatusCode::UPGRADE_REQUIRED).then_some(header::UPGRADE);
    for name in OF_CONNECTIONS.iter().filter(|&name| kept.as_ref() != Some(name)) {
        response.remove_header(name);
    }
    if response.version != Version::HTTP_2 {
        // What it announces is not handed on.
        response.remove_header(&header::TRAILER);
    }
}

/// Leaves one length, and none where there is no content (RFC 9110 section 8.6): whoever reads the answer next
/// must find the same end as we do.
fn frame_once(response: &mut ResponseHeader) -> Result<()> {
    if response.status.is_informational() || response.status == StatusCode::NO_CONTENT {
        response.remove_header(&header::CONTENT_LENGTH);
        response.remove_header(&header::TRANSFER_ENCODING);
        return Ok(());
    }
    if response.headers.contains_key(header::TRANSFER_ENCODING) {
        // The chunks say where they end (RFC 9112 section 6.3). Some servers say twice that there are any.
        response.remove_header(&header::CONTENT_LENGTH);
        let mut codings = response.headers.get_all(header::TRANSFER_ENCODING).iter();
        if codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            response.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
        }
        return Ok(());
    }
    let mut lengths = response.headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    if lengths.next().is_none() && is_length(first.as_bytes()) {
        return Ok(());
    }
    let length = one_length(&response.headers).ok_or_else(|| Error::new_up(ErrorType::InvalidHTTPHeader))?;
    response.insert_header(header::CONTENT_LENGTH, HeaderValue::from(length))
}

/// The length that every one of several says (RFC 9110 section 8.6).
fn one_length(headers: &HeaderMap) -> Option<u64> {
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().map(|value| value.to_str().unwrap_or_default());
    let lengths = lengths.flat_map(|list| list.split(',')).map(str::trim);
    // A number may have a sign where it is parsed, and has none here.
    let mut lengths = lengths.map(|length| Some(length).filter(|length| is_length(length.as_bytes()))?.parse().ok());
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}

fn rewrite(response: &mut ResponseHeader, rewrites: &Rewrites, secure: bool) -> Result<()> {
    if rewrites.harden {
        for name in &REVEALING {
            response.remove_header(name);
        }
        for (name, value) in hardening(secure) {
            if !response.headers.contains_key(&name) {
                response.insert_header(name, value)?;
            }
        }
    }
    for name in &rewrites.response.remove {
        response.remove_header(name);
    }
    for (name, value) in &rewrites.response.set {
        response.insert_header(name.clone(), value.clone())?;
    }
    Ok(())
}

/// Puts the route's word in the place of the service's: two would be none to a browser.
fn share(response: &mut ResponseHeader, cors: &Cors, asker: &Asker<'_>) -> Result<()> {
    let own: Vec<HeaderName> = response.headers.keys().filter(|name| is_cors_field(name)).cloned().collect();
    for name in own {
        response.remove_header(&name);
    }
    for (name, value) in cors.answer(asker.headers) {
        response.insert_header(name, value)?;
    }
    if cors.varies() && !says_origin(response) {
        response.append_header(header::VARY, HeaderValue::from_static("origin"))?;
    }
    Ok(())
}

fn says_origin(response: &ResponseHeader) -> bool {
    let lists = response.headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|name| name == "*" || name.eq_ignore_ascii_case("origin"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clock, SystemClock};

    fn head(status: u16, fields: &[(&'static str, &'static str)]) -> ResponseHeader {
        let mut head = ResponseHeader::build(status, None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    fn names(head: &ResponseHeader) -> Vec<&str> {
        let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_said_about_the_upstreams_connection_stays_there() {
        let mut answer = head(
            200,
            &[
                ("Connection", "close, X-Hop, content-length"),
                ("connection", "x-other, a b"),
                ("X-Hop", "1"),
                ("x-other", "1"),
                ("Keep-Alive", "timeout=5"),
                ("Proxy-Connection", "keep-alive"),
                ("Upgrade", "h2c"),
                ("Content-Length", "3"),
                ("X-End", "1"),
            ],
        );
        leave_connection(&mut answer);
        assert_eq!(names(&answer), ["connection", "content-length", "x-end"]);
        let mut required = head(426, &[("Connection", "close"), ("Upgrade", "websocket")]);
        leave_connection(&mut required);
        assert_eq!(names(&required), ["connection", "upgrade"]);
    }

    #[test]
    fn an_interim_answer_says_nothing_of_the_connection() {
        let exchange = Exchange::new(SystemClock.instant());
        let request = RequestHeader::build("GET", b"/", None).unwrap();
        let mut hints = head(103, &[("Connection", "close"), ("Link", "a")]);
        exchange.amend(&request, &mut hints).unwrap();
        assert_eq!(names(&hints), ["link"]);
    }

    #[test]
    fn an_answer_has_one_length_or_none() {
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
        let mut empty = head(204, &[("transfer-encoding", "chunked")]);
        frame_once(&mut empty).unwrap();
        assert!(names(&empty).is_empty());
        for several in [&["x"][..], &["x, x"], &["3, 4"], &["3", "4"], &["3", ""], &["+3", "+3"]] {
            let fields: Vec<_> = several.iter().map(|length| ("content-length", *length)).collect();
            assert!(frame_once(&mut head(200, &fields)).is_err(), "{several:?}");
        }
    }
}
