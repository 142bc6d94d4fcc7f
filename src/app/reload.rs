//! Taking over a changed config: whole, or not at all.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{runtime::Handle, sync::watch};

use super::{
    StartError,
    core::Core,
    examine, load, notice, warn_of,
    watch::{Contents, Watch},
};
use crate::{
    config::GatewaySettings,
    decision::{
        ExternalIssuers, LiveState, Snapshot, admin::migration, decide::lifetimes, schedule, sync::key_lifecycle,
    },
    domain::Clock,
    edge::forward::{Shared, Tunables},
    observe::metrics::Metrics,
    state::{
        account::PasswordRules,
        keys::Vault,
        store::{Action, Actor, Entry, Store},
    },
    upstream::{self, Pool},
};

/// Takes over a changed config: whole, or not at all. There is one, so reloads come one after another.
pub(super) struct Reloader {
    pub(super) config: PathBuf,
    /// Where this process listens, whatever the config says by now.
    pub(super) bound: Vec<SocketAddr>,
    /// What the process started with: some of it only a restart changes.
    pub(super) started: GatewaySettings,
    pub(super) drain_delay: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) live_state: Arc<LiveState>,
    pub(super) external: Arc<ExternalIssuers>,
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) password_rules: PasswordRules,
    pub(super) keeping: watch::Sender<schedule::ScheduleSettings>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) files: Files,
    /// Whether they are watched.
    pub(super) watched: bool,
}

/// The files that the config in force was made of.
#[derive(Debug)]
pub(super) struct Files {
    of_config: Vec<PathBuf>,
    /// Those that the config refers to which was refused last; `None` when the last one was taken over.
    refused: Option<Vec<PathBuf>>,
    /// What stood in all of them before they were last read, taken over or not.
    read: Contents,
}

impl Files {
    /// Those of `settings`, and what is in them now.
    pub(super) fn of(config: &std::path::Path, settings: &GatewaySettings) -> Self {
        let files: Vec<_> = [config.to_owned()].into_iter().chain(settings.files.iter().cloned()).collect();
        Self { read: Contents::of(&files), of_config: files, refused: None }
    }

    fn all(&self) -> Vec<PathBuf> {
        self.of_config.iter().chain(self.refused.iter().flatten()).cloned().collect()
    }

    /// Whether reading them once more can have no other outcome.
    fn are_as_read(&self) -> bool {
        self.refused.is_none() && Contents::of(&self.all()) == self.read
    }
}

/// What a gateway was started with.
pub(super) struct Started {
    pub(super) config: PathBuf,
    /// Where it listens.
    pub(super) bound: Vec<SocketAddr>,
    pub(super) settings: GatewaySettings,
    /// Those that the settings were read from.
    pub(super) files: Files,
}

impl Reloader {
    pub(super) fn new(
        core: Core,
        shared: Arc<Shared>,
        keeping: watch::Sender<schedule::ScheduleSettings>,
        started: Started,
    ) -> Self {
        let Core { clock, metrics, store, vault, live_state, external, password_rules, .. } = core;
        let Started { config, bound, settings, files } = started;
        Self {
            config,
            bound,
            drain_delay: settings.server.drain_delay,
            drain_timeout: settings.server.drain_timeout,
            watched: settings.reload_watch,
            started: settings,
            live_state,
            external,
            shared,
            store,
            vault,
            password_rules,
            keeping,
            metrics,
            clock,
            files,
        }
    }

    /// Watches the files; a change of them is told where the config says so.
    pub(super) fn watch(&self, watch: &mut Watch) {
        watch.set(&self.files.all(), self.watched);
    }

    /// Reloads if any file has another content than when it was last read, or was refused then.
    pub(super) async fn reload_if_changed(&mut self, watch: &mut Watch) {
        if self.files.are_as_read() {
            tracing::info!("the config's files are as they were");
            return;
        }
        // The person who changed a file is not there to be told; the log is.
        let _ = self.reload(watch, Actor::gateway("changed file")).await;
    }

