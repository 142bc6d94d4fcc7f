//! The gateway: what is started in which order, and what of it runs.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    sync::{
        mpsc,
        watch::{Receiver, Sender, channel},
    },
    task::JoinHandle,
};

use super::{
    Control, Predecessor, Sockets, StartError,
    control::{connections_borne, runtime},
    core::{Core, Making},
    notice, opening,
    reload::{Files, Reloader, Started},
    warn_of,
    watch::Watch,
};
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
    domain::{Clock, SystemClock},
    edge::{
        admin::{self, Admin, Order, Orders, Readiness},
        front,
    },
    observe::{audit::AuditLog, lines::Lines, metrics::Metrics},
    state::store_snapshot::{self, Recorder},
};

/// Threads of the admin listener.
const ADMIN_THREADS: usize = 1;

/// Threads that accept connections, for those that serve them.
const ACCEPT_THREADS: usize = 1;

/// The part of `store.max_staleness` that a start by the store's snapshot may lose, and its bounds.
const CONFIRM_PART: u32 = 20;
const CONFIRM_EVERY_MIN: Duration = Duration::from_secs(1);
const CONFIRM_EVERY_MAX: Duration = Duration::from_secs(5);

/// A gateway that serves.
pub struct Gateway {
    /// Where clients connect.
    pub front: Vec<SocketAddr>,
    /// Where operators connect.
    pub admin: SocketAddr,
    pub(super) control: Control,
    pub(super) lines: Lines,
    pub(super) acceptor: Runtime,
    pub(super) operator: Runtime,
    pub(super) serving: JoinHandle<()>,
    pub(super) following: JoinHandle<()>,
    /// What keeps the audit log's anchors.
    pub(super) anchoring: JoinHandle<()>,
    pub(super) audit: AuditLog,
    /// What was counted last is written down before the store is closed.
    pub(super) writing: JoinHandle<()>,
    /// Who logged in last is written down before that too.
    pub(super) recording: JoinHandle<()>,
    /// What was counted for the migration last is written down before that too.
    pub(super) counting: JoinHandle<()>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) operating: JoinHandle<()>,
    pub(super) orders: mpsc::Receiver<Order>,
    /// The listening sockets once more, for a successor.
    pub(super) sockets: Sockets,
    pub(super) stop_front: Sender<bool>,
    /// The admin listener goes on until the front has drained, unless a successor has it.
    pub(super) stop_admin: Sender<bool>,
    /// So does the rest: what is revoked holds for the last request.
    pub(super) stop_rest: Sender<bool>,
    pub(super) reloader: Reloader,
    pub(super) watch: Watch,
    pub(super) succeeds: bool,
}

impl Gateway {
    /// Starts everything. `config` is the file that a reload reads again. A `predecessor` hears when this
    /// gateway serves, and goes on until then.
    ///
    /// # Errors
    /// Says which part could not start: a socket, a thread, the store, its keys, the snapshot or the metrics; or that
    /// the predecessor has gone.
    pub fn start(
        control: Control,
        lines: Lines,
        config: PathBuf,
        mut settings: GatewaySettings,
        sockets: Sockets,
        predecessor: Option<&Predecessor>,
    ) -> Result<Self, StartError> {
        let (front, admin) = (sockets.front(), sockets.admin()?);
        // A port that was free was not known to the config.
        let bound: Vec<_> = front.iter().copied().chain([admin]).collect();
        settings.site.keep_off(&bound);
        let handed_over = sockets.try_clone()?;
        let files = Files::of(&config, &settings);
        let connections_borne = connections_borne();
        let operator = runtime("admin", ADMIN_THREADS)?;
        let (stop_front, front_stopped) = channel(false);
        let (stop_admin, admin_stopped) = channel(false);
        let (stop_rest, rest_stopped) = channel(false);

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let opened = control.block_on(opening::open(&settings, making(predecessor), &clock))?;
        let core = Core::new(&settings, &control, clock, opened)?;
        let shared = core.front(&settings, &control, &lines, connections_borne)?;
        // The operator can ask from here on; the gateway is not ready before it knows what is revoked. Where
        // there is a predecessor, that one answers until then.
        let (orders, ordered) = Orders::channel();
        let readiness = Arc::new(Readiness::default());
        let (serve_admin, may_serve_admin) = channel(predecessor.is_none());
        let api = Arc::new(core.admin(&settings, &control, &shared, &readiness, orders)?);
        let operating = operator.spawn(serve_operators(may_serve_admin, sockets.admin, api, admin_stopped));
        let keeper = AuditKeeper::new(
            core.store.clone(),
            core.audit.clone(),
            Arc::clone(&core.services),
            Arc::clone(&core.clock),
            core.metrics.audit.clone(),
        );
        let anchoring = control.runtime.spawn(keeper.run(rest_stopped.clone()));
        let audit = core.audit.clone();
        let Tasks { following, writing, recording, counting, keeping } =
            start_tasks(&core, &control, &settings, &rest_stopped)?;

        let workers = front::Workers::start(settings.server.threads, &shared)?;
        let acceptor = runtime("accept", ACCEPT_THREADS)?;
        let serving = acceptor.spawn(front::serve(sockets.front, workers, Arc::clone(&shared), front_stopped));
        core.metrics.config.last_success_seconds.set(core.clock.now().as_secs_f64());
        readiness.set_loaded();
        warn_of(&config, &settings);
        serve_admin.send_replace(true);
        warn_of_open_files(connections_borne, settings.server.connections_max);
        let mut watch = Watch::default();
        let reloader = Reloader::new(core, shared, keeping, Started { config, bound, settings, files });
        reloader.watch(&mut watch);
        tell_ready(predecessor)?;
        let succeeds = predecessor.is_some();
        Ok(Self {
            front,
            admin,
            control,
            lines,
            acceptor,
            operator,
            serving,
            following,
            anchoring,
            audit,
            writing,
            recording,
            counting,
            readiness,
            operating,
            orders: ordered,
            sockets: handed_over,
            stop_front,
            stop_admin,
            stop_rest,
            reloader,
            watch,
            succeeds,
        })
    }
}

