//! The gateway: what is started in which order, and what of it runs.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch::Sender, watch::channel},
    task::JoinHandle,
};

use super::{
    Control, Predecessor, Sockets, StartError,
    control::{connections_borne, runtime},
    core::{Core, Making},
    notice,
    reload::{Files, Reloader},
    warn_of,
    watch::Watch,
};
use crate::{
    config::Settings,
    decision::{
        ClockWatch, Follower, Pruner,
        sync::{keeper::Keeper, upkeep},
    },
    edge::{
        admin::{self, Order, Orders, Readiness},
        front,
    },
    observe::lines::Lines,
};

/// Threads of the admin listener.
const ADMIN_THREADS: usize = 1;

/// Threads that accept connections, for those that serve them.
const ACCEPT_THREADS: usize = 1;

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
    pub fn start(
        control: Control,
        lines: Lines,
        config: PathBuf,
        mut settings: Settings,
        sockets: Sockets,
        predecessor: Option<&Predecessor>,
    ) -> Result<Self, StartError> {
        let (front_addresses, admin_address) = (sockets.front(), sockets.admin()?);
        // A port that was free was not known to the config.
        let bound: Vec<_> = front_addresses.iter().copied().chain([admin_address]).collect();
        settings.site.keep_off(&bound);
        let handed_over = sockets.try_clone()?;
        let files = Files::of(&config, &settings);
        let borne = connections_borne();
        let operator = runtime("admin", ADMIN_THREADS)?;
        let (stop_front, front_stopped) = channel(false);
        let (stop_admin, admin_stopped) = channel(false);
        let (stop_rest, rest_stopped) = channel(false);
        let (serve_admin, mut may_serve_admin) = channel(predecessor.is_none());
        let (orders, ordered) = Orders::channel();
        let readiness = Arc::new(Readiness::default());
        // The store of a gateway that serves is there. A successor that does not find it makes none.
        let making = if predecessor.is_some() { Making::Refused } else { Making::Allowed };
        let core = Core::open(&settings, &control, making)?;
        let shared = core.front(&settings, &control, &lines, borne)?;

        // The operator can ask from here on; the gateway is not ready before it knows what is revoked. Where
        // there is a predecessor, that one answers until then.
        let admin = Arc::new(core.admin(&settings, &control, &shared, &readiness, orders)?);
        let admin_listener = sockets.admin;
        let operating = operator.spawn(async move {
            if may_serve_admin.wait_for(|may| *may).await.is_err() {
                return;
            }
            if let Err(error) = admin::serve(admin_listener, admin, admin_stopped).await {
                tracing::error!(%error, "the admin listener failed");
            }
        });
        let Core { clock, trusted, metrics, store, vault, gate, foreign, .. } = core;
        let follower =
            Follower::start(store.clone(), vault.clone(), Arc::clone(&gate), Arc::clone(&clock), Arc::clone(&metrics));
        let follower = control.block_on(follower)?;
        let watch = ClockWatch::start(store.clone(), trusted.clone(), Arc::clone(&metrics));
        control.runtime.spawn(control.block_on(watch)?.run(rest_stopped.clone()));
        let pruner = Pruner::new(store.clone(), Arc::clone(&gate), trusted.clone());
        control.runtime.spawn(pruner.run(rest_stopped.clone()));
        let following = control.runtime.spawn(follower.run(rest_stopped.clone()));
        control.runtime.spawn(upkeep::run(store.clone(), Arc::clone(&clock), rest_stopped.clone()));
        let (keeping, kept) = channel(settings.keys);
        let keeper = Keeper::new(store.clone(), vault.clone(), Arc::clone(&gate), trusted, kept);
        control.runtime.spawn(keeper.run(rest_stopped));

        let workers = front::Workers::start(settings.server.threads, &shared)?;
        let acceptor = runtime("accept", ACCEPT_THREADS)?;
        let serving = acceptor.spawn(front::serve(sockets.front, workers, Arc::clone(&shared), front_stopped));
        metrics.config_last_success_seconds.set(clock.now().as_secs_f64());
        readiness.set_loaded();
        warn_of(&config, &settings);
        serve_admin.send_replace(true);
        if borne < settings.server.connections_max {
            let hint = "raise the limit on open files (LimitNOFILE, ulimit -n), or lower server.connections_max";
            tracing::warn!(
                connections_max = borne,
                hint,
                "the limit on open files bears fewer connections than configured"
            );
        }
        let drain_timeout = settings.server.drain_timeout;
        let mut watch = Watch::default();
        let watched = settings.reload_watch;
        let reloader = Reloader {
            config,
            bound,
            started: settings,
            drain_timeout,
            gate,
            foreign,
            shared,
            store,
            vault,
            keeping,
            metrics,
            clock,
            files,
            watched,
        };
        reloader.watch(&mut watch);
        if let Some(predecessor) = predecessor {
            predecessor.ready()?;
        } else {
            notice::ready();
        }
        Ok(Self {
            front: front_addresses,
            admin: admin_address,
            control,
            lines,
            acceptor,
            operator,
            serving,
            following,
            readiness,
            operating,
            orders: ordered,
            sockets: handed_over,
            stop_front,
            stop_admin,
            stop_rest,
            reloader,
            watch,
            succeeds: predecessor.is_some(),
        })
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("front", &self.front).field("admin", &self.admin).finish_non_exhaustive()
    }
}
