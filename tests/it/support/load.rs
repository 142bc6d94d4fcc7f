//! Clients that ask without a pause, and count what they were promised and did not get.

mod secured;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

pub(crate) use self::secured::Secured;
use self::secured::Version;
use super::{Connection, Deadline, Request, get, post};

/// Between two requests of a client that is mostly idle.
const IDLE: Duration = Duration::from_millis(40);

/// A gateway that stops waits for a second for the next request of a connection, and then closes it in good order. A
/// client that itself stood still for this long, because the machine did, loses nothing when it finds that.
const RESTED: Duration = Duration::from_millis(500);

/// Failures that a client goes on after.
const FAILURES_MAX: usize = 20;

/// Clients that run until they are stopped.
pub(crate) struct Load {
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

/// Runs until it is told to stop, and says what did not go well.
type Client = Box<dyn FnOnce(&Counts) -> Vec<String> + Send>;

/// What clients count together.
#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    exchanges: AtomicU64,
    forwarded: AtomicU64,
}

impl Counts {
    fn goes_on(&self, failures: &[String]) -> bool {
        !self.stop.load(Ordering::Relaxed) && failures.len() < FAILURES_MAX
    }

    fn exchanged(&self, forwarded: bool) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.forwarded.fetch_add(u64::from(forwarded), Ordering::Relaxed);
    }
}

/// What clients did.
pub(crate) struct Done {
    /// Exchanges that went well.
    pub(crate) exchanges: u64,
    /// Those of them that the upstream answered.
    pub(crate) forwarded: u64,
    /// What did not go well.
    pub(crate) failures: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    KeepAlive,
    MostlyIdle,
    Fresh,
}

impl Load {
    /// Keep-alive and fresh connections, GETs and POSTs, with a token for `/sws` and without a valid one.
    pub(crate) fn start(to: SocketAddr, token: &str) -> Self {
        Self::of(Self::in_the_clear(to, token))
    }

    /// The same, and beside it GETs and POSTs in turn through TLS, of HTTP/1.1 and of HTTP/2.
    pub(crate) fn start_with_tls(to: SocketAddr, secured: &Secured, token: &str) -> Self {
        let mut clients = Self::in_the_clear(to, token);
        for manner in [Manner::KeepAlive, Manner::MostlyIdle, Manner::Fresh] {
            for version in [Version::Http1, Version::Http2] {
                let (secured, token) = (secured.clone(), token.to_owned());
                let run = move |counts: &Counts| secured::client(&secured, version, manner, &token, counts);
                clients.push(Box::new(run));
            }
        }
        Self::of(clients)
    }

    fn in_the_clear(to: SocketAddr, token: &str) -> Vec<Client> {
        let read = (get("/sws/read").bearer(token), 200);
        let write = (post("/sws/write", "{}").bearer(token), 200);
        let denied = (get("/maxpoint/denied"), 401);
        let clients = [
            (Manner::KeepAlive, read.clone()),
            (Manner::KeepAlive, write.clone()),
            (Manner::KeepAlive, denied),
            (Manner::MostlyIdle, read.clone()),
            (Manner::MostlyIdle, write.clone()),
            (Manner::Fresh, read),
            (Manner::Fresh, write),
        ];
        let run = |(manner, asked): (Manner, (Request, u16))| -> Client {
            Box::new(move |counts: &Counts| client(to, manner, &asked, counts))
        };
        clients.into_iter().map(run).collect()
    }

    fn of(clients: Vec<Client>) -> Self {
        let counts = Arc::new(Counts::default());
        let run = |client: Client| {
            let counts = Arc::clone(&counts);
            thread::spawn(move || client(&counts))
        };
        let clients = clients.into_iter().map(run).collect();
        Self { counts, clients }
    }

    /// Exchanges that went well until now.
    pub(crate) fn exchanges(&self) -> u64 {
        self.counts.exchanges.load(Ordering::Relaxed)
    }

    /// Stops, and says what came of it.
    pub(crate) fn stop(self) -> Done {
        self.counts.stop.store(true, Ordering::Relaxed);
        let failures = self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        let counts = &self.counts;
        let [exchanges, forwarded] = [&counts.exchanges, &counts.forwarded].map(|count| count.load(Ordering::Relaxed));
        Done { exchanges, forwarded, failures }
    }
}

fn client(to: SocketAddr, manner: Manner, asked: &(Request, u16), counts: &Counts) -> Vec<String> {
    let (_sender, pause) = mpsc::channel::<()>();
    let mut failures = vec![];
    let mut kept = None;
    while counts.goes_on(&failures) {
        let reused = kept.is_some();
        match exchange(to, kept.take(), asked) {
            Ok(connection) => kept = connection.filter(|_| manner != Manner::Fresh).map(Kept::new),
            Err(error) => {
                failures.push(format!("reused {reused}: {error}"));
                continue;
            }
        }
        counts.exchanged(asked.1 == 200);
        if manner == Manner::MostlyIdle {
            // Nobody ever sends.
            let _ = pause.recv_timeout(IDLE);
        }
    }
    failures
}

/// A connection that nothing is asked on yet, or nothing since its last answer.
struct Kept<C> {
    connection: C,
    rested: Deadline,
}

impl<C> Kept<C> {
    fn new(connection: C) -> Self {
        Self { connection, rested: Deadline::after(RESTED) }
    }

    /// Whether it may have been closed in good order before what was asked now.
    fn has_rested(&self) -> bool {
        self.rested.left().is_none()
    }
}

/// One exchange; the connection, where it may be used again.
fn exchange(
    to: SocketAddr,
    mut kept: Option<Kept<Connection>>,
    (request, status): &(Request, u16),
) -> io::Result<Option<Connection>> {
    let (connection, answer) = loop {
        let mut asked = match kept.take() {
            Some(kept) => kept,
            None => Kept::new(Connection::try_open(to)?),
        };
        let written = asked.connection.write(request.bytes());
        let has_rested = asked.has_rested();
        match written.and_then(|()| asked.connection.try_receive()) {
            Ok(answer) => break (asked.connection, answer),
            Err(error) if has_rested && is_closed(&error) => {}
            Err(error) => return Err(error),
        }
    };
    if answer.status != *status || (*status == 200 && answer.text() != "upstream") {
        return Err(io::Error::other(format!("{} {}", answer.status, answer.text())));
    }
    let closes = answer.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok((!closes).then_some(connection))
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}
