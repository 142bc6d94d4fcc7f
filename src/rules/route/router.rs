//! The route table. Host decides first (a name before a wildcard before none, a longer wildcard
//! before a shorter one), then the path (exact before prefix, longer before shorter), then the
//! method: a path that exists, but not for this method, is 405 and never falls through to a
//! shorter route.

use foldhash::{HashMap, HashMapExt};
use http::Method;
use thiserror::Error;

use super::{
    host::{Host, HostPattern},
    path::CanonicalPath,
};

/// What a route matches.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Its hosts; empty for any.
    pub hosts: Vec<HostPattern>,
    /// A canonical path.
    pub path: CanonicalPath<'static>,
    /// This one path only; otherwise every path below it too, at a segment boundary.
    pub exact: bool,
    /// Its methods; empty for any.
    pub methods: Vec<Method>,
}

/// Two routes that match the same requests.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("matches the same requests as an earlier one (host {host}, path {path})")]
pub struct Conflict {
    /// Which of the routes given, counted from zero, came second.
    pub index: usize,
    /// The host both have, `*` for none.
    pub host: String,
    /// The path both have.
    pub path: String,
}

/// What a request's host, path and method lead to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'r, T> {
    /// This route.
    Route(&'r T),
    /// The path's routes have other methods: these, as `Allow` lists them. The first route of the
    /// path is given too, so that the answer can have its shape.
    OtherMethods(&'r str, &'r T),
    /// No route.
    Nothing,
}

/// Routes by host and path. Finding one takes a few hash look-ups, however many there are.
#[derive(Debug)]
pub struct Router<T> {
    exact_hosts: HashMap<Box<str>, Table<T>>,
    parent_hosts: HashMap<Box<str>, Table<T>>,
    any_host: Table<T>,
}

#[derive(Debug)]
struct Table<T> {
    exact: HashMap<Box<str>, Slot<T>>,
    prefix: HashMap<Box<str>, Slot<T>>,
    /// The lengths of the exact paths, each as the bit `length % 64`: a path of none of these is not looked up.
    exact_lengths: u64,
    /// The most segments that a prefix here has: no deeper cut of a path is worth a look-up.
    prefix_segments_max: usize,
}

#[derive(Debug)]
struct Slot<T> {
    by_method: Vec<(Method, T)>,
    any_method: Option<T>,
    allow: String,
}

impl<T: Clone> Router<T> {
    /// Builds the table.
    ///
    /// # Errors
    /// Every pair of routes that match the same requests.
    pub fn build(routes: impl IntoIterator<Item = (Pattern, T)>) -> Result<Self, Vec<Conflict>> {
        let mut table_set =
            Self { exact_hosts: HashMap::new(), parent_hosts: HashMap::new(), any_host: Table::default() };
        let mut conflicts = vec![];
        for (index, (pattern, route)) in routes.into_iter().enumerate() {
            let mut add = |table: &mut Table<T>, host: &dyn ToString| {
                if !table.add(&pattern, &route) {
                    let path = pattern.path.as_str().to_owned();
                    conflicts.push(Conflict { index, host: host.to_string(), path });
                }
            };
            for host in &pattern.hosts {
                let (tables, name) = match host {
                    HostPattern::Exact(name) => (&mut table_set.exact_hosts, name),
                    HostPattern::Below(name) => (&mut table_set.parent_hosts, name),
                };
                add(tables.entry(name.clone()).or_default(), host);
            }
            if pattern.hosts.is_empty() {
                add(&mut table_set.any_host, &"*");
            }
        }
        if conflicts.is_empty() { Ok(table_set) } else { Err(conflicts) }
    }
}

/// A path of the route table that a request matches, whether it is the one that [`Router::find`] takes or not.
#[derive(Debug)]
pub struct Candidate<'r, T> {
    /// The host that its routes name; `None` for any.
    pub host: Option<HostPattern>,
    /// The path that they name.
    pub path: &'r str,
    /// Whether it is that path only.
    pub exact: bool,
    /// Its routes, each with its method; `None` for any.
    pub routes: Vec<(Option<&'r Method>, &'r T)>,
}

