//! What the heads of an upgrade say.

use std::{io, time::Duration};

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header, uri::Authority};
use pingora::http::{RequestHeader, ResponseHeader};
use tokio::{io::AsyncRead, time::timeout};

use crate::{
    edge::forward::message::{NoAnswer, read_answer},
    rules::{rewrite::is_hop_by_hop, route::Host, upgrade::carries_requests},
};

/// Interim answers that are passed over before the final one, at most.
const INTERIM_MAX: usize = 16;

/// What a request asks to switch to, where it may. A body would stand between head and tunnel, HEAD's answer has
/// none, and `h2c` would carry requests that nobody decides about.
pub(super) fn asked_protocols(head: &RequestHeader) -> Option<Vec<&str>> {
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
    let http = |word: &&str| carries_requests(&word.to_ascii_lowercase());
    (!asked.is_empty() && !asked.iter().any(http)).then_some(asked)
}

/// What a service switches to; `None` unless it is one of those that it was asked for.
pub(super) fn chosen_protocol<'h>(headers: &'h HeaderMap, asked: &str) -> Option<&'h str> {
    let mut chosen = words(headers, &header::UPGRADE);
    let (Some(protocol), None) = (chosen.next(), chosen.next()) else { return None };
    asked.split(", ").any(|asked| asked.eq_ignore_ascii_case(protocol)).then_some(protocol)
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
    let own: Vec<_> = head.headers.keys().filter(|name| is_hop_by_hop(name.as_str().as_bytes())).cloned().collect();
    for name in nominated.iter().filter(|name| **name != header::HOST).chain(&own) {
        head.remove_header(name);
    }
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
    pub(super) rest: BytesMut,
}

/// Reads an upstream's final head, or its 101, all of it `within` that.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] among others of the stream; garbage, or too many heads before it.
pub(super) async fn read_final_answer<S>(stream: &mut S, within: Duration) -> Result<Answer, NoAnswer>
where
    S: AsyncRead + Unpin,
{
    let mut rest = BytesMut::new();
    let reading = async {
        for _ in 0..=INTERIM_MAX {
            let head = read_answer(stream, &mut rest).await?;
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(head);
            }
        }
        Err(NoAnswer::Garbage)
    };
    let head = timeout(within, reading).await.map_err(io::Error::from)??;
    Ok(Answer { head, rest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::forward::message::parse_request;

    fn asked(fields: &str) -> Option<String> {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        asked_protocols(&parse_request(text.as_bytes()).unwrap().0).map(|asked| asked.join(", "))
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
        let answer = read_final_answer(&mut wire, Duration::from_secs(1)).await.unwrap();
        assert_eq!((answer.head.status.as_u16(), &answer.rest[..]), (101, &b"more"[..]));
        let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(INTERIM_MAX + 1);
        assert!(read_final_answer(&mut endless.as_bytes(), Duration::from_secs(1)).await.is_err());
    }
}
