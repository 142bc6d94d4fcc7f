//! Which worker accepts: one after the other, as long as the gateway runs.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::SockRef;
use tokio::{io::Interest, net::TcpStream, sync::oneshot};

use super::{
    enter::Front,
    workers::{Here, Workers},
};
use crate::per_thread::{Handle, Spread};

/// After a failed accept (no file descriptors left), how long to wait for things to get better.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that one worker accepts in a row, before it is another's turn.
const ACCEPTED_IN_A_ROW_MAX: usize = 64;

/// Connections that one worker accepts before it looks after its others.
const ACCEPTED_AT_ONCE_MAX: usize = 8;

/// How often the worker that accepts is asked whether it takes up work at all.
const WORKER_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long it has for its answer. Then another accepts.
const WORKER_PATIENCE: Duration = Duration::from_secs(1);

/// A listening socket, whose connections no reactor knows before their worker's: tokio's own listener would register
/// each with the reactor that accepts, only for it to be taken out again.
struct Acceptor<'l> {
    listener: &'l TcpListener,
    /// The same socket once more, as tokio watches it.
    watched: TcpStream,
}

impl<'l> Acceptor<'l> {
    /// Watched by the reactor of the worker that it is made on, which `watched` is for.
    fn new(listener: &'l TcpListener, watched: std::net::TcpStream) -> io::Result<Self> {
        Ok(Self { listener, watched: TcpStream::from_std(watched)? })
    }

