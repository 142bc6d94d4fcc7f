//! Password hashing off the proxy's threads: a pool of its own, bounded in threads and in waiting. Clients take turns:
//! see [`FairQueue`].

mod queue;
#[cfg(test)]
mod tests;

use std::{
    fmt, future, io,
    num::NonZeroUsize,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::oneshot;

use self::queue::{Job, JobOutcome, Queue, QueuedJob, Shared, come_after_others};
use super::{
    OpenCredentials,
    password::{self, Matched, PasswordError, PasswordHash},
};
use crate::{
    domain::{Clock, Secret},
    rules::limit::{ClientKey, FairQueue},
};

/// Work that waits for a thread, at most, unless the settings say otherwise.
const QUEUE_MAX: usize = 256;

/// The size of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HasherSettings {
    /// Threads that hash, each with 19 MiB while it does, and up to 128 MiB for a hash of another system. Default: half
    /// the cores, at least one.
    pub threads: NonZeroUsize,
    /// Hashes that may wait for a thread; beyond them the caller is told at once. Default: 256.
    pub queue_max: usize,
}

impl Default for HasherSettings {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { threads: NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN), queue_max: QUEUE_MAX }
    }
}

/// What came of holding a secret against an account's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Which of them it is.
    pub matched: Option<Matched>,
    /// When its turn had come.
    pub started: Instant,
    /// How long it took from then on.
    pub took: Duration,
}

/// Told how long each hash took, without the time that it waited for a thread.
pub type Observer = Arc<dyn Fn(Duration) + Send + Sync>;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HasherError {
    /// The queue is full, or the client has its share of it: try again later.
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
    pub fn start(settings: HasherSettings, clock: Arc<dyn Clock>, observer: Observer) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { jobs: FairQueue::new(settings.queue_max), idle: 0, open: true }),
            ready: Condvar::new(),
            clock,
            observer,
        });
        let hasher = Self { shared };
        for number in 0..settings.threads.get() {
            let shared = Arc::clone(&hasher.shared);
            thread::Builder::new().name(format!("hasher-{number}")).spawn(move || {
                come_after_others();
                shared.work();
            })?;
        }
        Ok(hasher)
    }

    /// Which of an account's secrets `password` is, as soon as it is the turn of `client`. For an unknown account pass
    /// `None`: it matches none of them, after the time that an account with today's hash takes.
    ///
    /// `attempt` is called then, on the thread that hashes. It is given what hashes, and may leave that alone. `None`
    /// when `left` ended before that: then the work was taken out of the queue. What has begun is brought to its end,
    /// and answered, whether or not anybody waits: a secret that was looked at has its line in the audit log. Dropping
    /// the future takes the work out of the queue too.
    ///
    /// # Errors
    /// [`HasherError::Busy`] when there is no place in the queue, or another client took it.
    pub async fn verify<T: Send + 'static>(
        &self,
        client: ClientKey,
        password: Secret,
        credentials: Option<OpenCredentials>,
        attempt: impl FnOnce(&dyn Fn() -> Checked) -> T + Send + 'static,
        left: impl Future<Output = ()>,
    ) -> Result<Option<T>, HasherError> {
        if password::check(&password).is_err() {
            let started = self.shared.clock.instant();
            return Ok(Some(attempt(&|| Checked { matched: None, started, took: Duration::ZERO })));
        }
        let verify = move || {
            let Some(credentials) = &credentials else {
                return password::verify(&password, None).then_some(Matched::Current);
            };
            credentials.verify(&password)
        };
        self.run_unless(left, client, move |shared| attempt(&|| shared.checked(&verify))).await
    }

    /// Hashes a new password, as soon as it is the turn of `client`. `beside` is the hash of the secret that is taken
    /// too, where there is one ([`password::hash_beside`]).
    ///
    /// # Errors
    /// [`HasherError::Busy`] when too many passwords wait, [`HasherError::Refused`] when this one cannot be set,
    /// [`HasherError::Failed`] when the hash panicked or the pool has ended.
    pub async fn hash(
        &self,
        client: ClientKey,
        password: Secret,
        beside: Option<PasswordHash>,
    ) -> Result<PasswordHash, HasherError> {
        password::check(&password)?;
        let hash = move || match &beside {
            Some(beside) => password::hash_beside(&password, beside),
            None => password::hash(&password),
        };
        Ok(self.run(client, move |shared| shared.timed(hash)).await??)
    }

    /// Does work that takes as long as a hash, as soon as it is the turn of `client`.
    ///
    /// # Errors
    /// [`HasherError::Busy`] when too many passwords wait, [`HasherError::Failed`] when the work panicked or the pool
    /// has ended.
    pub async fn work<T: Send + 'static>(
        &self,
        client: ClientKey,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HasherError> {
        self.run(client, move |shared| shared.timed(work)).await
    }

    /// Hashes that wait for a thread now.
    #[must_use]
    pub fn queue_len(&self) -> usize {
        self.shared.lock().jobs.len()
    }

    async fn run<T: Send + 'static>(
        &self,
        client: ClientKey,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Result<T, HasherError> {
        self.run_unless(future::pending(), client, work).await?.ok_or(HasherError::Failed)
    }

    /// Does the work, unless `left` ends before its turn comes.
    async fn run_unless<T: Send + 'static>(
        &self,
        left: impl Future<Output = ()>,
        client: ClientKey,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Result<Option<T>, HasherError> {
        let (reply, mut answer) = oneshot::channel();
        let job: Job = Box::new(move |fate| match fate {
            // The caller may have left since this job was taken out of the queue.
            JobOutcome::Run(shared) if !reply.is_closed() => drop(reply.send(Ok(work(shared)))),
            JobOutcome::Run(_) => {}
            JobOutcome::Displaced => drop(reply.send(Err(HasherError::Busy))),
        });
        let queued = QueuedJob { shared: &self.shared, ticket: self.shared.submit(client, job)? };
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            () = left => {
                if queued.leave() {
                    return Ok(None);
                }
                answer.await
            }
        };
        answered.unwrap_or(Err(HasherError::Failed)).map(Some)
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.open = false;
        // Outside the lock: a job's end wakes the task that waits for it.
        let abandoned = queue.jobs.drain();
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
