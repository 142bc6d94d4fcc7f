//! The threads that serve. Each has a runtime, a reactor and upstream connections of its own: a request that is
//! forwarded is read, sent and answered on one thread, and wakes nobody on another core. Shared are what is decided by,
//! limits, metrics and the log's buffer.
//!
//! Connections are accepted by the same threads, one at a time for each listener. A connection stays where it was
//! accepted, and wakes nobody either.

use std::{
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    time::timeout,
};

use crate::edge::forward::context::{services::Shared, worker::WorkerContext};

/// A worker accepts while it has no more than this part of its connections more than another worker.
const SURPLUS_PART: usize = 8;

/// Every thread that serves; they end when this is dropped, with what they still serve.
pub struct Workers(Vec<Worker>);

/// A worker, for work that runs there.
#[derive(Clone)]
pub(super) struct Here {
    /// The workers may end before the work.
    workers: Weak<Workers>,
    at: usize,
}

struct Worker {
    runtime: Handle,
    context: Arc<WorkerContext>,
    connections: Arc<AtomicUsize>,
    /// Whether it took up no work when it was asked last.
    hangs: Arc<AtomicBool>,
    /// The thread ends when this is dropped, and this is closed when the thread has ended.
    stop: oneshot::Sender<()>,
}

/// A connection of a worker while this lives.
struct Served(Arc<AtomicUsize>);

impl Workers {
    /// Starts `threads` of them.
    ///
    /// # Errors
    /// When the system has no thread or no reactor left.
    pub fn start(threads: usize, shared: &Arc<Shared>) -> io::Result<Self> {
        (0..threads).map(|at| Worker::start(at, shared)).collect::<io::Result<_>>().map(Self)
    }

    /// Runs `work` on the worker that has the fewest connections; `None` where every worker has ended. Of several, the
    /// next one `after` another is taken, and that one only where there is no other that takes up work.
    pub(super) fn run<F>(self: &Arc<Self>, after: usize, work: impl FnOnce(Here) -> F) -> Option<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let count = self.0.len();
        let running = self.0.iter().enumerate().filter(|(_, worker)| worker.runs());
        let distance = |at: usize| (at + count - after % count - 1) % count;
        let (at, worker) =
            running.min_by_key(|(at, worker)| (worker.hangs(), *at == after, worker.connections(), distance(*at)))?;
        worker.runtime.spawn(work(Here { workers: Arc::downgrade(self), at }));
        Some(())
    }

    /// Whether every worker has ended.
    pub(super) fn have_ended(&self) -> bool {
        !self.0.iter().any(Worker::runs)
    }

    /// Whether a worker takes up new work within `patience`. One that does not gets no turn until it does.
    pub(super) async fn answers(&self, at: usize, patience: Duration) -> bool {
        let Some(worker) = self.0.get(at) else { return false };
        if timeout(patience, worker.runtime.spawn(async {})).await.is_ok_and(|answered| answered.is_ok()) {
            return true;
        }
        worker.hangs.store(true, Ordering::Relaxed);
        let hangs = Arc::clone(&worker.hangs);
        worker.runtime.spawn(async move { hangs.store(false, Ordering::Relaxed) });
        false
    }
}

impl Here {
    /// Which of the workers it is.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// All of them, unless they have ended.
    pub(super) fn workers(&self) -> Option<Arc<Workers>> {
        self.workers.upgrade()
    }

    /// Whether this worker has clearly more connections than another that takes up work.
    pub(super) fn has_surplus(&self) -> bool {
        let Some(workers) = self.workers.upgrade() else { return false };
        let connections = |worker: &Worker| worker.connections();
        let own = workers.0.get(self.at).map(connections).unwrap_or_default();
        let others = workers.0.iter().filter(|worker| worker.runs() && !worker.hangs());
        let fewest = others.map(connections).min();
        fewest.is_some_and(|fewest| own > fewest + own / SURPLUS_PART)
    }

    /// Serves a connection on this worker.
    pub(super) fn give<F>(&self, serve: impl FnOnce(Arc<WorkerContext>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(workers) = self.workers.upgrade() else { return };
        let Some(worker) = workers.0.get(self.at) else { return };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let served = Served(Arc::clone(&worker.connections));
        // Boxed, because the runtime moves a task's future four times until it has ended.
        let serving = Box::pin(serve(Arc::clone(&worker.context)));
        worker.runtime.spawn(async move {
            serving.await;
            drop(served);
        });
    }
}

impl Worker {
    fn start(at: usize, shared: &Arc<Shared>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name(format!("proxy-{at}")).spawn(move || {
            // An error is what is waited for: nobody sends.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        let context = Arc::new(WorkerContext::new(shared));
        let swept = Arc::clone(&context);
        handle.spawn(async move { swept.connections.sweep().await });
        Ok(Self { runtime: handle, context, connections: Arc::default(), hangs: Arc::default(), stop })
    }

    fn runs(&self) -> bool {
        !self.stop.is_closed()
    }

    fn hangs(&self) -> bool {
        self.hangs.load(Ordering::Relaxed)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workers({})", self.0.len())
    }
}
