//! The task that runs an issuer's machine: it fetches, tells the sink, and answers those who wait for a key.

use std::{path::Path, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::MissedTickBehavior,
};

use super::{
    fetch::{FetchError, FetchResponse, Fetcher, FetcherError},
    machine::{Event, Fetched, Machine, Set, State},
    settings::{IssuerSettings, Jwks},
    shared::Shared,
    snapshot::{Snapshot, SnapshotFile},
};
use crate::{
    domain::{Algorithm, Clock, RealmName},
    observe::metrics::{IssuerMetrics, Metrics},
    state::{
        clock::TrustedClock,
        keys::{
            ValidUntil,
            jwk::{self, PublicJwk, Skipped},
        },
    },
};

/// How often the civil clock is looked at: it may step, and a machine that slept has no timer that knows.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Requests on their way to the task, at most; one more goes on without its key.
const ASKS_MAX: usize = 1024;

/// Requests that wait for the fetch under way, at most; one more goes on without its key.
const WAITING_MAX: usize = 16 * 1024;

/// The keys of an external issuer, kept up to date by a task of their own. Dropping it ends the task.
#[derive(Debug)]
pub struct IssuerKeys {
    shared: Arc<Shared>,
    asks: mpsc::Sender<oneshot::Sender<()>>,
    clock: Arc<dyn Clock>,
    wait_max: Duration,
    task: JoinHandle<()>,
}

impl IssuerKeys {
    /// Starts to keep the keys of `issuer`, which are published at `jwks`; snapshots lie in `folder`.
    /// Call it within the runtime that is to do the work.
    ///
    /// `sink` is told every set that comes into force, with what says until when it is believed, in place of all
    /// before; the empty one when there is none any more, and when the task ends, however it ends. A good snapshot is
    /// told before this returns. It must be quick and must not panic; when the config changes, each instance has to
    /// have a sink of its own, since the old one's last word comes after the new one's first.
    ///
    /// # Errors
    /// When the certificates to trust cannot be read. An issuer that is out of reach is no failure: it is tried again.
    pub fn start(
        issuer: &IssuerSettings,
        jwks: &Jwks,
        folder: &Path,
        trusted: TrustedClock,
        metrics: &Metrics,
        sink: impl Fn(&[PublicJwk], &ValidUntil) + Send + 'static,
    ) -> Result<Self, FetcherError> {
        let clock = Arc::clone(trusted.clock());
        let shared = Arc::new(Shared::default());
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let mut refresher = Refresher {
            issuer: issuer.name.clone(),
            algorithms: issuer.algorithms.clone(),
            machine: Machine::new(jwks.clone(), clock.now()),
            fetcher: Arc::new(Fetcher::new(jwks, &issuer.issuer)?),
            file: SnapshotFile::new(folder, issuer, jwks),
            clock: Arc::clone(&clock),
            trusted,
            metrics: metrics.issuer(issuer.name.as_str(), &FetchError::OUTCOMES),
            shared: Arc::clone(&shared),
            sink: Box::new(sink),
            flight: None,
            held: None,
            waiting: vec![],
            skipped: vec![],
            writing: None,
            unwritten: false,
        };
        refresher.restore();
        let task = tokio::spawn(refresher.run(asked));
        Ok(Self { shared, asks, clock, wait_max: jwks.timeout, task })
    }

    /// Whether the certificates to trust can be read.
    ///
    /// # Errors
    /// The same as [`IssuerKeys::start`]'s.
    pub fn check(jwks: &Jwks) -> Result<(), FetcherError> {
        Fetcher::new(jwks, "").map(drop)
    }

    /// A token names the key `id`, which is not there: waits for a fetch that may bring it. It joins the one under
    /// way, or begins one if the last that was asked for is a cool-down ago; else it returns at once, as it does when
    /// the key came meanwhile. The wait is bounded by `timeout`. Whether the key is there now must be looked up again.
    pub async fn ask(&self, id: &str) {
        let known = |key: &PublicJwk| key.id.as_ref().is_some_and(|known| known.as_str() == id);
        if !self.shared.may_ask(self.clock.now()) || self.shared.keys.load().iter().any(known) {
            return;
        }
        let (answer, answered) = oneshot::channel();
        if self.asks.try_send(answer).is_ok() {
            // However it ends, the caller looks again.
            let _ = tokio::time::timeout(self.wait_max, answered).await;
        }
    }

