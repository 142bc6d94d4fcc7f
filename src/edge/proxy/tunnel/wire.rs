//! Heads as they stand on the wire, of requests and of answers.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, Uri, header, uri::Authority};
use pingora::http::{RequestHeader, ResponseHeader};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, timeout_at},
};

use super::super::head::FIELDS_MAX;
use crate::rules::route::Host;

/// Bytes of an upstream's head, at most.
const ANSWER_HEAD_BYTES_MAX: usize = 64 << 10;

/// Interim answers that are passed over before the final one, at most.
const INTERIM_MAX: usize = 16;

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Headers that speak about one connection only (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::EXPECT,
    HTTP2_SETTINGS,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Parses a head that was found whole and well framed; its length comes with it.
pub(super) fn parse_request(bytes: &[u8]) -> Option<(RequestHeader, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = parsed.parse(bytes) else { return None };
    let mut head = RequestHeader::build(parsed.method?, parsed.path?.as_bytes(), Some(parsed.headers.len())).ok()?;
    head.set_version(if parsed.version? == 1 { http::Version::HTTP_11 } else { http::Version::HTTP_10 });
    for field in parsed.headers {
        head.append_header(field.name.to_owned(), field.value).ok()?;
    }
    Some((head, length))
}

/// What a request asks to switch to, where it may. A body would stand between head and tunnel, HEAD's answer has
/// none, and `h2c` would carry requests that nobody decides about.
pub(super) fn asked_protocol(head: &RequestHeader) -> Option<String> {
    let headers = &head.headers;
    let bodiless = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0")
        && !headers.contains_key(header::TRANSFER_ENCODING);
    if head.version != http::Version::HTTP_11 || head.method == Method::HEAD || !bodiless || !names_one_host(head) {
        return None;
    }
    if !words(headers, &header::CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    let asked: Vec<_> = words(headers, &header::UPGRADE).filter(|word| !word.is_empty()).collect();
    let http2 = |word: &&str| word.to_ascii_lowercase().starts_with("h2") || word.to_ascii_lowercase().contains("http");
    (!asked.is_empty() && !asked.iter().any(http2)).then(|| asked.join(", "))
}

/// Whether an absolute target names the host that `Host` names (RFC 9112 section 3.2.2). The head's URI has only the
/// path of such a target; where the two differ, pingora refuses the request.
fn names_one_host(head: &RequestHeader) -> bool {
    let target = head.raw_path();
    if target.starts_with(b"/") || target == b"*" {
        return true;
    }
    let target = Uri::try_from(target);
    target.is_ok_and(|uri| Host::of(&head.headers, uri.authority().map(Authority::as_str)).is_ok())
}

fn words<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).into_iter();
    values.flat_map(|value| value.to_str().unwrap_or_default().split(',')).map(str::trim)
}

/// Removes what speaks about the client's connection, and what that nominates.
pub(super) fn remove_hop_by_hop(head: &mut RequestHeader) {
    let nominated: Vec<_> =
        words(&head.headers, &header::CONNECTION).filter_map(|word| word.parse::<HeaderName>().ok()).collect();
    for name in nominated.iter().filter(|name| **name != header::HOST).chain(&HOP_BY_HOP) {
        head.remove_header(name);
    }
}

/// The request's bytes, as they go out.
pub(super) fn request_bytes(head: &RequestHeader) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(head.method.as_str().as_bytes());
    bytes.extend_from_slice(b" ");
    bytes.extend_from_slice(head.raw_path());
    bytes.extend_from_slice(b" HTTP/1.1\r\n");
    head.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The same head without the wish to switch protocols: pingora would grant it to any `Upgrade`.
pub(super) fn without_upgrade(bytes: &BytesMut) -> BytesMut {
    let mut plain = BytesMut::with_capacity(bytes.len());
    let mut rest = &bytes[..];
    let mut seen_request_line = false;
    while let Some(length) = rest.iter().position(|&byte| byte == b'\n') {
        let (line, after) = rest.split_at(length + 1);
        let is_empty = line == b"\r\n";
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        let dropped = name.eq_ignore_ascii_case(b"upgrade") || name.eq_ignore_ascii_case(b"http2-settings");
        if !(dropped && seen_request_line) {
            plain.extend_from_slice(line);
        }
        rest = after;
        if is_empty && seen_request_line {
            break;
        }
        seen_request_line |= !is_empty;
    }
    plain.extend_from_slice(rest);
    plain
}

