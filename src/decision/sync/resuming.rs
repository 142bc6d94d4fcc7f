//! A start while the server of the store is away: by the store's snapshot, until the server is back.

use std::{sync::Arc, time::Duration};

use super::{
    error::StoreSyncError,
    key_lifecycle::{self, KeyLifecycleError},
};
use crate::{
    decision::{
        admin::migration::{self, Deciders},
        decide::{freshness::Moment, lifetimes, live_state::LiveState},
        schedule::ScheduleSettings,
    },
    domain::Timestamp,
    state::{
        keys::Vault,
        store::{Actor, Store},
        store_snapshot::{self, Found, SnapshotLocation},
    },
};

/// What a gateway starts by in the place of its store.
#[derive(Debug)]
pub struct Resumed {
    place: SnapshotLocation,
    found: Found,
    moment: Option<Moment>,
}

impl Resumed {
    /// By what was found, which is so old now. Where nobody knows how old it is, it counts as too old from the
    /// beginning.
    #[must_use]
    pub fn new(place: SnapshotLocation, found: Found, age: Option<Duration>, since_boot: Duration) -> Self {
        let moment = age.map(|age| Moment::new(found.confirmed.at.civil, since_boot.saturating_sub(age)));
        Self { place, found, moment }
    }

    /// What was found.
    #[must_use]
    pub const fn found(&self) -> &Found {
        &self.found
    }

    /// Brings it into force.
    ///
    /// # Errors
    /// Why it is of no use by now.
    pub async fn bring_into_force(&self, live_state: &LiveState, vault: &Vault) -> Result<(), StoreSyncError> {
        store_snapshot::load(&self.place, &self.found, live_state.revocations(), live_state.accounts()).await?;
        live_state.resume_keys(&vault.open_kept(&self.found.keys)?);
        if let Some(moment) = self.moment {
            live_state.freshness().confirm(moment);
        }
        Ok(())
    }
}

/// What such a start has still to do when the server is back, before anybody else works with the store.
#[derive(Debug)]
pub struct Reopening {
    /// The handle that nobody reaches the store by yet.
    store: Store,
    schedule: ScheduleSettings,
    deciders: Deciders,
}

impl Reopening {
    /// That of this store. `deciders` follow from the config.
    #[must_use]
    pub const fn new(store: Store, schedule: ScheduleSettings, deciders: Deciders) -> Self {
        Self { store, schedule, deciders }
    }

    /// Does what a start with its store does first, and lets everybody work with it.
    ///
    /// # Errors
    /// Fails while the store is out of reach, or where it must not be worked with.
    pub(super) async fn complete(
        &self,
        reading: &Store,
        vault: &Vault,
        live_state: &LiveState,
        now: Timestamp,
    ) -> Result<(), StoreSyncError> {
        reading.examine().await?;
        vault.confirm().await?;
        migration::check_steps(reading, &self.deciders).await?;
        let realms: Vec<_> = live_state.snapshot().realms.values().map(Arc::clone).collect();
        lifetimes::note(reading, &realms, now).await?;
        key_lifecycle::ensure(reading, vault, &realms, &self.schedule, now).await.map_err(|error| match error {
            KeyLifecycleError::Store(error) => StoreSyncError::Store(error),
            KeyLifecycleError::Vault(error) => StoreSyncError::Vault(error),
        })?;
        let audited = vault.by(Actor::gateway("start")).audited_store();
        migration::note_steps(&audited, &self.deciders, now).await?;
        self.store.set_open();
        Ok(())
    }
}
