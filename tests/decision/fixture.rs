//! A small site in front of nothing: realms, keys and routes made by hand, without a store. `tests/allocation.rs`
//! and `benches/decide.rs` stand on it too.

#![allow(dead_code, reason = "each of the three programs uses a part of it")]

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use portero::{
    decision::{
        Decision, EndpointSettings, ForwardToken, LiveState, Mode, Request, RouteSettings, Service, Site, Snapshot,
        SnapshotError, decide,
    },
    domain::{AccountName, Algorithm, Holder, KeyId, PrincipalId, Reason, SessionId, Timestamp, TokenKind},
    observe::metrics::Metrics,
    rules::{
        contract,
        policy::{Auth, Policy, Source},
        realm::{Lifetime, Realm},
        route::{CanonicalPath, Host, Pattern},
    },
    state::{
        keys::{Key, KeyState, Keyring, MaterialBytes},
        limit::BadTokenSettings,
        token::{self, CacheSettings, NewToken},
    },
    upstream,
};

/// 2026-01-16T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_768_564_800);

/// How long the tokens of [`new_token`] live.
pub(crate) const LIFETIME: Duration = Duration::from_hours(1);

/// The realms' leeway.
pub(crate) const LEEWAY: Duration = Duration::from_secs(30);

/// A key that can be had in any state.
pub(crate) struct MadeKey {
    pub(crate) id: KeyId,
    realm: &'static str,
    algorithm: Algorithm,
    material: Vec<u8>,
}

impl MadeKey {
    pub(crate) fn new(realm: &'static str, algorithm: Algorithm) -> Self {
        let material = Key::generate_material(algorithm).unwrap().to_vec();
        Self { id: KeyId::generate(), realm, algorithm, material }
    }

    pub(crate) fn material(&self) -> &[u8] {
        &self.material
    }

    /// The same name and material in another realm.
    pub(crate) fn of_realm(&self, realm: &'static str) -> Self {
        Self { id: self.id.clone(), realm, algorithm: self.algorithm, material: self.material.clone() }
    }

    pub(crate) fn in_state(&self, state: KeyState) -> Arc<Key> {
        let realm = self.realm.parse().unwrap();
        Arc::new(
            Key::new(self.id.clone(), realm, self.algorithm, state, NOW, MaterialBytes::Secret(&self.material))
                .unwrap(),
        )
    }
}

pub(crate) fn realm(name: &str, dialect: &str, algorithm: Algorithm) -> Realm {
    Realm {
        name: name.parse().unwrap(),
        dialect: dialect.parse().unwrap(),
        issuer: format!("https://gateway.example.com/{name}"),
        audience: "api".into(),
        leeway: LEEWAY,
        algorithm,
        keeps_algorithm: false,
        lifetime: Lifetime::Fixed(LIFETIME),
        content_lifetime: LIFETIME,
        refresh_lifetime: Duration::from_hours(12),
        wire: contract::DialectSettings::default(),
        uniform_errors: false,
    }
}

pub(crate) fn pattern(path: &str) -> Pattern {
    let path = CanonicalPath::parse(path.as_bytes()).unwrap().into_owned();
    Pattern { hosts: vec![], path, exact: false, methods: vec![] }
}

/// A policy that asks for an access token of `realm`, and nothing else.
pub(crate) fn policy(realm: &str) -> Policy {
    Policy {
        auth: Auth::Required,
        accept: vec![realm.parse().unwrap()],
        token: TokenKind::Access,
        roles: vec![],
        scopes: vec![],
        claims: vec![],
    }
}

/// A route to `path` and what is below it, named after it.
pub(crate) fn route(path: &str, policy: Policy) -> RouteSettings {
    let named = Source::Header(HeaderName::from_static("currenttokenvalue"));
    RouteSettings {
        name: path.into(),
        pattern: pattern(path),
        policy,
        sources: vec![Source::Authorization { bare: false, schemes: Box::default() }, named],
        upstream: "echo".into(),
        forward_token: ForwardToken::Keep,
        rewrites: None,
        cors: None,
        body_bytes_max: None,
        method_override: false,
        upgrades: vec![],
        stale: None,
        resource: None,
        mode: Mode::Enforce,
    }
}

pub(crate) fn endpoint(path: &str, realm: &str) -> EndpointSettings {
    let pattern = Pattern { exact: true, ..pattern(path) };
    EndpointSettings {
        pattern,
        realms: vec![realm.parse().unwrap()],
        serves: Service::Login,
        cors: None,
        takeover: None,
        document: None,
    }
}

/// A site with one upstream, `echo`.
pub(crate) fn site(realms: Vec<Realm>, endpoints: Vec<EndpointSettings>, routes: Vec<RouteSettings>) -> Site {
    let server =
        upstream::ServerSettings { name: "127.0.0.1:9000".into(), host: "127.0.0.1".into(), port: 9000, weight: 1 };
    let echo = upstream::PoolSettings::new("echo", vec![server]);
    Site {
        realms: realms.into_iter().map(Arc::new).collect(),
        internal_issuer: None,
        oauth: None,
        issuers: vec![],
        endpoints,
        routes,
        upstreams: vec![echo],
        verifiers: vec![],
    }
}

