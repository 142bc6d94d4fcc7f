//! What is counted for `portero migration status`, until it is written: in memory first, so that no login and no
//! request waits for it. A crash forgets what was counted since the last minute.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    domain::{Clock, KeyId},
    observe::metrics::Metrics,
    state::{
        store::Store,
        takeover::counts::{self, Count, Kind},
    },
};

/// How often counts are written.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// Different things that are counted between two writings, at most: they follow from the config and its imported keys.
const COUNTS_MAX: usize = 4096;

/// Counts that are not written yet.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<HashMap<(Kind, String), u64>>);

impl Ledger {
    /// Counts a login that an old system had a part in.
    pub fn login(&self, verifier: &str, step: &str, outcome: &str) {
        self.add(Kind::Login, format!("{verifier}/{step}/{outcome}"));
    }

    /// Counts a token of an imported key.
    pub fn imported_token(&self, key: &KeyId) {
        self.add(Kind::Token, key.as_str().to_owned());
    }

    /// Counts a yes of an old system about one of its tokens.
    pub fn checked_token(&self, verifier: &str) {
        self.add(Kind::Check, verifier.to_owned());
    }

    fn add(&self, kind: Kind, what: String) {
        let mut counts = self.counts();
        if counts.len() < COUNTS_MAX || counts.contains_key(&(kind, what.clone())) {
            *counts.entry((kind, what)).or_default() += 1;
        }
    }

    /// Writes what was counted, and shows it. What cannot be written now is kept for the next time.
    async fn write(&self, store: &Store, clock: &dyn Clock, metrics: &Metrics) {
        let taken: Vec<_> = self.counts().drain().collect();
        if taken.is_empty() {
            return;
        }
        let rows: Vec<_> = taken
            .iter()
            .map(|((kind, what), count)| Count { kind: *kind, what: what.clone(), count: *count })
            .collect();
        if let Err(error) = store.within(counts::add(store, &rows, clock.now())).await {
            tracing::warn!(%error, "what was counted for the migration could not be written; it is tried again in a minute");
            let mut counts = self.counts();
            for (key, count) in taken {
                *counts.entry(key).or_default() += count;
            }
            return;
        }
        for ((_, key), count) in taken.iter().filter(|((kind, _), _)| *kind == Kind::Token) {
            metrics.imported_tokens.with_label_values(&[key]).inc_by(*count);
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<(Kind, String), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what was counted once a minute, and once more when `stop` says true.
pub async fn run(
    ledger: Arc<Ledger>,
    store: Store,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let mut ticks = interval(WRITE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stopped = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => true,
            _ = ticks.tick() => false,
        };
        ledger.write(&store, &*clock, &metrics).await;
        if stopped {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{HandClock, Timestamp},
        state::store::StoreSettings,
    };

    #[tokio::test]
    async fn tokens_of_imported_keys_are_told_once_they_are_written() {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let clock = HandClock::new(Timestamp::from_secs(1_768_564_800));
        let (ledger, metrics) = (Ledger::default(), Metrics::new().unwrap());
        let told = |key: &str| metrics.imported_tokens.with_label_values(&[key]).get();
        let [field, other] = ["field", "other"].map(KeyId::from_text);
        for key in [&field, &field, &other] {
            ledger.imported_token(key);
        }
        ledger.checked_token("old");
        ledger.write(&store, &clock, &metrics).await;
        assert_eq!([told("field"), told("other"), told("old")], [2, 1, 0]);
        ledger.imported_token(&field);
        ledger.write(&store, &clock, &metrics).await;
        ledger.write(&store, &clock, &metrics).await;
        assert_eq!([told("field"), told("other")], [3, 1], "each once");
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains("portero_imported_key_tokens_total{key=\"field\"} 3\n"), "{text}");
    }
}
