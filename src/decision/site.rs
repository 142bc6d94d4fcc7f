//! What the gateway stands in front of: the part of the settings that a reload swaps as one.

use std::sync::Arc;

use crate::{
    domain::RealmName,
    rules::{
        policy::{Policy, Source},
        realm::Realm,
        route::Pattern,
    },
    state::{issuer, upstream},
};

/// Realms, foreign issuers, token endpoints, routes and upstreams, checked: every name that is used is defined.
#[derive(Clone, Debug)]
pub struct Site {
    /// The account spaces.
    pub realms: Vec<Arc<Realm>>,
    /// Whose tokens are accepted beside the realms' own; no realm has the name or the `iss` of one.
    pub issuers: Vec<Arc<issuer::Settings>>,
    /// The paths that Portero answers itself.
    pub endpoints: Vec<EndpointSettings>,
    /// The paths that it forwards.
    pub routes: Vec<RouteSettings>,
    /// Where it forwards them to.
    pub upstreams: Vec<upstream::Settings>,
}

/// A token endpoint.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// Its hosts and its one path; every method is its own.
    pub pattern: Pattern,
    /// Who may answer: the first whose identifying fields stand in the body, else the first.
    pub realms: Vec<RealmName>,
    /// Whether it takes refresh tokens (`grant = "refresh"`) instead of passwords.
    pub refresh: bool,
}

/// A route.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// Its name in metrics and logs.
    pub name: Arc<str>,
    /// What it matches.
    pub pattern: Pattern,
    /// What it asks for.
    pub policy: Policy,
    /// Where a token is looked for.
    pub sources: Vec<Source>,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// Whether the client's token is passed on; default true, since old services still read it.
    pub forward_token: bool,
}
