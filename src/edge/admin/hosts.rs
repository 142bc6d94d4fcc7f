//! The names under which the admin listener answers.

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::rules::route::Host;

/// The host names under which the admin listener answers: any literal address, `localhost`, and
/// these. A page that rebinds its own name to this address is turned away.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Vec<Box<str>>);

impl AllowedHosts {
    /// The names that the operator adds.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = Box<str>>) -> Self {
        Self(names.into_iter().collect())
    }

    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        let Ok(host) = Host::of(headers, None) else { return false };
        let host = host.to_lower_case();
        let name = host.as_str();
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || literal.parse::<IpAddr>().is_ok() || self.0.iter().any(|allowed| &**allowed == name)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    fn naming(host: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))])
    }

    #[test]
    fn a_rebound_name_is_turned_away() {
        let hosts = AllowedHosts::new(["gateway.internal".into()]);
        for good in ["127.0.0.1:9901", "localhost:9901", "[::1]:9901", "gateway.internal"] {
            assert!(hosts.allow(&naming(good)), "{good}");
        }
        for bad in ["evil.example:9901", "localhost.evil.example", ""] {
            assert!(!hosts.allow(&naming(bad)), "{bad}");
        }
        assert!(!hosts.allow(&HeaderMap::new()));
    }
}
