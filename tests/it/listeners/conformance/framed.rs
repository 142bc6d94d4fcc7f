//! A connection as frames that go out and come in.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    time::Duration,
};

use super::{
    super::h2::{self, PING, SETTINGS},
    wire::{ACK, Frame, ping},
};
use crate::support::Deadline;

/// What a connection runs over: TCP, or TLS.
pub(super) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// A connection of HTTP/2, from the client's end.
pub(super) struct Framed {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
    /// How long anything is waited for.
    patience: Duration,
    /// The server's SETTINGS.
    pub(super) settings: BTreeMap<u16, u32>,
}

/// What came of waiting, where no frame decided.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The other end closed the connection.
    Closed,
    /// Nothing came in time.
    Silence,
    /// Both PINGs were answered.
    WentOn,
}

impl Framed {
    /// A connection on which nothing was sent. Its reads end after `patience`.
    pub(super) fn new(stream: Box<dyn Stream>, patience: Duration) -> Self {
        Self { stream, received: vec![], patience, settings: BTreeMap::new() }
    }

    /// Sends frames, or other bytes, at once.
    pub(super) fn send(&mut self, frames: &[Vec<u8>]) {
        // What is written after the end breaks the pipe. What ended it is read.
        let _ = self.stream.write_all(&frames.concat());
        let _ = self.stream.flush();
    }

    /// Whether the other end closes the connection, whatever it says before.
    pub(super) fn closes(&mut self) -> bool {
        let deadline = Deadline::after(self.patience);
        let mut chunk = [0; 4096];
        while deadline.left().is_some() {
            match self.stream.read(&mut chunk) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Ok(0) | Err(_) => return true,
            }
        }
        false
    }

    /// Looks at what comes until two PINGs were answered, one after the other: what the server had to say before has
    /// been said then, even where it answers PINGs before all else.
    pub(super) fn rounds<T>(&mut self, mut decide: impl FnMut(&Frame) -> Option<T>) -> Result<T, End> {
        for payload in [*b"settled?", *b"really?!"] {
            self.send(&[ping(0, payload)]);
            let seen = self.wait(|frame| match frame.kind {
                PING if frame.flags & ACK != 0 && frame.payload == payload => Some(None),
                _ => decide(frame).map(Some),
            })?;
            if let Some(seen) = seen {
                return Ok(seen);
            }
        }
        Err(End::WentOn)
    }

    /// Looks at what comes until a frame decides.
    pub(super) fn wait<T>(&mut self, mut decide: impl FnMut(&Frame) -> Option<T>) -> Result<T, End> {
        let deadline = Deadline::after(self.patience);
        let mut chunk = [0; 16 << 10];
        loop {
            while let Some(frame) = Frame::take(&mut self.received) {
                self.take_over(&frame);
                if let Some(seen) = decide(&frame) {
                    return Ok(seen);
                }
            }
            if deadline.left().is_none() {
                return Err(End::Silence);
            }
            match self.stream.read(&mut chunk) {
                Ok(read @ 1..) => self.received.extend_from_slice(&chunk[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(End::Silence);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Err(End::Closed),
            }
        }
    }

    /// Takes the server's settings over, and says so.
    fn take_over(&mut self, frame: &Frame) {
        if frame.kind == SETTINGS && frame.flags & ACK == 0 {
            for setting in frame.payload.chunks_exact(6) {
                let [a, b, value @ ..] = *setting.first_chunk::<6>().unwrap();
                self.settings.insert(u16::from_be_bytes([a, b]), u32::from_be_bytes(value));
            }
            self.send(&[h2::frame(SETTINGS, ACK, 0, b"")]);
        }
    }
}
