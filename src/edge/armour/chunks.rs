//! Chunked bodies, read strictly: an upstream's that is handed on without pingora, and every client's. pingora's own
//! reader takes what others would read differently (a size line without a size, a bare line feed, a trailer that is no
//! field); the upstream would not see it, as its body is chunked anew, but a proxy before us would.

use std::{
    io,
    os::fd::RawFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, raw_connect::ProxyDigest,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{head::is_token_octet, wire::writes_through};

/// Digits of a chunk's size, at most.
const SIZE_DIGITS_MAX: u32 = 15;

/// Follows a chunked body to its end, strictly (RFC 9112 section 7.1).
#[derive(Debug, Default)]
pub(in crate::edge) struct Chunks {
    step: Step,
    left: u64,
    digits: u32,
    line_bytes: usize,
    /// Whether a trailer line has had its colon.
    named: bool,
    /// Whether blanks may follow a size, as old servers write them.
    padded: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Size,
    /// Blanks behind a size.
    Padding,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    Trailer,
    TrailerEnd,
    End,
}

impl Chunks {
    /// Bytes of a size line or of a trailer line, at most.
    const LINE_BYTES_MAX: usize = 4096;

    /// A server's: nobody reads them after us, as what they hold is chunked anew.
    pub(in crate::edge) fn of_server() -> Self {
        Self { padded: true, ..Self::default() }
    }

    /// Passes over bytes: how many of them belong to the body, and whether it ends with them.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where two readers could see two bodies.
    pub(in crate::edge) fn take(&mut self, bytes: &[u8]) -> io::Result<(usize, bool)> {
        let mut rest = bytes;
        while self.next_data(&mut rest)?.is_some() {}
        Ok((bytes.len() - rest.len(), self.has_ended()))
    }

    /// The next piece of what the chunks hold, taken off the bytes; `None` when they are used up, or the body has ended.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where two readers could see two bodies.
    pub(in crate::edge) fn next_data<'b>(&mut self, bytes: &mut &'b [u8]) -> io::Result<Option<&'b [u8]>> {
        while let Some((&byte, after)) = bytes.split_first()
            && self.step != Step::End
        {
            if self.step == Step::Data {
                let held = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                let (data, after) = bytes.split_at(held);
                *bytes = after;
                self.left -= held as u64;
                if self.left == 0 {
                    self.step = Step::DataReturn;
                }
                return Ok(Some(data));
            }
            self.pass(byte)?;
            *bytes = after;
        }
        Ok(None)
    }

    /// Whether the end of the body was passed.
    pub(in crate::edge) fn has_ended(&self) -> bool {
        self.step == Step::End
    }

    /// Passes over a byte that is not data.
    fn pass(&mut self, byte: u8) -> io::Result<()> {
        self.line_bytes += 1;
        let line_is_over = self.line_bytes > Self::LINE_BYTES_MAX;
        let next = match (self.step, byte) {
            _ if line_is_over => None,
            (Step::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.digits < SIZE_DIGITS_MAX => {
                self.digits += 1;
                self.left = self.left << 4 | u64::from(char::from(byte).to_digit(16).unwrap_or(0));
                Some(Step::Size)
            }
            (Step::Size, b';') if self.digits > 0 => Some(Step::Extension),
            (Step::Size, b' ' | b'\t') if self.digits > 0 && self.padded => Some(Step::Padding),
            (Step::Padding, b' ' | b'\t') => Some(Step::Padding),
            (Step::Padding, b';') => Some(Step::Extension),
            (Step::Size, b'\r') if self.digits > 0 => Some(Step::SizeEnd),
            (Step::Extension | Step::Padding, b'\r') => Some(Step::SizeEnd),
            (Step::Extension, byte) if byte != b'\n' => Some(Step::Extension),
            (Step::SizeEnd, b'\n') => Some(if self.left == 0 { Step::Trailer } else { Step::Data }),
            (Step::DataReturn, b'\r') => Some(Step::DataEnd),
            (Step::DataEnd, b'\n') => {
                self.digits = 0;
                Some(Step::Size)
            }
            (Step::Trailer, b'\r') if self.named || self.line_bytes == 1 => Some(Step::TrailerEnd),
            (Step::Trailer, b':') if self.line_bytes > 1 => {
                self.named = true;
                Some(Step::Trailer)
            }
            (Step::Trailer, byte) if self.named && byte != b'\n' || is_token_octet(byte) => Some(Step::Trailer),
            (Step::TrailerEnd, b'\n') if self.line_bytes == 2 => Some(Step::End),
            (Step::TrailerEnd, b'\n') => {
                self.named = false;
                Some(Step::Trailer)
            }
            _ => None,
        };
        let next = next.ok_or(io::ErrorKind::InvalidData)?;
        let starts_line = matches!(
            (self.step, next),
            (Step::SizeEnd | Step::TrailerEnd, Step::Trailer) | (Step::SizeEnd, Step::Data) | (Step::DataEnd, _)
        );
        if starts_line {
            self.line_bytes = 0;
        }
        self.step = next;
        Ok(())
    }
}

