//! Keeps keys: makes those that are missing, publishes next ones, lets them sign when they are due, and retires
//! those whose last token has ended. Every gateway has one; of several that see the same thing due, one does it.

use std::{sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{sync::watch, time::timeout};

use super::{
    schedule::{Due, Owner, RETIRED_KEPT, Settings, next_retirement, spelt},
    snapshot::Gate,
};
use crate::{
    domain::{Clock, Timestamp},
    rules::realm::Realm,
    state::{
        keys::{Fate, KeyRecord, KeyState, Vault, VaultError},
        store::{Store, StoreError},
    },
};

/// How often the keeper looks at the time and asks whether another process changed keys, at the latest: so
/// that a clock that is set, or a machine that slept, is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The least pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// How long everything that is due may take: keys are made, and none of the store's calls hangs.
const STEP_DEADLINE: Duration = Duration::from_secs(60);

/// Rounds of changes in one step: prepared, promoted, retired, and once more to see that it is all.
const ROUNDS_MAX: u32 = 8;

/// Why keys could not be kept.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each is transparent")]
pub enum KeeperError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Keeps the keys of the realms that the gate has.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    vault: Vault,
    gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
    settings: watch::Receiver<Settings>,
    /// Whether it was said that a realm has too many retiring keys.
    said_too_many: bool,
}

/// Makes a signing key for each realm that has none, and publishes a next one where the algorithm changed, which signs
/// when it was published long enough. A next key of an algorithm that the config no longer says is discarded.
/// For a gateway before its first request. Answers whether anything changed.
pub async fn ensure(
    store: &Store,
    vault: &Vault,
    realms: &[Arc<Realm>],
    settings: &Settings,
    now: Timestamp,
) -> Result<bool, KeeperError> {
    let records = vault.records().await?;
    let mut changed = false;
    for owner in Owner::all(realms) {
        let owner = owner.settled(&records);
        let (realm, algorithm) = (&owner.name, owner.algorithm);
        changed |= match owner.due(&records, settings, now) {
            Due::Replace { seen: None } => {
                let fate = Fate::Retiring { retires_at: owner.retires_at(store, settings, now).await? };
                vault.replace(realm, algorithm, None, fate, now).await?.is_some()
            }
            Due::Replace { seen: Some(seen) } => {
                let id = vault.prepare(realm, algorithm, Some(&seen), true, now).await?;
                if let Some(id) = &id {
                    let from = spelt(now.plus(settings.publish_ahead));
                    tracing::info!(%realm, %id, %algorithm, from, "a key of another algorithm is published, and signs later");
                }
                id.is_some()
            }
            Due::Discard { next } => {
                let discarded = vault.retire(&next, KeyState::Next, now).await?;
                if discarded {
                    tracing::info!(%realm, id = %next, "a next key of another algorithm was discarded");
                }
                discarded
            }
            Due::Prepare { .. } | Due::Promote { .. } | Due::Later(_) | Due::TooMany => false,
        };
    }
    Ok(changed)
}

impl Keeper {
    /// A keeper of these keys. It goes by the latest settings, and by the realms of the gate.
    #[must_use]
    pub fn new(
        store: Store,
        vault: Vault,
        gate: Arc<Gate>,
        clock: Arc<dyn Clock>,
        settings: watch::Receiver<Settings>,
    ) -> Self {
        Self { store, vault, gate, clock, settings, said_too_many: false }
    }

