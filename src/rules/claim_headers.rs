//! Claims that services receive as header fields of their own, by an allow-list.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::{
    claim::ClaimPath,
    rewrite::{Change, Side, means_something, why_not},
};

/// Claims that an issuer's tokens hand on, at most.
pub const CLAIM_HEADERS_MAX: usize = 16;

/// Octets of such a field's value, at most; a longer one is left out.
const VALUE_BYTES_MAX: usize = 1024;

/// Beginnings of the names that HTTP, browsers and gRPC give a meaning to.
const FAMILIES: [&str; 6] = ["accept", "access-control-", "content-", "grpc-", "if-", "sec-"];

/// Other such names. What reads them would take a claim for what a client or a proxy says.
const MEANT: [&str; 15] = [
    "age",
    "alt-used",
    "authorization",
    "cache-control",
    "cookie",
    "date",
    "early-data",
    "from",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "user-agent",
    "via",
];

/// Which claims become which fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimHeaders(Vec<(HeaderName, ClaimPath)>);

impl ClaimHeaders {
    /// These, each name once.
    #[must_use]
    pub const fn new(headers: Vec<(HeaderName, ClaimPath)>) -> Self {
        Self(headers)
    }

    /// The fields' names: no client may send one of them.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The fields for a token with these claims. A claim that it does not have, or that no field can carry, has none.
    #[must_use]
    pub fn of(&self, claims: &Map<String, Value>) -> Vec<(HeaderName, HeaderValue)> {
        let field = |(name, path): &(HeaderName, ClaimPath)| Some((name.clone(), value(path, claims)?));
        self.0.iter().filter_map(field).collect()
    }

    /// The claims themselves, by their paths.
    #[must_use]
    pub fn claims(&self, claims: &Map<String, Value>) -> Map<String, Value> {
        let claim = |(_, path): &(HeaderName, ClaimPath)| Some((path.to_string(), path.value(claims)?));
        self.0.iter().filter_map(claim).collect()
    }
}

/// Why a claim may not become this field.
#[must_use]
pub fn why_no_claim(name: &HeaderName) -> Option<&'static str> {
    let text = name.as_str();
    if !text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') {
        return Some("services could take it for another spelling of another name: use letters, digits and hyphens");
    }
    let is_meant = MEANT.contains(&text) || FAMILIES.iter().any(|family| text.starts_with(family));
    why_not(name, Side::Request, Change::Set)
        .or_else(|| (is_meant || means_something(text)).then_some("HTTP, or what reads it, gives it a meaning already"))
}

/// Texts, whole numbers, true and false; those of a list with a comma and a space between them. A list whose items
/// cannot be told apart then has none: one item with a comma in it would look like two.
fn value(path: &ClaimPath, claims: &Map<String, Value>) -> Option<HeaderValue> {
    let (items, is_list) = match path.value(claims)? {
        Value::Array(items) => (items, true),
        value => (vec![value], false),
    };
    let values: Option<Vec<String>> = items.iter().map(word).collect();
    let values = values?;
    if is_list && values.iter().any(|value| value.contains(',')) {
        return None;
    }
    let text = values.join(", ");
    if text.is_empty() || text.len() > VALUE_BYTES_MAX { None } else { HeaderValue::from_str(&text).ok() }
}

/// A value as a field has it.
fn word(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) if !number.is_f64() => number.to_string(),
        _ => return None,
    };
    is_visible(&text).then_some(text)
}

/// Whether a text is visible ASCII with spaces only inside: what every server reads alike.
fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && text.bytes().all(|octet| matches!(octet, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> ClaimHeaders {
        let pair = |(name, path): &(&'static str, &str)| (HeaderName::from_static(name), path.parse().unwrap());
        ClaimHeaders::new(pairs.iter().map(pair).collect())
    }

    #[test]
    fn a_claim_becomes_a_field_where_a_field_can_carry_it() {
        let Value::Object(claims) = json!({
            "tenant": "Acme Corp", "level": 3, "vip": true, "teams": ["a", "b"], "ids": [1, 2], "one": ["a, b"], "text": "a, b",
            "realm_access": {"roles": ["x"]}, "crlf": "a\r\nX-Auth-Role: ROOT", "tab": "a\tb", "n": "Ñandú",
            "edge": " a", "empty": "", "null": null, "object": {}, "float": 1.5, "mixed": ["a", {}],
            "commas": ["a", "b, c"], "long": "x".repeat(1025), "nothing": [], "nul": "a\u{0}b", "del": "\u{7f}",
        }) else {
            unreachable!()
        };
        for (path, expected) in [
            ("tenant", Some("Acme Corp")),
            ("level", Some("3")),
            ("vip", Some("true")),
            ("teams", Some("a, b")),
            ("ids", Some("1, 2")),
            ("text", Some("a, b")),
            ("one", None),
            ("realm_access.roles", Some("x")),
            ("absent", None),
            ("crlf", None),
            ("tab", None),
            ("n", None),
            ("edge", None),
            ("empty", None),
            ("null", None),
            ("object", None),
            ("float", None),
            ("mixed", None),
            ("commas", None),
            ("long", None),
            ("nothing", None),
            ("nul", None),
            ("del", None),
        ] {
            let fields = headers(&[("x-a", path)]).of(&claims);
            assert_eq!(fields.first().map(|(_, value)| value.to_str().unwrap()), expected, "{path}");
        }
        let both = headers(&[("x-a", "realm_access.roles"), ("x-b", "n"), ("x-c", "absent")]);
        assert_eq!(Value::Object(both.claims(&claims)), json!({"realm_access.roles": ["x"], "n": "Ñandú"}));
    }

    #[test]
    fn a_name_that_means_something_is_no_claims() {
        for name in [
            "host",
            "connection",
            "te",
            "transfer-encoding",
            "content-length",
            "content-type",
            "upgrade",
            "keep-alive",
            "proxy-authorization",
            "proxy",
            "x-auth-role",
            "x-auth-tenant",
            "x-forwarded-for",
            "forwarded",
            "x-real-ip",
            "x-request-id",
            "traceparent",
            "authorization",
            "cookie",
            "x-original-url",
            "x-http-method-override",
            "remote-user",
            "accept-language",
            "sec-fetch-site",
            "if-match",
            "x_tenant",
            "x.tenant",
            "grpc-timeout",
        ] {
            assert!(why_no_claim(&HeaderName::from_static(name)).is_some(), "{name}");
        }
        for name in ["x-tenant", "tenant", "company-id", "x-authority"] {
            assert_eq!(why_no_claim(&HeaderName::from_static(name)), None, "{name}");
        }
    }
}