/// The store of a gateway that serves is there. A successor that does not find it makes none.
const fn making(predecessor: Option<&Predecessor>) -> Making {
    if predecessor.is_some() { Making::Refused } else { Making::Allowed }
}

/// Answers operators from when it may until it is stopped.
async fn serve_operators(
    mut may_serve: Receiver<bool>,
    listener: TcpListener,
    api: Arc<Admin>,
    stopped: Receiver<bool>,
) {
    // An error means that the gateway did not start.
    if may_serve.wait_for(|may| *may).await.is_err() {
        return;
    }
    if let Err(error) = admin::serve(listener, api, stopped).await {
        tracing::error!(%error, "the admin listener failed");
    }
}

/// What goes on beside requests, as far as somebody must reach it.
struct Tasks {
    /// Follows the store.
    following: JoinHandle<()>,
    /// Writes failed logins down.
    writing: JoinHandle<()>,
    /// Writes down who logged in.
    recording: JoinHandle<()>,
    /// Writes counts of the migration down.
    counting: JoinHandle<()>,
    /// Tells a changed schedule to the task that keeps the keys.
    keeping: Sender<schedule::ScheduleSettings>,
}

/// Starts what goes on beside requests until it is stopped. When this returns, what is revoked is known.
fn start_tasks(
    core: &Core,
    control: &Control,
    settings: &GatewaySettings,
    stopped: &Receiver<bool>,
) -> Result<Tasks, StartError> {
    let Core { trusted, metrics, store, vault, live_state, clock, hasher, .. } = core;
    let (store_sync, clock_watch) = control.block_on(start_following(core, settings))?;
    let schedule = settings.keys;
    let pruner = Pruner::new(store.clone(), Arc::clone(live_state), trusted.clone());
    let (keeping, kept) = channel(schedule);
    let key_lifecycle = KeyLifecycle::new(store.clone(), vault.clone(), Arc::clone(live_state), trusted.clone(), kept);

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
    let writing = control.runtime.spawn(throttle_sync::run(core.throttles.clone(), vault.clone(), stopped.clone()));
    control.runtime.spawn(upkeep::run(store.clone(), Arc::clone(clock), stopped.clone()));
    control.runtime.spawn(key_lifecycle.run(stopped.clone()));
    let recording = record_logins::run(store.clone(), Arc::clone(&core.logins), stopped.clone());
    let recording = control.runtime.spawn(recording);
    let wrapping = Wrapping::new(vault.clone(), Arc::clone(hasher), Arc::clone(clock), Arc::clone(metrics));
    control.runtime.spawn(wrapping.run(stopped.clone()));
    Ok(Tasks { following, writing, recording, counting, keeping })
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
        metrics.store_snapshot_bytes.inc_by(written.bytes);
        metrics.store_snapshot_timestamp_seconds.set(written.confirmed_at.as_secs_f64());
    })
}

/// Warns where the system lets fewer files be open than the connections that the config allows need.
fn warn_of_open_files(connections_borne: usize, connections_max: usize) {
    if connections_borne < connections_max {
        let hint = "raise the limit on open files (LimitNOFILE, ulimit -n), or lower server.connections_max";
        tracing::warn!(
            connections_max = connections_borne,
            hint,
            "the limit on open files bears fewer connections than configured"
        );
    }
}

/// Tells the predecessor that this gateway serves; without one, the system.
fn tell_ready(predecessor: Option<&Predecessor>) -> io::Result<()> {
    match predecessor {
        Some(predecessor) => predecessor.ready()?,
        None => notice::ready(),
    }
    Ok(())
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("front", &self.front).field("admin", &self.admin).finish_non_exhaustive()
    }
}
