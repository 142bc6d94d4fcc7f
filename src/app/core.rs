//! What everything else works with: the store, its keys, the live state, and who hashes passwords.

use std::{path::Path, sync::Arc, time::Duration};

use super::{Control, StartError};
use crate::{
    config::GatewaySettings,
    decision::{
        AdminServices, ExternalIssuers, Freshness, LiveState, Resumed, Snapshot, TokenService,
        admin::migration,
        decide::lifetimes,
        sync::{key_lifecycle, rounds::host_name},
    },
    domain::Clock,
    edge::{
        admin::{Admin, AdminToken, AllowedHosts, Orders, Readiness},
        forward::{Services, Shared, Tunables},
        token_endpoints::TokenEndpoints,
    },
    observe::{
        access_log::AccessLog,
        audit::{AuditLog, Beginning},
        lines::Lines,
        metrics::Metrics,
    },
    state::{
        account::{Hasher, Logins, PasswordRules},
        clock::TrustedClock,
        keys::{self, Keyring, Vault},
        limit::{Exchange, Throttle},
        store::{self, Actor, Found, Store},
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

/// Begins the gateway's own chain of logins, where the config has one.
fn begin_audit(
    settings: &GatewaySettings,
    vault: &Vault,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
) -> Result<AuditLog, StartError> {
    let beginning = Beginning { key: vault.present_chain_key(), gateway: host_name(), names: settings.log_names };
    let begun = AuditLog::start(&settings.audit, beginning, Arc::clone(clock), metrics.audit.clone());
    begun.map_err(|error| {
        let file = settings.audit.file.as_deref().unwrap_or(Path::new("")).display();
        StartError::System(format!("the audit file {file} (audit.file) cannot be written: {error}"))
    })
}

/// What a start does first with a store that was opened.
pub(super) async fn load_first(
    settings: &GatewaySettings,
    store: &Store,
    vault: &Vault,
    clock: &Arc<dyn Clock>,
) -> Result<TrustedClock, StartError> {
    store.open_all().await?;
    let trusted = TrustedClock::open(store, Arc::clone(clock)).await?;
    let deciders = migration::deciders(&settings.site);
    migration::check_steps(store, &deciders).await?;
    lifetimes::note(store, &settings.site.realms, clock.now()).await?;
    key_lifecycle::ensure(store, vault, &settings.site.realms, &settings.keys, clock.now()).await?;
    let audited = vault.by(Actor::gateway("start")).audited_store();
    migration::note_steps(&audited, &deciders, clock.now()).await?;
    Ok(trusted)
}

/// A store to start with.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) trusted: TrustedClock,
    /// What stands in the place of the store, whose server is away.
    pub(super) resumed: Option<Resumed>,
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
    /// What stands in the place of the store, whose server is away.
    pub(super) resumed: Option<Resumed>,
    pub(super) audit: AuditLog,
    pub(super) services: Arc<AdminServices>,
    pub(super) throttles: Exchange,
    pub(super) logins: Arc<Logins>,
    pub(super) password_rules: PasswordRules,
    pub(super) hasher: Arc<Hasher>,
    pub(super) token_service: Arc<TokenService>,
}

impl Core {
    pub(super) fn new(
        settings: &GatewaySettings,
        control: &Control,
        clock: Arc<dyn Clock>,
        opened: Opened,
    ) -> Result<Self, StartError> {
        let Opened { store, vault, trusted, resumed } = opened;
        let metrics = Metrics::new().map_err(|error| StartError::System(error.to_string()))?;
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
        let throttle = Throttle::new(settings.throttle);
        let throttles = Exchange::new(store.clone(), throttle, Arc::clone(&clock));
        if resumed.is_none() {
            control.block_on(throttles.begin(&vault))?;
        }
        let password_rules = PasswordRules::new(Arc::clone(&settings.refused_passwords));
        let services = AdminServices::new(
            vault.clone(),
            trusted.clone(),
            Arc::clone(&live_state),
            Arc::clone(&hasher),
            throttles.clone(),
            password_rules.clone(),
        );
        let audit = begin_audit(settings, &vault, &clock, &metrics)?;
        let logins = Arc::default();
        let token_service = TokenService::new(
            Arc::clone(&live_state),
            &vault,
            Arc::clone(&hasher),
            Arc::clone(throttles.throttle()),
            trusted.clone(),
            Arc::clone(&logins),
        );
        Ok(Self {
            clock,
            trusted,
            metrics,
            store,
            vault,
            live_state,
            external: Arc::new(external),
            resumed,
            audit,
            services: Arc::new(services),
            throttles,
            logins,
            password_rules,
            token_service: Arc::new(token_service),
            hasher,
        })
    }

    pub(super) fn front(
        &self,
        settings: &GatewaySettings,
        control: &Control,
        lines: &Lines,
        connections_possible: usize,
    ) -> Result<Arc<Shared>, StartError> {
        let endpoints = TokenEndpoints::new(
            Arc::clone(&self.live_state),
            Arc::clone(&self.token_service),
            self.audit.clone(),
            Arc::clone(&self.clock),
        );
        let services = Services {
            live_state: Arc::clone(&self.live_state),
            external: Arc::clone(&self.external),
            token_asker: Arc::clone(self.token_service.asker()),
            endpoints: Arc::new(endpoints),
            clock: Arc::clone(&self.clock),
            control: control.runtime.handle().clone(),
            access_log: AccessLog::new(lines.clone()),
        };
        let tunables = Tunables::of(&settings.server, settings.access_log);
        let shared = Shared::new(services, &self.metrics, tunables, &settings.server.listen, connections_possible);
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
        Ok(Admin {
            services: Arc::clone(&self.services),
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
