//! Password hashing off the proxy's threads: a pool of its own, bounded in threads and in waiting. Clients take turns:
//! see [`FairQueue`].

use std::{
    fmt, future, io,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::nice;
use thiserror::Error;
use tokio::sync::oneshot;

use super::{
    OpenCredentials,
    password::{self, Matched, PasswordError, PasswordHash},
};
use crate::{
    domain::{Clock, Secret},
    rules::limit::{ClientKey, FairQueue, Joined, Ticket},
};

/// How much less of a busy processor a thread that hashes gets than others (`nice(2)`): requests that are decided from
/// memory go first. Beside one busy thread it still gets a quarter.
const NICENESS: i32 = 5;

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
        let place = Place { shared: &self.shared, ticket: self.shared.submit(client, job)? };
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            () = left => {
                if place.leave() {
                    return Ok(None);
                }
                answer.await
            }
        };
        answered.unwrap_or(Err(HasherError::Failed)).map(Some)
    }
}

/// A job's place in the queue: a client that leaves takes it along.
struct Place<'h> {
    shared: &'h Shared,
    ticket: Ticket,
}

impl Place<'_> {
    /// Takes the job out of the queue. False where it is there no longer.
    fn leave(&self) -> bool {
        let abandoned = self.shared.lock().jobs.remove(&self.ticket);
        abandoned.is_some()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
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

type Job = Box<dyn FnOnce(JobOutcome<'_>) + Send>;

/// What becomes of a job.
enum JobOutcome<'s> {
    /// It is its turn.
    Run(&'s Shared),
    /// Another client has its place.
    Displaced,
}

struct Queue {
    jobs: FairQueue<Job>,
    /// Threads that wait for a job: what they are about to take does not count as waiting.
    idle: usize,
    open: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    clock: Arc<dyn Clock>,
    observer: Observer,
}

impl Shared {
    fn submit(&self, client: ClientKey, job: Job) -> Result<Ticket, HasherError> {
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
    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = self.clock.instant();
        let done = work();
        (self.observer)(self.clock.instant().saturating_duration_since(started));
        done
    }

    /// Holds a secret against an account's, and tells the observer too.
    fn checked(&self, verify: &dyn Fn() -> Option<Matched>) -> Checked {
        let started = self.clock.instant();
        let matched = verify();
        let took = self.clock.instant().saturating_duration_since(started);
        (self.observer)(took);
        Checked { matched, started, took }
    }

    fn work(&self) {
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

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No job runs under the lock, so that a poisoned queue is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets other threads of the process go before this one.
fn come_after_others() {
    // On Linux it is this thread's alone (setpriority(2)).
    if let Err(error) = nice(NICENESS) {
        tracing::warn!(%error, "hashes of passwords take processors from requests");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Weak,
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        task::Poll,
    };

    use rustix::process::getpriority_process;

    use super::*;
    use crate::{
        domain::{PrincipalId, SystemClock},
        state::account::Credentials,
    };

    const CLIENT: ClientKey = ClientKey::OPERATOR;

    /// A wrong guess by a client.
    async fn guess(hasher: &Hasher, client: ClientKey) -> Result<bool, HasherError> {
        let guessed =
            hasher.verify(client, "1234".into(), None, |verify| verify().matched.is_some(), future::pending());
        guessed.await.map(Option::unwrap)
    }

    fn client(last: u8) -> ClientKey {
        ClientKey::of([192, 0, 2, last].into())
    }

    fn hasher(queue_max: usize) -> Hasher {
        let settings = HasherSettings { threads: NonZeroUsize::MIN, queue_max };
        Hasher::start(settings, Arc::new(SystemClock), Arc::new(|_| {})).unwrap()
    }

    /// Keeps the only thread of `hasher` at work until the sender is dropped.
    fn occupy(hasher: &Arc<Hasher>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), HasherError>>) {
        let (hold, released) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        let working = Arc::clone(hasher);
        let task = tokio::spawn(async move {
            let work = move |_: &Shared| {
                started.send(()).unwrap();
                let _released = released.recv();
            };
            working.run(CLIENT, work).await
        });
        tokio::task::block_in_place(|| running.recv().unwrap());
        (hold, task)
    }

    #[tokio::test]
    async fn its_threads_come_after_others() {
        let niceness = || getpriority_process(None).unwrap();
        let own = niceness();
        let hashing = hasher(1).run(CLIENT, move |_| niceness()).await.unwrap();
        assert_eq!(hashing, (own + NICENESS).min(19));
        assert_eq!(niceness(), own);
    }

    #[tokio::test]
    async fn it_hashes_and_verifies() {
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        let observer: Observer = Arc::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let hasher = Hasher::start(HasherSettings::default(), Arc::new(SystemClock), observer).unwrap();
        let previous = hasher.hash(CLIENT, "1234".into(), None).await.unwrap();
        let current = hasher.hash(CLIENT, "12345".into(), Some(previous.clone())).await.unwrap();
        let opened = || {
            let open = |hash: &PasswordHash| hash.open(PrincipalId::generate(), None).unwrap();
            let (first, second) = (open(&current), open(&previous));
            Credentials { current: current.clone(), previous: Some(previous.clone()) }.opened(first, Some(second))
        };
        let verify = async |password: &str, credentials| {
            let verified =
                hasher.verify(CLIENT, password.into(), credentials, |verify| verify().matched, future::pending());
            verified.await.unwrap().unwrap()
        };
        assert_eq!(verify("12345", Some(opened())).await, Some(Matched::Current));
        assert_eq!(verify("1234", Some(opened())).await, Some(Matched::Previous));
        assert_eq!(verify("4321", Some(opened())).await, None);
        assert_eq!(verify("1234", None).await, None);
        let too_long = "x".repeat(password::PASSWORD_BYTES_MAX + 1);
        assert_eq!(verify(&too_long, Some(opened())).await, None, "not hashed at all");
        assert_eq!(hasher.hash(CLIENT, "".into(), None).await, Err(HasherError::Refused(PasswordError::Empty)));
        assert_eq!(seen.load(Ordering::Relaxed), 6);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_queue_answers_at_once() {
        let hasher = Arc::new(hasher(1));
        let (hold, occupied) = occupy(&hasher);
        let waiting = Arc::clone(&hasher);
        let mut waits = Box::pin(async move { guess(&waiting, CLIENT).await });
        assert!(futures_poll(&mut waits).is_pending());
        assert_eq!(hasher.queue_len(), 1);
        assert_eq!(guess(&hasher, CLIENT).await, Err(HasherError::Busy));
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
        let mut gone = Box::pin(hasher.run(CLIENT, move |_| count.fetch_add(1, Ordering::Relaxed)));
        assert!(futures_poll(&mut gone).is_pending());
        drop(gone);
        assert_eq!(hasher.queue_len(), 0, "its place is free at once");
        drop(hold);
        occupied.await.unwrap().unwrap();
        hasher.run(CLIENT, |_| ()).await.unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_that_has_begun_is_answered_although_its_client_has_left() {
        let hasher = Arc::new(hasher(8));
        let (hold, occupied) = occupy(&hasher);
        let mut queued = Box::pin(hasher.run_unless(future::ready(()), CLIENT, |_| 7));
        assert_eq!(futures_poll(&mut queued), Poll::Ready(Ok(None)), "it was not its turn");
        assert_eq!(hasher.queue_len(), 0);
        drop(hold);
        occupied.await.unwrap().unwrap();

        let (hold, released) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        let work = move |_: &Shared| {
            started.send(()).unwrap();
            let _released = released.recv();
            7
        };
        let (waits, gone) = oneshot::channel::<()>();
        let mut begun = Box::pin(hasher.run_unless(async { drop(gone.await) }, CLIENT, work));
        assert!(futures_poll(&mut begun).is_pending());
        tokio::task::block_in_place(|| running.recv().unwrap());
        drop(waits);
        assert!(futures_poll(&mut begun).is_pending(), "it is brought to its end");
        drop(hold);
        assert_eq!(begun.await, Ok(Some(7)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_floods_the_queue_waits_behind_everybody_else() {
        let hasher = Arc::new(hasher(8));
        let (hold, occupied) = occupy(&hasher);
        let order = Arc::new(Mutex::new(vec![]));
        let ask = |who: u8| {
            let (hasher, order) = (Arc::clone(&hasher), Arc::clone(&order));
            Box::pin(async move { hasher.run(client(who), move |_| order.lock().unwrap().push(who)).await })
        };
        let mut flood: Vec<_> = (0..8).map(|_| ask(1)).collect();
        assert!(flood.iter_mut().all(|asked| futures_poll(asked).is_pending()));
        assert_eq!(ask(1).await, Err(HasherError::Busy));
        let mut others = [ask(2), ask(3)];
        assert!(others.iter_mut().all(|asked| futures_poll(asked).is_pending()), "room is made for them");
        assert_eq!(flood.pop().unwrap().await, Err(HasherError::Busy));
        assert_eq!(flood.pop().unwrap().await, Err(HasherError::Busy));
        drop(hold);
        occupied.await.unwrap().unwrap();
        for asked in flood.into_iter().chain(others) {
            asked.await.unwrap();
        }
        assert_eq!(order.lock().unwrap()[..3], [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_panic_fails_one_job_only() {
        let hasher = hasher(8);
        assert_eq!(hasher.run(CLIENT, |_| panic!("one job's")).await, Err::<(), _>(HasherError::Failed));
        assert_eq!(hasher.run(CLIENT, |_| 7).await, Ok(7));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn dropping_it_ends_its_threads() {
        let hasher = hasher(8);
        let shared: Weak<Shared> = Arc::downgrade(&hasher.shared);
        hasher.run(CLIENT, |_| ()).await.unwrap();
        drop(hasher);
        while shared.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::Pin::new(future).poll(&mut context)
    }
}
