//! Cross-origin requests, as browsers ask about them (Fetch standard, section «CORS protocol»).

use std::{fmt, str::FromStr, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use thiserror::Error;

use super::route::Host;

/// What a route lets pages of other origins do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages.
    pub origins: Vec<Origin>,
    /// The methods that a preflight answers.
    pub methods: HeaderValue,
    /// The request's fields that a preflight answers.
    pub headers: HeaderValue,
    /// The answer's fields that a page may read, beside the safelisted ones.
    pub expose: Option<HeaderValue>,
    /// Whether a browser sends cookies along, and lets the page read the answer then.
    pub credentials: bool,
    /// How long a browser may remember a preflight's answer, in seconds.
    pub max_age: Duration,
}

/// Whose pages may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Everybody's.
    Any,
    /// This one's, as browsers spell it; `null` for pages that have none.
    Exact(Box<str>),
    /// Those one label below: of `https://` and `.example.com`.
    Below {
        /// The scheme with `://`.
        scheme: Box<str>,
        /// What follows the label: a dot, a name, and a port where it is not the scheme's own.
        parent: Box<str>,
    },
}

/// Why a text is no origin that a browser would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidOrigin {
    /// Something else than `scheme://host[:port]`.
    #[error("write scheme://host or scheme://host:port, without a path")]
    Shape,
    /// It has capitals.
    #[error("browsers send origins in lower case")]
    Case,
    /// It names its scheme's own port.
    #[error("browsers leave the scheme's own port out")]
    DefaultPort,
}

/// The fields of an answer, to be set.
pub type Fields = Vec<(HeaderName, HeaderValue)>;

impl Cors {
    /// The fields of the response to a preflight. None for a page that may not ask: a browser takes that
    /// for a no, whatever the status is.
    #[must_use]
    pub fn preflight(&self, headers: &HeaderMap) -> Fields {
        let Some(allowed) = self.allowed(headers) else { return vec![] };
        let mut fields = self.shared(allowed);
        fields.push((header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone()));
        fields.push((header::ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone()));
        fields.push((header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age.as_secs())));
        fields
    }

    /// The fields of the response to the request with these `headers`, whichever side gives it.
    #[must_use]
    pub fn response_fields(&self, headers: &HeaderMap) -> Fields {
        let Some(allowed) = self.allowed(headers) else { return vec![] };
        let mut fields = self.shared(allowed);
        if let Some(expose) = &self.expose {
            fields.push((header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone()));
        }
        fields
    }

    /// Whether answers differ by origin, so that caches must know (Fetch standard, «CORS protocol and HTTP caches»).
    #[must_use]
    pub fn varies(&self) -> bool {
        !self.origins.contains(&Origin::Any)
    }

    /// What `Access-Control-Allow-Origin` says to the request's one origin.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut values = headers.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (values.next(), values.next()) else { return None };
        if !self.varies() {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins.iter().any(|known| known.is(origin.as_bytes())).then(|| origin.clone())
    }

    fn shared(&self, allowed: HeaderValue) -> Fields {
        let mut fields = Vec::with_capacity(5);
        fields.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed));
        if self.credentials {
            fields.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
        }
        fields
    }
}

/// Whether an answer's field is one that only the route's `cors` says.
#[must_use]
pub fn is_cors_field(name: &HeaderName) -> bool {
    name.as_str().starts_with("access-control-")
}

impl Origin {
    fn is(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.as_bytes() == origin,
            Self::Below { scheme, parent } => {
                let label =
                    origin.strip_prefix(scheme.as_bytes()).and_then(|rest| rest.strip_suffix(parent.as_bytes()));
                label.is_some_and(|label| !label.is_empty() && label.iter().copied().all(stands_in_label))
            }
        }
    }
}

