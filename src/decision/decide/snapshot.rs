//! What a decision reads: an immutable snapshot of the site and its keys, and the live state beside it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use http::{HeaderName, HeaderValue, header};
use thiserror::Error;
use tokio::time::timeout;

use super::{
    following::{Following, Waited},
    freshness::{Freshness, StaleAction},
    site::{EndpointSettings, Mode, OauthSettings, RouteSettings, Service, Site, TakeoverSettings},
};
use crate::{
    decision::verifier::{Takeovers, Verifier, tokens::TokenCheck},
    domain::RealmName,
    issuer::Source as KeySource,
    observe::metrics::{EndpointMetrics, Metrics, RouteMetrics, UpstreamWaits},
    per_thread::Spread,
    rules::{
        contract::Dialect, cors::Cors, issuer::Issuer, policy::Source, realm::Realm, rewrite::MeantNames,
        route::Router, verifier::Mode as TakeoverMode,
    },
    state::{
        account::KnownAccounts,
        admin_token::KnownAdminTokens,
        keys::{Key, KeyRecord, Keyring, Vault, VaultError},
        limit::{BadTokenLimiter, BadTokenSettings},
        revocation::Revocations,
        store::StoreError,
        token::{CacheSettings, Issuers, Realms, VerifiedTokens},
    },
    trust::TrustError,
    upstream::{Balance, CONNECTION_FAILURES, HashBy, Pool, Unusable},
    verifier::VerifierSettings,
};

/// How long a reading of keys waits for another one to end: it may hang, and revocations wait behind.
const REFRESH_WAIT_MAX: Duration = Duration::from_secs(5);

/// Everything that stands still while a request is decided.
pub struct Snapshot {
    /// The token endpoints.
    pub endpoints: Arc<Router<Arc<Endpoint>>>,
    /// The routes.
    pub routes: Arc<Router<Spread<Route>>>,
    /// The realms by name.
    pub realms: Arc<Realms>,
    /// Everybody whose tokens are read: the realms, and external issuers.
    pub issuers: Arc<Issuers>,
    /// The upstreams.
    pub pools: Arc<[Arc<Pool>]>,
    /// The old systems that it takes over from.
    pub verifiers: Arc<[Arc<Verifier>]>,
    /// The realms whose logins are taken over, each with its old system, and how long that is trusted.
    pub takeovers: Arc<[(RealmName, Arc<Verifier>, Duration)]>,
    /// The old systems that are asked about tokens, by the realms that take over from them, with the step of each.
    pub token_checks: Arc<HashMap<RealmName, (Arc<TokenCheck>, TakeoverMode)>>,
    /// `iss` of internal tokens.
    pub internal_issuer: Option<Arc<str>>,
    /// What the OAuth endpoints do, where there are any.
    pub oauth: Option<Arc<OauthSettings>>,
    /// All keys.
    pub keys: Arc<Keyring>,
    /// See [`View::respelt_names`].
    respelt_names: Option<Arc<[HeaderName]>>,
}

/// A route, ready to be used.
#[derive(Debug)]
pub struct Route {
    /// As the config has it.
    pub settings: RouteSettings,
    /// The issuer that its denials speak for: the first that it accepts.
    pub issuer: Option<Issuer>,
    /// `Vary` of its denials: the fields that could have made another answer of them.
    pub vary: Option<HeaderValue>,
    /// The names of request fields that its config gives a meaning to.
    pub meant_names: MeantNames,
    /// Where it forwards to.
    pub pool: Arc<Pool>,
    /// Its metric handles.
    pub metrics: Arc<RouteMetrics>,
    /// The wait for its upstream.
    pub upstream_waits: Arc<UpstreamWaits>,
}

