//! What the gateway stands in front of: the part of the settings that a reload swaps as one.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::freshness::StaleAction;
use crate::{
    domain::RealmName,
    issuer,
    rules::{
        cors::Cors,
        issuer::Issuer,
        policy::{self, Source},
        realm::Realm,
        rewrite::Rewrites,
        route::Pattern,
        verifier::{Defaults, Mode as TakeoverMode, Policy},
    },
    state::token::Issuers,
    upstream, verifier,
};

/// Realms, external issuers, token endpoints, routes and upstreams, checked: every name that is used is defined.
#[derive(Clone, Debug)]
pub struct Site {
    /// The account spaces.
    pub realms: Vec<Arc<Realm>>,
    /// Whose tokens are accepted beside the realms' own; no realm has the name or the `iss` of one.
    pub issuers: Vec<Arc<issuer::IssuerSettings>>,
    /// The paths that Portero answers itself.
    pub endpoints: Vec<EndpointSettings>,
    /// The paths that it forwards.
    pub routes: Vec<RouteSettings>,
    /// Where it forwards them to.
    pub upstreams: Vec<upstream::PoolSettings>,
    /// The old systems that it takes over from.
    pub verifiers: Vec<Arc<verifier::VerifierSettings>>,
    /// `iss` of internal tokens; there where a route asks for them.
    pub internal_issuer: Option<Arc<str>>,
    /// What its OAuth endpoints do, where it has any.
    pub oauth: Option<OauthSettings>,
}

impl Site {
    /// Everybody whose tokens are read, by name.
    #[must_use]
    pub fn issuers(&self) -> Issuers {
        let realms = self.realms.iter().map(|realm| (realm.name.clone(), Issuer::Realm(Arc::clone(realm))));
        let external =
            self.issuers.iter().map(|issuer| (issuer.name.clone(), Issuer::External(issuer.tokens().into())));
        realms.chain(external).collect()
    }

    /// Keeps what is forwarded away from where the gateway itself listens, beside what the config says of that.
    pub fn keep_off(&mut self, listening: &[SocketAddr]) {
        for upstream in &mut self.upstreams {
            let mut own: Vec<_> = upstream.own.iter().chain(listening).copied().filter(|own| own.port() != 0).collect();
            own.sort_unstable();
            own.dedup();
            upstream.own = own.into();
        }
    }

    /// The realms that take over from an old system, each with its endpoint, how it does so, and from which.
    pub fn takeovers(&self) -> impl Iterator<Item = (&EndpointSettings, &TakeoverSettings, &RealmName, &str)> {
        let of_endpoints = self.endpoints.iter().filter_map(|endpoint| Some((endpoint, endpoint.takeover.as_ref()?)));
        of_endpoints.flat_map(|(endpoint, takeover)| {
            takeover.verifiers.iter().map(move |(realm, verifier)| (endpoint, takeover, realm, &**verifier))
        })
    }

    /// The names of the routes that refuse nobody for want of a token ([`Mode::Shadow`]).
    pub fn shadow_routes(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().filter(|route| route.mode == Mode::Shadow).map(|route| &*route.name)
    }
}

/// A token endpoint.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// Its hosts and its one path; every method is its own.
    pub pattern: Pattern,
    /// The realms that may answer: the first whose identifying fields stand in the body, else the first.
    pub realms: Vec<RealmName>,
    /// What is served there.
    pub serves: Service,
    /// What pages of other origins may do; `None` for nothing.
    pub cors: Option<Arc<Cors>>,
    /// Which old system it takes over from; `None` for none.
    pub takeover: Option<TakeoverSettings>,
    /// What it answers where that follows from the config alone; `None` elsewhere.
    pub document: Option<Arc<serde_json::Map<String, serde_json::Value>>>,
}

/// How a token endpoint takes over from an old system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeoverSettings {
    /// The side that answers.
    pub mode: TakeoverMode,
    /// Whose word counts in `lead`, and for how long a confirmed hash decides alone.
    pub policy: Policy,
    /// The old system of each realm that has one, by its name in [`Site::verifiers`].
    pub verifiers: Vec<(RealmName, Arc<str>)>,
    /// What an account gets that an old system's yes makes.
    pub new_accounts: Defaults,
}

/// What a path that Portero answers itself is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// A contract's login (and `toc`'s verification).
    Login,
    /// A contract's refresh (`grant = "refresh"`).
    Refresh,
    /// OAuth's token endpoint (RFC 6749 section 3.2).
    OauthToken,
    /// OAuth's revocation endpoint (RFC 7009).
    OauthRevocation,
    /// OAuth's introspection endpoint (RFC 7662).
    OauthIntrospection,
    /// The public keys of the realms (RFC 7517).
    Jwks,
    /// The public keys of internal tokens.
    InternalJwks,
    /// The authorization server's metadata (RFC 8414).
    Metadata,
    /// A protected resource's metadata (RFC 9728).
    ResourceMetadata,
}

/// What `[oauth]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthSettings {
    /// How long a refresh token that was exchanged gives the same answer again; default 10 s.
    pub refresh_grace: Duration,
    /// How long a refresh token may stay unused; `None` for as long as its line lasts.
    pub refresh_lifetime: Option<Duration>,
    /// How long its documents may be kept; no longer than a next key is published before it signs.
    pub documents_max_age: Duration,
    /// The metadata, complete: they follow from the config alone.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// A route.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// Its name in metrics and logs.
    pub name: Arc<str>,
    /// What it matches.
    pub pattern: Pattern,
    /// What it asks for.
    pub policy: policy::Policy,
    /// Where a token is looked for.
    pub sources: Vec<Source>,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// What becomes of the client's token.
    pub forward_token: ForwardToken,
    /// What is changed of requests and answers; `None` for nothing.
    pub rewrites: Option<Arc<Rewrites>>,
    /// What pages of other origins may do; `None` for what the upstream says.
    pub cors: Option<Arc<Cors>>,
    /// Bytes of a request's body, at most; default as many as come.
    pub body_bytes_max: Option<u64>,
    /// Whether a field may ask for another method (`X-HTTP-Method-Override` and its kin), which must lead to this route
    /// too; default no.
    pub method_override: bool,
    /// What a request may ask to switch to beside `websocket` (RFC 9110 section 7.8), in lower case; default nothing.
    pub upgrades: Vec<Box<str>>,
    /// Whether what the token lacks keeps the request out.
    pub mode: Mode,
    /// What becomes of checked requests when the shared store was not heard of for too long; `None` for what `[store]`
    /// says.
    pub stale: Option<StaleAction>,
    /// Where the metadata are of the resource that it is a part of (RFC 9728), a URL; `None` for none.
    pub resource: Option<Arc<str>>,
}

/// What becomes of a request that a route's policy refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is denied.
    #[default]
    Enforce,
    /// It is let through, counted and logged as what it would have been: for trying a policy on live traffic. *Every*
    /// refusal that is about the token is let through, so a revoked, an expired and a forged token pass, and none.
    /// What is not about the token (path, host, method, the message itself) is refused all the same.
    Shadow,
}

/// What becomes of the client's token on its way to the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardToken {
    /// It is passed on: old services still read it.
    #[default]
    Keep,
    /// It is dropped.
    Drop,
    /// It is exchanged for a short-lived one of the gateway's own.
    Internal,
}
