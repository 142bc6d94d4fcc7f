//! Bytes that a server sends on a connection that waits for its next request. Nobody asked for them: they close the
//! connection, and answer nothing.

use std::sync::{
    Mutex,
    mpsc::{self, Receiver, Sender},
};

use super::{IN_FLIGHT, pool, start};
use crate::support::{Gateway, PATIENCE, RawUpstream, WAYS, Way, get, requests, wait_until};

const SURPLUS: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "\r\n",
];

/// A server that answers two requests on each connection, and then says what it is told to.
struct Talker {
    upstream: RawUpstream,
    tell: Sender<&'static str>,
    said: Receiver<()>,
    closed: Receiver<()>,
}

impl Talker {
    fn start() -> Self {
        let ((tell, told), (saying, said), (closing, closed)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let ends = Mutex::new((told, saying, closing));
        let upstream = RawUpstream::start(move |stream| {
            for _ in 0..2 {
                if !stream.read_request() {
                    return;
                }
                stream.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
            }
            let ends = ends.lock().unwrap();
            let (told, saying, closing) = &*ends;
            // The test may be over.
            let Ok(surplus) = told.recv() else { return };
            stream.write(surplus);
            let _ = saying.send(());
            while stream.read() {}
            let _ = closing.send(());
        });
        Self { upstream, tell, said, closed }
    }

    /// Says this on the connection that waits.
    #[track_caller]
    fn says(&self, surplus: &'static str) {
        self.tell.send(surplus).unwrap();
        self.said.recv_timeout(PATIENCE).expect("two requests came on the connection");
    }

    #[track_caller]
    fn is_closed(&self) {
        self.closed.recv_timeout(PATIENCE).expect("the gateway closes the connection");
    }

    /// Asserts that each connection had two whole requests, but for the last, which may have one.
    #[track_caller]
    fn had_two_each(self, gateway: Gateway, connections: usize) {
        gateway.stop();
        drop(self.tell);
        let had: Vec<_> = self.upstream.by_connection().iter().map(|bytes| requests(bytes).len()).collect();
        assert_eq!(had.len(), connections);
        assert!(had[..connections - 1].iter().all(|&had| had == 2), "{had:?}");
    }
}

/// What a request along this way is answered. Its connection waits for the next one then.
#[track_caller]
fn asks(gateway: &Gateway, way: Way) -> String {
    let answer = way.send(gateway, &way.request(&get("/")));
    wait_until("no request is in flight", PATIENCE, || gateway.metric(IN_FLIGHT) < 0.5);
    answer.text()
}

fn cases() -> impl Iterator<Item = (&'static str, Way)> {
    SURPLUS.into_iter().flat_map(|surplus| WAYS.map(|way| (surplus, way)))
}

#[test]
fn what_comes_unasked_closes_a_connection_that_waits() {
    let talker = Talker::start();
    let gateway = start(&pool(&[talker.upstream.address], ""));
    for (surplus, way) in cases() {
        for _ in 0..2 {
            assert_eq!(asks(&gateway, way), "raw", "{way:?} {surplus:?}");
        }
        talker.says(surplus);
        // Without a request that would find out.
        talker.is_closed();
    }
    talker.had_two_each(gateway, cases().count());
}

#[test]
fn what_comes_unasked_answers_no_request_that_follows_at_once() {
    let talker = Talker::start();
    let gateway = start(&pool(&[talker.upstream.address], ""));
    assert_eq!(asks(&gateway, WAYS[0]), "raw");
    for (surplus, way) in cases() {
        // The second on its connection.
        assert_eq!(asks(&gateway, way), "raw", "{way:?} {surplus:?}");
        talker.says(surplus);
        // The first on another: what was said lies before the gateway already.
        assert_eq!(asks(&gateway, way), "raw", "{way:?} {surplus:?}");
        talker.is_closed();
    }
    talker.had_two_each(gateway, cases().count() + 1);
}
