//! Connections to servers that wait for their next request, of one thread that serves.

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt,
    task::unconstrained,
    time::{Instant, interval},
};

use crate::{
    edge::{lazy_timeout::Patience, listen::settings::IDLE_UPSTREAM_CONNECTIONS},
    upstream::{Server, Transport},
};

/// Between two looks at whether servers have ended their connections, or these have waited for long enough.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A connection to a server.
pub(super) struct Upstream {
    pub(super) stream: Transport,
    /// With the server, for its next bytes.
    pub(super) patience: Patience,
}

/// What waits. A server's connections are nobody else's, not even those of the same address in another pool.
#[derive(Default)]
pub(in crate::edge) struct Idle(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// By the server's number; the one that waits for the shortest time is last.
    servers: HashMap<u64, VecDeque<Waiting>>,
    count: usize,
}

struct Waiting {
    upstream: Upstream,
    until: Instant,
}

impl Upstream {
    pub(super) fn new(stream: Transport) -> Self {
        Self { stream, patience: Patience::until(Instant::now()) }
    }

    /// Whether there is nothing to read: what a server says unasked is no answer, and its end is the connection's.
    fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        // A task that has had its share of reads would be told that there is nothing to read.
        let reading = pin!(unconstrained(self.stream.read(&mut byte)));
        reading.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

impl Waiting {
    fn is_good(&mut self, now: Instant) -> bool {
        self.until > now && self.upstream.is_quiet()
    }
}

impl Kept {
    /// Closes the connection whose time is over first.
    fn close_one(&mut self) {
        let first = |waiting: &VecDeque<Waiting>| waiting.front().map(|first| first.until);
        let waiting =
            self.servers.values_mut().filter(|waiting| !waiting.is_empty()).min_by_key(|waiting| first(waiting));
        if let Some(waiting) = waiting {
            waiting.pop_front();
            self.count -= 1;
        }
    }
}

impl Idle {
    /// A connection to the server that was used already, if one waits.
    pub(super) fn take(&self, server: &Server) -> Option<Upstream> {
        let mut kept = self.lock();
        let kept = &mut *kept;
        let (waiting, now) = (kept.servers.get_mut(&server.number())?, Instant::now());
        while let Some(mut last) = waiting.pop_back() {
            kept.count -= 1;
            if last.is_good(now) {
                return Some(last.upstream);
            }
        }
        None
    }

    /// Keeps a connection to the server `for_long`. Where there are too many, another is closed for it.
    pub(super) fn put(&self, server: &Server, upstream: Upstream, for_long: Duration) {
        let mut kept = self.lock();
        if kept.count >= IDLE_UPSTREAM_CONNECTIONS {
            kept.close_one();
        }
        kept.count += 1;
        let until = Instant::now() + for_long;
        kept.servers.entry(server.number()).or_default().push_back(Waiting { upstream, until });
    }

    /// Closes what has waited for too long or has ended, for ever.
    pub(in crate::edge) async fn sweep(&self) {
        let mut ticks = interval(SWEEP_INTERVAL);
        loop {
            self.close_ended(ticks.tick().await);
        }
    }

    fn close_ended(&self, now: Instant) {
        let mut kept = self.lock();
        kept.servers.retain(|_, waiting| {
            waiting.retain_mut(|waiting| waiting.is_good(now));
            !waiting.is_empty()
        });
        kept.count = kept.servers.values().map(VecDeque::len).sum();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing that could leave it half-written is done under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::{
        observe::metrics::Metrics,
        upstream::{Pool, ServerSettings, Settings},
    };

    const LONG: Duration = Duration::from_secs(60);

    /// More than a task may read before it lets others go on.
    const MANY: usize = 300;

    fn servers() -> Vec<std::sync::Arc<Server>> {
        let server = |port| ServerSettings {
            name: format!("127.0.0.1:{port}").into(),
            host: "127.0.0.1".into(),
            port,
            weight: 1,
        };
        let settings = Settings::new("crm", vec![server(1), server(2)]);
        Pool::new(settings, Metrics::new().unwrap().upstream("crm", &[])).unwrap().servers()
    }

    fn upstream() -> (Upstream, DuplexStream) {
        let (near, far) = duplex(64);
        (Upstream::new(Box::new(near)), far)
    }

    #[tokio::test]
    async fn what_has_ended_or_speaks_unasked_is_not_taken_however_much_there_is() {
        let (idle, servers) = (Idle::default(), servers());
        let (alive, _far) = upstream();
        idle.put(&servers[0], alive, LONG);
        let mut talkative = vec![];
        for _ in 0..MANY {
            let ((ended, _), (speaks, mut far)) = (upstream(), upstream());
            far.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            talkative.push(far);
            idle.put(&servers[0], ended, LONG);
            idle.put(&servers[0], speaks, LONG);
        }
        assert!(idle.take(&servers[1]).is_none(), "another server's");
        assert!(idle.take(&servers[0]).is_some(), "the one that lives");
        assert!(idle.take(&servers[0]).is_none());
        for _ in 0..MANY {
            idle.put(&servers[1], upstream().0, LONG);
        }
        idle.close_ended(Instant::now());
        let kept = idle.lock();
        assert_eq!((kept.count, kept.servers.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_waited_for_too_long_is_not_taken() {
        let (idle, servers) = (Idle::default(), servers());
        let (upstream, _far) = upstream();
        idle.put(&servers[0], upstream, LONG);
        tokio::time::advance(LONG).await;
        assert!(idle.take(&servers[0]).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_would_be_closed_makes_room() {
        let (idle, servers) = (Idle::default(), servers());
        let mut far = vec![];
        for at in 0..=IDLE_UPSTREAM_CONNECTIONS {
            let (upstream, end) = upstream();
            far.push(end);
            idle.put(&servers[usize::from(at > 0)], upstream, LONG);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(idle.lock().count, IDLE_UPSTREAM_CONNECTIONS);
        assert!(idle.take(&servers[0]).is_none() && idle.take(&servers[1]).is_some());
    }
}
