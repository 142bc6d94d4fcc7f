//! The gateway: what is started in which order, and what of it runs.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
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
    control::{connections_possible, runtime},
    core::{Core, Making},
    notice, opening,
    reload::{Files, Reloader, Started},
    tasks::Tasks,
    warn_of,
    watch::Watch,
};
use crate::{
    config::GatewaySettings,
    domain::{Clock, SystemClock},
    edge::{
        admin::{self, Admin, Order, Orders, Readiness},
        front,
    },
    observe::{audit::AuditLog, lines::Lines},
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
    pub(super) tasks: Tasks,
    pub(super) audit: AuditLog,
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
        let connections_possible = connections_possible();
        let operator = runtime("admin", ADMIN_THREADS)?;
        let (stop_front, front_stopped) = channel(false);
        let (stop_admin, admin_stopped) = channel(false);
        let (stop_rest, rest_stopped) = channel(false);

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let opened = control.block_on(opening::open(&settings, making(predecessor), &clock))?;
        let core = Core::new(&settings, &control, clock, opened)?;
        let shared = core.front(&settings, &control, &lines, connections_possible)?;
        // The operator can ask from here on; the gateway is not ready before it knows what is revoked. Where
        // there is a predecessor, that one answers until then.
        let (orders, ordered) = Orders::channel();
        let readiness = Arc::new(Readiness::default());
        let (serve_admin, may_serve_admin) = channel(predecessor.is_none());
        let api = Arc::new(core.admin(&settings, &control, &shared, &readiness, orders)?);
        let operating = operator.spawn(serve_operators(may_serve_admin, sockets.admin, api, admin_stopped));
        let audit = core.audit.clone();
        let (tasks, keeping) = Tasks::start(&core, &control, &settings, &rest_stopped)?;

        let workers = front::Workers::start(settings.server.threads, &shared)?;
        let acceptor = runtime("accept", ACCEPT_THREADS)?;
        let serving = acceptor.spawn(front::serve(sockets.front, workers, Arc::clone(&shared), front_stopped));
        core.metrics.config.last_success_seconds.set(core.clock.now().as_secs_f64());
        readiness.set_loaded();
        warn_of(&config, &settings);
        serve_admin.send_replace(true);
        warn_of_open_files(connections_possible, settings.server.connections_max);
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
            tasks,
            audit,
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

/// Warns where the system lets fewer files be open than the connections that the config allows need.
fn warn_of_open_files(connections_possible: usize, connections_max: usize) {
    if connections_possible < connections_max {
        let hint = "raise the limit on open files (LimitNOFILE, ulimit -n), or lower server.connections_max";
        tracing::warn!(
            connections_max = connections_possible,
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
