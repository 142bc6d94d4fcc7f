//! Another prefix for a path that was authorised.

use crate::rules::route::CanonicalPath;

/// Puts another prefix in the place of a route's own. What follows the prefix stays as it is, octet by
/// octet, so the result is as canonical as the path was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRewrite {
    /// Empty for the root.
    prefix: Box<str>,
    /// Empty for the root.
    replacement: Box<str>,
}

impl PathRewrite {
    /// Replaces the prefix `from` by `to`.
    #[must_use]
    pub fn prefix(from: &CanonicalPath<'_>, to: &CanonicalPath<'_>) -> Self {
        let without_slash = |path: &str| path.strip_suffix('/').unwrap_or(path).into();
        Self { prefix: without_slash(from.as_str()), replacement: without_slash(to.as_str()) }
    }

    /// Replaces the one path `from` by `to`.
    #[must_use]
    pub fn exact(from: &CanonicalPath<'_>, to: &CanonicalPath<'_>) -> Self {
        Self { prefix: from.as_str().into(), replacement: to.as_str().into() }
    }

    /// The path to forward; `None` for a path that does not begin with the prefix, at a segment boundary.
    #[must_use]
    pub fn apply(&self, path: &CanonicalPath<'_>) -> Option<String> {
        let rest = path.as_str().strip_prefix(&*self.prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        let rewritten = format!("{}{rest}", self.replacement);
        Some(if rewritten.is_empty() { "/".to_owned() } else { rewritten })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(path: &str) -> CanonicalPath<'_> {
        CanonicalPath::parse(path.as_bytes()).unwrap()
    }

    #[test]
    fn a_prefix_is_replaced_at_its_segment_boundary() {
        for (from, to, path, expected) in [
            ("/api", "/", "/api/v1/x", Some("/v1/x")),
            ("/api", "/", "/api", Some("/")),
            ("/api", "/", "/api/", Some("/")),
            ("/api", "/v2", "/api", Some("/v2")),
            ("/api", "/v2", "/api/", Some("/v2/")),
            ("/api", "/v2/", "/api/x/", Some("/v2/x/")),
            ("/", "/v2", "/", Some("/v2/")),
            ("/", "/v2", "/x", Some("/v2/x")),
            ("/", "/", "/x", Some("/x")),
            ("/api", "/v2", "/apis", None),
            ("/api", "/v2", "/x/api", None),
        ] {
            let rewrite = PathRewrite::prefix(&canonical(from), &canonical(to));
            assert_eq!(rewrite.apply(&canonical(path)).as_deref(), expected, "{from} → {to}: {path}");
        }
    }

    #[test]
    fn an_exact_path_becomes_exactly_another() {
        for (from, to) in [("/a", "/b/"), ("/a/", "/b"), ("/", "/b"), ("/a", "/")] {
            let rewrite = PathRewrite::exact(&canonical(from), &canonical(to));
            assert_eq!(rewrite.apply(&canonical(from)).as_deref(), Some(to));
        }
    }

    proptest! {
        /// Nothing that a rewrite makes has a second meaning, and nothing behind the prefix changes.
        #[test]
        fn what_is_rewritten_stays_canonical(
            from in "(/[a-c%.]{1,2}){0,3}/?",
            to in "(/[a-c%.]{1,2}){0,3}/?",
            rest in "(/[a-c.%2eE]{0,3}){0,4}",
        ) {
            let parse = |path: &str| CanonicalPath::parse(path.as_bytes()).map(CanonicalPath::into_owned);
            let path = format!("{}{rest}", from.trim_end_matches('/'));
            if let (Ok(from), Ok(to), Ok(path)) = (parse(&from), parse(&to), parse(&path))
                && let Some(rewritten) = PathRewrite::prefix(&from, &to).apply(&path)
            {
                let again = CanonicalPath::parse(rewritten.as_bytes());
                prop_assert_eq!(again.as_ref().map(CanonicalPath::as_str), Ok(rewritten.as_str()));
                let behind = |path: &str, prefix: &CanonicalPath<'_>| {
                    let prefix = prefix.as_str().trim_end_matches('/');
                    path[prefix.len()..].trim_start_matches('/').to_owned()
                };
                prop_assert_eq!(behind(path.as_str(), &from), behind(&rewritten, &to));
            }
        }
    }
}
