//! Floor 6: the wiring. Which piece gets which, in which order they start, and how they stop.
//!
//! Three runtimes: the proxy's threads decide and forward; the control runtime talks to the store
//! and waits for password hashes; the admin listener has its own, so that it answers when the
//! others are busy.

mod control;
mod core;
mod reload;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle};

pub use self::{
    control::{Control, Sockets},
    core::open_vault,
};
use self::{
    control::{connections_borne, runtime},
    core::Core,
    reload::Reloader,
};
use crate::{
    config::{self, Report, Settings},
    decision::{
        FollowError, Follower, ForeignIssuerError, Site, SnapshotError,
        keeper::{Keeper, KeeperError},
    },
    edge::{
        admin::{self, Readiness},
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
    stop_front: watch::Sender<bool>,
    /// The rest goes on until the front has drained: health and metrics show it.
    stop_rest: watch::Sender<bool>,
    reloader: Reloader,
}

impl Gateway {
    /// Starts everything. `config` is the file that a reload reads again.
    pub fn start(
        control: Control,
        lines: Lines,
        config: PathBuf,
        settings: Settings,
        sockets: Sockets,
    ) -> Result<Self, StartError> {
        let (front_addresses, admin_address) = (sockets.front(), sockets.admin()?);
        let borne = connections_borne();
        let operator = runtime("admin", ADMIN_THREADS)?;
        let (stop_front, front_stopped) = watch::channel(false);
        let (stop_rest, rest_stopped) = watch::channel(false);
        let readiness = Arc::new(Readiness::default());
        let core = Core::open(&settings, &control)?;
        let shared = core.front(&settings, &control, &lines, borne)?;

        // The operator can ask from here on; the gateway is not ready before it knows what is revoked.
        let admin = Arc::new(core.admin(&settings, &control, &shared, &readiness)?);
        let (admin_listener, admin_stopped) = (sockets.admin, rest_stopped.clone());
        operator.spawn(async move {
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
        let (keeping, kept) = watch::channel(settings.keys);
        let keeper = Keeper::new(store.clone(), vault.clone(), Arc::clone(&gate), Arc::clone(&clock), kept);
        control.runtime.spawn(keeper.run(rest_stopped));

        let proxy = runtime("proxy", settings.server.threads)?;
        let serving =
            proxy.spawn(proxy::serve(sockets.front, settings.server.threads, Arc::clone(&shared), front_stopped));
        metrics.config_last_success_seconds.set(clock.now().as_secs_f64());
        readiness.set_loaded();
        warn_of_shadow_mode(&settings.site);
        if borne < settings.server.connections_max {
            let hint = "raise the limit on open files (LimitNOFILE, ulimit -n), or lower server.connections_max";
            tracing::warn!(
                connections_max = borne,
                hint,
                "the limit on open files bears fewer connections than configured"
            );
        }
        let drain_timeout = settings.server.drain_timeout;
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
        };
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
            stop_front,
            stop_rest,
            reloader,
        })
    }

    /// Serves until SIGTERM or SIGINT, then lets requests in flight end. SIGHUP reloads the config.
    pub fn run(mut self) -> Result<(), StartError> {
        let listen = self.front.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        tracing::info!(listen, admin = %self.admin, version = env!("CARGO_PKG_VERSION"), "listening");
        let Self { control, following, reloader, .. } = &mut self;
        let Control { runtime, signals } = control;
        let outcome = runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = signals.terminate.recv() => return Ok(()),
                    _ = signals.interrupt.recv() => return Ok(()),
                    // Blind to revocations it must not go on as if it saw them.
                    _ = &mut *following => return Err(StartError::System(NOT_FOLLOWED.to_owned())),
                    _ = signals.hang_up.recv() => {}
                }
                tokio::select! {
                    _ = signals.terminate.recv() => return Ok(()),
                    _ = signals.interrupt.recv() => return Ok(()),
                    () = reloader.reload() => {}
                }
            }
        });
        self.stop();
        outcome
    }

    /// Stops: not ready at once, no new connections, requests in flight end within the drain timeout.
    fn stop(self) {
        tracing::info!("draining");
        self.readiness.set_draining();
        let drain_timeout = self.reloader.drain_timeout;
        // An error means that they have ended already.
        let _ = self.stop_front.send(true);
        let drained = self.control.block_on(async { tokio::time::timeout(drain_timeout, self.serving).await });
        if drained.is_err() {
            tracing::warn!(?drain_timeout, "requests were still in flight when the drain timeout was over");
        }
        self.proxy.shutdown_background();
        let _ = self.stop_rest.send(true);
        self.operator.shutdown_timeout(ADMIN_GRACE);
        self.control.runtime.shutdown_timeout(ADMIN_GRACE);
        tracing::info!("stopped");
        self.lines.flush();
    }
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
