//! Heads as they stand on the wire, where we read and write them without pingora.

use std::{io, mem::MaybeUninit};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version, header};
use pingora::{
    http::{RequestHeader, ResponseHeader, header_value_from_raw},
    protocols::http::date::get_cached_date,
};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::upstream_request::ADDED_FIELDS;
use crate::edge::armour::head::FIELDS_MAX;

/// Bytes of an upstream's head, at most.
const ANSWER_HEAD_BYTES_MAX: usize = 256 << 10;

/// Fields of an upstream's head, at most; as in pingora.
const ANSWER_FIELDS_MAX: usize = 256;

/// What is read of an answer at first: most come whole with it.
const ANSWER_BUFFER_BYTES: usize = 16 << 10;

/// Room for the head that an upstream receives, and for the one that a client does: most need no more.
const REQUEST_BYTES: usize = 2048;
const ANSWER_BYTES: usize = 1024;

/// Parses a head that was found whole and well framed; its length comes with it.
pub(super) fn parse_request(bytes: &[u8]) -> Option<(RequestHeader, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = parsed.parse(bytes) else { return None };
    let mut head = RequestHeader::build(parsed.method?, parsed.path?.as_bytes(), Some(parsed.headers.len())).ok()?;
    head.set_version(if parsed.version? == 1 { Version::HTTP_11 } else { Version::HTTP_10 });
    for field in parsed.headers {
        head.append_header(field.name.to_owned(), field.value).ok()?;
    }
    Some((head, length))
}

/// Parses a head that was found whole and plain. Its values share the bytes; the letter case of names is not kept.
pub(super) fn parse_plain_request(bytes: &Bytes) -> Option<RequestHeader> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(_)) = parsed.parse_with_uninit_headers(bytes, &mut fields) else { return None };
    let mut head = Request::new(()).into_parts().0;
    head.method = parsed.method?.parse().ok()?;
    head.uri = Uri::from_maybe_shared(bytes.slice_ref(parsed.path?.as_bytes())).ok()?;
    head.headers = HeaderMap::with_capacity(parsed.headers.len() + ADDED_FIELDS);
    for field in parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        head.headers.append(name, HeaderValue::from_maybe_shared(bytes.slice_ref(field.value)).ok()?);
    }
    Some(head.into())
}

/// The request's bytes, as they go out.
pub(super) fn request_bytes(head: &RequestHeader) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(REQUEST_BYTES);
    bytes.extend_from_slice(head.method.as_str().as_bytes());
    bytes.extend_from_slice(b" ");
    bytes.extend_from_slice(head.raw_path());
    bytes.extend_from_slice(b" HTTP/1.1\r\n");
    head.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Why an upstream's head was not read.
#[derive(Debug, Error)]
pub(super) enum NoAnswer {
    /// The upstream broke off, or was silent for too long.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What it sent is no head, or too large.
    #[error("no head of an HTTP/1 answer")]
    Garbage,
}

impl From<NoAnswer> for io::Error {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::Io(error) => error,
            NoAnswer::Garbage => Self::new(io::ErrorKind::InvalidData, why),
        }
    }
}

/// Reads an upstream's next head, interim or final. What came behind it is left in `buffer`.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] among others of the stream where the upstream broke off; garbage.
pub(super) async fn read_answer<S>(upstream: &mut S, buffer: &mut BytesMut) -> Result<ResponseHeader, NoAnswer>
where
    S: AsyncRead + Unpin,
{
    loop {
        if !buffer.is_empty()
            && let Some(head) = parse_answer(buffer)?
        {
            return Ok(head);
        }
        if buffer.len() >= ANSWER_HEAD_BYTES_MAX {
            return Err(NoAnswer::Garbage);
        }
        buffer.reserve(ANSWER_BUFFER_BYTES);
        if upstream.read_buf(buffer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Takes a head out of the bytes, once it is whole; its values share them. It is read as pingora reads it: what old
/// servers write is put right (RFC 9112 sections 5.1 and 5.2).
fn parse_answer(buffer: &mut BytesMut) -> Result<Option<ResponseHeader>, NoAnswer> {
    let mut fields = [const { MaybeUninit::uninit() }; ANSWER_FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let mut parser = httparse::ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true).allow_obsolete_multiline_headers_in_responses(true);
    let length = match parser.parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(NoAnswer::Garbage),
    };
    let garbage = |_| NoAnswer::Garbage;
    let mut head =
        ResponseHeader::build(parsed.code.unwrap_or_default(), Some(parsed.headers.len())).map_err(garbage)?;
    head.set_version(if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 });
    head.set_reason_phrase(parsed.reason).map_err(garbage)?;
    // Where each name and value stands: the bytes are shared only when nobody looks at them any more.
    let start = buffer.as_ptr() as usize;
    let stands = |part: &[u8]| {
        let from = part.as_ptr() as usize - start;
        from..from + part.len()
    };
    let stand: Vec<_> =
        parsed.headers.iter().map(|field| (stands(field.name.as_bytes()), stands(field.value))).collect();
    let bytes = buffer.split_to(length).freeze();
    for (name, value) in stand {
        head.append_header(bytes.slice(name), header_value_from_raw(bytes.slice(value))).map_err(garbage)?;
    }
    Ok(Some(head))
}

/// Says what the last server before the client says of an answer: when it was made, where nobody did (RFC 9110 section
/// 6.6.1), and whether the connection goes on.
pub(super) fn conclude(head: &mut ResponseHeader, closing: bool) -> pingora::Result<()> {
    if !head.headers.contains_key(header::DATE) {
        head.insert_header(header::DATE, get_cached_date())?;
    }
    head.insert_header(header::CONNECTION, HeaderValue::from_static(if closing { "close" } else { "keep-alive" }))
}

/// The answer's bytes, as they go out.
pub(super) fn answer_bytes(head: &ResponseHeader) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(ANSWER_BYTES);
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(head.status.as_str().as_bytes());
    bytes.extend_from_slice(b" ");
    bytes.extend_from_slice(head.get_reason_phrase().unwrap_or_default().as_bytes());
    bytes.extend_from_slice(b"\r\n");
    head.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes
}
