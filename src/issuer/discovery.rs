//! Where an issuer's keys are, by its own metadata: `OpenID` Connect Discovery 1.0 section 4 and RFC 8414 section 3.

use http::{Uri, uri::Scheme};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::domain::json::parse_object;

/// Octets of a metadata document, at most.
pub(super) const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// What stands in a path that names a document and not an issuer.
const WELL_KNOWN: &str = "/.well-known/";

/// The documents' names, in the order in which they are asked for.
const OPENID: &str = "openid-configuration";
const OAUTH: &str = "oauth-authorization-server";

/// Why a metadata document says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum DiscoveryError {
    /// It is something else.
    #[error("the metadata is not one JSON object with distinct members")]
    NotJson,
    /// It is another issuer's (RFC 8414 section 3.3).
    #[error("the metadata is of another issuer than '{0}'")]
    OtherIssuer(String),
    /// It does not say where the keys are.
    #[error("the metadata has no '{0}'")]
    Missing(&'static str),
    /// It names an address that is not fetched.
    #[error("the metadata's '{0}' is no https URL; http is for loopback addresses only")]
    Insecure(&'static str),
}

/// Whether nobody on the way can answer for an address: `https`, or `http` on a literal loopback address. A name is
/// none: who answers for it may change.
#[must_use]
pub fn is_secure(uri: &Uri) -> bool {
    let loopback = || {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    match uri.scheme_str() {
        Some("https") => uri.host().is_some_and(|host| !host.is_empty()),
        Some("http") => loopback(),
        _ => false,
    }
}

/// Whether `uri` names a document, and not the issuer whose document is looked for.
#[must_use]
pub fn names_document(uri: &Uri) -> bool {
    uri.path().contains(WELL_KNOWN)
}

/// Where the metadata of `uri` may be: at that document, or at those that both standards make of an issuer.
pub(super) fn documents(uri: &Uri) -> Vec<Uri> {
    if names_document(uri) {
        return vec![uri.clone()];
    }
    // A slash at the end is taken away before (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3.1).
    let path = uri.path().trim_end_matches('/');
    let of = |path: String| {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path.parse().ok()?);
        Uri::from_parts(parts).ok()
    };
    let mut documents: Vec<_> = [format!("{path}{WELL_KNOWN}{OPENID}"), format!("{WELL_KNOWN}{OAUTH}{path}")]
        .into_iter()
        .filter_map(of)
        .collect();
    documents.dedup();
    documents
}

/// The address at `member` of the metadata of `issuer`. Where the metadata came over TLS, what it names is asked over
/// TLS.
///
/// # Errors
/// Why there is none that may be asked.
pub(super) fn address(document: &[u8], issuer: &str, member: &'static str, from: &Uri) -> Result<Uri, DiscoveryError> {
    let metadata = metadata(document, issuer)?;
    let text = metadata.get(member).and_then(Value::as_str).ok_or(DiscoveryError::Missing(member))?;
    let uri = text.parse::<Uri>().ok().filter(|uri| is_secure(uri) && !text.contains(['#', '@']));
    let uri = uri.ok_or(DiscoveryError::Insecure(member))?;
    if from.scheme() == Some(&Scheme::HTTPS) && uri.scheme() != Some(&Scheme::HTTPS) {
        return Err(DiscoveryError::Insecure(member));
    }
    Ok(uri)
}

fn metadata(document: &[u8], issuer: &str) -> Result<Map<String, Value>, DiscoveryError> {
    let metadata = parse_object(document).map_err(|_| DiscoveryError::NotJson)?;
    match metadata.get("issuer").and_then(Value::as_str) {
        Some(named) if named == issuer => Ok(metadata),
        Some(_) => Err(DiscoveryError::OtherIssuer(issuer.to_owned())),
        None => Err(DiscoveryError::Missing("issuer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn both_standards_say_where_a_document_is() {
        let of = |text: &str| documents(&uri(text)).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            of("https://login.example.com/realms/corp/"),
            [
                "https://login.example.com/realms/corp/.well-known/openid-configuration",
                "https://login.example.com/.well-known/oauth-authorization-server/realms/corp",
            ]
        );
        assert_eq!(
            of("https://login.example.com"),
            [
                "https://login.example.com/.well-known/openid-configuration",
                "https://login.example.com/.well-known/oauth-authorization-server",
            ]
        );
        let named = "https://login.example.com/.well-known/openid-configuration";
        assert_eq!(of(named), [named]);
    }

    #[test]
    fn metadata_is_the_issuers_own_and_leads_to_no_plain_address() {
        use DiscoveryError::{Insecure, Missing, NotJson, OtherIssuer};
        let from = uri("https://i/.well-known/openid-configuration");
        let read = |document: &str, from: &Uri| address(document.as_bytes(), "https://i", "jwks_uri", from);
        let good = r#"{"issuer":"https://i","jwks_uri":"https://keys.example/k?a=b","x":[1]}"#;
        assert_eq!(read(good, &from), Ok(uri("https://keys.example/k?a=b")));
        let local = r#"{"issuer":"https://i","jwks_uri":"http://127.0.0.1:1/k"}"#;
        assert_eq!(read(local, &uri("http://127.0.0.1:1/.well-known/x")), Ok(uri("http://127.0.0.1:1/k")));
        for (document, error) in [
            ("<!DOCTYPE html>", NotJson),
            (r#"{"issuer":"https://i","issuer":"https://i","jwks_uri":"https://k"}"#, NotJson),
            (r#"{"issuer":"https://i/","jwks_uri":"https://k"}"#, OtherIssuer("https://i".into())),
            (r#"{"issuer":["https://i"],"jwks_uri":"https://k"}"#, Missing("issuer")),
            (r#"{"jwks_uri":"https://k"}"#, Missing("issuer")),
            (r#"{"issuer":"https://i"}"#, Missing("jwks_uri")),
            (r#"{"issuer":"https://i","jwks_uri":7}"#, Missing("jwks_uri")),
            (r#"{"issuer":"https://i","jwks_uri":"http://k/"}"#, Insecure("jwks_uri")),
            (r#"{"issuer":"https://i","jwks_uri":"http://localhost/"}"#, Insecure("jwks_uri")),
            (r#"{"issuer":"https://i","jwks_uri":"file:///etc/passwd"}"#, Insecure("jwks_uri")),
            (r#"{"issuer":"https://i","jwks_uri":"https://u@k/"}"#, Insecure("jwks_uri")),
            (r#"{"issuer":"https://i","jwks_uri":"/jwks"}"#, Insecure("jwks_uri")),
            (local, Insecure("jwks_uri")),
        ] {
            assert_eq!(read(document, &from), Err(error), "{document}");
        }
    }
}
