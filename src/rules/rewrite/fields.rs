//! Header fields that a route sets and removes, and those that no route may touch.

use http::{HeaderName, HeaderValue};

use super::hop_by_hop::speaks_about_connection;

/// Names that are the gateway's own, in lower case; a trailing `-` stands for everything below it.
const RESERVED: [&str; 7] =
    ["x-auth-", "x-forwarded-", "x-real-ip", "forwarded", "x-request-id", "traceparent", "tracestate"];

/// What fields begin with that are said to a proxy, or by one.
const OF_PROXIES: &str = "proxy-";

/// Whether a field is said to a proxy, or by one: we are the proxy.
#[must_use]
pub fn is_of_proxies(name: &[u8]) -> bool {
    name.get(..OF_PROXIES.len()).is_some_and(|start| start.eq_ignore_ascii_case(OF_PROXIES.as_bytes()))
}

/// Whether a field of this name, in lower case, is the gateway's alone to say, in requests and in responses: it frames
/// the message (RFC 9112 section 6), speaks about one connection, or is said to a proxy.
#[must_use]
pub fn is_framing_or_hop_by_hop(name: &str) -> bool {
    name == "content-length" || speaks_about_connection(name) || is_of_proxies(name.as_bytes())
}

/// Fields that are removed first, and fields that are set after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Fields that go, every one of the name.
    pub remove: Vec<HeaderName>,
    /// Fields that stand there once, with this value, whatever stood there before.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

impl FieldEdits {
    /// Whether nothing is changed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty()
    }
}

/// Which message is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that the upstream receives.
    Request,
    /// The one that the client receives.
    Response,
}

/// What is done to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is given a value.
    Set,
    /// It is taken out.
    Remove,
}

/// Whether `name`, in lower case, could be taken for one of the gateway's own: `_` or any other separator
/// for `-`, however often.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    // Each field of each request is asked: most names begin with another letter.
    if !matches!(name.as_bytes().first(), Some(b'x' | b'f' | b't')) {
        return false;
    }
    // Some servers turn every octet that is no letter or digit into one and the same.
    let same = |a: u8, b: u8| a == b || (b == b'-' && !a.is_ascii_alphanumeric());
    RESERVED.iter().any(|reserved| {
        let long_enough =
            if reserved.ends_with('-') { name.len() >= reserved.len() } else { name.len() == reserved.len() };
        long_enough && name.bytes().zip(reserved.bytes()).all(|(a, b)| same(a, b))
    })
}

/// Why a route may not change this field, where it may not.
#[must_use]
pub fn why_not(name: &HeaderName, side: Side, change: Change) -> Option<&'static str> {
    let name = name.as_str();
    if is_framing_or_hop_by_hop(name) {
        return Some("it frames the message or speaks about one connection, which is the gateway's to say");
    }
    match (side, change) {
        (Side::Request, _) if name == "host" => Some("say host = \"upstream\" or host = \"a.example.com\" instead"),
        // An answer's own such field says nothing to anybody, and may go.
        (Side::Request, _) | (Side::Response, Change::Set) if is_reserved(name) => {
            Some("it is one of the gateway's own, and services that read it trust the gateway for it")
        }
        (Side::Response, Change::Set) if name.starts_with("access-control-") => Some("say cors = { … } instead"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_letters_of_our_names_are_known() {
        assert!(RESERVED.iter().all(|name| is_reserved(name)), "{RESERVED:?}");
    }

    #[test]
    fn every_spelling_of_our_names_is_reserved() {
        for name in [
            "x-auth-subject",
            "x_auth_subject",
            "x-auth_role",
            "x-auth-",
            "x-forwarded-for",
            "x_forwarded_host",
            "forwarded",
            "traceparent",
            "x_request_id",
            "x.auth.role",
            "x~auth-role",
            "x-real-ip",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["x-auth", "authorization", "x-authority", "forwarded-by", "x-request-id-2", "x-forward"] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn what_frames_or_identifies_is_not_for_routes_to_change() {
        let refused =
            |name: &'static str, side, change| why_not(&HeaderName::from_static(name), side, change).is_some();
        for name in [
            "connection",
            "content-length",
            "expect",
            "http2-settings",
            "keep-alive",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ] {
            for side in [Side::Request, Side::Response] {
                assert!(refused(name, side, Change::Set) && refused(name, side, Change::Remove), "{name}");
            }
        }
        for name in ["x-auth-subject", "x_forwarded_for", "forwarded", "x-request-id", "host"] {
            assert!(
                refused(name, Side::Request, Change::Remove) && refused(name, Side::Request, Change::Set),
                "{name}"
            );
        }
        assert!(refused("x-auth-role", Side::Response, Change::Set));
        assert!(!refused("x-auth-role", Side::Response, Change::Remove));
        assert!(refused("access-control-allow-origin", Side::Response, Change::Set));
        for name in ["cookie", "authorization", "x-env", "cache-control", "set-cookie", "server"] {
            assert!(
                !refused(name, Side::Request, Change::Set) && !refused(name, Side::Response, Change::Remove),
                "{name}"
            );
        }
    }
}