/// A token endpoint, ready to be used.
#[derive(Debug)]
pub struct Endpoint {
    /// The realms that may answer, in order; at least one.
    pub realms: Vec<Arc<Realm>>,
    /// Their dialects, in the same order.
    pub dialects: Vec<Dialect>,
    /// What is served there.
    pub serves: Service,
    /// What pages of other origins may do; `None` for nothing.
    pub cors: Option<Arc<Cors>>,
    /// How it takes over from an old system; `None` where it does not.
    pub takeover: Option<Takeover>,
    /// What it answers where that follows from the config alone.
    pub document: Option<Arc<serde_json::Map<String, serde_json::Value>>>,
    /// Its metric handles.
    pub metrics: EndpointMetrics,
}

/// How a token endpoint takes over from an old system, ready to be used.
#[derive(Debug)]
pub struct Takeover {
    /// What the config says.
    pub settings: TakeoverSettings,
    /// The old system of each of the endpoint's realms, in their order.
    verifiers: Vec<Option<Arc<Verifier>>>,
}

/// Why a site cannot be served.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// An upstream cannot be used as it is configured.
    #[error(transparent)]
    Upstream(#[from] Unusable),
    /// An old system cannot be asked as it is configured.
    #[error("verifier '{0}': {1}")]
    Verifier(Arc<str>, TrustError),
    /// The config let through what it must not; a defect.
    #[error("the settings are inconsistent: {0}")]
    Inconsistent(String),
}

impl Snapshot {
    /// Builds the tables. Servers that have a name have no address yet.
    ///
    /// # Errors
    /// Fails when an upstream cannot be used as it is configured; or when the settings contradict each other, a defect.
    pub fn build(site: &Site, keys: Arc<Keyring>, metrics: &Metrics) -> Result<Self, SnapshotError> {
        Self::build_after(site, keys, metrics, None)
    }

    /// Builds the tables that come after others: an upstream that did not change keeps its pool, and
    /// with it what is known about its servers.
    ///
    /// # Errors
    /// Fails when an upstream cannot be used as it is configured; or when the settings contradict each other, a defect.
    pub fn build_after(
        site: &Site,
        keys: Arc<Keyring>,
        metrics: &Metrics,
        present: Option<&Self>,
    ) -> Result<Self, SnapshotError> {
        let pools_present = present.map(|present| &*present.pools).unwrap_or_default();
        let verifiers = verifiers(site, metrics, present)?;
        let realms: Realms = site.realms.iter().map(|realm| (realm.name.clone(), Arc::clone(realm))).collect();
        let issuers = site.issuers();
        let of_claims = names_of_claims(site);
        let pools = site
            .upstreams
            .iter()
            .map(|settings| {
                let kept = pools_present.iter().find(|pool| pool.settings == *settings).map(Arc::clone);
                let make = || {
                    let metrics = metrics.upstream(&settings.name, &CONNECTION_FAILURES);
                    Pool::new(settings.clone(), metrics).map(Arc::new)
                };
                let pool = kept.map_or_else(make, Ok)?;
                Ok((Arc::clone(&settings.name), pool))
            })
            .collect::<Result<HashMap<_, _>, Unusable>>()?;
        let endpoints = site.endpoints.iter().map(|settings| {
            let endpoint = Endpoint::build(settings, &realms, &verifiers, metrics)?;
            Ok((settings.pattern.clone(), Arc::new(endpoint)))
        });
        let routes = site.routes.iter().map(|settings| {
            let pool = pools.get(&settings.upstream).ok_or_else(|| undefined("upstream", &settings.upstream))?;
            let accepted = settings
                .policy
                .accept
                .iter()
                .map(|name| issuers.get(name).cloned().ok_or_else(|| undefined("realm or issuer", name.as_str())));
            let accepted = accepted.collect::<Result<Vec<_>, _>>()?;
            let route = Route {
                metrics: metrics.route(&settings.name),
                upstream_waits: metrics.upstream_waits(&settings.upstream),
                vary: vary(settings),
                meant_names: meant_names(settings, pool).with_claims(of_claims.clone()),
                settings: settings.clone(),
                pool: Arc::clone(pool),
                issuer: accepted.into_iter().next(),
            };
            Ok((settings.pattern.clone(), Spread::new(route)))
        });
        let conflict = |conflicts: Vec<crate::rules::route::Conflict>| {
            let text = conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            SnapshotError::Inconsistent(text)
        };
        let endpoints = Router::build(endpoints.collect::<Result<Vec<_>, SnapshotError>>()?).map_err(conflict)?;
        let routes = Router::build(routes.collect::<Result<Vec<_>, SnapshotError>>()?).map_err(conflict)?;
        Ok(Self {
            issuers: Arc::new(issuers),
            endpoints: Arc::new(endpoints),
            routes: Arc::new(routes),
            realms: Arc::new(realms),
            pools: pools.into_values().collect(),
            takeovers: takeovers(site, &verifiers),
            token_checks: Arc::new(token_checks(site, &verifiers, metrics, present)?),
            verifiers: verifiers.into(),
            internal_issuer: site.internal_issuer.clone(),
            oauth: site.oauth.clone().map(Arc::new),
            respelt_names: respelt_names(site),
            keys,
        })
    }

