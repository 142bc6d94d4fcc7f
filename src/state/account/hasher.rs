//! Password hashing off the proxy's threads: a pool of its own, bounded in threads and in waiting.

use std::{
    collections::VecDeque,
    fmt, io,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use thiserror::Error;
use tokio::sync::oneshot;

use super::password::{self, PasswordError, PasswordHash};
use crate::domain::{Clock, Secret};

/// Work that waits for a thread, at most, unless the settings say otherwise.
const QUEUE_MAX: usize = 256;

/// The size of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Threads that hash, each with 19 MiB while it does. Default: half the cores, at least one.
    pub threads: NonZeroUsize,
    /// Hashes that may wait for a thread; beyond them the caller is told at once. Default: 256.
    pub queue_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { threads: NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN), queue_max: QUEUE_MAX }
    }
}

/// Told how long each hash took, without the time that it waited for a thread.
pub type Observer = Arc<dyn Fn(Duration) + Send + Sync>;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HasherError {
    /// The queue is full: try again later.
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    /// The hash panicked, or the pool ended.
    #[error("the password could not be hashed")]
    Failed,
    /// The password cannot be set.
    #[error(transparent)]
    Refused(#[from] PasswordError),
}

/// The pool. Dropping it ends its threads, and all who wait get [`HasherError::Failed`].
pub struct Hasher {
    shared: Arc<Shared>,
}

impl Hasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(settings: Settings, clock: Arc<dyn Clock>, observer: Observer) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { jobs: VecDeque::with_capacity(settings.queue_max), idle: 0, open: true }),
            ready: Condvar::new(),
            queue_max: settings.queue_max,
            clock,
            observer,
        });
        let hasher = Self { shared };
        for number in 0..settings.threads.get() {
            let shared = Arc::clone(&hasher.shared);
            thread::Builder::new().name(format!("hasher-{number}")).spawn(move || shared.work())?;
        }
        Ok(hasher)
    }

    /// Whether `password` is the one of `hash`. For an unknown account pass `None`: the answer is
    /// false after the same time.
    pub async fn verify(&self, password: Secret, hash: Option<PasswordHash>) -> Result<bool, HasherError> {
        if password::check(&password).is_err() {
            return Ok(false);
        }
        self.run(move || password::verify(&password, hash.as_ref())).await
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash, HasherError> {
        password::check(&password)?;
        Ok(self.run(move || password::hash(&password)).await??)
    }

    /// Hashes that wait for a thread now.
    #[must_use]
    pub fn queue_len(&self) -> usize {
        self.shared.lock().jobs.len()
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, HasherError> {
        let (reply, answer) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        self.shared.submit(Box::new(move || {
            // Whoever asked may have gone: a client that hung up costs no hash.
            if !reply.is_closed() {
                let started = shared.clock.instant();
                let result = work();
                (shared.observer)(shared.clock.instant().saturating_duration_since(started));
                let _gone = reply.send(result);
            }
        }))?;
        answer.await.map_err(|_| HasherError::Failed)
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.open = false;
        // Outside the lock: a job's end wakes the task that waits for it.
        let abandoned = std::mem::take(&mut queue.jobs);
        drop(queue);
        drop(abandoned);
        self.shared.ready.notify_all();
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("queue_len", &self.queue_len()).finish_non_exhaustive()
    }
}

type Job = Box<dyn FnOnce() + Send>;

struct Queue {
    jobs: VecDeque<Job>,
    /// Threads that wait for a job: what they are about to take does not count as waiting.
    idle: usize,
    open: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    queue_max: usize,
    clock: Arc<dyn Clock>,
    observer: Observer,
}

impl Shared {
    fn submit(&self, job: Job) -> Result<(), HasherError> {
        let mut queue = self.lock();
        if queue.jobs.len() >= self.queue_max + queue.idle {
            return Err(HasherError::Busy);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // A job that panics drops its reply, which its caller sees; the thread goes on.
            let _panicked = catch_unwind(AssertUnwindSafe(job));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if !queue.open {
                return None;
            }
            queue.idle += 1;
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No job runs under the lock, so that a poisoned queue is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Weak,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use super::*;
    use crate::domain::SystemClock;

    fn hasher(queue_max: usize) -> Hasher {
        let settings = Settings { threads: NonZeroUsize::MIN, queue_max };
        Hasher::start(settings, Arc::new(SystemClock), Arc::new(|_| {})).unwrap()
    }

    /// Keeps the only thread of `hasher` at work until the sender is dropped.
    fn occupy(hasher: &Arc<Hasher>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), HasherError>>) {
        let (hold, released) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        let working = Arc::clone(hasher);
        let task = tokio::spawn(async move {
            let work = move || {
                started.send(()).unwrap();
                let _released = released.recv();
            };
            working.run(work).await
        });
        tokio::task::block_in_place(|| running.recv().unwrap());
        (hold, task)
    }

    #[tokio::test]
    async fn it_hashes_and_verifies() {
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        let observer: Observer = Arc::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let hasher = Hasher::start(Settings::default(), Arc::new(SystemClock), observer).unwrap();
        let hash = hasher.hash("1234".into()).await.unwrap();
        assert!(hasher.verify("1234".into(), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify("4321".into(), Some(hash)).await.unwrap());
        assert!(!hasher.verify("1234".into(), None).await.unwrap());
        assert_eq!(hasher.hash("".into()).await, Err(HasherError::Refused(PasswordError::Empty)));
        assert_eq!(seen.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_queue_answers_at_once() {
        let hasher = Arc::new(hasher(1));
        let (hold, occupied) = occupy(&hasher);
        let waiting = Arc::clone(&hasher);
        let mut waits = Box::pin(async move { waiting.verify("1234".into(), None).await });
        assert!(futures_poll(&mut waits).is_pending());
        assert_eq!(hasher.queue_len(), 1);
        assert_eq!(hasher.verify("1234".into(), None).await, Err(HasherError::Busy));
        drop(hold);
        occupied.await.unwrap().unwrap();
        assert_eq!(waits.await, Ok(false));
        assert_eq!(hasher.queue_len(), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_hashed_for_who_has_gone() {
        let hasher = Arc::new(hasher(8));
        let (hold, occupied) = occupy(&hasher);
        let ran = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ran);
        let mut gone = Box::pin(hasher.run(move || count.fetch_add(1, Ordering::Relaxed)));
        assert!(futures_poll(&mut gone).is_pending());
        drop(gone);
        drop(hold);
        occupied.await.unwrap().unwrap();
        hasher.run(|| ()).await.unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_panic_fails_one_job_only() {
        let hasher = hasher(8);
        assert_eq!(hasher.run(|| panic!("one job's")).await, Err::<(), _>(HasherError::Failed));
        assert_eq!(hasher.run(|| 7).await, Ok(7));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn dropping_it_ends_its_threads() {
        let hasher = hasher(8);
        let shared: Weak<Shared> = Arc::downgrade(&hasher.shared);
        hasher.run(|| ()).await.unwrap();
        drop(hasher);
        while shared.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::Pin::new(future).poll(&mut context)
    }
}
