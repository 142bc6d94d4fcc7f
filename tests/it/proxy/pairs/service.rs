//! Services that record what they receive and send.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::runtime::Runtime;

use super::{
    client::{frames, stream_ends},
    http2::{self, Reply},
    text::{bytes, escaped, section},
};
use crate::support::{PATIENCE, RawStream, RawUpstream, request_end, wait_until};

/// What an HTTP/1 service answers that is told nothing else.
const USUAL: &str = "HTTP/1.1 200 OK\nContent-Type: text/plain\nServer: service\nX-Own: 1\nContent-Length: 2\n\nok";

pub(super) enum Service {
    /// Gives these answers, one a request, and the last again and again.
    Http1 {
        answers: Vec<String>,
        then: Then,
        asks: Asks,
    },
    Http2(Reply),
    /// HTTP/2, frame by frame; it ends the connection after a request.
    Frames,
}

/// The text after which a service answers, where it does not wait for a whole request.
pub(super) type Asks = Option<&'static str>;

/// What a service does with a connection on which it answered.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Then {
    Stays,
    Closes,
    Resets,
    /// Closes, or falls silent, without an answer.
    ClosesAtOnce,
    ResetsAtOnce,
    IsSilent,
}

/// A service at its address.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    record: Record,
    render: fn(&[u8]) -> String,
    _raw: Option<RawUpstream>,
}

/// What happened on each connection.
#[derive(Clone, Default)]
pub(super) struct Record(Arc<Mutex<Vec<Connection>>>);

#[derive(Default)]
struct Connection {
    events: Vec<(Way, Vec<u8>)>,
    ended: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    Receives,
    Sends,
}

impl Record {
    pub(super) fn open(&self) -> usize {
        let mut connections = self.0.lock().unwrap();
        connections.push(Connection::default());
        connections.len() - 1
    }

    pub(super) fn add(&self, place: usize, way: Way, bytes: &[u8]) {
        let mut connections = self.0.lock().unwrap();
        match connections[place].events.last_mut() {
            Some((last, all)) if *last == way => all.extend_from_slice(bytes),
            _ => connections[place].events.push((way, bytes.to_owned())),
        }
    }

    pub(super) fn end(&self, place: usize) {
        self.0.lock().unwrap()[place].ended = true;
    }
}

impl Service {
    pub(super) fn start(&self, runtime: &Runtime) -> Running {
        let record = Record::default();
        let own = record.clone();
        match self {
            Self::Http1 { answers, then, asks } => {
                let mut answers: Vec<_> = answers.iter().map(|answer| bytes(answer)).collect();
                if answers.is_empty() {
                    answers.push(bytes(USUAL));
                }
                let script = Script { answers, then: *then, asks: *asks, given: AtomicUsize::new(0) };
                let raw = RawUpstream::start(move |stream| {
                    let place = own.open();
                    script.serve(stream, &own, place);
                    own.end(place);
                });
                Running { address: raw.address, record, render: escaped, _raw: Some(raw) }
            }
            Self::Http2(reply) => {
                let address = http2::serve(runtime, reply.clone(), own);
                Running { address, record, render: |text| String::from_utf8_lossy(text).into_owned(), _raw: None }
            }
            Self::Frames => {
                let raw = RawUpstream::start(move |stream| {
                    let place = own.open();
                    stream.write("\0\0\0\x04\0\0\0\0\0");
                    while stream.read() && !stream_ends(stream.own()) {}
                    own.add(place, Way::Receives, stream.own());
                    own.end(place);
                });
                Running { address: raw.address, record, render: frames, _raw: Some(raw) }
            }
        }
    }
}

impl Running {
    /// What it received and sent, when all of its connections have ended.
    pub(super) fn told(&self) -> String {
        let ended = || self.record.0.lock().unwrap().iter().all(|connection| connection.ended);
        wait_until("the services' connections end with the gateways", PATIENCE, ended);
        let connections = self.record.0.lock().unwrap();
        if connections.is_empty() {
            return section("service is not asked", "");
        }
        let of_one = |(at, connection): (usize, &Connection)| {
            let said = connection.events.iter().map(|(way, bytes)| {
                let way = if *way == Way::Receives { "receives" } else { "sends" };
                section(&format!("service {way} on connection {}", at + 1), &(self.render)(bytes))
            });
            said.collect::<String>()
        };
        connections.iter().enumerate().map(of_one).collect()
    }
}

/// What an HTTP/1 service does with its connections.
struct Script {
    answers: Vec<Vec<u8>>,
    then: Then,
    asks: Asks,
    given: AtomicUsize,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Script {
    fn serve(&self, stream: &mut RawStream, record: &Record, place: usize) {
        let mut seen = 0;
        loop {
            let Some(end) = self.receive(stream, record, place, seen) else { return };
            let expects = contains(&stream.own()[seen..], "\r\nexpect: 100-continue\r\n");
            seen = end;
            match self.then {
                Then::ClosesAtOnce => return,
                Then::ResetsAtOnce => return stream.reset(),
                Then::IsSilent => break,
                Then::Stays | Then::Closes | Then::Resets => {}
            }
            let number = self.given.fetch_add(1, Ordering::SeqCst);
            let answer = self.answers.get(number).or(self.answers.last()).unwrap();
            if expects {
                record.add(place, Way::Sends, CONTINUE);
            }
            record.add(place, Way::Sends, answer);
            stream.write_bytes(answer);
            match self.then {
                Then::Closes => return,
                Then::Resets => return stream.reset(),
                _ if contains(answer, "HTTP/1.1 101 ") => return tunnel(stream, record, place, seen),
                _ if self.asks.is_some() => break,
                _ => {}
            }
        }
        while stream.read() {}
    }

    /// Reads until the request behind `seen` is whole, and answers where it ends; `None` at the connection's end.
    fn receive(&self, stream: &mut RawStream, record: &Record, place: usize, seen: usize) -> Option<usize> {
        let mut continued = false;
        loop {
            let next = &stream.own()[seen..];
            // Its body may be there already.
            if contains(next, "\r\nexpect: 100-continue\r\n") && contains(next, "\r\n\r\n") && !continued {
                continued = true;
                stream.write_bytes(CONTINUE);
            }
            let next = &stream.own()[seen..];
            let end = match self.asks {
                Some(text) => contains(next, text).then_some(next.len()),
                None => request_end(next),
            };
            if let Some(end) = end {
                return Some(seen + end);
            }
            let before = stream.own().len();
            if !stream.read() {
                return None;
            }
            record.add(place, Way::Receives, &stream.own()[before..]);
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// Says `pong` to what comes through a tunnel.
fn tunnel(stream: &mut RawStream, record: &Record, place: usize, mut seen: usize) {
    loop {
        if stream.own().len() > seen {
            seen = stream.own().len();
            record.add(place, Way::Sends, b"pong");
            stream.write("pong");
        }
        if !stream.read() {
            return;
        }
        record.add(place, Way::Receives, &stream.own()[seen..]);
    }
}
