//! Clients that ask without a pause, and count what they were promised and did not get.

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

use super::{Connection, Request, get, post};

/// Between two requests of a client that is mostly idle.
const IDLE: Duration = Duration::from_millis(40);

/// Failures that a client goes on after.
const FAILURES_MAX: usize = 20;

/// Clients that run until they are stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    exchanges: Arc<AtomicU64>,
    forwarded: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<String>>>,
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
        let stop = Arc::new(AtomicBool::new(false));
        let [exchanges, forwarded] = [0; 2].map(|count| Arc::new(AtomicU64::new(count)));
        let run = |(manner, asked): (Manner, (Request, u16))| {
            let stop = Arc::clone(&stop);
            let counts = [&exchanges].into_iter().chain((asked.1 == 200).then_some(&forwarded));
            let counts: Vec<_> = counts.map(Arc::clone).collect();
            thread::spawn(move || client(to, manner, &asked, &stop, &counts))
        };
        let clients = clients.into_iter().map(run).collect();
        Self { stop, exchanges, forwarded, clients }
    }

    /// Exchanges that went well until now.
    pub(crate) fn exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }

    /// Stops, and says what came of it.
    pub(crate) fn stop(self) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        let [exchanges, forwarded] = [&self.exchanges, &self.forwarded].map(|count| count.load(Ordering::Relaxed));
        Done { exchanges, forwarded, failures }
    }
}

fn client(
    to: SocketAddr,
    manner: Manner,
    asked: &(Request, u16),
    stop: &AtomicBool,
    counts: &[Arc<AtomicU64>],
) -> Vec<String> {
    let (_sender, pause) = mpsc::channel::<()>();
    let mut failures = vec![];
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) && failures.len() < FAILURES_MAX {
        let reused = kept.is_some();
        match exchange(to, kept.take(), asked) {
            Ok((connection, true)) if manner != Manner::Fresh => kept = Some(connection),
            Ok(_) => {}
            Err(error) => {
                failures.push(format!("reused {reused}: {error}"));
                continue;
            }
        }
        for count in counts {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if manner == Manner::MostlyIdle {
            // Nobody ever sends.
            let _ = pause.recv_timeout(IDLE);
        }
    }
    failures
}

/// One exchange; whether the connection may be used again.
fn exchange(
    to: SocketAddr,
    kept: Option<Connection>,
    (request, status): &(Request, u16),
) -> io::Result<(Connection, bool)> {
    let mut connection = kept.map_or_else(|| Connection::try_open(to), Ok)?;
    connection.write(request.bytes())?;
    let answer = connection.try_receive()?;
    if answer.status != *status || (*status == 200 && answer.text() != "upstream") {
        return Err(io::Error::other(format!("{} {}", answer.status, answer.text())));
    }
    let goes_on = !answer.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok((connection, goes_on))
}