pub(crate) fn snapshot(site: &Site, keys: impl IntoIterator<Item = Arc<Key>>) -> Result<Snapshot, SnapshotError> {
    Snapshot::build(site, Arc::new(Keyring::new(keys)), &Metrics::new().unwrap())
}

/// A live state in front of `site` with these keys, all active.
pub(crate) fn live_state(site: &Site, keys: &[&MadeKey]) -> LiveState {
    let keys = keys.iter().map(|key| key.in_state(KeyState::Active));
    LiveState::new(snapshot(site, keys).unwrap(), CacheSettings::default(), BadTokenSettings::default())
}

/// An administrator with a scope, as every realm has one.
pub(crate) fn holder() -> Holder {
    Holder {
        id: PrincipalId::generate(),
        name: AccountName { business: String::new(), name: "ana".into() },
        display_name: "Ana Ruiz".into(),
        legacy_id: None,
        role: "ADMIN".into(),
        scopes: vec!["read".into()],
        company: None,
    }
}

/// An access token that begins [`NOW`].
pub(crate) fn new_token(holder: &Holder) -> NewToken<'_> {
    NewToken {
        kind: TokenKind::Access,
        holder,
        epoch: 1,
        session: SessionId::generate(),
        issued_at: NOW,
        expires_at: Some(NOW.plus(LIFETIME)),
        extra: serde_json::Map::new(),
    }
}

/// Mints with the active key of `realm`.
pub(crate) fn mint(live_state: &LiveState, realm: &str, token: &NewToken<'_>) -> String {
    let snapshot = live_state.snapshot();
    let realm = &snapshot.realms[&realm.parse().unwrap()];
    token::mint(realm, &snapshot.keys, token).unwrap().expose().to_owned()
}

/// A JWT of at least `bytes`: of the next size that a JWT can have, and never smaller than the
/// smallest that Portero mints, which has almost 500.
pub(crate) fn jwt_of_bytes(live_state: &LiveState, realm: &str, bytes: usize) -> String {
    let holder = Holder { role: "ADMIN".into(), scopes: vec![], ..holder() };
    (0..bytes)
        .map(|filler| {
            let mut token = new_token(&holder);
            if filler > 0 {
                token.extra.insert("filler".into(), "x".repeat(filler).into());
            }
            mint(live_state, realm, &token)
        })
        .find(|token| token.len() >= bytes)
        .unwrap()
}

/// The ten header fields that a browser's request has, and the token.
pub(crate) fn headers(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "crm.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json, text/plain, */*"),
        ("accept-language", "es-AR,es;q=0.8,en-US;q=0.5,en;q=0.3"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("content-type", "application/json"),
        ("origin", "https://crm.example.com"),
        ("referer", "https://crm.example.com/clientes"),
        ("cookie", "theme=dark; lang=es"),
        ("x-requested-with", "XMLHttpRequest"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !token.is_empty() {
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
    headers
}

/// A `GET` of `path` with these header fields.
pub(crate) fn get<'h>(path: &'h str, headers: &'h HeaderMap) -> Request<'h> {
    Request { method: &Method::GET, host: Host::of(headers, None), path: path.as_bytes(), query: None, headers }
}

/// Decides as the proxy does: once, and once more when a token must be opened first.
pub(crate) fn decide_fully<'h>(live_state: &LiveState, now: Timestamp, request: &Request<'h>) -> Decision<'h> {
    let view = live_state.view();
    match decide(&view, now, request, None) {
        Decision::Verify(job) => decide(&view, now, request, Some(&job.run(&view, None, now))),
        decided => decided,
    }
}

/// A decision, as far as most tests look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Forward(Reason),
    Deny(Reason),
    Endpoint,
    Preflight,
    AwaitStep,
}

impl From<Decision<'_>> for Outcome {
    fn from(decision: Decision<'_>) -> Self {
        match decision {
            Decision::Forward(permit) => Self::Forward(permit.reason),
            Decision::Reply(denial) => Self::Deny(denial.reason),
            Decision::Endpoint(_) => Self::Endpoint,
            Decision::Preflight(_) => Self::Preflight,
            Decision::Verify(_) | Decision::AwaitKey(_) | Decision::AwaitCheck(_) => {
                panic!("a proof was given and another is asked for")
            }
            Decision::AwaitStep(_) => Self::AwaitStep,
        }
    }
}

/// What comes of a `GET` of `path` with `token`; none when it is empty.
pub(crate) fn ask(live_state: &LiveState, now: Timestamp, path: &str, token: &str) -> Outcome {
    decide_fully(live_state, now, &get(path, &headers(token))).into()
}