    /// The same site with other keys.
    #[must_use]
    pub fn with_keys(&self, keys: Arc<Keyring>) -> Self {
        Self {
            endpoints: Arc::clone(&self.endpoints),
            routes: Arc::clone(&self.routes),
            realms: Arc::clone(&self.realms),
            issuers: Arc::clone(&self.issuers),
            pools: Arc::clone(&self.pools),
            verifiers: Arc::clone(&self.verifiers),
            takeovers: Arc::clone(&self.takeovers),
            token_checks: Arc::clone(&self.token_checks),
            internal_issuer: self.internal_issuer.clone(),
            oauth: self.oauth.clone(),
            respelt_names: self.respelt_names.clone(),
            keys,
        }
    }
}

impl Route {
    /// Whether what its policy refuses is refused. Where it is not, nothing ends with a token either.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.settings.mode == Mode::Enforce
    }
}

impl Endpoint {
    fn build(
        settings: &EndpointSettings,
        realms: &Realms,
        verifiers: &[Arc<Verifier>],
        metrics: &Metrics,
    ) -> Result<Self, SnapshotError> {
        let realms = settings.realms.iter().map(|name| realm(realms, name)).collect::<Result<Vec<_>, _>>()?;
        let is_everybodys =
            matches!(settings.serves, Service::Jwks | Service::InternalJwks | Service::ResourceMetadata);
        if realms.is_empty() && !is_everybodys {
            return Err(SnapshotError::Inconsistent("a token endpoint without realms".to_owned()));
        }
        let takeover = settings.takeover.as_ref().map(|takeover| Takeover::build(takeover, &realms, verifiers));
        Ok(Self {
            takeover: takeover.transpose()?,
            dialects: realms.iter().map(|realm| realm.dialect.clone()).collect(),
            metrics: metrics.endpoint(settings.pattern.path.as_str()),
            serves: settings.serves,
            cors: settings.cors.clone(),
            document: settings.document.clone(),
            realms,
        })
    }
}

impl Takeover {
    fn build(
        settings: &TakeoverSettings,
        realms: &[Arc<Realm>],
        verifiers: &[Arc<Verifier>],
    ) -> Result<Self, SnapshotError> {
        let of_realm = |realm: &Arc<Realm>| {
            let Some((_, name)) = settings.verifiers.iter().find(|(named, _)| *named == realm.name) else {
                return Ok(None);
            };
            let verifier = verifiers.iter().find(|verifier| verifier.settings.name == *name);
            Ok(Some(Arc::clone(verifier.ok_or_else(|| undefined("verifier", name))?)))
        };
        let verifiers = realms.iter().map(of_realm).collect::<Result<_, SnapshotError>>()?;
        Ok(Self { settings: settings.clone(), verifiers })
    }

    /// The old system of the endpoint's realm at this place, if it has one.
    #[must_use]
    pub fn verifier(&self, realm: usize) -> Option<&Arc<Verifier>> {
        self.verifiers.get(realm)?.as_ref()
    }
}

