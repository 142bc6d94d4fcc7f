//! Hardened answers: they do not say what made them, and tell browsers to be careful with them.

use http::{HeaderName, HeaderValue, header};

/// Fields that tell an attacker which software to look up.
pub const REVEALING: [HeaderName; 5] = [
    header::SERVER,
    HeaderName::from_static("x-powered-by"),
    HeaderName::from_static("x-aspnet-version"),
    HeaderName::from_static("x-aspnetmvc-version"),
    HeaderName::from_static("x-generator"),
];

const CAREFUL: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// A year without subdomains: the operator of this one name can keep what it asks for (RFC 6797 section 6.1).
const STRICT_TRANSPORT: (HeaderName, HeaderValue) =
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));

/// The fields that a hardened answer has where the service did not say its own. `secure` is whether the
/// client's connection is encrypted: on another, `Strict-Transport-Security` must not be said (RFC 6797 section 7.2).
pub fn hardening(secure: bool) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    CAREFUL.into_iter().chain(secure.then_some(STRICT_TRANSPORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_transport_is_for_encrypted_connections() {
        let names = |secure| hardening(secure).map(|(name, _)| name).collect::<Vec<_>>();
        assert!(!names(false).contains(&header::STRICT_TRANSPORT_SECURITY));
        assert_eq!(names(true).len(), names(false).len() + 1);
    }
}