    /// Takes over what the file says now; answers the keys that only a restart changes.
    pub(super) async fn reload(&mut self, watch: &mut Watch, actor: Actor) -> Result<Vec<&'static str>, StartError> {
        notice::reloading();
        let settled = watch.settled(&self.files.all()).await;
        // Before it is read: what changes meanwhile is another change.
        self.files.read = Contents::of(&self.files.all());
        let taken = if settled { self.take_over(watch, actor).await } else { Err(StartError::Unfinished) };
        if let Err(error) = &taken {
            for problem in error.to_string().lines() {
                tracing::error!(problem, "the config was not taken over; the present one stays in force");
            }
            // What is missing or wrong in it may be put right in a file that the present config does not know.
            let report = if let StartError::Config(report) = error { report.files() } else { &[] };
            self.files.refused = Some(report.to_vec());
            self.watch(watch);
        }
        let outcome = if taken.is_ok() { "success" } else { "failure" };
        self.metrics.config.reloads.with_label_values(&[outcome]).inc();
        notice::ready();
        taken
    }

    async fn take_over(&mut self, watch: &mut Watch, actor: Actor) -> Result<Vec<&'static str>, StartError> {
        let mut settings = load(&self.config)?;
        settings.site.keep_off(&self.bound);
        examine::reload(&self.config, &settings, self.clock.now())?;
        let deciders = migration::deciders(&settings.site);
        migration::check_steps(&self.store, &deciders).await?;
        let needs_restart = self.started.restart_only_changes(&settings);
        let present = self.live_state.snapshot();
        // What may fail comes before anything is changed.
        let snapshot = Snapshot::build_after(&settings.site, Arc::default(), &self.metrics, Some(&present))?;
        let is_new = |pool: &&Arc<Pool>| !present.pools.iter().any(|known| Arc::ptr_eq(known, pool));
        let new_pools: Vec<_> = snapshot.pools.iter().filter(is_new).cloned().collect();
        upstream::look_up(&new_pools).await;
        // A gateway that starts may be there before its services; one that works does not give up one for a
        // name that leads nowhere.
        if let Some(pool) = new_pools.iter().find(|pool| pool.servers().is_empty()) {
            return Err(StartError::Addresses(Arc::clone(&pool.settings.name)));
        }
        // Nor may what handshakes need be wrong: below, keys change on the disk.
        let certificates = self.shared.prepare_certificates(&settings.server.listen);
        let certificates = certificates.map_err(|error| StartError::System(error.to_string()))?;
        // New realms have their keys before their first request.
        lifetimes::note(&self.store, &settings.site.realms, self.clock.now()).await?;
        let vault = &self.vault.by(actor);
        key_lifecycle::ensure(&self.store, vault, &settings.site.realms, &settings.keys, self.clock.now()).await?;
        self.live_state.refresh_keys(&self.vault).await?;
        // A config is in force only if the audit log has its row.
        let row = json!({ "file": self.config.display().to_string(), "sha256": self.files.read.sha256(&self.config) });
        let audited = vault.audited_store();
        audited.note(Entry::of(Action::ConfigReload).to(row)).await?;
        migration::note_steps(&audited, &deciders, self.clock.now()).await?;
        // The last that may fail. Keys of an issuer that the snapshot does not have yet open nothing.
        self.external.replace(&settings.site.issuers)?;
        self.shared.set_certificates(certificates);
        for pool in &new_pools {
            upstream::watch(&Handle::current(), pool);
        }
        self.live_state.publish(|present| snapshot.with_keys(Arc::clone(&present.keys)));
        for pool in &new_pools {
            pool.hold_limits();
        }
        warn_of(&self.config, &settings);
        self.keeping.send_replace(settings.keys);
        self.password_rules.refuse(Arc::clone(&settings.refused_passwords));
        self.shared.set_tunables(Tunables::of(&settings.server, settings.access_log));
        self.metrics.config.last_success_seconds.set(self.clock.now().as_secs_f64());
        self.drain_delay = settings.server.drain_delay;
        self.drain_timeout = settings.server.drain_timeout;
        // A file that is new here was not read before: its first event reloads once more, and no change is lost.
        self.files.of_config.truncate(1);
        self.files.of_config.extend(settings.files.iter().cloned());
        self.files.refused = None;
        self.watched = settings.reload_watch;
        self.watch(watch);
        tracing::info!(needs_restart = needs_restart.join(","), "the config was taken over");
        Ok(needs_restart)
    }
}