    /// What the sink is told of, too.
    #[cfg(test)]
    pub(super) fn valid_until(&self) -> ValidUntil {
        self.shared.valid_until.clone()
    }
}

impl Drop for IssuerKeys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The set in force as it came.
struct Held {
    body: Bytes,
    etag: Option<HeaderValue>,
    storable: bool,
}

/// Is told what is in force.
type Sink = Box<dyn Fn(&[PublicJwk], &ValidUntil) + Send>;

/// A fetch under way.
type Flight = Pin<Box<dyn Future<Output = Result<FetchResponse, FetchError>> + Send>>;

/// The task.
struct Refresher {
    issuer: RealmName,
    algorithms: Vec<Algorithm>,
    machine: Machine,
    fetcher: Arc<Fetcher>,
    file: SnapshotFile,
    clock: Arc<dyn Clock>,
    trusted: TrustedClock,
    metrics: IssuerMetrics,
    shared: Arc<Shared>,
    sink: Sink,
    /// The one fetch under way.
    flight: Option<Flight>,
    held: Option<Held>,
    waiting: Vec<oneshot::Sender<()>>,
    /// What was left out of the last set: it is said when it changes.
    skipped: Vec<Skipped>,
    writing: Option<JoinHandle<()>>,
    /// Whether the set changed while the one before it was being written.
    unwritten: bool,
}

