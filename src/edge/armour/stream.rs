//! The armour of an HTTP/1 connection: it reads what hyper is about to read, and hands on only what has one framing.
//!
//! A head is handed on once it is complete and was found in order. A body is handed on as it comes, up to its end. So
//! hyper never meets a byte that another server could have framed differently. What is refused looks like the end of
//! the connection to hyper; the connection's task answers it afterwards, see [`Armour::refusal`].

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use http::HeaderName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{
    chunks::ChunkValidator,
    deadline::{HeadDeadline, OnItsWay, Timeouts},
    head::{Framing, HEAD_BYTES_MAX, HeadError, Scanner, escape_query, respell},
    state::Http1State,
    writing::Writing,
};
use crate::timer::LazyTimeout;

/// Room for the first bytes of a request: most heads need no more.
const FIRST_BYTES: usize = 4096;

/// A connection that is read for hyper.
pub(in crate::edge) struct Armour<S> {
    stream: S,
    state: Arc<Http1State>,
    timeouts: Timeouts,
    /// The names that are ours to spell beside the gateway's own, where clients' spellings are handed on.
    respelt: Option<Arc<[HeaderName]>>,
    reading: Reading,
    scanner: Scanner,
    /// Bytes that were read and are not handed on yet.
    held: BytesMut,
    deadline: HeadDeadline,
    writing: Writing,
}

/// What comes next on the connection.
enum Reading {
    Head,
    /// So many bytes of `held` are a head that was found in order; this follows.
    Found(usize, Box<Reading>),
    Body(Body),
    /// Whether the connection goes on as another protocol shows with the response: what comes is held as it is.
    Undecided,
    /// The body has no framing that everybody reads alike.
    Broken,
    /// The head was refused.
    Refused(HeadError),
    /// What comes is no request: it was meant for a protocol to which the connection did not switch, or is behind a
    /// body without a framing.
    Unwanted,
    /// The client ended the connection, or waited for too long.
    Ended,
}

/// Follows a body to its end.
enum Body {
    Length(u64),
    Chunked(Box<ChunkValidator>),
}

impl Body {
    fn of(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Box::default()),
        }
    }

    /// Passes over bytes: how many of them belong to the body, and whether it ends with them.
    fn pass(&mut self, bytes: &[u8]) -> io::Result<(usize, bool)> {
        match self {
            Self::Length(left) => {
                let passed = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= passed as u64;
                Ok((passed, *left == 0))
            }
            Self::Chunked(chunks) => chunks.pass(bytes),
        }
    }

    const fn is_empty(&self) -> bool {
        matches!(self, Self::Length(0))
    }
}

impl<S> Armour<S> {
    /// Around a connection that was `accepted` then, with the timer that ran meanwhile. Where clients' spellings of
    /// names are handed on, `respelt` are those that are ours to spell beside the gateway's own.
    pub(in crate::edge) fn new(
        stream: S,
        state: &Arc<Http1State>,
        timeouts: &Timeouts,
        (accepted, timer): (Instant, LazyTimeout),
        respelt: Option<Arc<[HeaderName]>>,
    ) -> Self {
        Self {
            respelt,
            stream,
            state: Arc::clone(state),
            timeouts: Arc::clone(timeouts),
            reading: Reading::Head,
            scanner: Scanner::default(),
            held: BytesMut::new(),
            deadline: HeadDeadline::new(accepted, timer),
            writing: Writing::new(),
        }
    }

