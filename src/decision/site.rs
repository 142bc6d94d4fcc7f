//! What the gateway stands in front of: the part of the settings that a reload swaps as one.

use std::sync::Arc;

use crate::{
    domain::RealmName,
    rules::{
        issuer::Issuer,
        policy::{Policy, Source},
        realm::Realm,
        route::Pattern,
    },
    state::{issuer, token::Issuers, upstream},
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
    /// `iss` of internal tokens; there where a route asks for them.
    pub internal_issuer: Option<Arc<str>>,
}

impl Site {
    /// Everybody whose tokens are read, by name.
    #[must_use]
    pub fn issuers(&self) -> Issuers {
        let realms = self.realms.iter().map(|realm| (realm.name.clone(), Issuer::Realm(Arc::clone(realm))));
        let foreign = self.issuers.iter().map(|issuer| (issuer.name.clone(), Issuer::Foreign(issuer.tokens().into())));
        realms.chain(foreign).collect()
    }
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
    /// What becomes of the client's token.
    pub forward_token: ForwardToken,
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