/// The old systems of a site. One that did not change goes on: what is known of it stays known.
fn verifiers(site: &Site, metrics: &Metrics, present: Option<&Snapshot>) -> Result<Vec<Arc<Verifier>>, SnapshotError> {
    let present = present.map(|present| &*present.verifiers).unwrap_or_default();
    let verifier = |settings: &Arc<VerifierSettings>| {
        let dialects = dialects_of(site, &settings.name);
        if let Some(kept) = present.iter().find(|kept| kept.is_of(settings, &dialects)) {
            return Ok(Arc::clone(kept));
        }
        let made = Verifier::new(settings, dialects, metrics.verifier(&settings.name));
        made.map(Arc::new).map_err(|error| SnapshotError::Verifier(Arc::clone(&settings.name), error))
    };
    site.verifiers.iter().map(verifier).collect()
}

/// The contracts in whose words an old system is asked, each once.
fn dialects_of(site: &Site, verifier: &str) -> Vec<Dialect> {
    let mut dialects = vec![];
    for (.., realm, _) in site.takeovers().filter(|(.., name)| *name == verifier) {
        let realm = site.realms.iter().find(|known| known.name == *realm);
        dialects.extend(realm.map(|realm| realm.dialect.clone()).filter(|dialect| !dialects.contains(dialect)));
    }
    dialects
}

fn takeovers(site: &Site, verifiers: &[Arc<Verifier>]) -> Arc<[(RealmName, Arc<Verifier>, Duration)]> {
    let logins = site.takeovers().filter(|(endpoint, ..)| endpoint.serves == Service::Login);
    let known = logins.filter_map(|(_, takeover, realm, name)| {
        let verifier = verifiers.iter().find(|verifier| *verifier.settings.name == *name)?;
        Some((realm.clone(), Arc::clone(verifier), takeover.policy.trust))
    });
    known.collect()
}

/// The system that is asked about tokens: an old system that still gives them out, or did so until its realm's logins
/// were taken over.
///
/// Beside them, external issuers that are asked. What is known of one that did not change stays known.
fn token_checks(
    site: &Site,
    verifiers: &[Arc<Verifier>],
    metrics: &Metrics,
    present: Option<&Snapshot>,
) -> Result<HashMap<RealmName, (Arc<TokenCheck>, TakeoverMode)>, SnapshotError> {
    let asked = site
        .takeovers()
        .filter(|(endpoint, takeover, ..)| endpoint.serves == Service::Login && takeover.mode != TakeoverMode::Alone);
    let check = asked.filter_map(|(_, takeover, realm, name)| {
        let verifier = verifiers.iter().find(|verifier| *verifier.settings.name == *name)?;
        Some((realm.clone(), (Arc::clone(verifier.tokens.as_ref()?), takeover.mode)))
    });
    let mut checks: HashMap<_, _> = check.collect();
    for issuer in &site.issuers {
        let KeySource::Introspection(asked) = &issuer.source else { continue };
        let known = present.and_then(|present| present.token_checks.get(&issuer.name));
        let same = |(check, _): &&(Arc<TokenCheck>, TakeoverMode)| check.is_of(asked);
        let made = || TokenCheck::new(asked, metrics.introspection(&asked.name));
        let check = match known.filter(same) {
            Some((check, _)) => Some(Arc::clone(check)),
            None => made().map_err(|error| SnapshotError::Verifier(Arc::clone(&asked.name), error))?,
        };
        checks.extend(check.map(|check| (issuer.name.clone(), (check, TakeoverMode::Alone))));
    }
    Ok(checks)
}