impl<T> Router<T> {
    /// Every path of the table that matches, the one that [`Router::find`] takes first, then those that would be
    /// taken in its place, in this order. For explaining: it goes through much of the table.
    #[must_use]
    pub fn candidates(&self, host: &Host<'_>, path: &CanonicalPath<'_>) -> Vec<Candidate<'_, T>> {
        let host = host.to_lower_case();
        let host = host.as_str();
        let named = self.exact_hosts.get(host).map(|table| (Some(HostPattern::Exact(host.into())), table));
        let parents = host.match_indices('.').map(|(at, _)| &host[at..]);
        let below = parents.filter_map(|parent| {
            self.parent_hosts.get(parent).map(|table| (Some(HostPattern::Below(parent.into())), table))
        });
        let tables = named.into_iter().chain(below).chain([(None, &self.any_host)]);
        tables.flat_map(|(host, table)| table.candidates(host.as_ref(), path.as_str())).collect()
    }

    /// Every route of the table; one that has several hosts comes several times.
    pub fn routes(&self) -> impl Iterator<Item = &T> {
        let tables = self.exact_hosts.values().chain(self.parent_hosts.values()).chain([&self.any_host]);
        let slots = tables.flat_map(|table| table.exact.values().chain(table.prefix.values()));
        slots.flat_map(|slot| slot.by_method.iter().map(|(_, route)| route).chain(&slot.any_method))
    }

    /// The route for a request.
    #[must_use]
    pub fn find(&self, host: &Host<'_>, path: &CanonicalPath<'_>, method: &Method) -> Found<'_, T> {
        let path = path.as_str();
        let slot = if self.exact_hosts.is_empty() && self.parent_hosts.is_empty() {
            self.any_host.slot(path)
        } else {
            self.host_slot(host.to_lower_case().as_str(), path).or_else(|| self.any_host.slot(path))
        };
        slot.map_or(Found::Nothing, |slot| slot.by_method(method))
    }

    fn host_slot(&self, host: &str, path: &str) -> Option<&Slot<T>> {
        if let Some(slot) = self.exact_hosts.get(host).and_then(|table| table.slot(path)) {
            return Some(slot);
        }
        if self.parent_hosts.is_empty() {
            return None;
        }
        let parents = host.match_indices('.').map(|(at, _)| &host[at..]);
        parents.filter_map(|parent| self.parent_hosts.get(parent)).find_map(|table| table.slot(path))
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), prefix: HashMap::new(), exact_lengths: 0, prefix_segments_max: 0 }
    }
}

impl<T: Clone> Table<T> {
    /// Adds a route; false when it is there already.
    fn add(&mut self, pattern: &Pattern, route: &T) -> bool {
        let path = pattern.path.as_str();
        let slots = if pattern.exact {
            self.exact_lengths |= length_bit(path);
            &mut self.exact
        } else {
            self.prefix_segments_max = self.prefix_segments_max.max(path.matches('/').count());
            &mut self.prefix
        };
        let slot = slots.entry(path.into()).or_default();
        if pattern.methods.is_empty() {
            return slot.any_method.replace(route.clone()).is_none();
        }
        let mut fresh = true;
        for method in &pattern.methods {
            fresh &= !slot.by_method.iter().any(|(taken, _)| taken == method);
            slot.by_method.push((method.clone(), route.clone()));
        }
        slot.allow = slot.by_method.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>().join(", ");
        fresh
    }
}

