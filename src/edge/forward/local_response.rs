//! Responses of ours.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, Version, header, request::Parts};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use super::{
    body::received::ReceivedBody, exchange::Exchange, head::client_response::title_case, response_body::ResponseBody,
};
use crate::{
    domain::{Reason, Timestamp, secret::SecretBytes},
    edge::respond,
};

/// An unread body up to this is read, so that the connection can be kept for the next request.
const DRAIN_BYTES_MAX: u64 = 64 << 10;

/// How long such a body may take to arrive.
const DRAIN: Duration = Duration::from_secs(1);

/// The methods of RFC 9110 that may reach a route, for a response that knows none.
pub(super) const METHODS_SERVED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// What came of reading a body.
#[derive(Debug)]
pub(super) enum Body {
    /// All of it. It may hold a password.
    Complete(SecretBytes),
    /// It is over the bound.
    TooLarge,
    /// It did not come in time.
    TimedOut,
    /// The client broke off, or its chunks are malformed.
    Broken,
}

/// Answers a request. A small body that nobody read is read first: the connection stays alive. Where it was not read to
/// a clean end, the connection ends with the response: what else comes on it must never be taken for a request.
pub(super) async fn respond(
    mut exchange: Box<Exchange>,
    body: ReceivedBody,
    response: Response<Bytes>,
) -> Response<ResponseBody> {
    let Exchange { head, bytes_in, .. } = &mut *exchange;
    if !drain(head, body, bytes_in).await {
        exchange.keeps_connection = false;
    }
    send(exchange, response)
}

/// Answers a request without waiting for the end of its body; the connection ends afterwards.
pub(super) fn respond_early(mut exchange: Box<Exchange>, response: Response<Bytes>) -> Response<ResponseBody> {
    exchange.keeps_connection = false;
    send(exchange, response)
}

/// Answers a request whose body was read.
pub(super) fn send(mut exchange: Box<Exchange>, response: Response<Bytes>) -> Response<ResponseBody> {
    exchange.status = response.status().as_u16();
    let (mut head, body) = response.into_parts();
    exchange.conclude(&mut head);
    let without = exchange.head.method == Method::HEAD;
    Response::from_parts(head, ResponseBody::local(exchange, body, without))
}

impl Exchange {
    /// Says what the last server before the client says of a response: whether the connection goes on. What the request
    /// said is asked for no more.
    pub(super) fn conclude(&mut self, head: &mut http::response::Parts) {
        self.give_up_fields();
        if self.is_http2() {
            head.version = Version::HTTP_2;
            return;
        }
        // Where nothing is said of it, a connection of HTTP/1.1 goes on, and one of HTTP/1.0 ends (RFC 9112 section
        // 9.3).
        let keeps = self.keeps_connection && !self.shared().is_stopping();
        let said = match (keeps, self.head.version) {
            (false, _) => Some("close"),
            (true, Version::HTTP_10) => Some("keep-alive"),
            (true, _) => None,
        };
        if let Some(said) = said {
            head.headers.append(header::CONNECTION, HeaderValue::from_static(said));
        }
        // In one of HTTP/1.1 to a client of HTTP/1.0 hyper says that the connection goes on, beside what is said here.
        head.version = if keeps { Version::HTTP_11 } else { self.head.version };
    }
}

/// Reads a body of at most `bytes_max`, all of it before `deadline` is over: a sender of one byte now
/// and then is not waited for.
pub(super) async fn read_body(head: &Parts, body: ReceivedBody, bytes_max: usize, deadline: Duration) -> Body {
    timeout(deadline, collect_body(head, body, bytes_max)).await.unwrap_or(Body::TimedOut)
}

async fn collect_body(head: &Parts, mut body: ReceivedBody, bytes_max: usize) -> Body {
    let declared = declared_length(head).map_or(bytes_max, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if declared > bytes_max {
        return Body::TooLarge;
    }
    // Room for all of it at once: what grows leaves copies behind.
    let mut read = Zeroizing::new(Vec::with_capacity(declared));
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Body::Broken };
        let Ok(chunk) = frame.into_data() else { continue };
        let fits = read.len() + chunk.len() <= bytes_max;
        if fits {
            read.extend_from_slice(&chunk);
        }
        wipe(chunk);
        if !fits {
            return Body::TooLarge;
        }
    }
    Body::Complete(SecretBytes::new(std::mem::take(&mut read)))
}

/// Overwrites bytes that nobody else holds. Those that somebody does are still his.
fn wipe(bytes: Bytes) {
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}

/// Reads a small body, and counts its bytes; whether its end was reached in order.
async fn drain(head: &Parts, mut body: ReceivedBody, bytes: &mut u64) -> bool {
    if body.is_end_stream() {
        return true;
    }
    let too_large = declared_length(head).is_some_and(|length| length > DRAIN_BYTES_MAX);
    if head.headers.contains_key(header::EXPECT) || too_large {
        return false;
    }
    let all = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            *bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            if *bytes > DRAIN_BYTES_MAX {
                return false;
            }
        }
        true
    };
    timeout(DRAIN, all).await.unwrap_or(false)
}

/// How long a request says that its body is.
pub(super) fn declared_length(head: &Parts) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The bytes of a response to a head that was never parsed; the connection ends with it.
pub(in crate::edge) fn closing_response(reason: Reason, now: Timestamp) -> Vec<u8> {
    let mut response = respond::into_response(respond::plain(reason), None);
    let headers = response.headers_mut();
    if reason == Reason::MethodNotAllowed {
        headers.insert(header::ALLOW, HeaderValue::from_static(METHODS_SERVED));
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Some(date) = http_date(now) {
        headers.insert(header::DATE, date);
    }
    let mut bytes = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(title_case(name).as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(response.body());
    bytes
}

/// A time as `Date` has it (RFC 9110 section 5.6.7).
fn http_date(now: Timestamp) -> Option<HeaderValue> {
    let now = jiff::Timestamp::from_second(now.as_secs()).ok()?;
    let text = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok()?;
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closing_response_is_a_whole_http_message() {
        let response = String::from_utf8(closing_response(Reason::HeadTooLarge, Timestamp::from_secs(0))).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert!(head.contains("Date: Thu, 01 Jan 1970 00:00:00 GMT"), "{head}");
        assert!(body.contains(r#""status":431"#), "{body}");
    }
}
