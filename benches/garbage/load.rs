//! Requests at a fixed rate on connections that stay open, and how long they take.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use portero::domain::{Clock, SystemClock};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use super::CONNECTIONS;

/// Bytes of an answer's head and body together, at most.
const ANSWER_BYTES_MAX: usize = 4096;

/// From the moment that connections are open to the first request.
const LEAD: Duration = Duration::from_millis(20);

/// Sends requests, and is the service behind the gateway.
pub(super) struct Generator {
    runtime: Runtime,
    upstream: SocketAddr,
}

/// Requests of one kind, in turn, and the addresses that their connections come from; without any, none is sent.
pub(super) struct Stream<'r> {
    pub(super) requests: &'r [Bytes],
    pub(super) sources: Vec<Ipv4Addr>,
}

/// One answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// From when its request was due, whether or not it could be sent then.
    took: Duration,
    /// From when it was due to when it was sent.
    late: Duration,
}

/// What came of a round.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) good: Vec<Answer>,
    pub(super) garbage: Vec<Answer>,
    /// Time that the gateway's threads ran.
    pub(super) cpu: Duration,
}

impl Outcome {
    /// Microseconds within which this many of a thousand good requests were answered.
    pub(super) fn latency(&self, per_mille: usize) -> f64 {
        at(per_mille, self.good.iter().map(|answer| answer.took).collect())
    }

    /// Microseconds within which this many of a thousand good requests were sent: the generator's own doing.
    pub(super) fn lateness(&self, per_mille: usize) -> f64 {
        at(per_mille, self.good.iter().map(|answer| answer.late).collect())
    }

    /// How much garbage was answered so.
    pub(super) fn garbage_with(&self, status: u16) -> f64 {
        let count = self.garbage.iter().filter(|answer| answer.status == status).count();
        f64::from(u32::try_from(count).unwrap())
    }
}

fn at(per_mille: usize, mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[(times.len() * per_mille / 1000).min(times.len() - 1)].as_secs_f64() * 1e6
}

impl Generator {
    /// A generator with its upstream.
    pub(super) fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let upstream = listener.local_addr().unwrap();
        runtime.spawn(serve(listener));
        Self { runtime, upstream }
    }

    /// Where the service is.
    pub(super) const fn upstream(&self) -> SocketAddr {
        self.upstream
    }

    /// Sends each request once, one after the other.
    pub(super) fn warm_up(&self, front: SocketAddr, stream: &Stream<'_>) {
        self.runtime.block_on(async {
            let mut connection = connect(front, stream.sources[0]).await;
            for request in stream.requests {
                assert_eq!(exchange(&mut connection, request).await, 200, "a good token");
            }
        });
    }

    /// Sends both streams at `rate` requests a second each, the second's in the middle between the first's.
    pub(super) fn run(
        &self,
        front: SocketAddr,
        good: &Stream<'_>,
        garbage: &Stream<'_>,
        rate: u32,
        round: Duration,
    ) -> Outcome {
        let (good, good_tasks) = self.lanes(front, good);
        let (garbage, garbage_tasks) = self.lanes(front, garbage);
        let start = SystemClock.instant() + LEAD;
        let step = Duration::from_secs(1) / rate / 2;
        let requests = u32::try_from(round.as_millis()).unwrap() * rate / 1000;
        // A thread's own sleep is some 50 µs late; the runtime's timer may be more than a millisecond late.
        let pacer = thread::spawn(move || {
            for at in 0..2 * requests {
                let due = start + step * at;
                thread::sleep(due.saturating_duration_since(SystemClock.instant()));
                let lanes = if at % 2 == 0 { &good } else { &garbage };
                if !lanes.is_empty() {
                    let turn = usize::try_from(at / 2).unwrap();
                    lanes[turn % lanes.len()].send(Due { at: due, turn }).unwrap();
                }
            }
        });
        let answers = |tasks: Vec<JoinHandle<Vec<Answer>>>| {
            let each = tasks.into_iter().flat_map(|task| self.runtime.block_on(task).unwrap());
            each.collect::<Vec<_>>()
        };
        let (good, garbage) = (answers(good_tasks), answers(garbage_tasks));
        pacer.join().unwrap();
        Outcome { good, garbage, cpu: Duration::ZERO }
    }

    /// Opens the connections of a stream: each has its queue, and ends with it.
    fn lanes(
        &self,
        front: SocketAddr,
        stream: &Stream<'_>,
    ) -> (Vec<UnboundedSender<Due>>, Vec<JoinHandle<Vec<Answer>>>) {
        let sources =
            stream.sources.iter().cycle().take(if stream.sources.is_empty() { 0 } else { CONNECTIONS as usize });
        let lane = |&source: &Ipv4Addr| {
            let connection = self.runtime.block_on(connect(front, source));
            let (sender, receiver) = unbounded_channel();
            (sender, self.runtime.spawn(send(connection, receiver, stream.requests.to_vec())))
        };
        sources.map(lane).unzip()
    }
}

/// A request's turn.
struct Due {
    at: Instant,
    turn: usize,
}

async fn send(mut connection: TcpStream, mut dues: UnboundedReceiver<Due>, requests: Vec<Bytes>) -> Vec<Answer> {
    let mut answers = vec![];
    while let Some(due) = dues.recv().await {
        let late = SystemClock.instant().saturating_duration_since(due.at);
        let status = exchange(&mut connection, &requests[due.turn % requests.len()]).await;
        answers.push(Answer { status, took: SystemClock.instant().saturating_duration_since(due.at), late });
    }
    answers
}

async fn connect(front: SocketAddr, source: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    let stream = socket.connect(front).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends a request and reads its answer, which says its length; gives the status.
async fn exchange(connection: &mut TcpStream, request: &[u8]) -> u16 {
    connection.write_all(request).await.unwrap();
    let (mut answer, mut filled) = ([0; ANSWER_BYTES_MAX], 0);
    loop {
        let read = connection.read(&mut answer[filled..]).await.unwrap();
        assert!(read > 0, "no whole answer");
        filled += read;
        let text = std::str::from_utf8(&answer[..filled]).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
        });
        if body.len() == length.expect("an answer with its length") {
            return head.split(' ').nth(1).unwrap().parse().unwrap();
        }
    }
}

/// The service behind.
async fn serve(listener: TcpListener) {
    let answer = |_: hyper::Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
    };
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let service = service_fn(answer);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
