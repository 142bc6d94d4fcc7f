//! What everything else works with: the store, its keys, the live state, and who hashes passwords.

use std::{sync::Arc, time::Duration};

use super::{Control, StartError};
use crate::{
    config::GatewaySettings,
    decision::{
        AdminService, ExternalIssuers, Freshness, LiveState, Snapshot, TokenService, admin::migration,
        decide::lifetimes, sync::key_lifecycle,
    },
    domain::{Clock, SystemClock},
    edge::{
        admin::{Admin, AdminToken, AllowedHosts, Orders, Readiness},
        forward::{Services, Shared, Tunables},
        token_endpoints::TokenEndpoints,
    },
    observe::{access_log::AccessLog, lines::Lines, metrics::Metrics},
    state::{
        account::Hasher,
        clock::TrustedClock,
        keys::{self, Keyring, Vault},
        limit::Throttle,
        store::{self, Found, Store},
    },
    upstream,
};

/// Whether a store may be made where nothing of one was ever made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// By what a newcomer begins with: `run`, `demo`, and the commands that make accounts or keys.
    Allowed,
    /// Not by what reads, changes or revokes: it would do so to nothing, and look like a success.
    Refused,
}

/// Whether there is a store. Opens and makes nothing.
///
/// # Errors
/// What is wrong with its files; or it is missing, and may not be made.
pub(super) fn has_store(settings: &GatewaySettings, making: Making) -> Result<bool, StartError> {
    // Nothing is made on a server by itself: its opening says whether there is a store.
    let Some(path) = settings.store.file() else { return Ok(true) };
    match (store::examine(path, &settings.master_key_file)?, making) {
        (Found::Store, _) => Ok(true),
        (Found::Nothing, Making::Allowed) => Ok(false),
        (found, _) => Err(store::missing(path, found).into()),
    }
}

/// Opens the store and its keys. Only a gateway makes keys that its realms lack: a command beside it
/// may have read a config that the gateway has not.
///
/// # Errors
/// Fails when the store is missing and `making` is refused, when it cannot be opened or made, or when its master key is
/// missing or another one.
pub async fn open_vault(settings: &GatewaySettings, making: Making) -> Result<(Store, Vault), StartError> {
    if has_store(settings, making)? {
        open_with_keys(settings, Store::open(&settings.store).await?, Making::Refused).await
    } else {
        make_vault(settings).await
    }
}

/// Makes a store and opens it; its master key too, where there is none. Every token that was given out before is
/// void in it.
///
/// # Errors
/// Fails when the store or its master key's file cannot be made, or when something is there already that is no store.
pub async fn make_vault(settings: &GatewaySettings) -> Result<(Store, Vault), StartError> {
    let made = open_with_keys(settings, Store::make(&settings.store).await?, Making::Allowed).await?;
    tracing::info!(path = settings.store.place(), "a new store was made");
    Ok(made)
}

async fn open_with_keys(
    settings: &GatewaySettings,
    store: Store,
    making: Making,
) -> Result<(Store, Vault), StartError> {
    let master = keys::VaultSettings { master_key_file: settings.master_key_file.clone() };
    let opened = match making {
        Making::Allowed => Vault::make(store.clone(), &master).await,
        Making::Refused => Vault::open(store.clone(), &master).await,
    };
    // Nothing is left beside a store that cannot be used: no journal either.
    let failed = match opened {
        Ok(vault) => match vault.wipe_revoked().await {
            Ok(_) => return Ok((store, vault)),
            Err(error) => error,
        },
        Err(error) => error,
    };
    store.close().await;
    Err(failed.into())
}

/// What everything else works with.
pub(super) struct Core {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) trusted: TrustedClock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) live_state: Arc<LiveState>,
    pub(super) external: Arc<ExternalIssuers>,
    pub(super) token_service: Arc<TokenService>,
    hasher: Arc<Hasher>,
}

