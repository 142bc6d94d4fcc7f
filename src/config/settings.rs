//! The checked settings, and what of them a reload cannot change.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::reader::{Places, Problem};
use crate::{
    decision::{Site, StalenessSettings, schedule},
    edge::{admin, listen},
    observe::audit::AuditSettings,
    rules::verifier::next_step,
    state::{
        account,
        limit::{BadTokenSettings, ThrottleSettings},
        store,
        token::CacheSettings,
    },
};

/// Everything that `gateway.toml` says, checked.
///
/// A reload swaps `site`, `keys`, `refused_passwords`, `access_log`, `reload_watch` and what `server` has of trusted
/// proxies, waits, bounds and certificates; [`GatewaySettings::restart_only_changes`] names the rest.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// `[server]`: the front listener.
    pub server: listen::ListenSettings,
    /// `[admin]`: the operator's listener.
    pub admin: admin::AdminSettings,
    /// `[store]`: where accounts, keys and revocations are kept.
    pub store: store::StoreSettings,
    /// `store.master_key_file`: the key that seals the store's keys.
    pub master_key_file: PathBuf,
    /// `[store]`: how old what is known of a shared store may be.
    pub staleness: StalenessSettings,
    /// `store.snapshot`: what a start goes by while the server of a shared store is away.
    pub snapshot: Option<PathBuf>,
    /// `[passwords]`: the pool that hashes them.
    pub hashing: account::HasherSettings,
    /// `passwords.refused_file`: what nobody may choose.
    pub refused_passwords: Arc<account::RefusedPasswords>,
    /// `[throttle]`: how many failed logins there may be.
    pub throttle: ThrottleSettings,
    /// `throttle.bad_tokens`: how many bad tokens one address may have checked.
    pub bad_tokens: BadTokenSettings,
    /// `[keys]`: how signing keys rotate.
    pub keys: schedule::ScheduleSettings,
    /// `[cache]`: how many verified tokens are remembered.
    pub cache: CacheSettings,
    /// `log.access`: whether each request is logged.
    pub access_log: bool,
    /// `log.names`: whether names that no account has stand in the audit log as a code.
    pub log_names: bool,
    /// `[audit]`: the gateway's own chain of logins.
    pub audit: AuditSettings,
    /// `reload.watch`: whether a changed file is taken over by itself.
    pub reload_watch: bool,
    /// `[tokens]`, `[realms]`, `[issuers]`, `[[token_endpoints]]`, `[oauth]`, `[[routes]]` and `[upstreams]`.
    pub site: Site,
    /// How many realms the file has: those too whose contract is in a file that was not looked for.
    pub declared_realms: usize,
    /// The files that were read beside `gateway.toml`: certificates, keys, authorities.
    pub files: Vec<PathBuf>,
    /// What is good and hardly meant, in the order of the file.
    pub warnings: Vec<Problem>,
    /// Where values stand that only the machine can judge.
    pub places: Places,
    /// Files with a private key or another secret that every user of this system can read.
    pub readable_secrets: Vec<PathBuf>,
}

/// What a config has, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many realms.
    pub realms: usize,
    /// How many token endpoints, those of `[oauth]` among them.
    pub token_endpoints: usize,
    /// How many routes.
    pub routes: usize,
    /// How many upstreams.
    pub upstreams: usize,
    /// The routes that refuse nobody for want of a token.
    pub shadow_routes: Vec<String>,
    /// The token endpoints that take over from an old system: what their next step changes.
    pub takeovers: Vec<TakeoverSummary>,
    /// What is good and hardly meant.
    pub warnings: Vec<Problem>,
}

/// A token endpoint that takes over from an old system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeoverSummary {
    /// Its path.
    pub path: String,
    /// The realm.
    pub realm: String,
    /// Its step, in the words of the config.
    pub step: &'static str,
    /// The key that makes the next one, and what that changes; `None` at the last one.
    pub next: Option<(&'static str, &'static str)>,
}

impl GatewaySettings {
    /// Where this gateway keeps files beside its store: the folder of the store's file, or of the master key.
    #[must_use]
    pub fn data_folder(&self) -> &Path {
        let file = self.store.file().unwrap_or(&self.master_key_file);
        file.parent().unwrap_or(Path::new(""))
    }
}

impl Summary {
    /// Of these settings.
    #[must_use]
    pub fn of(settings: &GatewaySettings) -> Self {
        let site = &settings.site;
        Self {
            realms: settings.declared_realms,
            token_endpoints: site.endpoints.len(),
            routes: site.routes.len(),
            upstreams: site.upstreams.len(),
            shadow_routes: site.shadow_routes().map(str::to_owned).collect(),
            takeovers: site
                .takeovers()
                .map(|(endpoint, takeover, realm, _)| TakeoverSummary {
                    path: endpoint.pattern.path.as_str().to_owned(),
                    realm: realm.as_str().to_owned(),
                    step: takeover.mode.name(),
                    next: next_step(takeover.mode, takeover.policy.authority),
                })
                .collect(),
            warnings: settings.warnings.clone(),
        }
    }
}

impl GatewaySettings {
    /// The keys that differ in `new` and that only a restart can change, in the order of the reference.
    #[must_use]
    pub fn restart_only_changes(&self, new: &Self) -> Vec<&'static str> {
        let differs = [
            ("server.listen", listeners_differ(&self.server, &new.server)),
            ("server.threads", self.server.threads != new.server.threads),
            ("admin.listen", self.admin.listen != new.admin.listen),
            ("admin.token_file", self.admin.token_file != new.admin.token_file),
            ("admin.hosts", self.admin.hosts != new.admin.hosts),
            ("store.url", self.store != new.store),
            ("store.max_staleness", self.staleness.max != new.staleness.max),
            ("store.stale", self.staleness.action != new.staleness.action),
            ("store.snapshot", self.snapshot != new.snapshot),
            ("store.master_key_file", self.master_key_file != new.master_key_file),
            ("passwords.hash_threads", self.hashing.threads != new.hashing.threads),
            ("passwords.hash_queue", self.hashing.queue_max != new.hashing.queue_max),
            ("throttle", self.throttle != new.throttle || self.bad_tokens != new.bad_tokens),
            ("log.names", self.log_names != new.log_names),
            ("audit", self.audit != new.audit),
            ("cache.entries", self.cache.entries_max != new.cache.entries_max),
            ("cache.bytes", self.cache.bytes_max != new.cache.bytes_max),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

fn listeners_differ(old: &listen::ListenSettings, new: &listen::ListenSettings) -> bool {
    let pairs = || old.listen.iter().zip(&new.listen);
    old.listen.len() != new.listen.len() || pairs().any(|(old, new)| old.restart_makes(new))
}