impl Refresher {
    async fn run(mut self, mut asks: mpsc::Receiver<oneshot::Sender<()>>) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(response) = landing(&mut self.flight) => {
                    self.flight = None;
                    self.landed(response);
                }
                Some(ask) = asks.recv() => {
                    if self.waiting.len() < WAITING_MAX {
                        self.waiting.push(ask);
                    }
                    self.step(Event::UnknownKey);
                }
                _ = looks.tick() => {
                    self.step(Event::Tick);
                    if self.unwritten {
                        self.persist();
                    }
                }
            }
        }
    }

    /// Begins with the snapshot, if there is a good one.
    fn restore(&mut self) {
        let issuer = &self.issuer;
        let snapshot = self.file.read().unwrap_or_else(|error| {
            tracing::warn!(%issuer, %error, "the snapshot of the issuer's keys is ignored");
            None
        });
        let Some(Snapshot { set: body, etag, confirmed_at }) = snapshot else { return self.step(Event::Tick) };
        match self.read(&body) {
            Ok(keys) => {
                self.held = Some(Held { body, etag, storable: true });
                self.step(Event::Restored(Set { keys: Arc::new(keys), confirmed_at }));
                if self.machine.set().is_none() {
                    self.held = None;
                    let issuer = &self.issuer;
                    tracing::warn!(%issuer, "the snapshot of the issuer's keys is older than max_stale, or from the future");
                }
            }
            Err(error) => {
                tracing::warn!(issuer = %self.issuer, %error, "the snapshot of the issuer's keys is ignored");
                self.step(Event::Tick);
            }
        }
    }

    fn landed(&mut self, response: Result<FetchResponse, FetchError>) {
        let failed_before = self.machine.failures() > 0;
        let issuer = self.issuer.clone();
        match response.and_then(|response| self.open(response)) {
            Ok(fetched) => {
                let unchanged = matches!(fetched, Fetched::Unchanged { .. });
                self.metrics.refreshed(if unchanged { "unchanged" } else { "success" });
                self.step(Event::Fetched(fetched));
                if failed_before {
                    tracing::info!(%issuer, "the issuer's keys are refreshed again");
                }
                self.persist();
            }
            Err(error) => {
                self.metrics.refreshed(error.outcome());
                if !failed_before {
                    tracing::warn!(
                        %issuer,
                        outcome = error.outcome(),
                        %error,
                        "the issuer's keys could not be refreshed; the old ones stand until max_stale"
                    );
                }
                self.step(Event::Fetched(Fetched::Failed));
            }
        }
    }

    /// Looks into an answer. What it holds is of use when this succeeds.
    fn open(&mut self, response: FetchResponse) -> Result<Fetched, FetchError> {
        match response {
            FetchResponse::Set { body, etag, freshness } => {
                let keys = Arc::new(self.read(&body)?);
                self.held = Some(Held { body, etag, storable: freshness.storable });
                Ok(Fetched::Set { keys, lifetime: freshness.lifetime })
            }
            FetchResponse::Unchanged { freshness } => {
                // What was to be confirmed may have become too old meanwhile.
                let held = self.held.as_mut().ok_or(FetchError::Status(StatusCode::NOT_MODIFIED))?;
                held.storable = freshness.storable;
                Ok(Fetched::Unchanged { lifetime: freshness.lifetime })
            }
        }
    }

    fn read(&mut self, body: &[u8]) -> Result<Vec<PublicJwk>, FetchError> {
        let set = jwk::parse_set(body, &self.algorithms)?;
        if set.skipped != self.skipped {
            for why in &set.skipped {
                tracing::warn!(issuer = %self.issuer, %why, "a key of the issuer's set is left out");
            }
            self.skipped = set.skipped;
        }
        Ok(set.keys)
    }

    /// Tells the machine, and does what it says.
    fn step(&mut self, event: Event) {
        let now = self.clock.now();
        let was_open = self.machine.set().is_some();
        let effects = self.machine.step(event, now);
        let set = self.machine.set();
        if effects.fetch {
            let etag = self.held.as_ref().filter(|_| set.is_some()).and_then(|held| held.etag.clone());
            let fetcher = Arc::clone(&self.fetcher);
            self.flight = Some(Box::pin(async move { fetcher.fetch(etag).await }));
        }
        // While a fetch is under way, asking is joining it.
        self.shared.set_ask_from(self.machine.ask_from().filter(|_| !self.machine.in_flight()));
        self.shared.valid_until.set(self.machine.valid_until());
        self.metrics.set_age(set.map(|set| now.since(set.confirmed_at)));
        if was_open && *self.machine.state() == State::Closed {
            self.held = None;
            tracing::error!(
                issuer = %self.issuer,
                "the issuer's keys are older than max_stale; its tokens are refused until they can be fetched"
            );
        }
        if let Some(keys) = effects.keys {
            self.shared.keys.store(Arc::clone(&keys));
            (self.sink)(&keys, &self.shared.valid_until);
        }
        if !self.machine.in_flight() {
            // Dropped is answered.
            self.waiting.clear();
        }
    }

    /// Puts the set on the disk, or takes it away where it must not lie. Each confirmation is written: a
    /// start may use it for `max_stale` from then on.
    fn persist(&mut self) {
        let (Some(held), Some(set)) = (&self.held, self.machine.set()) else { return };
        self.unwritten = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if self.unwritten {
            // A disk that hangs does not keep the keys from being refreshed: the next look comes back to it.
            return;
        }
        // Stamped ahead of time, it would be of no use once the clock is right again.
        let confirmed_at = set.confirmed_at.min(self.trusted.no_later());
        let snapshot = Snapshot { set: held.body.clone(), etag: held.etag.clone(), confirmed_at };
        let (file, storable, issuer) = (self.file.clone(), held.storable, self.issuer.clone());
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let done = if storable { file.write(&snapshot) } else { file.remove() };
            if let Err(error) = done {
                tracing::warn!(%issuer, %error, "the snapshot of the issuer's keys could not be written");
            }
        }));
    }
}

/// However the task ends, nothing that it told holds any longer.
impl Drop for Refresher {
    fn drop(&mut self) {
        self.shared.valid_until.set(None);
        self.shared.keys.store(Arc::default());
        self.metrics.set_age(None);
        (self.sink)(&[], &self.shared.valid_until);
    }
}

/// The end of the fetch under way; `None` at once where there is none.
async fn landing(flight: &mut Option<Flight>) -> Option<Result<FetchResponse, FetchError>> {
    Some(flight.as_mut()?.await)
}
