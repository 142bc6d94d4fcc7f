//! Opening the store; or, while its server is away, what stands on this gateway's disk in its place.

use std::{sync::Arc, time::Duration};

use super::{
    Making, StartError,
    core::{Opened, load_first, open_vault},
};
use crate::{
    config::GatewaySettings,
    decision::{Resumed, StaleAction},
    domain::Clock,
    state::{
        clock::TrustedClock,
        keys::{Vault, VaultError, VaultSettings},
        store::Store,
        store_snapshot::{self, Boot, Found, Instant, SnapshotLocation, StoreSnapshotError},
    },
};

/// Where the store's snapshot is; `None` where the config names none.
pub(super) fn snapshot_of(settings: &GatewaySettings) -> Option<SnapshotLocation> {
    let path = settings.snapshot.clone()?;
    Some(SnapshotLocation { path, store: settings.store.place(), master_key_file: settings.master_key_file.clone() })
}

/// Opens the store. Where its server does not answer, and there is a snapshot that may be served by, that takes its
/// place.
///
/// # Errors
/// Fails as [`open_vault`] does.
pub(super) async fn open(
    settings: &GatewaySettings,
    making: Making,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, StartError> {
    let opening = async {
        let (store, vault) = open_vault(settings, making).await?;
        let trusted = load_first(settings, &store, &vault, clock).await?;
        Ok::<_, StartError>(Opened { store, vault, trusted, resumed: None })
    };
    let away = match opening.await {
        Err(error) if error.is_away() => error,
        opened => return opened,
    };
    let Some(place) = snapshot_of(settings) else { return Err(away) };
    match resume(settings, place, clock) {
        Ok(opened) => {
            say(settings, &opened, &away, clock);
            Ok(opened)
        }
        Err(why) => {
            let reason = why.to_string();
            tracing::error!(reason, "the store is away, and its snapshot cannot stand in for it");
            Err(away)
        }
    }
}

/// Why a snapshot does not stand in for the store.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Snapshot(#[from] StoreSnapshotError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("what is in it was confirmed {0} s ago, and may be used for store.max_staleness only")]
    TooOld(u64),
    #[error("this machine's clock is behind the time at which it was confirmed, so that nobody knows how old it is")]
    ClockBehind,
    #[error("a store that is a file has none")]
    File,
}

fn resume(settings: &GatewaySettings, place: SnapshotLocation, clock: &Arc<dyn Clock>) -> Result<Opened, Unusable> {
    let found = store_snapshot::examine(&place)?;
    let now = Instant::now(&**clock, Boot::present());
    let age = found.age(&now);
    if !serves(settings) {
        let age = age.ok_or(Unusable::ClockBehind)?;
        if settings.staleness.max.is_none_or(|max| age >= max) {
            return Err(Unusable::TooOld(age.as_secs()));
        }
    }
    let store = Store::unopened(&settings.store).ok_or(Unusable::File)?;
    let vault_settings = VaultSettings { master_key_file: settings.master_key_file.clone() };
    let vault = Vault::resume(store.clone(), &vault_settings, &found.keys)?;
    let trusted = TrustedClock::begin(Some(&found.clock), Arc::clone(clock));
    let resumed = Resumed::new(place, found, age, now.since_boot);
    Ok(Opened { store, vault, trusted, resumed: Some(resumed) })
}

/// Whether anything checked is served, however old what is known is.
fn serves(settings: &GatewaySettings) -> bool {
    let action = settings.staleness.action;
    action == StaleAction::Serve || settings.site.routes.iter().any(|route| route.stale == Some(StaleAction::Serve))
}

fn say(settings: &GatewaySettings, opened: &Opened, away: &StartError, clock: &Arc<dyn Clock>) {
    let Some(place) = settings.snapshot.as_ref() else { return };
    let Some(Found { revocations, torn, confirmed, .. }) = opened.resumed.as_ref().map(Resumed::found) else { return };
    let age = Instant::now(&**clock, Boot::present()).since(&confirmed.at);
    let left = age.zip(settings.staleness.max).map_or(Duration::ZERO, |(age, max)| max.saturating_sub(age));
    tracing::warn!(
        error = %away,
        path = %place.display(),
        age_seconds = age.map(|age| age.as_secs()),
        left_seconds = left.as_secs(),
        revocations,
        torn,
        "the store is away; its snapshot on this disk stands in for it until it is too old or the store is back"
    );
}
