//! A client that sends what it likes, and what it asserts of the answers.

use std::{net::SocketAddr, time::Duration};

use super::{
    super::h2::{DATA, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS},
    case::{Held, Verdict, connected},
    framed::{End, Framed, Stream},
    wire::{ACK, Frame, HEADER_TABLE_SIZE, Head, NO_ERROR, PROTOCOL_ERROR, ping, settings},
};
use crate::support::PATIENCE;

/// How a verdict begins where the case itself did not.
pub(super) const NO_HANDSHAKE: &str = "no handshake";

/// What a client gets for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::listeners) enum Gets {
    /// A whole answer with this status.
    Status(u16),
    /// The end of the stream, with this code.
    Reset(u32),
    /// The end of the connection, with this code.
    GoAway(u32),
    /// Nothing that is a word on the stream.
    Nothing(String),
}

/// A connection, from the client's end.
pub(in crate::listeners) struct Peer {
    framed: Framed,
    scheme: &'static str,
}

impl Peer {
    /// A connection on which nothing was sent. Its reads end after `patience`.
    pub(super) fn new(stream: Box<dyn Stream>, scheme: &'static str, patience: Duration) -> Self {
        Self { framed: Framed::new(stream, patience), scheme }
    }

    /// A connection in the clear on which both sides have each other's SETTINGS.
    #[track_caller]
    pub(in crate::listeners) fn open(to: SocketAddr) -> Self {
        let mut peer = Self::new(Box::new(connected(to, PATIENCE).unwrap()), "http", PATIENCE);
        peer.handshake().unwrap();
        peer
    }

    /// Sends the preface, and waits for the server's SETTINGS and for its word on ours.
    pub(super) fn handshake(&mut self) -> Result<(), String> {
        // Without a dynamic table the answers' heads can be read one by one.
        self.send(&[PREFACE.to_owned(), settings(&[(HEADER_TABLE_SIZE, 0)])]);
        let mut came = (false, false);
        self.framed
            .wait(|frame| {
                if frame.kind == SETTINGS {
                    came = (came.0 || frame.flags & ACK == 0, came.1 || frame.flags & ACK != 0);
                }
                (came == (true, true)).then_some(())
            })
            .map_err(|end| format!("{NO_HANDSHAKE}: {end:?}"))
    }

    /// Sends frames, or other bytes, at once.
    pub(in crate::listeners) fn send(&mut self, frames: &[Vec<u8>]) {
        self.framed.send(frames);
    }

    /// The fields of a request that is answered with 200.
    pub(in crate::listeners) fn head(&self, method: &'static str) -> Head {
        Head(vec![(":method", method), (":scheme", self.scheme), (":path", "/public"), (":authority", "a.test")])
    }

    /// The block of a GET.
    pub(super) fn get(&self) -> Vec<u8> {
        self.head("GET").block()
    }

    /// The block of a POST.
    pub(super) fn post(&self) -> Vec<u8> {
        self.head("POST").block()
    }

    /// The server's word on a setting.
    pub(in crate::listeners) fn setting(&self, name: u16) -> Option<u32> {
        self.framed.settings.get(&name).copied()
    }

    /// Changes settings, and waits until the server has taken them over.
    pub(super) fn set(&mut self, values: &[(u16, u32)]) -> Result<(), String> {
        self.send(&[settings(values)]);
        self.framed
            .wait(|frame| match frame.kind {
                SETTINGS if frame.flags & ACK != 0 => Some(Ok(())),
                _ => error_in(frame).map(Err),
            })
            .unwrap_or_else(|end| Err(format!("the settings were not acknowledged: {end:?}")))
    }

    /// The first frame of all.
    pub(super) fn first_frame(&mut self) -> Result<Frame, String> {
        self.framed.wait(|frame| Some(frame.clone())).map_err(|end| format!("{end:?}"))
    }

    /// Waits for what the client gets for a request.
    pub(in crate::listeners) fn gets(&mut self, stream: u32) -> Gets {
        let mut status = 0;
        let seen = self.framed.wait(|frame| {
            if frame.kind == HEADERS && frame.stream == stream && status < 200 {
                status = frame.status();
            }
            if frame.stream == stream && frame.kind == RST_STREAM {
                return Some(Gets::Reset(frame.code()));
            }
            if frame.kind == GOAWAY {
                return Some(Gets::GoAway(frame.code()));
            }
            (frame.stream == stream && frame.ends_stream()).then_some(Gets::Status(status))
        });
        seen.unwrap_or_else(|end| Gets::Nothing(format!("{end:?}")))
    }

