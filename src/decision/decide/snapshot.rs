//! What stands still while a request is decided: a snapshot of the site and its keys. The live state stands beside it.

mod old_systems;

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, header};
use thiserror::Error;

use self::old_systems::{takeovers, token_checks, verifiers};
use super::site::{EndpointSettings, Mode, OauthSettings, RouteSettings, Service, Site, TakeoverSettings};
use crate::{
    decision::verifier::{Verifier, tokens::TokenCheck},
    domain::RealmName,
    observe::metrics::{EndpointMetrics, Metrics, RouteMetrics, UpstreamWaits},
    per_thread::Spread,
    rules::{
        contract::Dialect, cors::Cors, issuer::Issuer, policy::Source, realm::Realm, rewrite::MeantNames,
        route::Router, verifier::Mode as TakeoverMode,
    },
    state::{
        keys::Keyring,
        token::{Issuers, Realms},
    },
    trust::TrustError,
    upstream::{Balance, CONNECTION_FAILURES, HashBy, Pool, PoolSettings, Unusable, hash_of},
};

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
    /// See [`View::respelt_names`](super::live_state::View::respelt_names).
    pub(super) respelt_names: Option<Arc<[HeaderName]>>,
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
    /// What stands for its name: the same after a reload.
    pub id: u64,
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
        let verifiers = verifiers(site, metrics, present)?;
        let realms: Realms = site.realms.iter().map(|realm| (realm.name.clone(), Arc::clone(realm))).collect();
        let issuers = site.issuers();
        let of_claims = names_of_claims(site);
        let pools = pools(site, metrics, present.map(|present| &*present.pools).unwrap_or_default())?;
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
                id: hash_of(&[settings.name.as_bytes()]),
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
/// The pools of a site by their names. One that did not change since the `present` ones is kept; another follows that
/// of its name.
fn pools(site: &Site, metrics: &Metrics, present: &[Arc<Pool>]) -> Result<HashMap<Arc<str>, Arc<Pool>>, Unusable> {
    let pool = |settings: &PoolSettings| {
        let metrics = metrics.upstream(&settings.name, &CONNECTION_FAILURES);
        let pool = match present.iter().find(|pool| pool.settings.name == settings.name) {
            Some(kept) if kept.settings.are_those_of(settings) => Arc::clone(kept),
            Some(before) => Arc::new(before.successor(settings.clone(), metrics)?),
            None => Arc::new(Pool::new(settings.clone(), metrics)?),
        };
        Ok((Arc::clone(&settings.name), pool))
    };
    site.upstreams.iter().map(pool).collect()
}
