//! Floor 6: the wiring. Which piece gets which, in which order they start, and how they stop.
//!
//! Three runtimes: the proxy's threads decide and forward; the control runtime talks to the store
//! and waits for password hashes; the admin listener has its own, so that it answers when the
//! others are busy.

mod control;
mod core;
mod notice;
mod reload;
mod sockets;
mod upgrade;
mod watch;

use std::{
    future::pending,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch::Sender, watch::channel},
    task::JoinHandle,
};

pub use self::{
    control::Control,
    core::open_vault,
    sockets::{Inherited, Predecessor, Sockets},
    upgrade::Program,
};
use self::{
    control::{connections_borne, runtime},
    core::Core,
    reload::{Files, Reloader},
    watch::Watch,
};
use crate::{
    config::{self, Report, Settings},
    decision::{
        FollowError, Follower, ForeignIssuerError, Site, SnapshotError,
        keeper::{Keeper, KeeperError},
    },
    edge::{
        admin::{self, Order, Orders, Readiness},
        proxy,
    },
    observe::lines::Lines,
    state::{
        keys::VaultError,
        store::{StoreError, private_file::PrivateFileError},
    },
};

/// Threads of the admin listener.
const ADMIN_THREADS: usize = 1;

/// Why a gateway ends by itself.
const NOT_FOLLOWED: &str = "what other processes revoke is not seen any more; start the gateway again";

/// What an operator must know about a route in shadow mode.
pub const SHADOW_MEANS: &str = "it lets every request through whatever its token, revoked, expired and missing ones too; what it would deny is only counted and logged";

/// How long the admin listener may take to end its last answers.
const ADMIN_GRACE: Duration = Duration::from_secs(1);

/// How long a gateway that stops waits for the next request of an idle connection: one may be on its way.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// The part of the drain timeout for which one that has a successor waits: nothing hurries it.
const IDLE_GRACE_AFTER_UPGRADE: f64 = 0.8;

