//! What goes out on an HTTP/1 connection: what hyper writes, each piece in its time, and informational responses
//! between its messages.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use super::state::Http1State;
use crate::{gather, timer::WriteTimeout};

/// How far what is written has come.
pub(super) struct Writing {
    /// An informational response that goes out before anything else.
    informational: BytesMut,
    /// Whether everything that hyper wrote was handed on: only then may something of ours stand between.
    is_flushed: bool,
    /// Whether the client has made it wait since then.
    has_waited: bool,
    timeout: WriteTimeout,
}

impl Writing {
    /// Of a connection on which nothing was written.
    pub(super) fn new() -> Self {
        Self { informational: BytesMut::new(), is_flushed: true, has_waited: false, timeout: WriteTimeout::default() }
    }

    /// Whether everything that hyper wrote has gone out.
    pub(super) const fn is_flushed(&self) -> bool {
        self.is_flushed
    }

    /// Whether an informational response waits to go out.
    pub(super) fn informs(&self) -> bool {
        !self.informational.is_empty()
    }

    /// Sends an informational response, where nothing of hyper's is on its way.
    pub(super) fn poll_inform<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        state: &Http1State,
    ) -> Poll<io::Result<()>> {
        if let Some(head) = state.take_informational()
            && self.is_flushed
        {
            self.informational.unsplit(head);
        }
        while !self.informational.is_empty() {
            let sent = ready!(Pin::new(&mut *stream).poll_write(cx, &self.informational))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.informational.advance(sent);
            if self.informational.is_empty() {
                ready!(Pin::new(&mut *stream).poll_flush(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what hyper gives. A client that takes nothing has the time that `patience` says.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        state: &Http1State,
        slices: &[IoSlice<'_>],
        patience: impl Fn() -> Duration,
    ) -> Poll<io::Result<usize>> {
        let informed = self.poll_inform(stream, cx, state);
        // From here on something of hyper's is on its way, whether it is written now or not.
        self.is_flushed = false;
        if informed.is_pending() {
            ready!(self.timeout.within(cx, informed, &patience))?;
        }
        let written = gather::poll_write(Pin::new(stream), cx, slices);
        self.has_waited |= written.is_pending();
        self.timeout.within(cx, written, patience)
    }

    /// Has all of it go out, and tells `state`. A client that takes nothing has the time that `patience` says.
    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        state: &Http1State,
        patience: impl Fn() -> Duration,
    ) -> Poll<io::Result<()>> {
        let flushed = Pin::new(stream).poll_flush(cx);
        self.has_waited |= flushed.is_pending();
        ready!(self.timeout.within(cx, flushed, patience))?;
        self.is_flushed = true;
        state.goes_out(std::mem::take(&mut self.has_waited));
        Poll::Ready(Ok(()))
    }
}
