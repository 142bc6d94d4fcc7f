//! A request's head, before anything parses it: bounded, and with a framing that every server behind reads the same
//! way. What two servers could frame differently is refused here (RFC 9112 sections 2.2, 5.1, 6.1 and 6.3). Pure.

use std::fmt::Write as _;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, Uri, header};
use memchr::memchr;
use thiserror::Error;

use crate::{
    domain::Reason,
    rules::{rewrite::is_reserved, route::has_lower_case},
};

/// Bytes of a head, at most.
pub(in crate::edge) const HEAD_BYTES_MAX: usize = 64 << 10;

/// Header fields of a head, at most: as many as hyper has room for without an allocation, and as Envoy takes.
pub(in crate::edge) const FIELDS_MAX: usize = 100;

/// Bytes of a request line, escaped, at most: below what a URI may have in the `http` crate, so that the response is
/// ours.
const REQUEST_LINE_BYTES_MAX: usize = 60 << 10;

/// Digits of a length: more would not be a number of bytes that anybody sends.
const LENGTH_DIGITS_MAX: usize = 18;

/// Why a head was not taken.
#[derive(Debug, Error)]
pub(in crate::edge) enum HeadError {
    /// It was not complete in time.
    #[error("the head was not complete in time")]
    Timeout,
    /// It is over [`HEAD_BYTES_MAX`] or [`FIELDS_MAX`].
    #[error("the head is too large")]
    TooLarge,
    /// A method that is for no server behind a gateway: CONNECT, whose target is no resource.
    #[error("CONNECT")]
    Method,
    /// An expectation other than `100-continue` (RFC 9110 section 10.1.1).
    #[error("an unknown expectation")]
    Expectation,
    /// It is no head that every server reads alike.
    #[error("{0}")]
    Malformed(&'static str),
}

impl HeadError {
    /// The reason to answer with.
    pub(in crate::edge) const fn reason(&self) -> Reason {
        match self {
            Self::Timeout => Reason::RequestTimeout,
            Self::TooLarge => Reason::HeadTooLarge,
            Self::Method => Reason::MethodNotAllowed,
            Self::Expectation => Reason::ExpectationFailed,
            Self::Malformed(_) => Reason::MalformedRequest,
        }
    }
}

/// How the body behind a head is framed (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By a length; 0 where the head says nothing of a body.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// A query in which those bytes are percent-encoded that old clients send as they are (letters with accents, quotes,
/// angle brackets) and that no URI has; `None` where it has none of them. Nothing is decided by them, and the service
/// reads the same octets.
///
/// # Errors
/// [`HeadError::TooLarge`] where it would be too long for a request line.
pub(in crate::edge) fn escaped(query: &[u8]) -> Result<Option<String>, HeadError> {
    if !query.iter().copied().any(is_external) {
        return Ok(None);
    }
    let mut escaped = String::with_capacity(3 * query.len());
    for &byte in query {
        if is_external(byte) {
            let _ = write!(escaped, "%{byte:02X}");
        } else {
            escaped.push(char::from(byte));
        }
    }
    if escaped.len() > REQUEST_LINE_BYTES_MAX { Err(HeadError::TooLarge) } else { Ok(Some(escaped)) }
}

/// Brings the query of a head's target into the form of a URI: see [`escaped`].
///
/// # Errors
/// [`HeadError::TooLarge`] where the request line is, afterwards.
pub(super) fn escape_query(head: &mut BytesMut) -> Result<(), HeadError> {
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let Some(end) = memchr(b'\r', &head[start..]).map(|at| start + at) else { return Ok(()) };
    let Some(query) = memchr(b'?', &head[start..end]).map(|at| start + at) else { return Ok(()) };
    let Some(escaped) = escaped(&head[query..end])? else { return Ok(()) };
    let behind = head.split_off(end);
    head.truncate(query);
    head.extend_from_slice(escaped.as_bytes());
    let length = head.len();
    head.extend_from_slice(&behind);
    if length > REQUEST_LINE_BYTES_MAX { Err(HeadError::TooLarge) } else { Ok(()) }
}

/// Writes the names of the gateway's own fields, and of `others`, in a head of a client as hyper writes them. Where
/// names are handed on in the client's letters, it must not say how ours are spelt: a server that looks for one
/// spelling must find ours.
pub(super) fn respell(head: &mut [u8], others: &[HeaderName]) {
    let lines = head.split_mut(|&byte| byte == b'\n');
    // Empty lines may stand before the request line (RFC 9112 section 2.2).
    for line in lines.skip_while(|line| line.is_empty() || *line == b"\r").skip(1) {
        let Some(colon) = memchr(b':', line) else { continue };
        let name = line[..colon].to_ascii_lowercase();
        let is_ours = str::from_utf8(&name).is_ok_and(is_reserved)
            || others.iter().any(|other| other.as_str().as_bytes() == name);
        if is_ours {
            let mut starts_word = true;
            for (byte, lower) in line.iter_mut().zip(&name) {
                *byte = if starts_word { lower.to_ascii_uppercase() } else { *lower };
                starts_word = *lower == b'-';
            }
        }
    }
}

/// Looks at each line of a head once, as it comes in.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each notes one thing that was seen, and all combinations occur")]
pub(super) struct Scanner {
    line_start: usize,
    /// Up to here there is no line's end: each byte is looked at once, however small the pieces are.
    searched: usize,
    request_line_seen: bool,
    http_1_0: bool,
    fields: usize,
    content_length: Option<u64>,
    transfer_encoding: bool,
    host: bool,
    upgrade: bool,
    /// Whether `Connection` names that.
    names_upgrade: bool,
    /// Whether the query has bytes that no URI has: see [`escape_query`].
    escapes: bool,
    /// Where the digit of a minor version stands that only says that the client knows more than HTTP/1.1.
    minor_version: Option<usize>,
    /// The head's length, once it is complete.
    complete: Option<usize>,
    /// Whom an absolute target names: `Host` must say the same (RFC 9112 section 3.2.2), or two servers could hear two.
    authority: Option<Box<[u8]>>,
}

impl Scanner {
    /// The head's length, when it is complete.
    pub(super) fn scan(&mut self, buffer: &[u8]) -> Result<Option<usize>, HeadError> {
        if self.complete.is_some() {
            return Ok(self.complete);
        }
        while let Some(end) = memchr(b'\n', &buffer[self.searched..]) {
            let end = self.searched + end;
            let line = &buffer[self.line_start..end];
            let Some((b'\r', line)) = line.split_last() else { return Err(HeadError::Malformed("a bare line feed")) };
            self.line_start = end + 1;
            self.searched = self.line_start;
            if self.line_start > HEAD_BYTES_MAX {
                return Err(HeadError::TooLarge);
            }
            match (line.is_empty(), self.request_line_seen) {
                // RFC 9112 section 2.2: empty lines before the request line are passed over.
                (true, false) => {}
                (true, true) => return self.complete(),
                (false, false) => self.request_line(line, end - 1)?,
                (false, true) => self.field(line)?,
            }
        }
        self.searched = buffer.len();
        if buffer.len() >= HEAD_BYTES_MAX { Err(HeadError::TooLarge) } else { Ok(None) }
    }