/// The store's keys, and those that it does not know any more: a server that was restored, or promoted without its last
/// transactions, has another history, and tokens that were good stay good.
fn with_lost(own: &Keyring, present: &Keyring, known: &[KeyRecord]) -> Keyring {
    let known: HashSet<_> = known.iter().map(|record| &record.id).collect();
    let own = own.with_lost(present, |id| known.contains(id));
    for key in own.own().filter(|key| !known.contains(&key.id)) {
        let hint = "its tokens are still taken here; a gateway that starts anew does not know it";
        tracing::error!(id = %key.id, realm = %key.realm, hint, "the store does not know a key that it had");
    }
    own
}

/// Says which keys let accounts in that the store does not have, and did not before.
fn warn_of_unknown_accounts(before: &Keyring, now: &Keyring) {
    let anybody = |key: &Key| key.state.verifies() && key.imported.as_ref().is_some_and(|key| key.unknown_accounts);
    let is_new = |key: &&Arc<Key>| !before.get(key.id.as_str()).is_some_and(|before| anybody(before));
    for key in now.own().filter(|key| anybody(key)).filter(is_new) {
        let hint = "to take tokens of known accounts only: portero key restrict KID";
        tracing::warn!(id = %key.id, realm = %key.realm, hint, "an imported key takes tokens of unknown accounts");
    }
}

/// The names of fields that routes set for servers that see clients' spellings; `None` where there are no such servers.
fn respelt_names(site: &Site) -> Option<Arc<[HeaderName]>> {
    if !site.upstreams.iter().any(|upstream| upstream.preserve_header_case) {
        return None;
    }
    let rewrites = site.routes.iter().filter_map(|route| route.rewrites.as_deref());
    let set = rewrites.flat_map(|rewrites| rewrites.request.set.iter().map(|(name, _)| name.clone()));
    Some(set.chain(names_of_claims(site)).chain([header::AUTHORIZATION]).collect())
}

/// The fields that claims of any issuer become, each once: on no route may a client send them.
fn names_of_claims(site: &Site) -> Vec<HeaderName> {
    let mut names: Vec<_> = site.issuers.iter().flat_map(|issuer| issuer.claims.headers.names().cloned()).collect();
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names
}

/// The header fields that a route looks at before it lets a request through.
fn vary(settings: &RouteSettings) -> Option<HeaderValue> {
    let mut names: Vec<HeaderName> = vec![];
    let of_sources = settings.sources.iter().filter_map(|source| match source {
        Source::Authorization { .. } => Some(header::AUTHORIZATION),
        Source::Header(name) => Some(name.clone()),
        Source::Cookie(_) => Some(header::COOKIE),
        Source::Query(_) => None,
    });
    let of_cors = settings.cors.as_ref().filter(|cors| cors.varies()).map(|_| header::ORIGIN);
    for name in of_sources.chain(of_cors) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let names: Vec<_> = names.iter().map(HeaderName::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).ok().filter(|names| !names.is_empty())
}

/// The names that a route sets, removes, looks for a token under, or tells clients apart by.
fn meant_names(settings: &RouteSettings, pool: &Pool) -> MeantNames {
    let edits = settings.rewrites.as_deref().map(|rewrites| &rewrites.request);
    let edited = edits.into_iter().flat_map(|edits| edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name)));
    let of_sources = settings.sources.iter().filter_map(|source| match source {
        Source::Header(name) => Some(name),
        Source::Authorization { .. } | Source::Query(_) | Source::Cookie(_) => None,
    });
    let of_pool = match &pool.settings.balance {
        Balance::Hash(HashBy::Header(name)) => Some(name),
        _ => None,
    };
    MeantNames::new(edited.chain(of_sources).chain(of_pool))
}

fn realm(realms: &Realms, name: &RealmName) -> Result<Arc<Realm>, SnapshotError> {
    realms.get(name).cloned().ok_or_else(|| undefined("realm", name.as_str()))
}

fn undefined(what: &str, name: &str) -> SnapshotError {
    SnapshotError::Inconsistent(format!("{what} '{name}' is used but not defined"))
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("realms", &self.realms.keys()).finish_non_exhaustive()
    }
}

