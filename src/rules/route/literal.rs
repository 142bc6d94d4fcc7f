//! A path in the config stands for itself. Other proxies and frameworks read patterns there, and a pattern that is
//! taken literally matches no request: all of them would fall to a wider route. So what looks like a pattern is
//! found here, and refused by the config.

use super::path::CanonicalPath;

/// The part of a path that another proxy would read as a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// Which of them.
    pub kind: PatternKind,
    /// The literal path that comes nearest; `None` where no such path could be matched. It is itself free of
    /// patterns, and canonical.
    pub literal: Option<String>,
}

/// What other proxies mean by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternKind {
    /// Any text: `*`, `{id}`, `<id>`, `:id`, or a part of a regular expression.
    Wildcard,
    /// The end of the path: a final `$`.
    End,
    /// A query, or an optional character: `?`.
    Query,
    /// A fragment, which clients never send: `#`.
    Fragment,
}

/// The first pattern in `path`; `None` when the path stands for itself. `$metadata` and `items:cancel` are names
/// that services have.
#[must_use]
pub fn pattern_in(path: &str) -> Option<PathPattern> {
    let (kind, at) = first_pattern(path)?;
    let literal = CanonicalPath::parse(stem(path, kind, at).as_bytes()).ok();
    let literal = literal.map(|literal| without_final_slash(literal.as_str()).to_owned());
    let literal = literal.filter(|literal| first_pattern(literal).is_none());
    Some(PathPattern { kind, literal })
}

fn first_pattern(path: &str) -> Option<(PatternKind, usize)> {
    let mut start = 0;
    for segment in path.split('/') {
        if let Some((kind, at)) = in_segment(segment) {
            return Some((kind, start + at));
        }
        start += segment.len() + 1;
    }
    let named = path.trim_end_matches('/');
    named.ends_with('$').then(|| (PatternKind::End, named.len() - 1))
}

fn in_segment(segment: &str) -> Option<(PatternKind, usize)> {
    // `.+` of a regular expression; `1.+` and `c++` are names.
    if segment.starts_with(':') || segment == ".+" {
        return Some((PatternKind::Wildcard, 0));
    }
    let group = segment.find("(.+").map(|at| (PatternKind::Wildcard, at));
    let special = segment.char_indices().find_map(|(at, character)| match character {
        '*' | '{' | '}' | '[' | ']' | '<' | '>' | '|' | '^' => Some((PatternKind::Wildcard, at)),
        '?' => Some((PatternKind::Query, at)),
        '#' => Some((PatternKind::Fragment, at)),
        _ => None,
    });
    group.into_iter().chain(special).min_by_key(|(_, at)| *at)
}

/// What stands before the pattern, cut at a segment's boundary unless the segment's own name is known.
fn stem(path: &str, kind: PatternKind, at: usize) -> &str {
    let before = &path[..at];
    let segment = before.rfind('/').map_or(0, |slash| slash + 1);
    let shaped = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    let is_name = |name: &str| !name.is_empty() && !name.ends_with('.') && name.bytes().all(shaped);
    let whole = match kind {
        PatternKind::Wildcard => is_name(&before[segment..]) && path[at..].bytes().all(|octet| octet == b'*'),
        PatternKind::End | PatternKind::Query | PatternKind::Fragment => true,
    };
    let stem = if whole { before } else { &before[..segment] };
    without_final_slash(stem)
}

fn without_final_slash(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::rules::route::{Found, Host, Pattern, Router};

    #[test]
    fn the_patterns_of_other_proxies_are_known() {
        for (path, literal) in [
            ("/api/orders/*", "/api/orders"),
            ("/api/orders/**", "/api/orders"),
            ("/api/orders*", "/api/orders"),
            ("/api/orders/{*path}", "/api/orders"),
            ("/api/orders/{id}/lines", "/api/orders"),
            ("/api/orders/order-{id}", "/api/orders"),
            ("/api/orders/:id", "/api/orders"),
            ("/api/orders/:id/lines", "/api/orders"),
            ("/api/orders/<int:id>", "/api/orders"),
            ("/api/orders/.*", "/api/orders"),
            ("/api/orders/(.*)", "/api/orders"),
            ("/api/orders/.+", "/api/orders"),
            ("/api/orders/(.+)", "/api/orders"),
            ("/api/orders/[0-9]+", "/api/orders"),
            ("/api/orders/(a|b)", "/api/orders"),
            ("/api/orders$", "/api/orders"),
            ("/api/orders/$", "/api/orders"),
            ("/api/orders$/", "/api/orders"),
            ("/api/orders?x=1", "/api/orders"),
            ("/api/orders/?", "/api/orders"),
            ("/api/orders#top", "/api/orders"),
            ("/api//orders/./*", "/api/orders"),
            ("/*", "/"),
            ("*", "/"),
            ("/^api", "/"),
        ] {
            assert_eq!(pattern_in(path).and_then(|found| found.literal).as_deref(), Some(literal), "{path}");
        }
        assert_eq!(pattern_in("/a/$b$/../..;/*").unwrap().literal, None, "nothing that could be matched");
    }

    #[test]
    fn names_that_services_have_are_no_patterns() {
        for path in [
            "/",
            "/api/orders",
            "/odata/$metadata",
            "/odata/$metadata/",
            "/v1/items:cancel",
            "/maven/1.+",
            "/c++",
            "/odata/Products(1)",
            "/a=b,c!~@&'",
            "/%7Bid%7D",
            "/a%3Fb",
        ] {
            assert_eq!(pattern_in(path), None, "{path}");
        }
    }

    proptest! {
        /// What has no pattern is matched exactly as it is written, and what is offered in a pattern's place is so too.
        #[test]
        fn a_path_without_a_pattern_is_matched_as_written(path in "/([a$:*{}?.+()/%]|%3[AFaf]|%2[Aa4]){0,12}") {
            let literal = match pattern_in(&path) {
                None => path,
                Some(PathPattern { literal: Some(literal), .. }) => literal,
                Some(PathPattern { literal: None, .. }) => return Ok(()),
            };
            prop_assert_eq!(pattern_in(&literal), None);
            let Ok(canonical) = CanonicalPath::parse(literal.as_bytes()) else { return Ok(()) };
            prop_assume!(canonical.is_as_received() && pattern_in(canonical.as_str()).is_none());
            let pattern = Pattern { hosts: vec![], path: canonical.clone().into_owned(), exact: true, methods: vec![] };
            let router = Router::build([(pattern, ())]).unwrap();
            let host = Host::parse("h").unwrap();
            prop_assert_eq!(router.find(&host, &canonical, &Method::GET), Found::Route(&()));
            let other = format!("{literal}/x");
            let other = CanonicalPath::parse(other.as_bytes()).unwrap();
            prop_assert_eq!(router.find(&host, &other, &Method::GET), Found::Nothing);
        }
    }
}