    /// How the body is framed, once the head is complete.
    pub(super) const fn framing(&self) -> Framing {
        match self.content_length {
            _ if self.transfer_encoding => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::Length(0),
        }
    }

    /// Whether the connection may go on as another protocol (RFC 9110 section 7.8).
    pub(super) const fn asks_to_switch(&self) -> bool {
        self.upgrade && self.names_upgrade && !self.http_1_0
    }

    /// Whether the query has bytes that no URI has: the head is for [`escape_query`] then.
    pub(super) const fn must_escape(&self) -> bool {
        self.escapes
    }

    /// Where a minor version stands that is to be read as 1 (RFC 9110 section 2.5).
    pub(super) const fn minor_version(&self) -> Option<usize> {
        self.minor_version
    }

    /// `ends` is where the line does in the buffer.
    fn request_line(&mut self, line: &[u8], ends: usize) -> Result<(), HeadError> {
        self.request_line_seen = true;
        if ends > REQUEST_LINE_BYTES_MAX {
            return Err(HeadError::TooLarge);
        }
        let mut words = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(HeadError::Malformed("no request line of three words"));
        };
        let Some([minor @ b'0'..=b'9']) = version.strip_prefix(b"HTTP/1.") else {
            return Err(HeadError::Malformed("no HTTP/1 request line"));
        };
        self.http_1_0 = *minor == b'0';
        self.minor_version = (*minor > b'1').then(|| ends - 1);
        // For a query see `escape_query`.
        let (path, query) = target.split_at(memchr(b'?', target).unwrap_or(target.len()));
        let stands_in_path = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>' | b'`');
        let stands_in_query = |byte: u8| matches!(byte, 0x80..) || byte.is_ascii_graphic() && byte != b'#';
        // Its target is an authority (RFC 9112 section 3.2.3), which is not told as malformed.
        if method == b"CONNECT" {
            return Err(HeadError::Method);
        }
        if !is_target(method, target) {
            return Err(HeadError::Malformed("a target that is neither a path nor an absolute URI"));
        }
        if !is_token(method) || !path.iter().copied().all(stands_in_path) || !query.iter().copied().all(stands_in_query)
        {
            return Err(HeadError::Malformed("a method or target with bytes that cannot stand there"));
        }
        if has_lower_case(method) {
            return Err(HeadError::Malformed("a method with lower-case letters"));
        }
        self.authority = authority(target).map(Into::into);
        self.escapes = query.iter().copied().any(is_external);
        if self.authority.is_some() && Uri::try_from(path).is_err() {
            return Err(HeadError::Malformed("an absolute target that is no URI"));
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), HeadError> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(HeadError::TooLarge);
        }
        let name_ends = line.iter().position(|&octet| !is_token_octet(octet));
        let (name, [b':', value @ ..]) = line.split_at(name_ends.filter(|&ends| ends > 0).unwrap_or(line.len())) else {
            return Err(HeadError::Malformed("no field name, no colon, a folded line, or a byte that no name has"));
        };
        let value = trimmed(value);
        // Every byte, whatever was found: so the compiler looks at many at once.
        if value.iter().fold(false, |found, byte| found | (byte.is_ascii_control() && *byte != b'\t')) {
            return Err(HeadError::Malformed("a control byte in a field's value"));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = length(value).ok_or(HeadError::Malformed("a length that is no number"))?;
            if self.content_length.replace(length).is_some() {
                return Err(HeadError::Malformed("two lengths"));
            }
        } else if name.eq_ignore_ascii_case(b"host") {
            if std::mem::replace(&mut self.host, true) {
                return Err(HeadError::Malformed("two hosts"));
            }
            if self.authority.as_deref().is_some_and(|authority| !authority.eq_ignore_ascii_case(value)) {
                return Err(HeadError::Malformed("a target with another host than Host"));
            }
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            let named = |word: &[u8]| trimmed(word).eq_ignore_ascii_case(b"upgrade");
            self.names_upgrade |= value.split(|&byte| byte == b',').any(named);
        } else if name.eq_ignore_ascii_case(b"expect") {
            if !is_known_expectation(value) {
                return Err(HeadError::Expectation);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding")
            && (std::mem::replace(&mut self.transfer_encoding, true) || !value.eq_ignore_ascii_case(b"chunked"))
        {
            return Err(HeadError::Malformed("a transfer encoding other than chunked"));
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<Option<usize>, HeadError> {
        if self.transfer_encoding && (self.content_length.is_some() || self.http_1_0) {
            return Err(HeadError::Malformed("a transfer encoding beside a length, or in HTTP/1.0"));
        }
        self.complete = Some(self.line_start);
        Ok(self.complete)
    }
}

/// Whether old clients send this byte in a query, and no URI has it.
const fn is_external(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'`' | b'"' | 0x80..)
}

/// A number of bytes, if it is one.
fn length(value: &[u8]) -> Option<u64> {
    str::from_utf8(value).ok().filter(|text| is_length(text.as_bytes()))?.parse().ok()
}

/// Whether it is a number of bytes.
pub(in crate::edge) fn is_length(value: &[u8]) -> bool {
    !value.is_empty() && value.len() <= LENGTH_DIGITS_MAX && value.iter().all(u8::is_ascii_digit)
}

/// Whether a parsed head has one length at most, and a number: two that are equal are two as well.
pub(in crate::edge) fn is_framed_once(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    lengths.next().is_none_or(|length| is_length(length.as_bytes())) && lengths.next().is_none()
}

/// RFC 9110 section 10.1.1.
pub(in crate::edge) const fn is_known_expectation(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"100-continue")
}

/// RFC 9112 section 3.2, without the form that only CONNECT has.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    if target.first() == Some(&b'/') || (target == b"*" && method == b"OPTIONS") {
        return true;
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme));
    scheme.is_some_and(|scheme| !matches!(target[scheme.len()], b'/' | b'?' | b':' | b'@'))
}

/// The host and port that a target in absolute form names.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let colon = target.first().filter(|first| first.is_ascii_alphabetic()).and_then(|_| memchr(b':', target))?;
    let rest = target[colon..].strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// Without the blanks around it (RFC 9110 section 5.6.3): a form feed is no blank.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// RFC 9110 section 5.6.2.
fn is_token(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().copied().all(is_token_octet)
}

pub(in crate::edge) const fn is_token_octet(octet: u8) -> bool {
    TOKEN_OCTETS[octet as usize]
}

const TOKEN_OCTETS: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        table[octet as usize] = octet.is_ascii_alphanumeric();
        octet += 1;
    }
    let mut others: &[u8] = b"!#$%&'*+-.^_`|~";
    while let [octet, rest @ ..] = others {
        table[*octet as usize] = true;
        others = rest;
    }
    table
};

#[cfg(test)]
mod tests;
