//! Servers that break the rules: each case must find one of them out.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use super::{
    super::h2::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame},
    case::{Report, Server},
    peer::NO_HANDSHAKE,
    wire::{ACK, Frame, MAX_CONCURRENT_STREAMS, settings},
};
use crate::support::{PATIENCE, RawStream, RawUpstream, wait_until};

/// They answer at once, or never.
const ANSWERED_WITHIN: Duration = Duration::from_millis(50);

/// What a server says to a frame; `None` stands for the beginning.
type Answer = fn(Option<&Frame>) -> Vec<u8>;

/// Speaks of nothing but PINGs and SETTINGS.
fn deaf(seen: Option<&Frame>) -> Vec<u8> {
    seen.map_or_else(own_settings, |seen| polite(seen).unwrap_or_default())
}

/// Answers whatever has a stream with 200 and nothing else.
fn agreeable(seen: Option<&Frame>) -> Vec<u8> {
    let Some(seen) = seen else { return own_settings() };
    let answer = || frame(HEADERS, END_STREAM | END_HEADERS, seen.stream, b"\x88");
    polite(seen).unwrap_or_else(|| if seen.stream == 0 { vec![] } else { answer() })
}

/// Says too much at the beginning, and finds an error of its own in all that follows the handshake.
fn touchy(seen: Option<&Frame>) -> Vec<u8> {
    const INTERNAL_ERROR: [u8; 4] = [0, 0, 0, 2];
    let Some(seen) = seen else { return [frame(PING, 0, 0, &[0; 8]), own_settings()].concat() };
    match (seen.kind, seen.stream) {
        // Those of the handshake, and the answer to our own.
        (SETTINGS, 0) if matches!(seen.payload.len(), 0 | 6) && seen.payload.get(1) != Some(&2) => {
            polite(seen).unwrap_or_default()
        }
        (_, 0) => frame(GOAWAY, 0, 0, &[[0; 4], INTERNAL_ERROR].concat()),
        (_, stream) => frame(RST_STREAM, 0, stream, &INTERNAL_ERROR),
    }
}

/// Eight streams at once, and nothing else.
fn own_settings() -> Vec<u8> {
    settings(&[(MAX_CONCURRENT_STREAMS, 8)])
}

/// The answers that every frame of these kinds has, right or wrong.
fn polite(seen: &Frame) -> Option<Vec<u8>> {
    match seen.kind {
        SETTINGS | PING if seen.flags & ACK != 0 => Some(vec![]),
        SETTINGS | PING => Some(frame(seen.kind, ACK, 0, if seen.kind == PING { &seen.payload } else { b"" })),
        _ => None,
    }
}

/// Serves one connection. It never closes it.
fn serve(stream: &mut RawStream, answer: Answer) {
    let mut at = PREFACE.len();
    let mut is_first = true;
    while stream.read() {
        if std::mem::take(&mut is_first) {
            stream.write_bytes(&answer(None));
        }
        let mut rest = stream.own().get(at..).unwrap_or_default().to_owned();
        while let Some(frame) = Frame::take(&mut rest) {
            at += 9 + frame.payload.len();
            stream.write_bytes(&answer(Some(&frame)));
        }
    }
}

/// The cases in which such a server fails, each of them after its handshake.
fn failures(answer: Answer) -> BTreeSet<String> {
    let server = RawUpstream::start(move |stream| serve(stream, answer));
    let mut failures = vec![];
    // On a busy machine a server may be too late for a handshake: then nothing was tried.
    wait_until("every case has its handshake", PATIENCE, || {
        failures = failures_of(server.address);
        failures.iter().all(|(_, seen)| !seen.starts_with(NO_HANDSHAKE))
    });
    failures.into_iter().map(|(case, _)| case).collect()
}

fn failures_of(address: SocketAddr) -> Vec<(String, String)> {
    let report = Report::of(&Server::in_the_clear(address, ANSWERED_WITHIN));
    report.failed().into_iter().map(|(case, seen)| (case, seen.to_owned())).collect()
}

#[test]
fn each_case_finds_a_server_out_that_does_it_wrong() {
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let all: BTreeSet<_> = failures_of(silent.address).into_iter().map(|(case, _)| case).collect();
    assert!(all.len() > 140, "who says nothing holds nothing, but only {} failed", all.len());
    let [deaf, agreeable, touchy] = [deaf, agreeable, touchy].map(failures);
    println!("of {} fail: deaf {}, agreeable {}, touchy {}", all.len(), deaf.len(), agreeable.len(), touchy.len());
    // What is left for it to hold: that something is ignored.
    let held: Vec<_> = all.difference(&deaf).collect();
    assert!(held.len() < 30, "who answers nothing holds {held:#?}");
    let found: BTreeSet<_> = [deaf, agreeable, touchy].into_iter().flatten().collect();
    let never: Vec<_> = all.difference(&found).collect();
    assert!(never.is_empty(), "who speaks can do nothing wrong in: {never:#?}");
}
