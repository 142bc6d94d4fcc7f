//! A case, its verdict, and how the cases run against a server.

use std::{
    fmt, io,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::{blocks, exchanges, fields, framed::Stream, frames, hpack, peer::Peer, settings, start, streams, windows};

/// Cases that run at once: each has a connection of its own.
const AT_ONCE: usize = 8;

/// How a server held a requirement.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// As h2spec asks for it.
    AsAsked,
    /// Otherwise, in a way that the RFC allows.
    AsAllowed(String),
    /// The connection ended, which is enough for h2spec, but with another code than the RFC names.
    WithAnotherCode(String),
}

/// How a server held a requirement, or what was seen instead.
pub(super) type Verdict = Result<Held, String>;

/// One requirement, and how it is tried.
pub(super) struct Case {
    section: &'static str,
    what: &'static str,
    has_handshake: bool,
    is_of_h2spec: bool,
    run: fn(&mut Peer) -> Verdict,
}

impl Case {
    /// One that begins when both sides have each other's SETTINGS.
    pub(super) const fn new(section: &'static str, what: &'static str, run: fn(&mut Peer) -> Verdict) -> Self {
        Self { section, what, has_handshake: true, is_of_h2spec: true, run }
    }

    /// One that begins with the connection.
    pub(super) const fn from_the_start(
        section: &'static str,
        what: &'static str,
        run: fn(&mut Peer) -> Verdict,
    ) -> Self {
        Self { section, what, has_handshake: false, is_of_h2spec: true, run }
    }

    /// The same, for which h2spec has no case.
    pub(super) const fn beyond_h2spec(mut self) -> Self {
        self.is_of_h2spec = false;
        self
    }

    fn try_on(&self, server: &Server<'_>) -> Verdict {
        let stream = (server.connect)().map_err(|error| format!("no connection: {error}"))?;
        let mut peer = Peer::new(stream, server.scheme, server.patience);
        if self.has_handshake {
            peer.handshake()?;
        }
        (self.run)(&mut peer)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.section, self.what)
    }
}

/// A server that the cases run against.
pub(super) struct Server<'a> {
    /// Opens a connection.
    pub(super) connect: Box<dyn Fn() -> io::Result<Box<dyn Stream>> + Sync + 'a>,
    pub(super) scheme: &'static str,
    /// How long anything is waited for.
    pub(super) patience: Duration,
}

impl Server<'_> {
    /// One that speaks HTTP/2 with prior knowledge.
    pub(super) fn in_the_clear(address: SocketAddr, patience: Duration) -> Self {
        let connect = move || Ok(Box::new(connected(address, patience)?) as Box<dyn Stream>);
        Self { connect: Box::new(connect), scheme: "http", patience }
    }
}

/// A connection whose reads and writes end after `patience`.
pub(super) fn connected(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// What a server did with each case, in their order.
pub(super) struct Report(Vec<(&'static Case, Verdict)>);

impl Report {
    /// Runs every case.
    pub(super) fn of(server: &Server<'_>) -> Self {
        let (cases, next) = (all(), AtomicUsize::new(0));
        let work = || {
            let mut verdicts = vec![];
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(case) = cases.get(at) else { return verdicts };
                verdicts.push((at, *case, case.try_on(server)));
            }
        };
        let mut verdicts: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        verdicts.sort_by_key(|(at, ..)| *at);
        Self(verdicts.into_iter().map(|(_, case, verdict)| (case, verdict)).collect())
    }

    /// The cases in which the server failed, with what was seen.
    pub(super) fn failed(&self) -> Vec<(String, &str)> {
        self.0.iter().filter_map(|(case, verdict)| Some((case.to_string(), verdict.as_ref().err()?.as_str()))).collect()
    }

    /// The counts; and the cases that were held otherwise than h2spec asks, or not at all, with what was seen.
    pub(super) fn summary(&self, name: &str) -> String {
        let held = |of: &dyn Fn(&Case) -> bool, as_h2spec_counts: bool| {
            let is_held = |verdict: &Verdict| match verdict {
                Ok(Held::AsAllowed(_)) => !as_h2spec_counts,
                verdict => verdict.is_ok(),
            };
            let verdicts: Vec<_> = self.0.iter().filter(|(case, _)| of(case)).map(|(_, verdict)| verdict).collect();
            (verdicts.iter().filter(|verdict| is_held(verdict)).count(), verdicts.len())
        };
        let (all, of_all) = held(&|_| true, false);
        let (rfc, of_h2spec) = held(&|case| case.is_of_h2spec, false);
        let (strictly, _) = held(&|case| case.is_of_h2spec, true);
        let other_codes = self.0.iter().filter(|(_, verdict)| matches!(verdict, Ok(Held::WithAnotherCode(_)))).count();
        let counts = format!(
            "{name}: {all} of {of_all} held, {other_codes} of them with another code; of h2spec's {of_h2spec} {rfc} as \
             the RFC has them, and {strictly} as h2spec counts"
        );
        let line = |(case, verdict): &(&Case, Verdict)| match verdict {
            Ok(Held::AsAsked) => None,
            Ok(Held::AsAllowed(seen)) => Some(format!("  allowed: {case}: {seen}")),
            Ok(Held::WithAnotherCode(seen)) => Some(format!("  another code: {case}: {seen}")),
            Err(seen) => Some(format!("  failed: {case}: {seen}")),
        };
        std::iter::once(counts).chain(self.0.iter().filter_map(line)).collect::<Vec<_>>().join("\n")
    }
}

/// Every case.
fn all() -> Vec<&'static Case> {
    [
        start::CASES,
        blocks::CASES,
        streams::CASES,
        frames::CASES,
        settings::CASES,
        windows::CASES,
        exchanges::CASES,
        fields::CASES,
        hpack::CASES,
    ]
    .into_iter()
    .flatten()
    .collect()
}
