//! What no section of the file can see alone: addresses that clash, routes that match the same requests.

use std::{fmt::Display, net::SocketAddr, sync::Arc};

use http::HeaderName;

use super::{
    process::{Admin, Server as Front},
    reader::{Context, Spot},
    routing::{endpoints::Endpoint, routes::Route},
    upstreams::{Server, Upstreams},
};
use crate::{
    decision::{ForwardToken, Service},
    domain::RealmName,
    issuer::{IssuerSettings, Source},
    rules::{
        policy,
        route::{HostPattern, Pattern, Router},
        verifier::{Mode, Syntax},
    },
    upstream::own,
    verifier::VerifierSettings,
};

/// No address is listened on twice.
pub(super) fn listeners(context: &Context<'_>, server: &Front, admin: &Admin) {
    for (index, listen) in server.listen.iter().enumerate() {
        if server.listen[..index].iter().any(|earlier| clash(earlier.value, listen.value)) {
            context.report(&listen.spot, &format!("'{}' is listened on already", listen.value));
        }
    }
    if let Some(front) = server.listen.iter().find(|front| clash(front.value, admin.settings.listen)) {
        let message =
            format!("clashes with '{}' of server.listen; the operator's door needs an address of its own", front.value);
        context.report(&admin.listen, &message);
    }
}

/// Warns of an admin listener that other machines reach: it speaks plain HTTP.
pub(super) fn admin_in_reach(context: &Context<'_>, admin: &Admin) {
    let listen = admin.settings.listen;
    if !listen.ip().to_canonical().is_loopback() {
        let message = format!(
            "'{listen}' is no loopback address: everyone who reaches it reads metrics and health, and the admin token crosses the network as it is"
        );
        context.warn(&admin.listen, &message);
    }
}

/// No request can be forwarded to the gateway itself, as far as the file tells.
pub(super) fn upstreams(context: &Context<'_>, upstreams: &Upstreams, own: &[SocketAddr], admin: &Admin) {
    for server in &upstreams.servers {
        let Server { host, port } = &server.value;
        if let Some(listener) = own::led_to(host, *port, own, &|_| false) {
            context.report(&server.spot, &leads_back(&server.value, listener, admin.settings.listen));
        }
    }
}

/// What is wrong with a server that is one of the gateway's own listeners.
#[must_use]
pub fn leads_back(server: &dyn Display, listener: SocketAddr, admin: SocketAddr) -> String {
    if listener == admin {
        return format!("'{server}' is the admin listener; no request may be forwarded to it");
    }
    format!("'{server}' is where this gateway listens ('{listener}'); a request would come back to it without end")
}

/// No two token endpoints have the same host and path.
pub(super) fn endpoints(context: &Context<'_>, endpoints: &[Endpoint]) {
    let entry = |endpoint: &Endpoint| {
        let pattern = endpoint.settings.pattern.clone();
        Entry { pattern, name: title(endpoint).to_owned(), spot: endpoint.spot.clone(), path: endpoint.path.clone() }
    };
    conflicts(context, &endpoints.iter().map(entry).collect::<Vec<_>>());
}

/// What problems call an endpoint.
fn title(endpoint: &Endpoint) -> &'static str {
    match endpoint.settings.serves {
        Service::ResourceMetadata => "the metadata of a resource",
        _ => "the token endpoint",
    }
}

/// No two routes match the same requests, and none stands behind a token endpoint.
pub(super) fn routes(context: &Context<'_>, routes: &[Route], endpoints: &[Endpoint]) {
    let entry = |route: &Route| {
        let pattern = route.settings.pattern.clone();
        let name = format!("route '{}'", route.settings.name);
        Entry { pattern, name, spot: route.spot.clone(), path: route.path.clone() }
    };
    conflicts(context, &routes.iter().map(entry).collect::<Vec<_>>());
    for route in routes.iter().filter(|route| route.settings.pattern.exact) {
        if let Some(owner) = endpoints.iter().find(|endpoint| owns(&endpoint.settings.pattern, &route.settings.pattern))
        {
            let (title, line) = (title(owner), context.line(&owner.spot));
            let message = format!("{title} of line {line} owns this path; no request would reach the route");
            context.report(&route.path, &message);
        }
    }
}

/// No route changes a field that a claim becomes, nor looks for a token in it: services that read it trust the gateway
/// for it.
pub(super) fn claim_headers(context: &Context<'_>, routes: &[Route], issuers: &[Arc<IssuerSettings>]) {
    let of_claim = |name: &HeaderName| {
        issuers.iter().find(|issuer| issuer.claims.headers.names().any(|own| own == name)).map(|issuer| &issuer.name)
    };
    for route in routes {
        let edits = route.settings.rewrites.as_ref().map(|rewrites| &rewrites.request);
        let changed =
            edits.into_iter().flat_map(|edits| edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name)));
        for (name, issuer) in changed.filter_map(|name| Some((name, of_claim(name)?))) {
            let message = format!(
                "'{name}' is not for a route to change: claims_to_headers of issuer '{issuer}' says what stands there"
            );
            context.report(&route.spot, &message);
        }
        for source in &route.settings.sources {
            if let policy::Source::Header(name) = source
                && let Some(issuer) = of_claim(name)
            {
                let message = format!(
                    "'{name}' cannot hold a token: claims_to_headers of issuer '{issuer}' says what services receive there"
                );
                context.report(&route.spot, &message);
            }
        }
    }
}

