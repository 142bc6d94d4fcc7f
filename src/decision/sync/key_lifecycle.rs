//! Keeps keys: makes those that are missing, publishes next ones, lets them sign when they are due, and retires
//! those whose last token has ended. Every gateway has one; of several that see the same thing due, one does it.

use std::{sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{sync::watch, time::timeout};

use crate::{
    decision::{
        decide::live_state::LiveState,
        schedule::{KeyAction, Owner, ScheduleSettings, has_leftovers, next_retirement, spelt},
    },
    domain::{Suspended, Timestamp, TrustedNow},
    rules::realm::Realm,
    state::{
        clock::TrustedClock,
        keys::{KeyRecord, KeyState, OldKeyPlan, Vault, VaultError},
        store::{Store, StoreError},
    },
};

/// How often the key lifecycle looks at the time and asks whether another process changed keys, at the latest: so
/// that a clock that is set, or a machine that slept, is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The least pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// How long everything that is due may take: keys are made, and none of the store's calls hangs.
const STEP_DEADLINE: Duration = Duration::from_secs(60);

/// Rounds of changes in one step: prepared, promoted, retired, and once more to see that it is all.
const ROUNDS_MAX: u32 = 8;

/// Attempts to give a realm a signing key while other processes change its keys.
const ENSURE_ATTEMPTS_MAX: u32 = 4;

/// Why keys could not be kept.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each is transparent")]
pub enum KeyLifecycleError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Keeps the keys of the realms that the live state has.
#[derive(Debug)]
pub struct KeyLifecycle {
    store: Store,
    vault: Vault,
    live_state: Arc<LiveState>,
    trusted: TrustedClock,
    settings: watch::Receiver<ScheduleSettings>,
    /// Whether it was said that a realm has too many retiring keys.
    said_too_many: bool,
}

/// Makes a signing key for each realm that has none, and publishes a next one where the algorithm changed, which signs
/// when it was published long enough. A next key of an algorithm that the config no longer says is discarded.
/// For a gateway before its first request. Answers whether anything changed.
///
/// # Errors
/// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
pub async fn ensure(
    store: &Store,
    vault: &Vault,
    realms: &[Arc<Realm>],
    settings: &ScheduleSettings,
    now: Timestamp,
) -> Result<bool, KeyLifecycleError> {
    let mut changed = false;
    for owner in Owner::all(realms) {
        for _ in 0..ENSURE_ATTEMPTS_MAX {
            // Where another process changed something meanwhile, it is looked at anew.
            let records = vault.records().await?;
            let owner = owner.clone().settled(&records);
            match owner.due(&records, settings, now) {
                KeyAction::Prepare { .. } | KeyAction::Promote { .. } | KeyAction::Later(_) | KeyAction::TooMany => {
                    break;
                }
                due => changed |= settle(store, vault, &owner, due, settings, now).await?,
            }
        }
    }
    Ok(changed)
}

/// Does what the config makes due: a first key, a next one of another algorithm, or the end of a next one that the
/// config no longer wants. False where another process was quicker.
async fn settle(
    store: &Store,
    vault: &Vault,
    owner: &Owner,
    due: KeyAction,
    settings: &ScheduleSettings,
    now: Timestamp,
) -> Result<bool, KeyLifecycleError> {
    let (realm, algorithm) = (&owner.name, owner.algorithm);
    match due {
        KeyAction::Replace { seen: None } => {
            let old_key_plan = OldKeyPlan::Retiring { retires_at: owner.retires_at(store, settings, now).await? };
            Ok(vault.replace(realm, algorithm, None, old_key_plan, now).await?.is_some())
        }
        KeyAction::Replace { seen: Some(seen) } => {
            let id = vault.prepare(realm, algorithm, Some(&seen), true, now).await?;
            if let Some(id) = &id {
                let from = spelt(now.plus(settings.publish_ahead));
                tracing::info!(%realm, %id, %algorithm, from, "a key of another algorithm is published, and signs later");
            }
            Ok(id.is_some())
        }
        KeyAction::Discard { next } => {
            let discarded = vault.retire_at_once(&next, KeyState::Next, now).await?.is_done();
            if discarded {
                tracing::info!(%realm, id = %next, "a next key of another algorithm was discarded");
            }
            Ok(discarded)
        }
        KeyAction::Prepare { .. } | KeyAction::Promote { .. } | KeyAction::Later(_) | KeyAction::TooMany => Ok(false),
    }
}

impl KeyLifecycle {
    /// A key lifecycle of these keys. It goes by the latest settings, and by the realms of the live state.
    #[must_use]
    pub fn new(
        store: Store,
        vault: Vault,
        live_state: Arc<LiveState>,
        trusted: TrustedClock,
        settings: watch::Receiver<ScheduleSettings>,
    ) -> Self {
        Self { store, vault, live_state, trusted, settings, said_too_many: false }
    }

    /// Keeps them until `stop` says true. A store that is out of reach is said once, and tried again.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut behind = false;
        let mut seen: Option<Vec<u8>> = None;
        let mut due: Option<Timestamp> = None;
        let mut was_trusted = true;
        loop {
            // While the clock is in doubt nothing becomes due.
            let now = self.trusted.now().ok().map(TrustedNow::earliest);
            let moved = self.vault.revision().await.map_or(true, |revision| seen.as_ref() != Some(&revision));
            let is_due = now.zip(due).is_some_and(|(now, due)| due <= now);
            if behind || moved || is_due || was_trusted != now.is_some() {
                was_trusted = now.is_some();
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
            let left = due.zip(now).map_or(LOOK_EVERY, |(due, now)| due.since(now));
            let wait = left.clamp(PAUSE_MIN, LOOK_EVERY);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                // The sender of settings ends only when the gateway does, which stops this too.
                Ok(()) = self.settings.changed() => seen = None,
                () = tokio::time::sleep(if behind { LOOK_EVERY } else { wait }) => {}
            }
        }
    }

    /// Does everything that is due. Answers the revision of the keys that it went by, and when something is due next.
    pub(in crate::decision) async fn step(&mut self) -> Result<(Vec<u8>, Option<Timestamp>), KeyLifecycleError> {
        let mut rounds = 0;
        loop {
            let revision = self.vault.revision().await?;
            let records = self.vault.records().await?;
            let (changed, due) = self.round(&records).await?;
            if changed {
                self.live_state.refresh_keys(&self.vault).await?;
            }
            rounds += 1;
            if !changed || rounds == ROUNDS_MAX {
                return Ok((revision, due));
            }
        }
    }

    /// Does what these records make due. Answers whether it changed anything, and when something is due next.
    async fn round(&mut self, records: &[KeyRecord]) -> Result<(bool, Option<Timestamp>), KeyLifecycleError> {
        let settings = *self.settings.borrow();
        let trusted = self.trusted.now();
        let (mut changed, mut next, mut too_many) = (false, next_retirement(records), false);
        // A gateway of an earlier version may run beside this one. No clock has a say in it.
        if records.iter().any(|key| key.state == KeyState::Revoked && !key.wiped) {
            changed |= self.vault.wipe_revoked().await? > 0;
        }
        if let Ok(now) = trusted {
            changed |= self.end_keys(records, next, now).await?;
            // By a clock that was ahead: they would not rotate before that time has come.
            if records.iter().any(|key| key.activated_at.max(Some(key.created_at)) > Some(now.civil())) {
                changed |= self.vault.put_dates_right(now).await? > 0;
            }
        }
        let now = trusted.map_or_else(|_| self.trusted.clock().now(), TrustedNow::earliest);
        for owner in Owner::all(self.live_state.snapshot().realms.values()) {
            let owner = owner.settled(records);
            match owner.due(records, &settings, now) {
                KeyAction::Later(at) => next = earlier(next, at),
                KeyAction::TooMany => too_many = true,
                // Another gateway took over a config that this one has not read. Only a gateway that takes one over
                // changes the algorithm: two configs would otherwise undo each other's keys for ever.
                KeyAction::Replace { seen: Some(_) } | KeyAction::Discard { .. } => {}
                // A realm without a signing key gets one, whatever the clock says.
                due => changed |= self.act(&owner, due, &settings, trusted).await?,
            }
        }
        if too_many && !self.said_too_many {
            tracing::warn!("a realm has too many retiring keys; it keeps its signing key until some have retired");
        }
        self.said_too_many = too_many;
        Ok((changed, next))
    }

    /// Retires those keys whose last token has ended, wipes what retired long ago, and forgets what retired very long
    /// ago. Answers whether it changed anything.
    async fn end_keys(
        &self,
        records: &[KeyRecord],
        next_retirement: Option<Timestamp>,
        now: TrustedNow,
    ) -> Result<bool, KeyLifecycleError> {
        let mut changed = false;
        if next_retirement.is_some_and(|at| at <= now.earliest()) {
            for id in self.vault.retire_due(now).await? {
                tracing::info!(%id, "a key has retired");
                changed = true;
            }
        }
        if has_leftovers(records, now) {
            changed |= self.vault.wipe_retired(now).await? + self.vault.forget(now).await? > 0;
        }
        Ok(changed)
    }

    async fn act(
        &self,
        owner: &Owner,
        due: KeyAction,
        settings: &ScheduleSettings,
        trusted: Result<TrustedNow, Suspended>,
    ) -> Result<bool, KeyLifecycleError> {
        let now = self.trusted.clock().now();
        let old_key_plan = OldKeyPlan::Retiring { retires_at: owner.retires_at(&self.store, settings, now).await? };
        let (realm, algorithm) = (&owner.name, owner.algorithm);
        let (id, state) = match due {
            KeyAction::Replace { seen } => {
                (self.vault.replace(realm, algorithm, seen.as_ref(), old_key_plan, now).await?, KeyState::Active)
            }
            KeyAction::Prepare { .. } if trusted.is_err() => return Ok(false),
            KeyAction::Prepare { seen, asked } => {
                (self.vault.prepare(realm, algorithm, Some(&seen), asked, now).await?, KeyState::Next)
            }
            KeyAction::Promote { next, seen } => {
                let Ok(trusted) = trusted else { return Ok(false) };
                let promoted = self.vault.promote(realm, &next, Some(&seen), old_key_plan, trusted).await?;
                (promoted.then_some(next), KeyState::Active)
            }
            KeyAction::Discard { .. } | KeyAction::Later(_) | KeyAction::TooMany => return Ok(false),
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
