//! The threads that serve. Each has a runtime, a reactor and upstream connections of its own: a request that is
//! forwarded is read, sent and answered on one thread, and wakes nobody on another core. Shared are what is decided by,
//! limits, metrics and the log's buffer.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use crate::edge::forward::{services::Shared, worker::WorkerContext};

/// Every thread that serves; they end when this is dropped, with what they still serve.
pub struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    context: Arc<WorkerContext>,
    connections: Arc<AtomicUsize>,
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

    /// Gives a connection to the worker that has the fewest.
    pub(super) fn give<F>(&self, serve: impl FnOnce(Arc<WorkerContext>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let running = self.0.iter().filter(|worker| !worker.stop.is_closed());
        let Some(worker) = running.min_by_key(|worker| worker.connections.load(Ordering::Relaxed)) else {
            tracing::error!("every thread that serves has ended");
            return;
        };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let served = Served(Arc::clone(&worker.connections));
        let serving = serve(Arc::clone(&worker.context));
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
        Ok(Self { runtime: handle, context, connections: Arc::default(), stop })
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