impl<T> Table<T> {
    fn slot(&self, path: &str) -> Option<&Slot<T>> {
        if self.exact_lengths & length_bit(path) != 0
            && let Some(slot) = self.exact.get(path)
        {
            return Some(slot);
        }
        if self.prefix.is_empty() {
            return None;
        }
        // Prefixes end at segment boundaries, so only the cuts before each slash, and the whole, can be one.
        // A path cut deeper than any prefix is, starts at that depth.
        let mut slashes = path.bytes().enumerate().filter(|&(_, octet)| octet == b'/');
        let mut cut = slashes.nth(self.prefix_segments_max).map_or(path, |(at, _)| &path[..at]);
        loop {
            if let Some(slot) = self.prefix.get(cut) {
                return Some(slot);
            }
            match cut.bytes().rposition(|octet| octet == b'/') {
                Some(0) | None => return self.prefix.get("/"),
                Some(at) => cut = &cut[..at],
            }
        }
    }
}

impl<T> Table<T> {
    fn candidates(&self, host: Option<&HostPattern>, path: &str) -> Vec<Candidate<'_, T>> {
        let covers = |prefix: &str| {
            prefix == "/" || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let exact = self.exact.get_key_value(path).into_iter();
        let mut prefixes: Vec<_> = self.prefix.iter().filter(|(prefix, _)| covers(prefix)).collect();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let all = exact.map(|entry| (true, entry)).chain(prefixes.into_iter().map(|entry| (false, entry)));
        all.map(|(exact, (path, slot))| Candidate { host: host.cloned(), path, exact, routes: slot.routes() }).collect()
    }
}

const fn length_bit(path: &str) -> u64 {
    1 << (path.len() % 64)
}

impl<T> Slot<T> {
    fn routes(&self) -> Vec<(Option<&Method>, &T)> {
        let own = self.by_method.iter().map(|(method, route)| (Some(method), route));
        own.chain(self.any_method.iter().map(|route| (None, route))).collect()
    }

