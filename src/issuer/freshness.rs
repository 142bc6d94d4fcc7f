//! What an answer says of its age (RFC 9111), as a cache of one client reads it.

use std::time::Duration;

use http::{HeaderMap, header};

use crate::rules::list::elements_or;

/// How long an answer may be used without asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Freshness {
    /// `None` where the answer does not say; zero for `no-cache`, `no-store` and what cannot be read.
    pub(super) lifetime: Option<Duration>,
    /// Whether it may be kept on a disk: `no-store` forbids it (RFC 9111 section 5.2.2.5).
    pub(super) storable: bool,
}

impl Freshness {
    /// Reads `Cache-Control` and `Age`. What contradicts itself is as old as its worst reading (section 4.2.1).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut freshness = Self { lifetime: None, storable: true };
        // What is no text may say no-store as well as anything else.
        for directive in elements_or(headers, &header::CACHE_CONTROL, "no-store") {
            freshness.apply(directive);
        }
        let ages = headers.get_all(header::AGE).iter().filter_map(|age| seconds(age.to_str().ok()?));
        let age = ages.max().unwrap_or_default();
        freshness.lifetime = freshness.lifetime.map(|lifetime| lifetime.saturating_sub(age));
        freshness
    }

    fn apply(&mut self, directive: &str) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let lifetime = if name.eq_ignore_ascii_case("max-age") {
            seconds(value.trim_matches('"')).unwrap_or_default()
        } else if name.eq_ignore_ascii_case("no-cache") {
            Duration::ZERO
        } else if name.eq_ignore_ascii_case("no-store") {
            self.storable = false;
            Duration::ZERO
        } else {
            return;
        };
        self.lifetime = Some(self.lifetime.map_or(lifetime, |shorter| shorter.min(lifetime)));
    }
}

/// `delta-seconds` (RFC 9111 section 1.2.2): digits only; more than there is room for is for ever.
fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&'static str, &str)]) -> Freshness {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        Freshness::of(&headers)
    }

    fn control(value: &str) -> (Option<u64>, bool) {
        let Freshness { lifetime, storable } = of(&[("cache-control", value)]);
        (lifetime.map(|lifetime| lifetime.as_secs()), storable)
    }

    #[test]
    fn directives_are_read_and_the_worst_one_counts() {
        for (value, expected) in [
            ("", (None, true)),
            ("public, must-revalidate", (None, true)),
            ("max-age=300", (Some(300), true)),
            ("public, Max-Age=\"300\" , s-maxage=9", (Some(300), true)),
            ("max-age=300, max-age=60", (Some(60), true)),
            ("max-age=300, no-cache", (Some(0), true)),
            ("no-cache=\"set-cookie\"", (Some(0), true)),
            ("NO-STORE", (Some(0), false)),
            ("max-age", (Some(0), true)),
            ("max-age=-1", (Some(0), true)),
            ("max-age=1.5", (Some(0), true)),
            ("max-age=99999999999999999999", (Some(u64::from(u32::MAX)), true)),
        ] {
            assert_eq!(control(value), expected, "{value}");
        }
    }

    #[test]
    fn the_time_in_other_caches_is_taken_off() {
        let aged = |age| of(&[("cache-control", "max-age=100"), ("age", age)]).lifetime;
        assert_eq!(aged("30"), Some(Duration::from_secs(70)));
        assert_eq!(aged("300"), Some(Duration::ZERO));
        assert_eq!(aged("x"), Some(Duration::from_secs(100)));
        assert_eq!(of(&[("age", "30")]).lifetime, None);
        let lines = [("cache-control", "max-age=100"), ("cache-control", "no-store")];
        assert_eq!(of(&lines), Freshness { lifetime: Some(Duration::ZERO), storable: false });
    }

    #[test]
    fn what_is_no_text_is_not_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", http::HeaderValue::from_bytes(b"max-age=300\xff").unwrap());
        assert_eq!(Freshness::of(&headers), Freshness { lifetime: Some(Duration::ZERO), storable: false });
    }
}