/// Warns of routes on which several are asked about opaque tokens whose forms overlap: of these only the first is
/// asked.
pub(super) fn opaque_tokens(
    context: &Context<'_>,
    routes: &[Route],
    endpoints: &[Endpoint],
    issuers: &[Arc<IssuerSettings>],
    verifiers: &[Arc<VerifierSettings>],
) {
    let of_issuers = issuers.iter().filter_map(|issuer| {
        let Source::Introspection(asked) = &issuer.source else { return None };
        Some(OpaqueTokens::of(&issuer.name, asked, format!("[issuers.{}.introspection]", issuer.name)))
    });
    let asked = endpoints.iter().filter(|endpoint| endpoint.settings.serves == Service::Login);
    let takeovers = asked.filter_map(|endpoint| endpoint.settings.takeover.as_ref());
    let of_realms = takeovers.filter(|takeover| takeover.mode != Mode::Alone).flat_map(|takeover| {
        takeover.verifiers.iter().filter_map(|(realm, name)| {
            let verifier = verifiers.iter().find(|verifier| verifier.name == *name)?;
            Some(OpaqueTokens::of(realm, verifier, format!("[verifiers.{name}.tokens]")))
        })
    });
    let all: Vec<_> = of_issuers.chain(of_realms).flatten().collect();
    for route in routes {
        let named = |name: &RealmName| all.iter().find(|tokens| tokens.of == *name);
        let asked: Vec<_> = route.settings.policy.accept.iter().filter_map(named).collect();
        for (at, later) in asked.iter().enumerate() {
            let Some(first) = asked[..at].iter().find(|first| first.syntax.overlaps(later.syntax)) else { continue };
            context.warn(&route.spot, &first.hides(later));
        }
    }
}

/// The opaque tokens of an issuer, or of a realm that takes over.
struct OpaqueTokens<'s> {
    of: RealmName,
    syntax: &'s Syntax,
    section: String,
}

impl<'s> OpaqueTokens<'s> {
    fn of(name: &RealmName, asked: &'s VerifierSettings, section: String) -> Option<Self> {
        Some(Self { of: name.clone(), syntax: &asked.tokens.as_ref()?.question.syntax, section })
    }

    /// That it is asked about tokens of `later`, too.
    fn hides(&self, later: &Self) -> String {
        let bare: Vec<_> = [self, later].into_iter().filter(|tokens| tokens.syntax.prefix.is_empty()).collect();
        let add = match &bare[..] {
            [] => format!("let neither prefix of {} and {} begin with the other", self.section, later.section),
            [one] => format!("add prefix = \"…\" to {}: how its tokens begin", one.section),
            _ => format!("add prefix = \"…\" to {} and {}: how the tokens of each begin", self.section, later.section),
        };
        format!(
            "an opaque token may be of '{first}' or of '{second}', and one of them is asked: '{first}', which accept names \
             first; a token of '{second}' that has the form of its tokens is refused; {add}",
            first = self.of,
            second = later.of,
        )
    }
}

/// `iss` of internal tokens, where a route asks for them: `tokens.issuer` says who the gateway is.
///
/// Upstreams that could not get the keys could not check the tokens, so the set must be served.
pub(super) fn internal_issuer(
    context: &Context<'_>,
    routes: &[Route],
    endpoints: &[Endpoint],
    issuer: Option<&str>,
) -> Option<Arc<str>> {
    let asks = |route: &&Route| route.settings.forward_token == ForwardToken::Internal;
    let asking = routes.iter().find(asks)?;
    if !endpoints.iter().any(|endpoint| endpoint.settings.serves == Service::InternalJwks) {
        let message = "forward_token = \"internal\" needs a path where upstreams get the keys: add [oauth], whose internal_jwks is one";
        context.report(&asking.spot, message);
    }
    let Some(issuer) = issuer else {
        context.report(&asking.spot, "forward_token = \"internal\" needs tokens.issuer, the gateway's own URL");
        return None;
    };
    Some(format!("{issuer}/{}", RealmName::internal()).into())
}

/// A route or a token endpoint, as far as a conflict is about it.
struct Entry {
    pattern: Pattern,
    name: String,
    spot: Spot,
    path: Spot,
}

/// Reports the entries that the route table would have no place for.
fn conflicts(context: &Context<'_>, entries: &[Entry]) {
    let Err(conflicts) = Router::build(entries.iter().map(|entry| (entry.pattern.clone(), ()))) else { return };
    for conflict in conflicts {
        let second = &entries[conflict.index];
        // The earliest that the second has a conflict with: alone with it the table finds it too.
        let together = |first: &&Entry| {
            Router::build([first, &second].map(|entry| (entry.pattern.clone(), ())))
                .is_err_and(|pair| pair.iter().any(|pair| pair.host == conflict.host))
        };
        let Some(first) = entries[..conflict.index].iter().find(together) else { continue };
        let (name, line) = (&first.name, context.line(&first.spot));
        let (host, path) = (&conflict.host, &conflict.path);
        context.report(
            &second.path,
            &format!("matches the same requests as {name} of line {line} (host {host}, path {path})"),
        );
    }
}

/// Whether a token endpoint takes every request of some host that the exact route `route` names.
fn owns(endpoint: &Pattern, route: &Pattern) -> bool {
    let covers = |host: &HostPattern| endpoint.hosts.iter().any(|owned| covers(owned, host));
    endpoint.path == route.path && (endpoint.hosts.is_empty() || route.hosts.iter().any(covers))
}

/// Whether every host that `inner` matches is one that `outer` matches.
fn covers(outer: &HostPattern, inner: &HostPattern) -> bool {
    match (outer, inner) {
        (HostPattern::Below(parent), HostPattern::Exact(name) | HostPattern::Below(name)) => name.ends_with(&**parent),
        (HostPattern::Exact(_), _) => outer == inner,
    }
}

/// Whether both addresses cannot be listened on at once. Port 0 takes a free one each time.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let overlap = one.ip() == other.ip() || same_family && (one.ip().is_unspecified() || other.ip().is_unspecified());
    one.port() != 0 && one.port() == other.port() && overlap
}
