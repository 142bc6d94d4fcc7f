//! The way to a gateway's own chain. A request only puts its event into a queue; a thread of its own writes.
//!
//! The queue has a bound. What finds no room in it, or cannot be written because the disk is full, is counted and is a
//! gap in the numbers of events; with `audit.required` the request is refused instead.

use std::{
    io,
    path::{PathBuf, absolute},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use super::{
    chain::{ChainKey, Mac},
    event::{Account, Event, Sought},
    file::Rotation,
    queue::{Job, Point, Shared},
    writer::Writer,
};
use crate::{
    domain::{AccountName, Clock, RealmName},
    observe::metrics::AuditMetrics,
};

/// Events that wait to be written.
const QUEUE_MAX: usize = 16_384;

/// How long a request waits for its line where it must have one.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// `[audit]`: a gateway's own chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// The file; without one there is no chain of logins.
    pub file: Option<PathBuf>,
    /// Whether a login without its line is refused.
    pub required: bool,
    /// When the file makes way for another.
    pub rotation: Rotation,
}

/// The audit log of this gateway's token endpoints. Cloning it is cheap.
#[derive(Clone, Debug, Default)]
pub struct AuditLog(Option<Arc<Running>>);

#[derive(Debug)]
struct Running {
    jobs: Sender<Job>,
    places: Arc<Semaphore>,
    shared: Arc<Shared>,
    required: bool,
    key: Arc<ChainKey>,
    names: bool,
    file: String,
    gateway: String,
}

/// A login cannot have its line, and must have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritable;

/// Room for an event.
#[derive(Debug)]
pub struct Room {
    running: Option<(Arc<Running>, Option<OwnedSemaphorePermit>)>,
}

/// What a chain is begun with.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// The key of its codes.
    pub key: Arc<ChainKey>,
    /// The gateway's name: the host's.
    pub gateway: String,
    /// Whether names that no account has get a code (`log.names`).
    pub names: bool,
}

impl AuditLog {
    /// Begins a chain in the file, and starts the thread that writes. Without a file there is no chain.
    ///
    /// # Errors
    /// Fails when the file cannot be opened or written, or when the system gives no thread.
    pub fn start(
        settings: &AuditSettings,
        beginning: Beginning,
        clock: Arc<dyn Clock>,
        metrics: AuditMetrics,
    ) -> io::Result<Self> {
        let Some(path) = &settings.file else { return Ok(Self::default()) };
        // It stands in the store, for those who look from elsewhere.
        let path = &absolute(path)?;
        let shared = Arc::new(Shared {
            dropped: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            rotated: Notify::new(),
            metrics,
        });
        let Beginning { key, gateway, names } = beginning;
        let (jobs, taken): (_, Receiver<Job>) = channel();
        let mut writer = Writer::open(path, settings.rotation, Arc::clone(&key), clock, Arc::clone(&shared))?;
        writer.begin(&gateway)?;
        thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&taken))?;
        Ok(Self(Some(Arc::new(Running {
            jobs,
            places: Arc::new(Semaphore::new(QUEUE_MAX)),
            shared,
            required: settings.required,
            key,
            names,
            file: path.display().to_string(),
            gateway,
        }))))
    }

    /// Takes room for the event of a request that begins.
    ///
    /// # Errors
    /// [`Unwritable`] where it must have its line, and none can be written now.
    pub fn admit(&self) -> Result<Room, Unwritable> {
        let room = self.room();
        match &room.running {
            Some((running, permit))
                if running.required && (permit.is_none() || running.shared.failing.load(Ordering::Acquire)) =>
            {
                Err(Unwritable)
            }
            _ => Ok(room),
        }
    }

    /// Takes room for the event of something that is done already. What finds none is counted as lost.
    #[must_use]
    pub fn room(&self) -> Room {
        let running = self.0.as_ref();
        let place = |running: &Arc<Running>| Arc::clone(&running.places).try_acquire_owned().ok();
        Room { running: running.map(|running| (Arc::clone(running), place(running))) }
    }

    /// Whose account it is, as the log has it. `typed` is the name, which counts where no account has it.
    #[must_use]
    pub fn account(&self, sought: Sought, realm: &RealmName, typed: Option<&AccountName>) -> Account {
        match (sought, &self.0) {
            (Sought::NotYet, _) => Account::NotLookedUp,
            (Sought::Found(id), _) => Account::Known(id),
            (Sought::None, Some(running)) if running.names => {
                Account::Unknown(typed.map(|name| running.key.name_code(realm, name)))
            }
            (Sought::None, _) => Account::Unknown(None),
        }
    }

    /// Whether there is a chain.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The key of its codes, the gateway's name, and where its file is.
    #[must_use]
    pub fn identity(&self) -> Option<(Arc<ChainKey>, String, String)> {
        let running = self.0.as_ref()?;
        Some((Arc::clone(&running.key), running.gateway.clone(), running.file.clone()))
    }

    /// Opens the file anew: somebody moved it.
    pub fn reopen(&self) {
        self.tell(Job::Reopen);
    }

    /// Puts everything that waits on the disk, and says how far that is. `None` where there is no chain, or it cannot
    /// be written.
    pub async fn point(&self) -> Option<Point> {
        self.ask(Job::Point).await
    }

    /// Notes that the store has how far the chain had come, and the last row of the store's own chain then.
    pub fn anchored(&self, line: i64, store: Option<(i64, Mac)>) {
        self.tell(Job::Anchored(line, store));
    }

    /// Ends the chain, and says how far it has come.
    pub async fn end(&self) -> Option<Point> {
        self.ask(Job::End).await
    }

    /// Waits until another file was begun; for ever where there is no chain.
    pub async fn rotated(&self) {
        match &self.0 {
            Some(running) => running.shared.rotated.notified().await,
            None => std::future::pending().await,
        }
    }

    async fn ask(&self, job: impl FnOnce(oneshot::Sender<Point>) -> Job) -> Option<Point> {
        let (sender, answer) = oneshot::channel();
        self.tell(job(sender));
        answer.await.ok()
    }

    fn tell(&self, job: Job) {
        if let Some(running) = &self.0 {
            // The thread has ended only where the gateway ends.
            let _ = running.jobs.send(job);
        }
    }
}

impl Room {
    /// Puts the event into the queue. Where it must have its line, waits until that is written; false where it is not.
    pub async fn write(self, event: Event) -> bool {
        let Some((running, permit)) = self.running else { return true };
        let Some(permit) = permit else {
            running.shared.dropped.fetch_add(1, Ordering::Relaxed);
            running.shared.metrics.lost.inc();
            return true;
        };
        if !running.required {
            let _ = running.jobs.send(Job::Write(Box::new(event), permit, None));
            return true;
        }
        let (sender, written) = oneshot::channel();
        let _ = running.jobs.send(Job::Write(Box::new(event), permit, Some(sender)));
        matches!(timeout(WRITTEN_WITHIN, written).await, Ok(Ok(())))
    }
}