    /// Asserts that the request is answered with 200, to the end.
    pub(super) fn is_answered(&mut self, stream: u32) -> Verdict {
        let mut status = 0;
        self.framed
            .wait(|frame| {
                if frame.kind == HEADERS && frame.stream == stream && status < 200 {
                    status = frame.status();
                }
                let is_over = frame.stream == stream && frame.ends_stream();
                is_over
                    .then(|| if status == 200 { Ok(Held::AsAsked) } else { Err(format!("answered {status}")) })
                    .or_else(|| error_in(frame).map(Err))
            })
            .unwrap_or_else(|end| Err(format!("no answer: {end:?}")))
    }

    /// Asserts that a PING is answered, and that no error was seen before.
    pub(super) fn goes_on(&mut self) -> Verdict {
        self.answers_ping(&ping(0, *b"goes on?"), *b"goes on?")
    }

    /// Asserts that this PING is answered with these bytes, and that no error was seen before.
    pub(super) fn answers_ping(&mut self, sent: &[u8], payload: [u8; 8]) -> Verdict {
        self.send(&[sent.to_owned()]);
        self.framed
            .wait(|frame| match frame.kind {
                PING if frame.flags & ACK == 0 || frame.payload != payload => Some(Err(format!("{frame:?}"))),
                PING => Some(Ok(Held::AsAsked)),
                _ => error_in(frame).map(Err),
            })
            .unwrap_or_else(|end| Err(format!("no answer to a PING: {end:?}")))
    }

    /// The same, where the server may also close the connection in good order.
    pub(super) fn goes_on_or_closes(&mut self) -> Verdict {
        self.send(&[ping(0, *b"goes on?")]);
        let seen = self
            .framed
            .wait(|frame| if frame.kind == PING { Some(Ok(Held::AsAsked)) } else { error_in(frame).map(Err) });
        match seen {
            Ok(verdict) => verdict,
            Err(End::Closed) => Ok(Held::AsAsked),
            Err(end) => Err(format!("{end:?}")),
        }
    }

    /// Asserts that the connection is closed, whatever is said before.
    pub(super) fn closes(&mut self) -> Verdict {
        if self.framed.closes() { Ok(Held::AsAsked) } else { Err("still open".to_owned()) }
    }

    /// Asserts that a GOAWAY with this code comes, and the end after it.
    pub(super) fn says_goodbye_and_closes(&mut self, code: u32) -> Verdict {
        match self.framed.wait(|frame| (frame.kind == GOAWAY).then(|| frame.code())) {
            Ok(seen) if seen == code => self.closes(),
            Ok(seen) => Err(format!("GOAWAY {seen}")),
            Err(end) => Err(format!("no GOAWAY: {end:?}")),
        }
    }

    /// Asserts a connection error (section 5.4.1): GOAWAY with one of these codes, or the end.
    pub(super) fn is_refused(&mut self, codes: &[u32]) -> Verdict {
        let seen = self.framed.rounds(|frame| (frame.kind == GOAWAY).then(|| among(codes, frame)));
        self.ends(seen)
    }

    /// Asserts a stream error (section 5.4.2), which a server may treat as a connection error.
    pub(super) fn refuses_stream(&mut self, stream: u32, codes: &[u32]) -> Verdict {
        let seen = self.framed.rounds(|frame| is_about(frame, stream).then(|| among(codes, frame)));
        self.ends(seen)
    }

    /// The same for a frame on a stream that is closed, which a server may discard too (section 5.1).
    pub(super) fn refuses_or_discards(&mut self, stream: u32, codes: &[u32]) -> Verdict {
        let seen = self.framed.rounds(|frame| match frame.kind {
            HEADERS if frame.stream == stream => Some(Err(format!("answered {}", frame.status()))),
            _ => is_about(frame, stream).then(|| among(codes, frame)),
        });
        if matches!(seen, Err(End::WentOn)) { Ok(allowed("discarded it")) } else { self.ends(seen) }
    }