/// What decisions are made of: the present snapshot, verified tokens and revocations.
#[derive(Debug)]
pub struct LiveState {
    snapshot: ArcSwap<Snapshot>,
    /// Held while the next snapshot is made from the present one.
    publishing: Mutex<()>,
    /// Held while keys are read from the vault to be published, so that later keys never give way
    /// to earlier ones.
    refreshing: tokio::sync::Mutex<()>,
    verified: VerifiedTokens,
    revocations: Revocations,
    accounts: KnownAccounts,
    following: Following,
    freshness: Freshness,
    bad_tokens: BadTokenLimiter,
    admin_tokens: KnownAdminTokens,
    takeovers: Arc<Takeovers>,
}

impl LiveState {
    /// A live state with nothing remembered yet.
    #[must_use]
    pub fn new(snapshot: Snapshot, cache: CacheSettings, bad_tokens: BadTokenSettings) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            publishing: Mutex::new(()),
            refreshing: tokio::sync::Mutex::new(()),
            verified: VerifiedTokens::new(cache),
            revocations: Revocations::default(),
            accounts: KnownAccounts::default(),
            following: Following::default(),
            freshness: Freshness::default(),
            bad_tokens: BadTokenLimiter::new(bad_tokens),
            admin_tokens: KnownAdminTokens::default(),
            takeovers: Arc::default(),
        }
    }

    /// The tokens that may use the admin API, beside the token in the file.
    #[must_use]
    pub const fn admin_tokens(&self) -> &KnownAdminTokens {
        &self.admin_tokens
    }

    /// The same, for a store that is not heard of by itself.
    #[must_use]
    pub fn with_freshness(self, freshness: Freshness) -> Self {
        Self { freshness, ..self }
    }

    /// Whether checked requests of any route go on when the shared store was not heard of for too long.
    #[must_use]
    pub fn serves_stale(&self) -> bool {
        let action = self.freshness.action();
        let serves = |route: &Spread<Route>| route.settings.stale.unwrap_or(action) == StaleAction::Serve;
        self.freshness.lifted_for().is_some() || self.snapshot().routes.routes().any(serves)
    }

    /// How old what is known of a shared store is.
    #[must_use]
    pub const fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// What is remembered while accounts are taken over from old systems.
    #[must_use]
    pub const fn takeovers(&self) -> &Arc<Takeovers> {
        &self.takeovers
    }

    /// What one request reads, taken once. The generation is read before the snapshot: see
    /// [`Revocations`].
    #[must_use]
    pub fn view(&self) -> View<'_> {
        let generation = self.revocations.generation();
        View {
            generation,
            snapshot: self.snapshot.load(),
            verified: &self.verified,
            revocations: &self.revocations,
            accounts: &self.accounts,
            bad_tokens: &self.bad_tokens,
            freshness: &self.freshness,
            takeovers: &self.takeovers,
            waited: None,
        }
    }

    /// Swaps the snapshot for one made from it; it holds from the next request on, for tokens
    /// verified before too.
    pub fn publish(&self, next: impl FnOnce(&Snapshot) -> Snapshot) {
        let _publishing = self.publishing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let snapshot = next(&self.snapshot.load());
        self.snapshot.store(Arc::new(snapshot));
        self.revocations.next_generation();
    }

    /// Brings the vault's present keys into force; an imported one when the accounts of its realm are known
    /// ([`load_accounts`](Self::load_accounts)).
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key. The
    /// keys in force stay.
    pub async fn refresh_keys(&self, vault: &Vault) -> Result<(), VaultError> {
        let waiting = timeout(REFRESH_WAIT_MAX, self.refreshing.lock()).await;
        let _refreshing = waiting.map_err(|_| StoreError::unresponsive())?;
        let own = vault.load().await?;
        let imported = own.own().filter(|key| key.imported.is_some() && key.state.verifies());
        self.accounts.want(imported.map(|key| key.realm.clone()).collect());
        let present = self.snapshot();
        let own = if vault.store().is_shared() { with_lost(&own, &present.keys, &vault.records().await?) } else { own };
        let own = own.without_unready(&present.keys, |realm| self.accounts.keeps(realm));
        warn_of_unknown_accounts(&present.keys, &own);
        self.publish(|snapshot| snapshot.with_keys(Arc::new(snapshot.keys.with_own(&own))));
        Ok(())
    }

    /// Brings keys into force that were kept outside of the store, which cannot be asked; an imported one where the
    /// accounts of its realm are known.
    pub fn resume_keys(&self, own: &Keyring) {
        let imported = own.own().filter(|key| key.imported.is_some() && key.state.verifies());
        self.accounts.want(imported.map(|key| key.realm.clone()).collect());
        let present = self.snapshot();
        let own = own.without_unready(&present.keys, |realm| self.accounts.keeps(realm));
        self.publish(|snapshot| snapshot.with_keys(Arc::new(snapshot.keys.with_own(&own))));
    }

    /// Reads the accounts that imported keys wait for, and brings those keys into force. It takes its time: whatever
    /// ends tokens does not wait for it.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key. The
    /// keys that wait go on to wait.
    pub async fn load_accounts(&self, vault: &Vault) -> Result<(), VaultError> {
        while self.accounts.load(vault.store()).await? {
            self.refresh_keys(vault).await?;
        }
        Ok(())
    }

    /// Brings an external issuer's present keys into force.
    pub fn set_external_keys(&self, issuer: &RealmName, keys: Vec<Arc<Key>>) {
        self.publish(|snapshot| snapshot.with_keys(Arc::new(snapshot.keys.with_external(issuer, keys))));
    }

    /// Forgets the keys of external issuers but these.
    pub fn keep_external_keys(&self, issuers: &[&RealmName]) {
        self.publish(|snapshot| snapshot.with_keys(Arc::new(snapshot.keys.with_external_only(issuers))));
    }

    /// The present snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The revocations in force.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// The accounts of realms that have imported keys.
    #[must_use]
    pub const fn accounts(&self) -> &KnownAccounts {
        &self.accounts
    }

    /// How far the store is followed.
    #[must_use]
    pub const fn following(&self) -> &Following {
        &self.following
    }

    /// The tokens that were verified.
    #[must_use]
    pub fn verified(&self) -> &VerifiedTokens {
        &self.verified
    }
}