/// An upstream's answer, as far as it was read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: ResponseHeader,
    /// What came behind the head.
    pub(super) rest: Bytes,
}

/// Reads an upstream's final head, or its 101, all of it `within` that.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`]; others when the upstream broke off or its head is none.
pub(super) async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S, within: Duration) -> io::Result<Answer> {
    let deadline = Instant::now() + within;
    let mut buffer = BytesMut::new();
    let mut interim = 0;
    loop {
        match parse_answer(&buffer)? {
            Some((head, length)) => {
                drop(buffer.split_to(length));
                if head.status.is_informational() && head.status != http::StatusCode::SWITCHING_PROTOCOLS {
                    interim += 1;
                    if interim > INTERIM_MAX {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    continue;
                }
                return Ok(Answer { head, rest: buffer.freeze() });
            }
            None if buffer.len() >= ANSWER_HEAD_BYTES_MAX => return Err(io::ErrorKind::InvalidData.into()),
            None => {}
        }
        if timeout_at(deadline, stream.read_buf(&mut buffer)).await.map_err(io::Error::from)?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn parse_answer(bytes: &[u8]) -> io::Result<Option<(ResponseHeader, usize)>> {
    let no_head = || io::Error::from(io::ErrorKind::InvalidData);
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut fields);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(no_head()),
    };
    let status = parsed.code.ok_or_else(no_head)?;
    let mut head = ResponseHeader::build(status, Some(parsed.headers.len())).map_err(|_| no_head())?;
    for field in parsed.headers {
        head.append_header(field.name.to_owned(), field.value).map_err(|_| no_head())?;
    }
    Ok(Some((head, length)))
}

/// The answer's bytes, as they go out.
pub(super) fn answer_bytes(head: &ResponseHeader) -> BytesMut {
    let mut bytes = BytesMut::new();
    let reason = head.status.canonical_reason().unwrap_or_default();
    bytes.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status.as_u16()).as_bytes());
    head.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &str) -> Option<String> {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        asked_protocol(&parse_request(text.as_bytes()).unwrap().0)
    }

    #[test]
    fn only_a_bodiless_request_that_says_it_twice_may_switch() {
        assert_eq!(asked("Connection: keep-alive, Upgrade\r\nUpgrade: foo\r\n").as_deref(), Some("foo"));
        for fields in [
            "Upgrade: foo\r\n",
            "Connection: upgrade\r\nUpgrade: \r\n",
            "Connection: upgrade\r\nUpgrade: h2c\r\n",
            "Connection: upgrade\r\nUpgrade: websocket, H2C\r\n",
            "Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n",
            "Connection: upgrade\r\nUpgrade: foo\r\nContent-Length: 1\r\n",
            "Connection: upgrade\r\nUpgrade: foo\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(asked(fields), None, "{fields:?}");
        }
    }

    #[test]
    fn the_wish_is_taken_out_and_nothing_else() {
        let head =
            "\r\nGET /upgrade: HTTP/1.1\r\nHost: a\r\nUPGRADE: h2c\r\nHTTP2-Settings: x\r\nA: b\r\n\r\nupgrade: c\r\n";
        let plain = without_upgrade(&BytesMut::from(head));
        assert_eq!(plain, "\r\nGET /upgrade: HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\nupgrade: c\r\n".as_bytes());
    }

    #[tokio::test]
    async fn interim_answers_are_passed_over_and_counted() {
        let mut wire =
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\nmore".as_bytes();
        let answer = read_answer(&mut wire, Duration::from_secs(1)).await.unwrap();
        assert_eq!((answer.head.status.as_u16(), &answer.rest[..]), (101, &b"more"[..]));
        let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(INTERIM_MAX + 1);
        assert!(read_answer(&mut endless.as_bytes(), Duration::from_secs(1)).await.is_err());
    }
}
