//! What goes on beside requests: what follows the store, keeps keys and clocks, writes counts down and clears away.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch::{Receiver, Sender, channel},
    task::JoinHandle,
};

use super::{Control, StartError, core::Core, opening};
use crate::{
    config::GatewaySettings,
    decision::{
        ClockWatch, Pruner, Reopening, StoreSync,
        admin::migration,
        issue::takeover::confirm::Confirmer,
        schedule,
        sync::{
            audit_keeper::AuditKeeper, key_lifecycle::KeyLifecycle, record_logins, throttle_sync, upkeep,
            wrapping::Wrapping,
        },
        verifier::{ledger, table::Table},
    },
    observe::metrics::Metrics,
    state::store_snapshot::{self, Recorder},
};

/// How much of that writing down the last failed logins may take.
const WRITING_GRACE: Duration = Duration::from_secs(2);

/// The part of `store.max_staleness` that a start by the store's snapshot may lose, and its bounds.
const CONFIRM_PART: u32 = 20;
const CONFIRM_EVERY_MIN: Duration = Duration::from_secs(1);
const CONFIRM_EVERY_MAX: Duration = Duration::from_secs(5);

/// What goes on beside requests, as far as its end is waited for: what was counted last is written down before the
/// store is closed.
pub(super) struct Tasks {
    /// Follows the store.
    pub(super) following: JoinHandle<()>,
    /// Keeps the audit log's anchors.
    anchoring: JoinHandle<()>,
    /// Writes failed logins down.
    throttling: JoinHandle<()>,
    /// Writes down who logged in.
    recording: JoinHandle<()>,
    /// Writes counts of the migration down.
    counting: JoinHandle<()>,
}

impl Tasks {
    /// Starts what goes on beside requests until it is stopped. When this returns, what is revoked is known. Beside
    /// them: how a changed schedule reaches the one that keeps the keys.
    ///
    /// # Errors
    /// Says what could not be read from the store, or written to the disk.
    pub(super) fn start(
        core: &Core,
        control: &Control,
        settings: &GatewaySettings,
        stopped: &Receiver<bool>,
    ) -> Result<(Self, Sender<schedule::ScheduleSettings>), StartError> {
        let Core { trusted, metrics, store, vault, live_state, clock, hasher, .. } = core;
        let (store_sync, clock_watch) = control.block_on(start_following(core, settings))?;
        let schedule = settings.keys;
        let pruner = Pruner::new(store.clone(), Arc::clone(live_state), trusted.clone());
        let (keeping, kept) = channel(schedule);
        let key_lifecycle =
            KeyLifecycle::new(store.clone(), vault.clone(), Arc::clone(live_state), trusted.clone(), kept);

        let confirmer = Confirmer::new(Arc::clone(&core.token_service), Arc::clone(live_state), trusted.clone());

        // Before the first request: a token of the table must not be refused because the gateway is young.
        let mut table = Table::default();
        if core.resumed.is_none() {
            control.block_on(table.refresh(store, live_state.takeovers()))?;
        }

        control.runtime.spawn(table.run(store.clone(), Arc::clone(live_state.takeovers()), stopped.clone()));
        control.runtime.spawn(confirmer.run(stopped.clone()));
        let counts = Arc::clone(&live_state.takeovers().ledger);
        let counting = control.runtime.spawn(ledger::run(
            counts,
            store.clone(),
            Arc::clone(clock),
            Arc::clone(metrics),
            stopped.clone(),
        ));
        control.runtime.spawn(clock_watch.run(stopped.clone()));
        control.runtime.spawn(pruner.run(stopped.clone()));
        let following = control.runtime.spawn(store_sync.run(stopped.clone()));
        let throttling =
            control.runtime.spawn(throttle_sync::run(core.throttles.clone(), vault.clone(), stopped.clone()));
        control.runtime.spawn(upkeep::run(store.clone(), Arc::clone(clock), stopped.clone()));
        control.runtime.spawn(key_lifecycle.run(stopped.clone()));
        let recording = record_logins::run(store.clone(), Arc::clone(&core.logins), stopped.clone());
        let recording = control.runtime.spawn(recording);
        let wrapping = Wrapping::new(vault.clone(), Arc::clone(hasher), Arc::clone(clock), Arc::clone(metrics));
        control.runtime.spawn(wrapping.run(stopped.clone()));
        let keeper = AuditKeeper::new(
            store.clone(),
            core.audit.clone(),
            Arc::clone(&core.services),
            Arc::clone(clock),
            metrics.audit.clone(),
        );
        let anchoring = control.runtime.spawn(keeper.run(stopped.clone()));
        Ok((Self { following, anchoring, throttling, recording, counting }, keeping))
    }

    /// Waits until what was told to stop has written its last.
    pub(super) async fn end(self) {
        let _ = self.recording.await;
        // One that has failed has ended.
        let _ = if self.following.is_finished() { Ok(()) } else { self.following.await };
        // How far the audit log has come is in the store, before that is closed.
        let _ = self.anchoring.await;
        // A store that hangs is closed all the same.
        let _ = tokio::time::timeout(WRITING_GRACE, self.throttling).await;
        let _ = tokio::time::timeout(WRITING_GRACE, self.counting).await;
    }
}

/// Follows the store; or begins by its snapshot, and follows it when its server is back.
async fn start_following(core: &Core, settings: &GatewaySettings) -> Result<(StoreSync, ClockWatch), StartError> {
    let Core { clock, trusted, metrics, store, vault, live_state, resumed, .. } = core;
    let (live_state, clock) = (Arc::clone(live_state), Arc::clone(clock));
    let (own_store, own_vault, own_metrics) = (store.clone(), vault.clone(), Arc::clone(metrics));
    let store_sync = match resumed {
        None => Box::pin(StoreSync::start(own_store, own_vault, Arc::clone(&live_state), clock, own_metrics)).await?,
        Some(resumed) => {
            let reopening = Reopening::new(store.clone(), settings.keys, migration::deciders(&settings.site));
            StoreSync::resume(own_store, own_vault, Arc::clone(&live_state), clock, own_metrics, resumed, reopening)
                .await?
        }
    };
    let store_sync = match opening::snapshot_of(settings) {
        None => store_sync,
        Some(place) => {
            store_sync
                .record(Recorder::start(
                    place.path,
                    place.store,
                    confirm_every(settings),
                    live_state,
                    shown_by(metrics),
                )?)
                .await?
        }
    };
    let (store, trusted, metrics) = (store.clone(), trusted.clone(), Arc::clone(metrics));
    let clock_watch = match resumed {
        None => ClockWatch::start(store, trusted, metrics).await?,
        Some(_) => ClockWatch::resume(store, trusted, metrics),
    };
    Ok((store_sync, clock_watch))
}

/// How often the store's snapshot says at least that it is up to date: a start loses so much of `store.max_staleness`.
fn confirm_every(settings: &GatewaySettings) -> Duration {
    let part = settings.staleness.max.map_or(CONFIRM_EVERY_MAX, |max| max / CONFIRM_PART);
    part.clamp(CONFIRM_EVERY_MIN, CONFIRM_EVERY_MAX)
}

/// Shows what was written of the store's snapshot.
fn shown_by(metrics: &Arc<Metrics>) -> store_snapshot::Observer {
    let metrics = Arc::clone(metrics);
    Arc::new(move |written| {
        metrics.store.snapshot_bytes.inc_by(written.bytes);
        metrics.store.snapshot_timestamp_seconds.set(written.confirmed_at.as_secs_f64());
    })
}
