//! Taking over a changed config: whole, or not at all.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::watch};

use super::{StartError, load, warn_of_shadow_mode};
use crate::{
    config::Settings,
    decision::{ForeignIssuers, Gate, Snapshot, keeper, lifetimes, schedule},
    domain::Clock,
    edge::proxy::{Shared, Tunables},
    observe::metrics::Metrics,
    state::{
        keys::Vault,
        store::Store,
        upstream::{self, Pool},
    },
};

/// Takes over a changed config: whole, or not at all.
pub(super) struct Reloader {
    pub(super) config: PathBuf,
    /// What the process started with: some of it only a restart changes.
    pub(super) started: Settings,
    pub(super) drain_timeout: Duration,
    pub(super) gate: Arc<Gate>,
    pub(super) foreign: Arc<ForeignIssuers>,
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) keeping: watch::Sender<schedule::Settings>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Reloader {
    pub(super) async fn reload(&mut self) {
        let outcome = match self.take_over().await {
            Ok(()) => "success",
            Err(error) => {
                for problem in error.to_string().lines() {
                    tracing::error!(problem, "the config was not taken over; the present one stays in force");
                }
                "failure"
            }
        };
        self.metrics.config_reloads.with_label_values(&[outcome]).inc();
    }

    async fn take_over(&mut self) -> Result<(), StartError> {
        let settings = load(&self.config)?;
        let needs_restart = self.started.restart_only_changes(&settings);
        let present = self.gate.snapshot();
        // What may fail comes before anything is changed.
        let snapshot = Snapshot::build_after(&settings.site, Arc::default(), &self.metrics, &present.pools)?;
        let is_new = |pool: &&Arc<Pool>| !present.pools.iter().any(|known| Arc::ptr_eq(known, pool));
        let new_pools: Vec<_> = snapshot.pools.iter().filter(is_new).cloned().collect();
        upstream::look_up(&new_pools).await;
        // A gateway that starts may be there before its services; one that works does not give up one for a
        // name that leads nowhere.
        if let Some(pool) = new_pools.iter().find(|pool| pool.servers().is_empty()) {
            return Err(StartError::Addresses(Arc::clone(&pool.settings.name)));
        }
        // Nor may what issuers need be wrong: below, keys change on the disk.
        self.foreign.check(&settings.site.issuers)?;
        // New realms have their keys before their first request.
        lifetimes::note(&self.store, &settings.site.realms, self.clock.now()).await?;
        let (store, vault, now) = (&self.store, &self.vault, self.clock.now());
        keeper::ensure(store, vault, &settings.site.realms, &settings.keys, now).await?;
        self.gate.refresh_keys(&self.vault).await?;
        let certified = self.shared.set_certificates(&settings.server.listen);
        certified.map_err(|error| StartError::System(error.to_string()))?;
        // The last that may fail. Keys of an issuer that the snapshot does not have yet open nothing.
        self.foreign.replace(&settings.site.issuers)?;
        for pool in &new_pools {
            upstream::watch(&Handle::current(), pool);
        }
        self.gate.publish(|present| snapshot.with_keys(Arc::clone(&present.keys)));
        warn_of_shadow_mode(&settings.site);
        self.keeping.send_replace(settings.keys);
        self.shared.set_tunables(Tunables::of(&settings.server, settings.access_log));
        self.metrics.config_last_success_seconds.set(self.clock.now().as_secs_f64());
        self.drain_timeout = settings.server.drain_timeout;
        tracing::info!(needs_restart = needs_restart.join(","), "the config was taken over");
        Ok(())
    }
}