    async fn accept(&self) -> io::Result<(std::net::TcpStream, SocketAddr)> {
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let accepting = || Ok(acceptfrom_with(self.listener, flags)?);
            match self.watched.try_io(Interest::READABLE, accepting) {
                Ok((socket, peer)) => {
                    // A connection that has gone already has no other end.
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    let Some(peer) = peer else { continue };
                    return Ok((socket.into(), peer));
                }
                // Where nothing has come since the last time, this takes no system call.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.watched.readable().await?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// The same socket once more, for a reactor to watch.
fn watched(listener: &TcpListener) -> io::Result<std::net::TcpStream> {
    Ok(std::net::TcpStream::from(OwnedFd::from(listener.try_clone()?)))
}

/// Has one worker after the other accept, until the gateway stops. No two accept on the same listener, or each
/// connection would wake them all; but a worker that takes up no work for a while does not keep the others from it.
pub(super) async fn accept_in_turn(listener: TcpListener, front: Spread<Front>, workers: Arc<Workers>) {
    // Its connections inherit that they send small pieces at once.
    if let Err(error) = SockRef::from(&listener).set_tcp_nodelay(true) {
        return tracing::error!(%error, "a listener cannot be used");
    }
    let listener = Arc::new(listener);
    let round = Arc::<Round>::default();
    // It goes from turn to turn, so that no turn needs another file. A turn that is lost takes it along.
    let mut kept = None;
    loop {
        let watched = match kept.take().map_or_else(|| watched(&listener), Ok) {
            Ok(watched) => watched,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let (ended, end) = oneshot::channel();
        let number = round.begin();
        let turn =
            Turn { front: front.clone(), listener: Arc::clone(&listener), round: Arc::clone(&round), number, ended };
        if turn.pass(&workers, round.at(), watched).is_none() {
            return tracing::error!("every thread that serves has ended");
        }
        match end_of_round(end, &round, &workers).await {
            Some(Ok((watched, End::Failed(error)))) => {
                kept = watched;
                pause_after(&error).await;
            }
            Some(Ok((_, End::Stopped))) => return,
            Some(Err(_)) if workers.have_ended() => return tracing::error!("every thread that serves has ended"),
            // A defect of the loop: another worker goes on.
            Some(Err(_)) => {
                tracing::error!("an accept loop panicked");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // Its turn is over once its worker does something else.
            None => {}
        }
    }
}

/// Waits until nobody accepts any more; `None` where the worker whose turn it is takes up no work.
async fn end_of_round(
    mut end: oneshot::Receiver<Ended>,
    round: &Round,
    workers: &Workers,
) -> Option<Result<Ended, oneshot::error::RecvError>> {
    loop {
        let hangs = async {
            tokio::time::sleep(WORKER_LOOK_INTERVAL).await;
            let at = round.at();
            // It may have given its turn to another meanwhile, and be busy.
            !workers.answers(at, WORKER_PATIENCE).await && round.at() == at
        };
        tokio::select! {
            biased;
            ended = &mut end => return Some(ended),
            hangs = hangs => if hangs { return None },
        }
    }
}

async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Which worker accepts on a listener: each gives its turn to another, without a word to the others. Holds the number
/// of the round, and in the lowest bits whose turn it is: one value, so that no turn of a round that is over can say
/// that it is the present one.
#[derive(Debug, Default)]
struct Round(AtomicU64);

impl Round {
    /// Bits that say whose turn it is.
    const AT_BITS: u32 = 16;

    /// Begins a round. Turns of those before are over, even where their worker has not found the time to notice.
    fn begin(&self) -> u64 {
        (self.0.fetch_add(1 << Self::AT_BITS, Ordering::Relaxed) >> Self::AT_BITS) + 1
    }

    fn is_present(&self, number: u64) -> bool {
        self.0.load(Ordering::Relaxed) >> Self::AT_BITS == number
    }

    /// Which worker's turn it is.
    fn at(&self) -> usize {
        let at = self.0.load(Ordering::Relaxed) & ((1 << Self::AT_BITS) - 1);
        usize::try_from(at).unwrap_or_default()
    }

    /// Notes that it is the turn of the worker `at`, where the round of this number is the present one.
    fn note(&self, number: u64, at: usize) {
        let noted = |present: u64| {
            let at = u64::from(u16::try_from(at).ok()?);
            (present >> Self::AT_BITS == number).then_some(number << Self::AT_BITS | at)
        };
        // A turn of a round that is over ends as soon as it begins.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, noted);
    }
}

/// A worker's turn to accept on a listener.
struct Turn {
    front: Spread<Front>,
    listener: Arc<TcpListener>,
    round: Arc<Round>,
    number: u64,
    /// Told when no other turn follows.
    ended: oneshot::Sender<Ended>,
}

/// Why no turn follows, and what the listener was watched with.
type Ended = (Option<std::net::TcpStream>, End);

enum End {
    /// The gateway stops.
    Stopped,
    /// The listener gave no connection.
    Failed(io::Error),
}

impl Turn {
    /// Gives the turn to the worker with the fewest connections, if possible another than that `at`; `None` where every
    /// worker has ended.
    fn pass(self, workers: &Arc<Workers>, at: usize, watched: std::net::TcpStream) -> Option<()> {
        workers.run(at, |here| {
            self.round.note(self.number, here.at());
            self.accept(watched, here)
        })
    }

    /// Accepts on this worker while that has no more connections than it should, and gives the turn to another then.
    /// Boxed, because it ends with its own beginning.
    fn accept(self, watched: std::net::TcpStream, here: Here) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if !self.round.is_present(self.number) {
                return;
            }
            let acceptor = match Acceptor::new(&self.listener, watched) {
                Ok(acceptor) => acceptor,
                Err(error) => return self.end(None, End::Failed(error)),
            };
            let front = self.front.handle();
            let end = self.accept_some(&front, &acceptor, &here).await;
            let watched = acceptor.watched.into_std();
            match (end, watched) {
                (Some(end), watched) => self.end(watched.ok(), end),
                (None, Err(error)) => self.end(None, End::Failed(error)),
                (None, Ok(watched)) => {
                    if let Some(workers) = here.workers() {
                        self.pass(&workers, here.at(), watched);
                    }
                }
            }
        })
    }

    /// Accepts on this worker, until it is another's turn or this one is over. Otherwise says why no
    /// other can accept.
    async fn accept_some(&self, front: &Handle<Front>, acceptor: &Acceptor<'_>, here: &Here) -> Option<End> {
        let mut shutdown = front.shutdown.clone();
        if *shutdown.borrow() {
            return Some(End::Stopped);
        }
        let mut stopped = pin!(shutdown.wait_for(|stop| *stop));
        for accepted in 1..=ACCEPTED_IN_A_ROW_MAX {
            let (stream, peer) = tokio::select! {
                biased;
                // Asked first, because it is ready more often. So a turn may take some more after the stop, which are
                // served.
                accepted = acceptor.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => return Some(End::Failed(error)),
                },
                _ = &mut stopped => return Some(End::Stopped),
            };
            match front.admit(peer) {
                Ok(place) => Front::hand_over(front, here, stream, peer, place),
                Err(refusal) => front.shared.connection_refused(refusal),
            }
            if !self.round.is_present(self.number) || here.has_surplus() {
                break;
            }
            if accepted % ACCEPTED_AT_ONCE_MAX == 0 {
                // The worker has requests to serve, too.
                tokio::task::yield_now().await;
            }
        }
        None
    }

    fn end(self, watched: Option<std::net::TcpStream>, end: End) {
        // Nobody hears it when another round has begun.
        drop(self.ended.send((watched, end)));
    }
}