    fn by_method(&self, method: &Method) -> Found<'_, T> {
        let own = self.by_method.iter().find(|(own, _)| own == method).map(|(_, route)| route);
        match (own.or(self.any_method.as_ref()), self.by_method.first()) {
            (Some(route), _) => Found::Route(route),
            (None, Some((_, first))) => Found::OtherMethods(&self.allow, first),
            (None, None) => Found::Nothing,
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { by_method: vec![], any_method: None, allow: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(host: &str, path: &str, exact: bool, methods: &[Method]) -> Pattern {
        Pattern {
            hosts: if host.is_empty() { vec![] } else { vec![host.parse().unwrap()] },
            path: CanonicalPath::parse(path.as_bytes()).unwrap().into_owned(),
            exact,
            methods: methods.to_vec(),
        }
    }

    fn find<'r>(router: &'r Router<&'static str>, host: &str, path: &str, method: &Method) -> Found<'r, &'static str> {
        router.find(&Host::parse(host).unwrap(), &CanonicalPath::parse(path.as_bytes()).unwrap(), method)
    }

    #[test]
    fn prefixes_end_at_segment_boundaries_and_the_longest_wins() {
        let router = Router::build([
            (pattern("", "/", false, &[]), "root"),
            (pattern("", "/api", false, &[]), "api"),
            (pattern("", "/api/v1", false, &[]), "v1"),
            (pattern("", "/api/v1/ping", true, &[]), "ping"),
        ])
        .unwrap();
        for (path, route) in [
            ("/", "root"),
            ("/apis", "root"),
            ("/api", "api"),
            ("/api/", "api"),
            ("/api/v10", "api"),
            ("/api/v1", "v1"),
            ("/api/v1/x/y/z", "v1"),
            ("/api/v1/ping", "ping"),
            ("/api/v1/ping/", "v1"),
        ] {
            assert_eq!(find(&router, "h", path, &Method::GET), Found::Route(&route), "{path}");
        }
    }

    #[test]
    fn a_named_host_comes_before_a_wildcard_before_none() {
        let router = Router::build([
            (pattern("", "/a/long/path", false, &[]), "any"),
            (pattern("*.example.com", "/a", false, &[]), "below"),
            (pattern("*.b.example.com", "/a", false, &[]), "further below"),
            (pattern("c.example.com", "/", false, &[]), "named"),
        ])
        .unwrap();
        for (host, route) in [
            ("c.example.com", "named"),
            ("x.example.com", "below"),
            ("x.y.example.com", "below"),
            ("x.b.example.com", "further below"),
            ("example.com", "any"),
            ("other", "any"),
        ] {
            assert_eq!(find(&router, host, "/a/long/path", &Method::GET), Found::Route(&route), "{host}");
        }
        assert_eq!(find(&router, "x.example.com", "/b", &Method::GET), Found::Nothing);
    }

    #[test]
    fn another_method_is_405_and_never_a_shorter_route() {
        let router = Router::build([
            (pattern("", "/", false, &[]), "root"),
            (pattern("", "/a", false, &[Method::GET, Method::POST]), "a"),
            (pattern("", "/a", false, &[Method::PUT]), "a put"),
        ])
        .unwrap();
        assert_eq!(find(&router, "h", "/a/b", &Method::GET), Found::Route(&"a"));
        assert_eq!(find(&router, "h", "/a/b", &Method::PUT), Found::Route(&"a put"));
        assert_eq!(find(&router, "h", "/a/b", &Method::DELETE), Found::OtherMethods("GET, POST, PUT", &"a"));
    }

    #[test]
    fn equal_routes_are_conflicts() {
        let conflicts = Router::build([
            (pattern("", "/a", false, &[Method::GET]), 0),
            (pattern("", "/a", true, &[Method::GET]), 1),
            (pattern("h", "/a", false, &[Method::GET]), 2),
            (pattern("", "/a", false, &[Method::POST, Method::GET]), 3),
        ])
        .unwrap_err();
        assert_eq!(conflicts, [Conflict { index: 3, host: "*".into(), path: "/a".into() }]);
    }

    #[test]
    fn candidates_stand_in_the_order_in_which_they_would_be_taken() {
        let router = Router::build([
            (pattern("", "/", false, &[]), "root"),
            (pattern("", "/a/b", true, &[Method::GET]), "exact"),
            (pattern("", "/a", false, &[Method::GET]), "a"),
            (pattern("", "/a", false, &[Method::PUT]), "a put"),
            (pattern("", "/ab", false, &[]), "no prefix of it"),
            (pattern("*.example.com", "/a", false, &[]), "below"),
            (pattern("*.b.example.com", "/", false, &[]), "further below"),
            (pattern("c.b.example.com", "/a", false, &[]), "named"),
        ])
        .unwrap();
        let path = CanonicalPath::parse(b"/a/b").unwrap();
        let candidates = router.candidates(&Host::parse("C.b.example.com").unwrap(), &path);
        let names = candidates.iter().flat_map(|candidate| candidate.routes.iter().map(|(_, route)| **route));
        let names: Vec<_> = names.collect();
        assert_eq!(names, ["named", "further below", "below", "exact", "a", "a put", "root"]);
    }

    proptest! {
        /// The table finds what a search through the list of prefixes finds.
        #[test]
        fn finds_the_longest_prefix(
            prefixes in proptest::collection::hash_set("(/[ab]){1,4}", 1..6),
            path in "(/[ab]){1,6}/?",
        ) {
            let routes = prefixes.iter().map(|prefix| (pattern("", prefix, false, &[]), prefix.clone()));
            let router = Router::build(routes).unwrap();
            let covers = |prefix: &&String| path == **prefix || path.starts_with(&format!("{prefix}/"));
            let expected = prefixes.iter().filter(covers).max_by_key(|prefix| prefix.len());
            let host = Host::parse("h").unwrap();
            let path = CanonicalPath::parse(path.as_bytes()).unwrap();
            let found = match router.find(&host, &path, &Method::GET) {
                Found::Route(found) => Some(found),
                Found::OtherMethods(..) | Found::Nothing => None,
            };
            prop_assert_eq!(found, expected);
            let candidates = router.candidates(&host, &path);
            prop_assert_eq!(candidates.first().map(|first| first.routes[0].1), expected);
            prop_assert_eq!(candidates.len(), prefixes.iter().filter(covers).count());
        }
    }
}