fn stands_in_label(octet: u8) -> bool {
    octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'-' | b'_')
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        match text {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Exact(text.into())),
            _ => {}
        }
        let (scheme, authority) = text.split_once("://").ok_or(InvalidOrigin::Shape)?;
        let named = authority.strip_prefix("*.").unwrap_or(authority);
        let shaped = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.');
        // RFC 3986 section 3.1.
        let named_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
        if !named_scheme || !scheme.bytes().all(shaped) || Host::parse(named).is_err() {
            return Err(InvalidOrigin::Shape);
        }
        // A final dot, or a colon without a port, names a host and stands in no origin.
        let (name, port) = match named.rsplit_once(':') {
            Some((name, port)) if !named.ends_with(']') => (name, Some(port)),
            _ => (named, None),
        };
        if name.ends_with('.') || port == Some("") {
            return Err(InvalidOrigin::Shape);
        }
        if text.bytes().any(|octet| octet.is_ascii_uppercase()) {
            return Err(InvalidOrigin::Case);
        }
        if matches!((scheme, port), ("http", Some("80")) | ("https", Some("443"))) {
            return Err(InvalidOrigin::DefaultPort);
        }
        Ok(match authority.strip_prefix('*') {
            Some(parent) => Self::Below { scheme: format!("{scheme}://").into(), parent: parent.into() },
            None => Self::Exact(text.into()),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(origin) => f.write_str(origin),
            Self::Below { scheme, parent } => write!(f, "{scheme}*{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        Cors {
            origins: origins.iter().map(|origin| origin.parse().unwrap()).collect(),
            methods: HeaderValue::from_static("GET, PUT"),
            headers: HeaderValue::from_static("authorization"),
            expose: Some(HeaderValue::from_static("x-total")),
            credentials: false,
            max_age: Duration::from_mins(10),
        }
    }

    fn from(origins: &[&'static str]) -> HeaderMap {
        origins.iter().map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))).collect()
    }

    #[test]
    fn origins_are_spelt_as_browsers_spell_them() {
        for text in [
            "*",
            "null",
            "https://app.example.com",
            "http://localhost:3000",
            "https://*.example.com",
            "https://*.example.com:8443",
            "http://[::1]:3000",
            "http://[::1]",
            "capacitor://localhost",
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
        for (text, error) in [
            ("", InvalidOrigin::Shape),
            ("app.example.com", InvalidOrigin::Shape),
            ("https://app.example.com/", InvalidOrigin::Shape),
            ("https://app.example.com/x", InvalidOrigin::Shape),
            ("https://", InvalidOrigin::Shape),
            ("://a", InvalidOrigin::Shape),
            ("https://a b", InvalidOrigin::Shape),
            ("https://u@a", InvalidOrigin::Shape),
            ("https://a:", InvalidOrigin::Shape),
            ("https://a.", InvalidOrigin::Shape),
            ("https://*", InvalidOrigin::Shape),
            ("https://*.*.example.com", InvalidOrigin::Shape),
            ("https://a.*.com", InvalidOrigin::Shape),
            ("https://App.example.com", InvalidOrigin::Case),
            ("HTTPS://app.example.com", InvalidOrigin::Case),
            ("https://a:443", InvalidOrigin::DefaultPort),
            ("http://a:80", InvalidOrigin::DefaultPort),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(error), "{text}");
        }
    }

    #[test]
    fn only_those_that_are_listed_may_ask() {
        let cors = cors(&["https://app.example.com", "https://*.example.org"]);
        for (origin, may) in [
            ("https://app.example.com", true),
            ("https://a.example.org", true),
            ("https://app.example.com:8443", false),
            ("http://app.example.com", false),
            ("https://App.example.com", false),
            ("https://app.example.com.evil.test", false),
            ("https://evilapp.example.com", false),
            ("https://example.org", false),
            ("https://.example.org", false),
            ("https://a.b.example.org", false),
            ("https://evil.test/.example.org", false),
            ("https://evil.test#.example.org", false),
            ("null", false),
            ("*", false),
            ("", false),
        ] {
            let headers = from(&[origin]);
            let fields: HeaderMap = cors.response_fields(&headers).into_iter().collect();
            let allowed = fields.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(HeaderValue::as_bytes);
            assert_eq!(allowed, may.then_some(origin.as_bytes()), "{origin}");
            assert_eq!(cors.preflight(&headers).is_empty(), !may, "{origin}");
        }
        assert!(cors.response_fields(&HeaderMap::new()).is_empty());
        assert!(cors.response_fields(&from(&["https://app.example.com"; 2])).is_empty(), "no browser sends two");
    }

    proptest! {
        /// Whatever a file says is read or refused, and what is read is matched by itself alone or by one label more.
        #[test]
        fn an_origin_that_is_read_is_one_that_is_sent(text in "[a-z+]{1,6}://(\\*\\.)?[a-z.:0-9/@-]{1,12}", label in "[a-z0-9-]{1,8}") {
            if let Ok(origin) = text.parse::<Origin>() {
                prop_assert_eq!(origin.to_string(), text.clone());
                let sent = text.replacen('*', &label, 1);
                prop_assert!(origin.is(sent.as_bytes()));
                for other in [format!("{sent}/"), format!("{sent}.evil.test"), format!("x{sent}"), sent.to_uppercase()] {
                    prop_assert!(!origin.is(other.as_bytes()), "{}", other);
                }
            }
        }
    }

    #[test]
    fn everybody_is_a_star_and_no_reason_to_vary() {
        let open = cors(&["*"]);
        let fields: HeaderMap = open.preflight(&from(&["https://x.test"])).into_iter().collect();
        assert_eq!(fields[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(fields[header::ACCESS_CONTROL_ALLOW_METHODS], "GET, PUT");
        assert_eq!(fields[header::ACCESS_CONTROL_ALLOW_HEADERS], "authorization");
        assert_eq!(fields[header::ACCESS_CONTROL_MAX_AGE], "600");
        assert!(!open.varies() && cors(&["null"]).varies());
    }

    #[test]
    fn credentials_are_said_and_what_may_be_read() {
        let cors = Cors { credentials: true, ..cors(&["null"]) };
        let fields: HeaderMap = cors.response_fields(&from(&["null"])).into_iter().collect();
        assert_eq!(fields[header::ACCESS_CONTROL_ALLOW_ORIGIN], "null");
        assert_eq!(fields[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(fields[header::ACCESS_CONTROL_EXPOSE_HEADERS], "x-total");
    }
}