    /// Why the next request was refused, where that is why the connection is over.
    pub(in crate::edge) const fn refusal(&self) -> Option<&HeadError> {
        match &self.reading {
            Reading::Refused(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the client ended the connection, or waited for too long with its next request.
    pub(in crate::edge) const fn has_ended(&self) -> bool {
        matches!(self.reading, Reading::Ended)
    }

    /// Whether all that the client sent was handed on, and is whole requests.
    pub(in crate::edge) fn is_at_rest(&self) -> bool {
        matches!(self.reading, Reading::Head) && self.held.is_empty()
    }

    /// The connection, and what was read of it and not handed on.
    pub(in crate::edge) fn into_parts(self) -> (S, BytesMut) {
        (self.stream, self.held)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Armour<S> {
    /// Reads into `buffer` what may be handed on at once; false where what was read is held.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        if self.held.is_empty() && buffer.remaining() >= FIRST_BYTES {
            return self.poll_fill_in_place(cx, buffer);
        }
        let mut bytes = [MaybeUninit::uninit(); FIRST_BYTES];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        ready!(self.poll_bytes(cx, &mut bytes))?;
        self.held.extend_from_slice(bytes.filled());
        Poll::Ready(Ok(false))
    }

    /// Most heads come whole and need no change: those are never copied.
    fn poll_fill_in_place(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buffer.filled().len();
        ready!(self.poll_bytes(cx, buffer))?;
        if !matches!(self.reading, Reading::Head) {
            return Poll::Ready(Ok(false));
        }
        let read = &buffer.filled()[before..];
        let length = match self.scanner.scan(read) {
            Ok(Some(length)) if !self.scanner.must_escape() => length,
            Ok(_) => {
                self.held.extend_from_slice(read);
                buffer.set_filled(before);
                return Poll::Ready(Ok(false));
            }
            Err(error) => {
                buffer.set_filled(before);
                self.reading = Reading::Refused(error);
                return Poll::Ready(Ok(false));
            }
        };
        rewrite(&mut buffer.filled_mut()[before..before + length], &self.scanner, self.respelt.as_deref());
        let mut body = Body::of(self.scanner.framing());
        let behind = &buffer.filled()[before + length..];
        let Ok((taken, ended)) = body.pass(behind) else {
            buffer.set_filled(before + length);
            self.hand_on(Reading::Broken);
            return Poll::Ready(Ok(true));
        };
        self.held.extend_from_slice(&behind[taken..]);
        buffer.set_filled(before + length + taken);
        let next = if ended { self.next_after_head() } else { Reading::Body(body) };
        self.hand_on(next);
        Poll::Ready(Ok(true))
    }

    /// What comes after a head without a body.
    fn next_after_head(&self) -> Reading {
        let may_switch = self.scanner.asks_to_switch() && self.scanner.framing() == Framing::Length(0);
        if may_switch { Reading::Undecided } else { Reading::Head }
    }

    /// A head is handed on; this comes after it.
    fn hand_on(&mut self, next: Reading) {
        self.state.request_begins();
        self.reading = next;
        self.scanner = Scanner::default();
        self.deadline.wait_for_next();
    }

    /// Reads some bytes of a head, in its time; at the connection's end none.
    fn poll_bytes(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) if buffer.filled().len() == before => self.reading = Reading::Ended,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => {
                self.reading = Reading::Ended;
                return Poll::Ready(Err(error));
            }
            Poll::Pending => ready!(self.poll_late(cx)),
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the next head did not come in time.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let on_its_way = OnItsWay {
            head: self.has_begun(),
            bytes: !self.held.is_empty() || self.writing.informs(),
            response: !self.writing.is_flushed(),
        };
        ready!(self.deadline.poll_late(cx, on_its_way, &self.state, &self.timeouts));
        self.reading = if self.has_begun() { Reading::Refused(HeadError::Timeout) } else { Reading::Ended };
        Poll::Ready(())
    }

    /// Whether some of the next head has come. Line ends before it are none of it (RFC 9112 section 2.2).
    fn has_begun(&self) -> bool {
        !self.held.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// Ready when some of the next head has come on a connection that rests, or none will: what came is held.
    pub(in crate::edge) fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_at_rest() {
            return Poll::Ready(());
        }
        let mut bytes = [MaybeUninit::uninit(); FIRST_BYTES];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        // An error ends the connection as its end does.
        let _ = ready!(self.poll_bytes(cx, &mut bytes));
        self.held.extend_from_slice(bytes.filled());
        Poll::Ready(())
    }

    /// Looks for a head in what is held; false where more is needed.
    fn find_head(&mut self) -> bool {
        if self.held.is_empty() {
            return false;
        }
        match self.scan_held() {
            Ok(None) => return false,
            Ok(Some(length)) => {
                let body = Body::of(self.scanner.framing());
                let next = if body.is_empty() { self.next_after_head() } else { Reading::Body(body) };
                self.hand_on(Reading::Found(length, Box::new(next)));
            }
            Err(error) => self.reading = Reading::Refused(error),
        }
        true
    }

    /// The length of the head that is held, in the form in which it is handed on.
    fn scan_held(&mut self) -> Result<Option<usize>, HeadError> {
        let Some(length) = self.scanner.scan(&self.held)? else { return Ok(None) };
        rewrite(&mut self.held[..length], &self.scanner, self.respelt.as_deref());
        if !self.scanner.must_escape() {
            return Ok(Some(length));
        }
        let behind = self.held.len() - length;
        escape_query(&mut self.held)?;
        Ok(Some(self.held.len() - behind))
    }

    /// Hands on so many of the bytes that are held.
    fn put(&mut self, buffer: &mut ReadBuf<'_>, bytes: usize) {
        buffer.put_slice(&self.held[..bytes]);
        self.held.advance(bytes);
        if self.held.is_empty() {
            // An idle connection holds no buffer.
            self.held = BytesMut::new();
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Reading::Body(body) = &mut self.reading else { return Poll::Ready(Ok(())) };
        let before = buffer.filled().len();
        let passed = if self.held.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            let read = &buffer.filled()[before..];
            if read.is_empty() {
                self.reading = Reading::Ended;
                return Poll::Ready(Ok(()));
            }
            let passed = body.pass(read);
            if let Ok((taken, _)) = passed {
                self.held.extend_from_slice(&read[taken..]);
                buffer.set_filled(before + taken);
            }
            passed
        } else {
            let passed = body.pass(&self.held[..self.held.len().min(buffer.remaining())]);
            if let Ok((taken, _)) = passed {
                self.put(buffer, taken);
            }
            passed
        };
        match passed {
            Ok((_, true)) => self.reading = Reading::Head,
            Ok((_, false)) => {}
            Err(error) => {
                buffer.set_filled(before);
                self.reading = Reading::Unwanted;
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Holds what comes behind a request until that is answered. Its client may leave meanwhile, whatever it has sent.
    /// The time that it has for the next head is watched here too: nobody asks again when the response has ended.
    fn poll_behind(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while matches!(self.reading, Reading::Head) {
            if !self.held.is_empty() && self.state.poll_answered(cx).is_ready() {
                break;
            }
            match self.poll_hold(cx) {
                Poll::Ready(held) => held?,
                Poll::Pending => ready!(self.poll_late(cx)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Holds what comes before it is known what it is.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.len() >= HEAD_BYTES_MAX {
            return Poll::Pending;
        }
        let mut bytes = [MaybeUninit::uninit(); FIRST_BYTES];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut bytes))?;
        if bytes.filled().is_empty() {
            self.reading = Reading::Ended;
        }
        self.held.extend_from_slice(bytes.filled());
        Poll::Ready(Ok(()))
    }
}

/// Brings a head that was found in order into the form in which it is handed on, whatever comes behind it.
fn rewrite(head: &mut [u8], scanner: &Scanner, respelt: Option<&[HeaderName]>) {
    if let Some(at) = scanner.minor_version() {
        head[at] = b'1';
    }
    if let Some(respelt) = respelt {
        respell(head, respelt);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Armour<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let armour = self.get_mut();
        // That it is not sent now says nothing about reading.
        let informed = armour.writing.poll_inform(&mut armour.stream, cx, &armour.state);
        if let Poll::Ready(Err(error)) = informed {
            return Poll::Ready(Err(error));
        }
        loop {
            match &mut armour.reading {
                // The next request waits for the response to this one.
                Reading::Head if armour.state.is_answering() => ready!(armour.poll_behind(cx))?,
                Reading::Head => {
                    if !armour.find_head() && ready!(armour.poll_fill(cx, buffer))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Reading::Found(left, _) => {
                    let bytes = (*left).min(buffer.remaining());
                    *left -= bytes;
                    let is_whole = *left == 0;
                    armour.put(buffer, bytes);
                    if is_whole && let Reading::Found(_, next) = std::mem::replace(&mut armour.reading, Reading::Ended)
                    {
                        armour.reading = *next;
                    }
                    return Poll::Ready(Ok(()));
                }
                Reading::Body(_) => return armour.poll_body(cx, buffer),
                Reading::Undecided if armour.state.poll_answered(cx).is_ready() => {
                    armour.reading = if armour.held.is_empty() { Reading::Head } else { Reading::Unwanted };
                }
                Reading::Undecided => ready!(armour.poll_hold(cx))?,
                Reading::Broken => {
                    // Told once; what follows is nothing.
                    armour.reading = Reading::Unwanted;
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                Reading::Refused(_) | Reading::Unwanted | Reading::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Armour<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, state, timeouts, writing, .. } = self.get_mut();
        writing.poll_write(stream, cx, state, slices, || timeouts().write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, state, timeouts, writing, .. } = self.get_mut();
        writing.poll_flush(stream, cx, state, || timeouts().write)
    }

    /// Nothing: the connection's task ends it, because there may be something left to say.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests;
