//! Watching the clocks: a doubt is noticed within [`LOOK_EVERY`], written down, and said.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::MissedTickBehavior};

use crate::{
    domain::{Suspended, trusted_time::IN_STEP_MIN},
    observe::metrics::Metrics,
    state::{
        clock::{KEEP_EVERY, Settled, TrustedClock},
        store::{Store, StoreError},
    },
};

/// How often both clocks are read, and an operator's word is looked for during a suspension.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the run in step is written down during a suspension: a gateway that restarts again and again for longer
/// than this gets ahead.
const KEEP_SUSPENDED_EVERY: Duration = Duration::from_secs(5);

/// How long the store may take: the clocks are read again after that, whether it answered or not.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Watches the clocks of a gateway.
#[derive(Debug)]
pub struct ClockWatch {
    store: Store,
    trusted: TrustedClock,
    metrics: Arc<Metrics>,
    /// What was said last.
    said: Option<Suspended>,
    /// Looks since the last writing.
    looks: u32,
    /// Whether something is to be written down as soon as the store takes it.
    unkept: bool,
}

impl ClockWatch {
    /// A watch that has written down and said what holds at the start. From here on a restart knows of it.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn start(store: Store, trusted: TrustedClock, metrics: Arc<Metrics>) -> Result<Self, StoreError> {
        let mut watch = Self { store, trusted, metrics, said: None, looks: 0, unkept: false };
        watch.say();
        let settled = watch.trusted.keep(&watch.store).await?;
        watch.say_settled(settled);
        Ok(watch)
    }

    /// A watch that has said what holds, and writes it down when the store is there: the start did without it.
    #[must_use]
    pub fn resume(store: Store, trusted: TrustedClock, metrics: Arc<Metrics>) -> Self {
        let mut watch = Self { store, trusted, metrics, said: None, looks: 0, unkept: true };
        watch.say();
        watch
    }

    /// Watches until `stop` says true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = self.look() => {}
            }
        }
        // The next start has less to doubt. A process that is killed has written it down a minute ago.
        let _ = tokio::time::timeout(STORE_TIMEOUT, self.trusted.keep(&self.store)).await;
    }

    async fn look(&mut self) {
        self.unkept |= self.say();
        self.looks += 1;
        let every = if self.said.is_some() { KEEP_SUSPENDED_EVERY } else { KEEP_EVERY };
        let is_due = self.unkept || LOOK_EVERY * self.looks >= every;
        let keeping = async {
            if is_due || (self.said.is_some() && self.trusted.is_settled(&self.store).await?) {
                return self.trusted.keep(&self.store).await.map(Some);
            }
            Ok::<_, StoreError>(None)
        };
        // The task that follows the store logs that it fails; what was not written down is tried again.
        match tokio::time::timeout(STORE_TIMEOUT, keeping).await {
            Ok(Ok(Some(settled))) => {
                (self.looks, self.unkept) = (0, false);
                self.say_settled(settled);
            }
            Ok(Ok(None)) => {}
            Ok(Err(_)) | Err(_) => self.unkept |= is_due,
        }
    }

    /// Says what changed since the last time; answers whether it is to be written down at once.
    fn say(&mut self) -> bool {
        let suspended = self.trusted.now().err();
        let left = suspended.map_or(Duration::ZERO, |suspended| suspended.left);
        self.metrics.clock.set(suspended.map(|suspended| suspended.left));
        let is_new = |said: Suspended, now: Suspended| said.doubt != now.doubt || said.left < now.left;
        let changed = match (self.said, suspended) {
            (None, None) => false,
            (Some(said), Some(now)) => is_new(said, now),
            (None, Some(_)) | (Some(_), None) => true,
        };
        if let Some(suspended) = suspended.filter(|_| changed) {
            let (doubt, hours_left) = (suspended.doubt.name(), left.as_secs_f64() / 3600.0);
            let hint = "look at it with portero clock show; portero clock confirm says that it is right";
            tracing::warn!(
                doubt,
                hours_left,
                hint,
                "the civil clock is in doubt; nothing is pruned, wiped or retired, and no key is promoted"
            );
        }
        self.said = suspended;
        changed
    }

    fn say_settled(&mut self, settled: Option<Settled>) {
        let Some(settled) = settled else { return };
        let by = match settled {
            Settled::InStep => "running in step",
            Settled::Elsewhere => "an operator, or another gateway",
        };
        tracing::info!(by, in_step_hours = IN_STEP_MIN.as_secs() / 3600, "the civil clock is trusted again");
        self.said = None;
        self.metrics.clock.set(None);
    }
}
