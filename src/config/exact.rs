//! `exact = true` beside a wider route: `/panel/secret/` is not `/panel/secret`, and falls to the wider route. Many
//! services answer both alike, so a wider route that asks for less is hardly meant.

use http::Method;

use super::{
    reader::Context,
    routing::{endpoints::Endpoint, routes::Route},
};
use crate::{
    decision::Mode,
    rules::{
        policy::{Auth, Looser},
        route::{CanonicalPath, Found, Host, HostPattern, Router},
    },
};

/// A host that no route names.
const UNNAMED: &str = "host-of-no-route.invalid";

/// A label below a wildcard's name that no route names.
const LABEL: &str = "label-of-no-route";

/// Where a request of another spelling leads.
struct Wider<'r> {
    path: String,
    route: &'r Route,
    why: &'static str,
}

/// Warns of every exact route whose path with the other final slash leads to a weaker route.
pub(super) fn warn(context: &Context<'_>, routes: &[Route], endpoints: &[Endpoint]) {
    let table = Router::build(routes.iter().map(|route| (route.settings.pattern.clone(), route)));
    let owned = Router::build(endpoints.iter().map(|endpoint| (endpoint.settings.pattern.clone(), ())));
    // Routes that match the same requests are problems of their own.
    let (Ok(table), Ok(owned)) = (table, owned) else { return };
    for route in routes.iter().filter(|route| route.settings.pattern.exact && route.settings.mode == Mode::Enforce) {
        let Some(Wider { path, route: wider, why }) = wider(route, &table, &owned) else { continue };
        let (name, line) = (&wider.settings.name, context.line(&wider.spot));
        let message = format!(
            "'{path}' is another path, and falls to route '{name}' of line {line}, which {why}; \
             leave exact out, or give '{path}' a route of its own"
        );
        context.warn(&route.exact, &message);
    }
}

fn wider<'r>(route: &Route, table: &Router<&'r Route>, owned: &Router<()>) -> Option<Wider<'r>> {
    let pattern = &route.settings.pattern;
    let path = match pattern.path.as_str() {
        "/" => return None,
        path => path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned),
    };
    let canonical = CanonicalPath::parse(path.as_bytes()).ok()?;
    let named = pattern.hosts.iter().map(|host| match host {
        HostPattern::Exact(name) => name.to_string(),
        HostPattern::Below(parent) => format!("{LABEL}{parent}"),
    });
    let unnamed = pattern.hosts.is_empty().then(|| UNNAMED.to_owned());
    named.chain(unnamed).find_map(|host| {
        let host = Host::parse(&host).ok()?;
        // A token endpoint takes every method.
        if matches!(owned.find(&host, &canonical, &Method::GET), Found::Route(())) {
            return None;
        }
        let taking = table.candidates(&host, &canonical).into_iter().next().filter(|taking| !taking.exact)?;
        let of_its_own: Vec<_> = taking.routes.iter().filter_map(|(method, _)| *method).collect();
        let takes = |method: Option<&Method>| match method {
            Some(method) => pattern.methods.contains(method),
            None => pattern.methods.iter().any(|method| !of_its_own.contains(&method)),
        };
        let reached = taking.routes.iter().filter(|(method, _)| pattern.methods.is_empty() || takes(*method));
        let mut weaker = reached.filter_map(|(_, wider)| Some((**wider, weakness(wider, route)?)));
        weaker.next().map(|(wider, why)| Wider { path: path.clone(), route: wider, why })
    })
}

/// Why `wider` lets through what `route` refuses.
fn weakness(wider: &Route, route: &Route) -> Option<&'static str> {
    let (wider, route) = (&wider.settings, &route.settings);
    if wider.mode == Mode::Shadow && route.policy.auth == Auth::Required {
        return Some("is in shadow mode");
    }
    wider.policy.looser_than(&route.policy).map(Looser::as_str)
}