    /// Keeps them until `stop` says true. A store that is out of reach is said once, and tried again.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut behind = false;
        let mut seen: Option<Vec<u8>> = None;
        let mut due: Option<Timestamp> = None;
        loop {
            let now = self.clock.now();
            let moved = self.vault.revision().await.map_or(true, |revision| seen.as_ref() != Some(&revision));
            if behind || moved || due.is_some_and(|due| due <= now) {
                let kept = timeout(STEP_DEADLINE, self.step()).await;
                match kept.unwrap_or_else(|_| Err(StoreError::unresponsive().into())) {
                    Ok((revision, next)) => {
                        (seen, due, behind) = (Some(revision), next, false);
                    }
                    Err(error) => {
                        if !behind {
                            tracing::error!(%error, "keys cannot be kept; those in force stay in force");
                        }
                        behind = true;
                    }
                }
            }
            let wait = due.map_or(LOOK_EVERY, |due| due.since(self.clock.now()).clamp(PAUSE_MIN, LOOK_EVERY));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                // Whoever sends settings has ended only when the gateway ends, and then stops this too.
                Ok(()) = self.settings.changed() => seen = None,
                () = tokio::time::sleep(if behind { LOOK_EVERY } else { wait }) => {}
            }
        }
    }

    /// Does everything that is due. Answers the revision of the keys that it went by, and when something is due next.
    async fn step(&mut self) -> Result<(Vec<u8>, Option<Timestamp>), KeeperError> {
        let mut rounds = 0;
        loop {
            let revision = self.vault.revision().await?;
            let records = self.vault.records().await?;
            let (changed, due) = self.round(&records).await?;
            if changed {
                self.gate.refresh_keys(&self.vault).await?;
            }
            rounds += 1;
            if !changed || rounds == ROUNDS_MAX {
                return Ok((revision, due));
            }
        }
    }

    /// Does what these records make due. Answers whether it changed anything, and when something is due next.
    async fn round(&mut self, records: &[KeyRecord]) -> Result<(bool, Option<Timestamp>), KeeperError> {
        let settings = *self.settings.borrow();
        let now = self.clock.now();
        let (mut changed, mut next, mut too_many) = (false, next_retirement(records), false);
        if next.is_some_and(|at| at <= now) {
            for id in self.vault.retire_due(now).await? {
                tracing::info!(%id, "a key has retired");
                changed = true;
            }
        }
        if records.iter().any(|key| key.ended_at.is_some_and(|at| at.plus(RETIRED_KEPT) < now)) {
            self.vault.forget(now.minus(RETIRED_KEPT)).await?;
            changed = true;
        }
        for owner in Owner::all(self.gate.snapshot().realms.values()) {
            let owner = owner.settled(records);
            match owner.due(records, &settings, now) {
                Due::Later(at) => next = earlier(next, at),
                Due::TooMany => too_many = true,
                // Another gateway took over a config that this one has not read. Only who takes one over changes
                // the algorithm: two configs would otherwise undo each other's keys for ever.
                Due::Replace { seen: Some(_) } | Due::Discard { .. } => {}
                due => changed |= self.act(&owner, due, &settings, now).await?,
            }
        }
        if too_many && !self.said_too_many {
            tracing::warn!("a realm has too many retiring keys; it keeps its signing key until some have retired");
        }
        self.said_too_many = too_many;
        Ok((changed, next))
    }

    async fn act(&self, owner: &Owner, due: Due, settings: &Settings, now: Timestamp) -> Result<bool, KeeperError> {
        let fate = Fate::Retiring { retires_at: owner.retires_at(&self.store, settings, now).await? };
        let (realm, algorithm) = (&owner.name, owner.algorithm);
        let (id, state) = match due {
            Due::Replace { seen } => {
                (self.vault.replace(realm, algorithm, seen.as_ref(), fate, now).await?, KeyState::Active)
            }
            Due::Prepare { seen, asked } => {
                (self.vault.prepare(realm, algorithm, Some(&seen), asked, now).await?, KeyState::Next)
            }
            Due::Promote { next, seen } => {
                let promoted = self.vault.promote(realm, &next, Some(&seen), fate, now).await?;
                (promoted.then_some(next), KeyState::Active)
            }
            Due::Discard { .. } | Due::Later(_) | Due::TooMany => (None, KeyState::Next),
        };
        if let Some(id) = &id {
            tracing::info!(%realm, %id, state = state.name(), "a key has a new state");
        }
        // Somebody else's change is one too: it is to be read.
        Ok(true)
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