impl Core {
    pub(super) fn open(settings: &GatewaySettings, control: &Control, making: Making) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = Metrics::new().map_err(|error| StartError::System(error.to_string()))?;
        let (store, vault, trusted) = control.block_on(async {
            let (store, vault) = open_vault(settings, making).await?;
            store.open_all().await?;
            let trusted = TrustedClock::open(&store, Arc::clone(&clock)).await?;
            migration::check_steps(&store, &settings.site).await?;
            lifetimes::note(&store, &settings.site.realms, clock.now()).await?;
            migration::note_steps(&store, &settings.site, clock.now()).await?;
            key_lifecycle::ensure(&store, &vault, &settings.site.realms, &settings.keys, clock.now()).await?;
            Ok::<_, StartError>((store, vault, trusted))
        })?;
        // The admin listener is asked from soon on.
        metrics.clock.set(trusted.now().err().map(|suspended| suspended.left));
        upstream::install_provider();
        upstream::check_system().map_err(|error| StartError::System(error.to_string()))?;
        // The keys come with the first reading of the store, see `StoreSync::start`.
        let snapshot = Snapshot::build(&settings.site, Arc::new(Keyring::default()), &metrics)?;
        control.block_on(upstream::look_up(&snapshot.pools));
        for pool in snapshot.pools.iter() {
            upstream::watch(control.runtime.handle(), pool);
        }
        let freshness = Freshness::new(settings.staleness, Arc::clone(&clock));
        let live_state = LiveState::new(snapshot, settings.cache, settings.bad_tokens).with_freshness(freshness);
        let live_state = Arc::new(live_state);
        let folder = settings.data_folder().join("issuers");
        let external = ExternalIssuers::new(Arc::clone(&live_state), folder, trusted.clone(), Arc::clone(&metrics));
        control.block_on(async { external.replace(&settings.site.issuers) })?;
        let seconds = metrics.passwords.hash_seconds.clone();
        let observer = Arc::new(move |took: Duration| seconds.observe(took.as_secs_f64()));
        let hasher = Arc::new(Hasher::start(settings.hashing, Arc::clone(&clock), observer)?);
        let token_service = TokenService::new(
            Arc::clone(&live_state),
            store.clone(),
            Arc::clone(&hasher),
            Throttle::new(settings.throttle),
            Arc::clone(&clock),
        );
        Ok(Self {
            clock,
            trusted,
            metrics,
            store,
            vault,
            live_state,
            external: Arc::new(external),
            token_service: Arc::new(token_service),
            hasher,
        })
    }

    pub(super) fn front(
        &self,
        settings: &GatewaySettings,
        control: &Control,
        lines: &Lines,
        connections_borne: usize,
    ) -> Result<Arc<Shared>, StartError> {
        let endpoints =
            TokenEndpoints::new(Arc::clone(&self.live_state), Arc::clone(&self.token_service), Arc::clone(&self.clock));
        let services = Services {
            live_state: Arc::clone(&self.live_state),
            external: Arc::clone(&self.external),
            endpoints: Arc::new(endpoints),
            clock: Arc::clone(&self.clock),
            control: control.runtime.handle().clone(),
            access_log: AccessLog::new(lines.clone()),
        };
        let tunables = Tunables::of(&settings.server, settings.access_log);
        let shared = Shared::new(services, &self.metrics, tunables, &settings.server.listen, connections_borne);
        shared.map(Arc::new).map_err(|error| StartError::System(error.to_string()))
    }

    pub(super) fn admin(
        &self,
        settings: &GatewaySettings,
        control: &Control,
        front: &Arc<Shared>,
        readiness: &Arc<Readiness>,
        orders: Orders,
    ) -> Result<Admin, StartError> {
        let live_state = Arc::clone(&self.live_state);
        Ok(Admin {
            service: AdminService::new(self.store.clone(), self.vault.clone(), self.trusted.clone(), Some(live_state))
                .hashing_with(Arc::clone(&self.hasher)),
            trusted: self.trusted.clone(),
            hasher: Arc::clone(&self.hasher),
            live_state: Arc::clone(&self.live_state),
            metrics: Arc::clone(&self.metrics),
            front: Arc::clone(front),
            readiness: Arc::clone(readiness),
            control: control.runtime.handle().clone(),
            orders,
            token: AdminToken::read_or_create(&settings.admin.token_file)?,
            hosts: AllowedHosts::new(settings.admin.hosts.clone()),
        })
    }
}
