//! Writing answers that are ours.

use std::{mem, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Response, header};
use pingora::{Result, http::ResponseHeader, proxy::Session};
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use super::message;
use crate::{
    domain::{Reason, secret::SecretBytes},
    edge::{
        listen::connection::{Connection, Protocol},
        respond,
    },
};

/// An unread body up to this is read, so that the connection can be kept for the next request.
const DRAIN_BYTES_MAX: usize = 64 << 10;

/// How long such a body may take to arrive.
const DRAIN: Duration = Duration::from_secs(1);

/// How much of a body that is too large is read after its answer, and for how long: a connection that is closed
/// with bytes unread is reset, and the answer may be lost with it.
const LINGER_BYTES_MAX: usize = 16 << 20;
const LINGER: Duration = Duration::from_secs(1);
/// The methods of RFC 9110 that may reach a route, for an answer that knows none.
const METHODS_SERVED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// What came of reading a body.
#[derive(Debug)]
pub(in crate::edge) enum Body {
    /// All of it. It may hold a password.
    Complete(SecretBytes),
    /// It is over the bound.
    TooLarge,
    /// It did not come in time.
    TimedOut,
    /// The client broke off, or its chunks are none.
    Broken,
}

/// Writes an answer. A small body that nobody read is read first: the connection stays alive.
/// Where it was not read to a clean end, the connection ends with the answer: whatever else stands on
/// it must never be taken for a request (pingora counts a body that broke its framing as done).
pub(in crate::edge) async fn write(session: &mut Session, response: Response<Bytes>) -> Result<()> {
    if !drain(session).await {
        session.set_keepalive(None);
    }
    send(session, response).await
}

/// Writes an answer without waiting for the end of the body, and reads on only so that the client gets to read it:
/// the connection ends afterwards.
pub(super) async fn write_early(session: &mut Session, response: Response<Bytes>) -> Result<()> {
    session.set_keepalive(None);
    send(session, response).await?;
    if !expects_continue(session) {
        linger(session).await;
    }
    Ok(())
}

async fn send(session: &mut Session, response: Response<Bytes>) -> Result<()> {
    let head = head_of(&response)?;
    let body = response.into_body();
    let without_body = session.req_header().method == Method::HEAD || body.is_empty();
    session.write_response_header(Box::new(head), without_body).await?;
    if !without_body {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// Reads a body of at most `bytes_max`, all of it before `deadline` is over: a sender of one byte now
/// and then is not waited for.
pub(super) async fn read_body(session: &mut Session, bytes_max: usize, deadline: Duration) -> Result<Body> {
    let body = timeout(deadline, collect_body(session, bytes_max)).await.unwrap_or(Ok(Body::TimedOut));
    if !matches!(body, Ok(Body::Complete(_))) {
        session.set_keepalive(None);
    }
    body
}

async fn collect_body(session: &mut Session, bytes_max: usize) -> Result<Body> {
    if declared_length(session).is_some_and(|length| length > bytes_max) {
        return Ok(Body::TooLarge);
    }
    if expects_continue(session) && !session.is_body_done() {
        session.write_continue_response().await?;
    }
    // Room for all of it at once: what grows leaves copies behind.
    let room = declared_length(session).unwrap_or(bytes_max);
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    loop {
        match session.read_request_body().await {
            Ok(Some(chunk)) => {
                let fits = body.len() + chunk.len() <= bytes_max;
                if fits {
                    body.extend_from_slice(&chunk);
                }
                wipe(chunk);
                if !fits {
                    return Ok(Body::TooLarge);
                }
            }
            Ok(None) => return Ok(Body::Complete(SecretBytes::new(mem::take(&mut body)))),
            Err(error) if matches!(error.etype(), pingora::ErrorType::ReadTimedout) => return Ok(Body::TimedOut),
            Err(_) => return Ok(Body::Broken),
        }
    }
}

/// Overwrites bytes that nobody else holds. Those that somebody does are still his.
fn wipe(bytes: Bytes) {
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}

/// Reads what is left of a small body; whether its end was reached in order.
async fn drain(session: &mut Session) -> bool {
    if session.is_body_done() {
        return true;
    }
    if expects_continue(session) || declared_length(session).is_some_and(|length| length > DRAIN_BYTES_MAX) {
        return false;
    }
    let all = async {
        let mut read = 0;
        while let Some(chunk) = session.read_request_body().await? {
            read += chunk.len();
            if read > DRAIN_BYTES_MAX {
                return Ok(false);
            }
        }
        Ok::<_, Box<pingora::Error>>(true)
    };
    matches!(timeout(DRAIN, all).await, Ok(Ok(true)))
}

async fn linger(session: &mut Session) {
    let rest = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            read += chunk.len();
            if read > LINGER_BYTES_MAX {
                break;
            }
        }
    };
    // Whether the client stopped sending or the time is over: the connection ends here.
    let _ = timeout(LINGER, rest).await;
}

/// Ends when a client whose body was read leaves before its answer: its connection ends, or its stream is reset.
pub(in crate::edge) async fn client_left(session: &mut Session, connection: Option<&Connection>) {
    // The streams of an HTTP/2 connection tell of resets; what comes on it must be read on for the others.
    let watched = connection.filter(|connection| connection.protocol == Protocol::Http1);
    let _watching = watched.map(|connection| connection.watch.begin());
    // Whatever it says, it is over: with its body read, nothing else is waited for.
    let _ = session.as_downstream_mut().read_body_or_idle(true).await;
}

pub(super) fn declared_length(session: &Session) -> Option<usize> {
    session.req_header().headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn expects_continue(session: &Session) -> bool {
    let expect = session.req_header().headers.get(header::EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The bytes of an answer to a head that was never parsed; the connection ends with it.
pub(in crate::edge) fn closing_answer(reason: Reason) -> Result<BytesMut> {
    let mut response = respond::answer(respond::plain(reason), None);
    if reason == Reason::MethodNotAllowed {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS_SERVED));
    }
    closing(&response, &Method::GET)
}

/// The bytes of an answer to such a request that is written without pingora; the connection ends with it.
pub(in crate::edge) fn closing(response: &Response<Bytes>, method: &Method) -> Result<BytesMut> {
    let mut head = head_of(response)?;
    message::conclude(&mut head, true)?;
    let mut bytes = message::answer_bytes(&head);
    if method != Method::HEAD {
        bytes.extend_from_slice(response.body());
    }
    Ok(bytes)
}

fn head_of(response: &Response<Bytes>) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(response.status(), Some(response.headers().len()))?;
    for (name, value) in response.headers() {
        head.append_header(name, value.clone())?;
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closing_answer_is_a_whole_http_message() {
        let answer = String::from_utf8(closing_answer(Reason::HeadTooLarge).unwrap().to_vec()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert!(body.contains(r#""status":431"#), "{body}");
    }
}