/// Why the gateway could not start. Nothing of it is left running.
#[derive(Debug, Error)]
pub enum StartError {
    /// The config is not good.
    #[error(transparent)]
    Config(#[from] Report),
    /// An address is taken, or not ours.
    #[error("cannot listen on {address} ({key}): {source}")]
    Listen {
        /// The config's key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its keys.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The keys that its realms need.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// Reading what is in force.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The tables.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A reload would leave an upstream without any server to ask.
    #[error("upstream '{0}': none of its servers' names has an address")]
    Addresses(Arc<str>),
    /// A foreign issuer's files.
    #[error(transparent)]
    ForeignIssuer(#[from] ForeignIssuerError),
    /// The admin token's file.
    #[error("admin token file {0}")]
    AdminToken(#[from] PrivateFileError),
    /// Threads, signals or metrics.
    #[error("the gateway cannot start: {0}")]
    System(String),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// The environment, as the config reads it.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A gateway that serves.
pub struct Gateway {
    /// Where clients connect.
    pub front: Vec<SocketAddr>,
    /// Where operators connect.
    pub admin: SocketAddr,
    control: Control,
    lines: Lines,
    proxy: Runtime,
    operator: Runtime,
    serving: JoinHandle<()>,
    following: JoinHandle<()>,
    readiness: Arc<Readiness>,
    operating: JoinHandle<()>,
    orders: mpsc::Receiver<Order>,
    /// The listening sockets once more, for a successor.
    sockets: Sockets,
    stop_front: Sender<bool>,
    /// The admin listener goes on until the front has drained, unless a successor has it.
    stop_admin: Sender<bool>,
    /// So does the rest: what is revoked holds for the last request.
    stop_rest: Sender<bool>,
    reloader: Reloader,
    watch: Watch,
    succeeds: bool,
}

/// Why a gateway stops.
enum End {
    /// It was asked to.
    Asked,
    /// Another process has taken over.
    Succeeded,
    /// It cannot go on.
    Failed(StartError),
}

impl Gateway {
    /// Starts everything. `config` is the file that a reload reads again. A `predecessor` hears when this
    /// gateway serves, and goes on until then.
    pub fn start(
        control: Control,
        lines: Lines,
        config: PathBuf,
        settings: Settings,
        sockets: Sockets,
        predecessor: Option<&Predecessor>,
    ) -> Result<Self, StartError> {
        let (front_addresses, admin_address) = (sockets.front(), sockets.admin()?);
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
        let core = Core::open(&settings, &control)?;
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
        let Core { clock, metrics, store, vault, gate, foreign, .. } = core;
        let follower =
            Follower::start(store.clone(), vault.clone(), Arc::clone(&gate), Arc::clone(&clock), Arc::clone(&metrics));
        let follower = control.block_on(follower)?;
        control.runtime.spawn(follower.prune(rest_stopped.clone()));
        let following = control.runtime.spawn(follower.run(rest_stopped.clone()));
        let (keeping, kept) = channel(settings.keys);
        let keeper = Keeper::new(store.clone(), vault.clone(), Arc::clone(&gate), Arc::clone(&clock), kept);
        control.runtime.spawn(keeper.run(rest_stopped));

        let proxy = runtime("proxy", settings.server.threads)?;
        let serving =
            proxy.spawn(proxy::serve(sockets.front, settings.server.threads, Arc::clone(&shared), front_stopped));
        metrics.config_last_success_seconds.set(clock.now().as_secs_f64());
        readiness.set_loaded();
        warn_of_shadow_mode(&settings.site);
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
        };
        reloader.watch_as(watched, &mut watch);
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
            proxy,
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

    /// Serves until SIGTERM or SIGINT, or until another process has taken over, then lets requests in flight
    /// end. SIGHUP reloads the config. `program` is what an upgrade starts; without it there is none.
    pub fn run(mut self, program: Option<&Program>) -> Result<(), StartError> {
        let listen = self.front.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (pid, succeeds) = (std::process::id(), self.succeeds);
        tracing::info!(listen, admin = %self.admin, version = env!("CARGO_PKG_VERSION"), pid, succeeds, "listening");
        let Self { control, following, reloader, watch, orders, sockets, .. } = &mut self;
        let Control { runtime, signals } = control;
        let end = runtime.block_on(async {
            loop {
                // What is asked is done one after another.
                let order = tokio::select! {
                    _ = signals.terminate.recv() => return End::Asked,
                    _ = signals.interrupt.recv() => return End::Asked,
                    // Blind to revocations it must not go on as if it saw them.
                    _ = &mut *following => return End::Failed(StartError::System(NOT_FOLLOWED.to_owned())),
                    _ = signals.hang_up.recv() => Asked::Reload,
                    () = watch.changed() => Asked::ReloadIfChanged,
                    order = orders.recv() => order.map_or(Asked::Nothing, Asked::Ordered),
                };
                tokio::select! {
                    _ = signals.terminate.recv() => return End::Asked,
                    _ = signals.interrupt.recv() => return End::Asked,
                    done = carry_out(order, reloader, watch, program, sockets) => if let Some(end) = done {
                        return end;
                    },
                }
            }
        });
        self.stop(&end);
        if let End::Failed(error) = end { Err(error) } else { Ok(()) }
    }

    /// Stops: not ready at once, no new connections, requests in flight end within the drain timeout.
    fn stop(self, end: &End) {
        let succeeded = matches!(end, End::Succeeded);
        tracing::info!(succeeded, "draining");
        let drain_timeout = self.reloader.drain_timeout;
        if succeeded {
            // Operators are answered by the successor, and connections have time to find it.
            let _ = self.stop_admin.send(true);
            self.reloader.shared.set_idle_grace(drain_timeout.mul_f64(IDLE_GRACE_AFTER_UPGRADE));
        } else {
            notice::stopping();
            self.reloader.shared.set_idle_grace(IDLE_GRACE.min(drain_timeout / 2));
        }
        self.readiness.set_draining();
        // Ours must not keep a queue open from which nobody accepts, nor orders wait for nobody.
        drop((self.sockets, self.orders));
        // An error means that they have ended already.
        let _ = self.stop_front.send(true);
        let drained = self.control.block_on(async { tokio::time::timeout(drain_timeout, self.serving).await });
        if drained.is_err() {
            tracing::warn!(?drain_timeout, "requests were still in flight when the drain timeout was over");
        }
        self.proxy.shutdown_background();
        let _ = self.stop_admin.send(true);
        // Neither ends the process later: who is not done by then has had the time.
        let _ = self.control.block_on(async { tokio::time::timeout(ADMIN_GRACE, self.operating).await });
        let _ = self.stop_rest.send(true);
        self.operator.shutdown_background();
        self.control.runtime.shutdown_timeout(ADMIN_GRACE);
        tracing::info!("stopped");
        self.lines.flush();
    }
}

/// What a gateway is asked while it serves.
enum Asked {
    Reload,
    ReloadIfChanged,
    Ordered(Order),
    Nothing,
}

/// Does it; answers whether the gateway ends by it.
async fn carry_out(
    asked: Asked,
    reloader: &mut Reloader,
    watch: &mut Watch,
    program: Option<&Program>,
    sockets: &Sockets,
) -> Option<End> {
    match asked {
        // The log says what came of it.
        Asked::Reload => drop(reloader.reload(watch).await),
        Asked::ReloadIfChanged => reloader.reload_if_changed(watch).await,
        Asked::Ordered(Order::Reload(outcome)) => {
            let taken = reloader.reload(watch).await;
            // Whoever asked may have gone.
            let _ = outcome.send(taken.map_err(|error| error.to_string()));
        }
        Asked::Ordered(Order::Upgrade { patience, outcome, alone }) => {
            tracing::info!("handing over to a new process");
            let successor = match program {
                Some(program) => program.hand_over(sockets, patience).await,
                None => Err("a demo has no upgrade; start it again".to_owned()),
            };
            match &successor {
                Ok(pid) => {
                    tracing::info!(pid, "handed over");
                    notice::handed_over(*pid);
                }
                Err(why) => {
                    for problem in why.lines() {
                        tracing::error!(problem, "not handed over; this process serves on");
                    }
                }
            }
            let succeeded = successor.is_ok();
            let _ = outcome.send(successor);
            drop(alone);
            return succeeded.then_some(End::Succeeded);
        }
        // Every way to ask is gone: signals are left.
        Asked::Nothing => pending().await,
    }
    None
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("front", &self.front).field("admin", &self.admin).finish_non_exhaustive()
    }
}

/// Says which routes let everybody through.
fn warn_of_shadow_mode(site: &Site) {
    for route in site.shadow_routes() {
        tracing::warn!(route, meaning = SHADOW_MEANS, "a route is in shadow mode");
    }
}

/// Reads and checks the config.
pub fn load(config: &Path) -> Result<Settings, StartError> {
    Ok(config::load(config, &environment)?)
}