/// One request's view of the live state.
pub struct View<'g> {
    pub(in crate::decision) generation: u64,
    pub(in crate::decision) snapshot: Guard<Arc<Snapshot>>,
    pub(in crate::decision) verified: &'g VerifiedTokens,
    pub(in crate::decision) revocations: &'g Revocations,
    pub(in crate::decision) accounts: &'g KnownAccounts,
    pub(super) bad_tokens: &'g BadTokenLimiter,
    /// Tokens of old systems, and what is counted of those of imported keys.
    pub(super) takeovers: &'g Takeovers,
    pub(super) freshness: &'g Freshness,
    /// What came of waiting for the store to be followed, where that was asked for.
    pub(in crate::decision) waited: Option<Waited>,
}

impl View<'_> {
    /// Where any server sees field names in the letters in which clients wrote them: the names that are ours to spell
    /// beside the gateway's own.
    #[must_use]
    pub fn respelt_names(&self) -> Option<Arc<[HeaderName]>> {
        self.snapshot.respelt_names.clone()
    }

    /// How long what is known of a shared store has been too old to decide by; `None` while it is not.
    #[must_use]
    pub fn stale_for(&self) -> Option<Duration> {
        self.freshness.stale_for()
    }

    /// What is to be done then on a route that does not say it.
    #[must_use]
    pub const fn stale_action(&self) -> StaleAction {
        self.freshness.action()
    }

    /// The view of a request that has waited for the store to be followed: it is decided now.
    #[must_use]
    pub fn after(self, waited: Waited) -> Self {
        Self { waited: Some(waited), ..self }
    }

    /// The snapshot that this request sees.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}
