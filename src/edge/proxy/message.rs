//! Heads as they stand on the wire, where we read and write them without pingora.

use std::{io, mem::MaybeUninit};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version, header};
use pingora::{
    Result,
    http::{RequestHeader, ResponseHeader},
    protocols::http::date::get_cached_date,
};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{forward::ADDED_FIELDS, head::FIELDS_MAX};

/// Bytes of an upstream's head, at most.
const ANSWER_HEAD_BYTES_MAX: usize = 64 << 10;

/// What is read of an answer at first: most come whole with it.
const ANSWER_BUFFER_BYTES: usize = 16 << 10;

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
    let mut bytes = BytesMut::with_capacity(2048);
    bytes.extend_from_slice(head.method.as_str().as_bytes());
    bytes.extend_from_slice(b" ");
    bytes.extend_from_slice(head.raw_path());
    bytes.extend_from_slice(b" HTTP/1.1\r\n");
    head.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Reads an upstream's next head, interim or final. What came behind it is left in `buffer`.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] where the upstream broke off, [`io::ErrorKind::InvalidData`] where its head is none.
pub(super) async fn read_answer<S>(upstream: &mut S, buffer: &mut BytesMut) -> io::Result<ResponseHeader>
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
            return Err(io::ErrorKind::InvalidData.into());
        }
        buffer.reserve(ANSWER_BUFFER_BYTES);
        if upstream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Takes a head out of the bytes, once it is whole; its values share them.
fn parse_answer(buffer: &mut BytesMut) -> io::Result<Option<ResponseHeader>> {
    let no_head = || io::Error::from(io::ErrorKind::InvalidData);
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(no_head()),
    };
    let status = parsed.code.ok_or_else(no_head)?;
    let mut head = ResponseHeader::build(status, Some(parsed.headers.len())).map_err(|_| no_head())?;
    head.set_version(if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 });
    head.set_reason_phrase(parsed.reason).map_err(|_| no_head())?;
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
        let value = HeaderValue::from_maybe_shared(bytes.slice(value)).map_err(|_| no_head())?;
        head.append_header(bytes.slice(name), value).map_err(|_| no_head())?;
    }
    Ok(Some(head))
}

/// Says what the last server before the client says of an answer: when it was made, where nobody did (RFC 9110 section
/// 6.6.1), and whether the connection goes on.
pub(super) fn conclude(head: &mut ResponseHeader, closing: bool) -> Result<()> {
    if !head.headers.contains_key(header::DATE) {
        head.insert_header(header::DATE, get_cached_date())?;
    }
    head.insert_header(header::CONNECTION, HeaderValue::from_static(if closing { "close" } else { "keep-alive" }))
}

/// The answer's bytes, as they go out.
pub(super) fn answer_bytes(head: &ResponseHeader) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(1024);
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(head.status.as_str().as_bytes());
    bytes.extend_from_slice(b" ");
    bytes.extend_from_slice(head.get_reason_phrase().unwrap_or_default().as_bytes());
    bytes.extend_from_slice(b"\r\n");
    head.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes
}
