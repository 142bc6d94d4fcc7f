//! What waits for a thread that hashes, and what such a thread does.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use rustix::process::nice;

use super::{Checked, HasherError, Observer};
use crate::{
    domain::Clock,
    rules::limit::{ClientKey, FairQueue, Joined, Ticket},
    state::account::password::Matched,
};

/// How much less of a busy processor a thread that hashes gets than others (`nice(2)`): requests that are decided from
/// memory go first. Beside one busy thread it still gets a quarter.
pub(super) const NICENESS: i32 = 5;

/// Work for a thread, told what becomes of it.
pub(super) type Job = Box<dyn FnOnce(JobOutcome<'_>) + Send>;

/// What becomes of a job.
pub(super) enum JobOutcome<'s> {
    /// It is its turn.
    Run(&'s Shared),
    /// Another client has its place.
    Displaced,
}

/// What waits for a thread.
pub(super) struct Queue {
    pub(super) jobs: FairQueue<Job>,
    /// Threads that wait for a job: what they are about to take does not count as waiting.
    pub(super) idle: usize,
    pub(super) open: bool,
}

/// What the pool and its threads share.
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    pub(super) ready: Condvar,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Observer,
}

impl Shared {
    pub(super) fn submit(&self, client: ClientKey, job: Job) -> Result<Ticket, HasherError> {
        let mut queue = self.lock();
        let idle = queue.idle;
        let joined = queue.jobs.push(client, job, idle).map_err(|_| HasherError::Busy);
        drop(queue);
        let Joined { ticket, displaced } = joined?;
        self.ready.notify_one();
        if let Some(displaced) = displaced {
            displaced(JobOutcome::Displaced);
        }
        Ok(ticket)
    }

    /// Does the work, and tells the observer how long it took.
    pub(super) fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = self.clock.instant();
        let done = work();
        (self.observer)(self.clock.instant().saturating_duration_since(started));
        done
    }

    /// Holds a secret against an account's, and tells the observer too.
    pub(super) fn checked(&self, verify: &dyn Fn() -> Option<Matched>) -> Checked {
        let started = self.clock.instant();
        let matched = verify();
        let took = self.clock.instant().saturating_duration_since(started);
        (self.observer)(took);
        Checked { matched, started, took }
    }

    pub(super) fn work(&self) {
        while let Some(job) = self.next() {
            // A job that panics drops its reply, which its caller sees; the thread goes on.
            let _panicked = catch_unwind(AssertUnwindSafe(|| job(JobOutcome::Run(self))));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop() {
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

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        // No job runs under the lock, so that a poisoned queue is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's place in the queue: a client that leaves takes it along.
pub(super) struct QueuedJob<'h> {
    pub(super) shared: &'h Shared,
    pub(super) ticket: Ticket,
}

impl QueuedJob<'_> {
    /// Takes the job out of the queue. False where it is there no longer.
    pub(super) fn leave(&self) -> bool {
        let abandoned = self.shared.lock().jobs.remove(&self.ticket);
        abandoned.is_some()
    }
}

impl Drop for QueuedJob<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Lets other threads of the process go before this one.
pub(super) fn come_after_others() {
    // On Linux it is this thread's alone (setpriority(2)).
    if let Err(error) = nice(NICENESS) {
        tracing::warn!(%error, "hashes of passwords take processors from requests");
    }
}
