//! A client that writes and reads bytes.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
};

use socket2::{Domain, Socket, Type};

use super::text::{bytes, escaped, section};
use crate::support::{PATIENCE, body_end, head_end};

/// What a client sends, and how long it reads then.
pub(super) struct Turn {
    pub(super) sends: String,
    pub(super) until: Until,
}

pub(super) enum Until {
    /// A final response to each of these methods.
    Answers(Vec<String>),
    /// A head.
    Head,
    /// These bytes, in a tunnel.
    Bytes(&'static str),
    /// The end of the connection.
    End,
}

/// How a read ended.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Enough,
    Closed,
    Reset,
    Silent,
}

struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    fn open(source: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, read: vec![] }
    }

    fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> State {
        let mut chunk = [0; 16 << 10];
        while !enough(&self.read) {
            match self.stream.read(&mut chunk) {
                Ok(0) => return State::Closed,
                Ok(read) => self.read.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return State::Reset,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return State::Silent,
                Err(error) => panic!("{error} after {}", escaped(&self.read)),
            }
        }
        State::Enough
    }

    /// Whether another request on the connection is answered.
    fn is_kept(&mut self) -> bool {
        let asked = self.stream.write_all(b"GET /is-it-kept HTTP/1.1\r\nHost: portero.test\r\n\r\n");
        asked.is_ok() && self.read_until(|read| answers_end(read, &["GET"])) == State::Enough
    }
}

/// What a client sees who sends these one after the other.
pub(super) fn ask(source: Ipv4Addr, to: SocketAddr, turns: &[Turn], expand: &dyn Fn(&str) -> String) -> String {
    let mut wire = Wire::open(source, to);
    let (mut told, mut state) = (String::new(), State::Enough);
    for turn in turns {
        let sends = bytes(&expand(&turn.sends));
        told += &section("client sends", &escaped(&sends));
        // Where the gateway refuses early, the rest breaks the pipe; what it said is there to be read.
        let _ = wire.stream.write_all(&sends);
        state = match &turn.until {
            Until::Answers(methods) => {
                let methods: Vec<_> = methods.iter().map(String::as_str).collect();
                wire.read_until(|read| answers_end(read, &methods))
            }
            Until::Head => wire.read_until(|read| head_end(read).is_some()),
            Until::Bytes(wanted) => wire.read_until(|read| read.ends_with(wanted.as_bytes())),
            Until::End => wire.read_until(|_| false),
        };
        told += &section("client receives", &escaped(&std::mem::take(&mut wire.read)));
        if state != State::Enough {
            break;
        }
    }
    let tunnel = matches!(turns.last(), Some(Turn { until: Until::Bytes(_), .. }));
    let end = match state {
        State::Reset => "is reset",
        State::Silent => "is silent",
        State::Enough if tunnel => {
            let _ = wire.stream.shutdown(Shutdown::Write);
            wire.read_until(|_| false);
            "was a tunnel, and ended with the client's side"
        }
        State::Enough if wire.is_kept() => "is kept",
        State::Enough | State::Closed => "is closed",
    };
    // What came behind the last answer is no answer to what asked whether it is kept.
    if !wire.read.is_empty() && !wire.read.starts_with(b"HTTP/1.1 404 ") {
        told += &section("client receives behind it", &escaped(&wire.read));
    }
    format!("{told}=== client's connection {end}\n")
}

/// Sends the preface and a GET over HTTP/2, and tells the frames that come.
pub(super) fn ask_in_frames(to: SocketAddr, path: &str) -> String {
    let mut wire = Wire::open(Ipv4Addr::LOCALHOST, to);
    // `:method GET`, `:scheme http`, `:path`, `:authority a`, without any table.
    let head = [b"\x82\x86\x04", &[u8::try_from(path.len()).unwrap()][..], path.as_bytes(), b"\x01\x01a"].concat();
    let length = u8::try_from(head.len()).unwrap();
    let preface = [PREFACE, b"\0\0\0\x04\0\0\0\0\0", &[0, 0, length, 1, 5, 0, 0, 0, 1], &head].concat();
    wire.stream.write_all(&preface).unwrap();
    wire.read_until(stream_ends);
    section("client receives", &frames(&wire.read))
}

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Each whole frame: its kind, flags, stream and payload.
fn split_frames(bytes: &[u8]) -> Vec<(u8, u8, u32, &[u8])> {
    let (mut frames, mut rest) = (vec![], bytes.strip_prefix(PREFACE).unwrap_or(bytes));
    while let [a, b, c, kind, flags, d, e, f, g, behind @ ..] = rest {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        let Some((payload, behind)) = behind.split_at_checked(length) else { break };
        frames.push((*kind, *flags, u32::from_be_bytes([*d, *e, *f, *g]), payload));
        rest = behind;
    }
    frames
}

/// Whether a HEADERS or DATA frame ended its stream.
pub(super) fn stream_ends(bytes: &[u8]) -> bool {
    split_frames(bytes).iter().any(|(kind, flags, ..)| matches!(kind, 0 | 1) && flags & 1 == 1)
}

/// Frames, a line each. Acknowledgements come when they do.
pub(super) fn frames(bytes: &[u8]) -> String {
    let names =
        ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE"];
    let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let told = split_frames(bytes).into_iter().filter(|(kind, flags, ..)| !(matches!(kind, 4 | 6) && flags & 1 == 1));
    let line = |(kind, flags, stream, payload): (u8, u8, u32, &[u8])| {
        let name = names.get(usize::from(kind)).copied().unwrap_or("unknown");
        let more = match kind {
            0 => escaped(payload).trim_end().to_owned(),
            4 => {
                let settings = payload.chunks(6).map(|one| format!("{}={}", number(&one[..2]), number(&one[2..])));
                settings.collect::<Vec<_>>().join(" ")
            }
            8 => number(payload).to_string(),
            _ => String::new(),
        };
        format!("{name} flags {flags:#04x} stream {stream} {more}").trim_end().to_owned() + "\n"
    };
    told.map(line).collect()
}

/// Whether these bytes hold the final response to each method.
fn answers_end(mut bytes: &[u8], methods: &[&str]) -> bool {
    methods.iter().all(|method| {
        loop {
            let Some(end) = head_end(bytes) else { return false };
            let (head, rest) = bytes.split_at(end);
            let status = head.get(9..12).unwrap_or_default();
            let body = match status {
                b"101" => return true,
                [b'1', ..] | b"204" | b"304" => Some(0),
                _ if *method == "HEAD" => Some(0),
                _ => body_end(head, rest, None),
            };
            let Some(body) = body else { return false };
            bytes = &rest[body..];
            if status.first() != Some(&b'1') {
                return true;
            }
        }
    })
}