/// A client's connection while a chunked body comes on it: reading fails where the body is none.
#[derive(Debug)]
struct Armoured {
    stream: Stream,
    chunks: Chunks,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The body goes on.
    Running,
    /// What comes is behind it.
    Ended,
    /// It is no body.
    Broken,
}

/// Watches over a client's chunked body, which begins `at` in the bytes that were read with its head. Where it is none
/// already, nothing of it is left in them, and reading it fails: who reads it says so in his own words.
pub(in crate::edge) fn armour(stream: Stream, bytes: &mut BytesMut, at: usize) -> Stream {
    let mut chunks = Chunks::default();
    let state = match chunks.take(&bytes[at..]) {
        Ok((_, false)) => State::Running,
        Ok((_, true)) => State::Ended,
        Err(_) => {
            bytes.truncate(at);
            State::Broken
        }
    };
    Box::new(Armoured { stream, chunks, state })
}

/// The connection without what [`armour`] put around it; `None` where there was nothing.
pub(in crate::edge) fn unarmoured(stream: Stream) -> Option<Stream> {
    stream.into_any().downcast::<Armoured>().ok().map(|armoured| armoured.stream)
}

impl AsyncRead for Armoured {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.state != State::Broken {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        }
        if self.state == State::Running {
            self.state = match self.chunks.take(&buffer.filled()[before..]) {
                Ok((_, false)) => State::Running,
                Ok((_, true)) => State::Ended,
                Err(_) => State::Broken,
            };
        }
        if self.state == State::Broken {
            buffer.set_filled(before);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Armoured {
    writes_through!();
}

#[async_trait]
impl Shutdown for Armoured {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut *self.stream).await;
    }
}

impl UniqueID for Armoured {
    fn id(&self) -> RawFd {
        self.stream.id()
    }
}

impl Ssl for Armoured {}

impl GetTimingDigest for Armoured {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Armoured {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Armoured {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[async_trait]
impl Peek for Armoured {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a body is taken, and to which of its bytes, however it is cut.
    fn taken(body: &str) -> Option<usize> {
        let whole = Chunks::default().take(body.as_bytes()).ok();
        let mut chunks = Chunks::default();
        let mut pieces = Some((0, false));
        for byte in body.as_bytes() {
            let Some((before, false)) = pieces else { break };
            pieces = chunks.take(&[*byte]).ok().map(|(one, ended)| (before + one, ended));
        }
        assert_eq!(whole, pieces, "{body:?}");
        whole.filter(|(_, ended)| *ended).map(|(taken, _)| taken)
    }

    #[test]
    fn only_what_everybody_reads_alike_is_a_body() {
        for (body, rest) in [
            ("0\r\n\r\n", "GET / HTTP/1.1\r\n"),
            ("5;a=b\r\nhello\r\n00\r\n\r\n", "x"),
            ("A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n", ""),
        ] {
            assert_eq!(taken(&format!("{body}{rest}")), Some(body.len()), "{body:?}");
        }
        for body in [
            ";\r\n\r\n",
            "\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "0\r\nX-A\r\n\r\n",
            "fffffffffffffffff\r\n",
        ] {
            assert_eq!(taken(body), None, "{body:?}");
        }
    }
}