    /// The same for what RFC 7540 forbade and RFC 9113 does not speak of: a server may also go on.
    pub(super) fn may_refuse(&mut self, stream: u32, codes: &[u32]) -> Verdict {
        let seen = self.framed.rounds(|frame| is_about(frame, stream).then(|| among(codes, frame)));
        if matches!(seen, Err(End::WentOn)) { Ok(allowed("took it")) } else { self.ends(seen) }
    }

    /// Asserts that a request is treated as malformed (section 8.1.1): with a stream error, before which the server may
    /// send an answer.
    pub(super) fn is_malformed(&mut self, stream: u32) -> Verdict {
        let mut status = 0;
        let seen = self.framed.wait(|frame| {
            if frame.kind == HEADERS && frame.stream == stream && status < 200 {
                status = frame.status();
            }
            let is_over = frame.stream == stream && frame.ends_stream();
            is_about(frame, stream).then(|| among(&[PROTOCOL_ERROR], frame)).map(Some).or(is_over.then_some(None))
        });
        match seen {
            Ok(None) if (400..500).contains(&status) => {
                // h2spec waits for the error alone.
                let error =
                    self.framed.rounds(|frame| is_about(frame, stream).then(|| among(&[PROTOCOL_ERROR], frame)));
                let has_error = matches!(error, Err(End::Closed) | Ok(Ok(_)));
                Ok(if has_error { Held::AsAsked } else { allowed(&format!("answered {status}")) })
            }
            Ok(None) => Err(format!("answered {status}")),
            Ok(Some(verdict)) => self.ends(Ok(verdict)),
            Err(end) => self.ends(Err(end)),
        }
    }

    /// Asserts that the answer's body comes to so many bytes, and no further.
    pub(super) fn takes(&mut self, stream: u32, bytes: usize) -> Verdict {
        let mut taken = 0;
        let mut see = |frame: &Frame| {
            if frame.kind == DATA && frame.stream == stream {
                taken += frame.payload.len();
            }
            taken
        };
        let came =
            self.framed.wait(|frame| error_in(frame).map(Err).or_else(|| (see(frame) >= bytes).then_some(Ok(()))));
        came.unwrap_or_else(|end| Err(format!("no more DATA: {end:?}")))?;
        match self.framed.rounds(|frame| (see(frame) > bytes).then_some(())) {
            Err(End::WentOn) if taken == bytes => Ok(Held::AsAsked),
            Err(End::WentOn) | Ok(()) => Err(format!("{taken} bytes came")),
            Err(end) => Err(format!("{end:?}")),
        }
    }

    /// Where the end of the connection is as good as an error that says why. For h2spec it is so after a GOAWAY with
    /// another code too.
    fn ends(&mut self, seen: Result<Verdict, End>) -> Verdict {
        match seen {
            Err(End::Closed) => Ok(Held::AsAsked),
            Err(end) => Err(format!("no error: {end:?}")),
            Ok(Ok(Held::WithAnotherCode(seen))) => {
                let closed = self.closes().map_err(|open| format!("{seen}, and {open}"));
                closed.map(|_| Held::WithAnotherCode(seen))
            }
            Ok(verdict) => verdict,
        }
    }
}

/// Held in a way that the RFC allows, and h2spec does not.
pub(super) fn allowed(seen: &str) -> Held {
    Held::AsAllowed(seen.to_owned())
}

/// Whether a frame ends the stream with an error, or the connection.
fn is_about(frame: &Frame, stream: u32) -> bool {
    frame.kind == GOAWAY || (frame.kind == RST_STREAM && frame.stream == stream)
}

/// The verdict on an error; the connection's end is still to come where it is a GOAWAY with another code.
fn among(codes: &[u32], frame: &Frame) -> Verdict {
    match frame.kind {
        _ if codes.contains(&frame.code()) => Ok(Held::AsAsked),
        GOAWAY => Ok(Held::WithAnotherCode(said(frame))),
        _ => Err(said(frame)),
    }
}

/// The error that a frame speaks of.
fn error_in(frame: &Frame) -> Option<String> {
    let is_error = frame.kind == RST_STREAM || (frame.kind == GOAWAY && frame.code() != NO_ERROR);
    is_error.then(|| said(frame))
}

/// A GOAWAY or a `RST_STREAM` in words.
fn said(frame: &Frame) -> String {
    let kind = if frame.kind == GOAWAY { "GOAWAY" } else { "RST_STREAM" };
    format!("{kind} {} on stream {}", frame.code(), frame.stream)
}
