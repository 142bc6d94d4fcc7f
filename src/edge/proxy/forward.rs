//! What an upstream receives: the authorised path, the gateway's own identity and forwarding
//! headers, and nothing that a client sent under their names.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri::PathAndQuery};
use ipnet::IpNet;
use pingora::{Error, ErrorType, Result, http::RequestHeader};

use super::connection::{Connection, Scheme};
use crate::{
    decision::{ForwardToken, Route},
    domain::random,
    rules::{
        policy::{Source, strip_query},
        rewrite::{HostPolicy, Rewrites, is_reserved},
    },
    state::token::Verified,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What a request was forwarded with, beside its route.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) route: &'a Route,
    pub(super) identity: Option<&'a Verified>,
    /// What stands for the client's token.
    pub(super) internal_token: Option<&'a HeaderValue>,
    /// The path to forward, where it is not the one received.
    pub(super) path: Option<&'a str>,
    /// The `host:port` of the server that it goes to.
    pub(super) server: Option<&'a str>,
    pub(super) request_id: &'a str,
    pub(super) connection: Option<&'a Connection>,
    /// Whether the peer's own forwarding headers are believed.
    pub(super) trusted: bool,
}

/// Turns the client's head into the upstream's. Runs after pingora removed what `Connection`
/// nominates, so nothing that is added here can be nominated away.
pub(super) fn prepare(request: &mut RequestHeader, terms: &Terms<'_>) -> Result<()> {
    let believed = if terms.trusted { Believed::of(&request.headers) } else { Believed::default() };
    scrub(request);
    set_target(request, terms)?;
    if terms.route.settings.forward_token != ForwardToken::Keep {
        drop_tokens(request, &terms.route.settings.sources)?;
    }
    if terms.route.settings.forward_token == ForwardToken::Internal {
        // Whoever reads internal tokens must never see another in their place, nor when there is none.
        request.remove_header(&header::AUTHORIZATION);
        if let Some(authorization) = terms.internal_token {
            request.insert_header(header::AUTHORIZATION, authorization.clone())?;
        }
    }
    for (name, value) in terms.identity.map(|identity| identity.identity.as_slice()).unwrap_or_default() {
        request.insert_header(name.clone(), value.clone())?;
    }
    request.insert_header(X_REQUEST_ID, terms.request_id)?;
    request.insert_header(TRACEPARENT, believed.traceparent.clone().map_or_else(new_traceparent, Ok)?)?;
    forwarding_headers(request, terms, &believed)?;
    terms.route.settings.rewrites.as_deref().map_or(Ok(()), |rewrites| rewrite(request, rewrites, terms.server))
}

/// What the route changes, last: the forwarding headers tell of the request as the client sent it.
fn rewrite(request: &mut RequestHeader, rewrites: &Rewrites, server: Option<&str>) -> Result<()> {
    for name in &rewrites.request.remove {
        request.remove_header(name);
    }
    for (name, value) in &rewrites.request.set {
        request.insert_header(name.clone(), value.clone())?;
    }
    match (&rewrites.host, server) {
        (HostPolicy::Keep, _) => Ok(()),
        (HostPolicy::Server, Some(server)) => request.insert_header(header::HOST, server),
        (HostPolicy::Server, None) => Error::e_explain(ErrorType::InternalError, "no server to name"),
        (HostPolicy::Named(host), _) => request.insert_header(header::HOST, host.clone()),
    }
}

/// Takes the gateway's own names out of what `Connection` nominates. What a client sent under them
/// goes anyway, and pingora would refuse a request that nominates a forwarding header.
pub(super) fn drop_nominations(request: &mut RequestHeader) -> Result<()> {
    let ours = |name: &str| is_reserved(&name.trim().to_ascii_lowercase());
    let values: Vec<_> =
        request.headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok()).collect();
    if !values.iter().any(|list| list.split(',').any(ours)) {
        return Ok(());
    }
    let rest: Vec<_> =
        values.iter().flat_map(|list| list.split(',')).filter(|name| !ours(name)).map(str::trim).collect();
    let rest = rest.join(", ");
    request.insert_header(header::CONNECTION, rest)
}

/// The client's address: the peer's, or what the outermost believed proxy says.
pub(super) fn client_address(headers: &HeaderMap, peer: IpAddr, trusted_proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted_proxies.iter().any(|net| net.contains(&canonical(*address)));
    if !is_trusted(&peer) {
        return canonical(peer);
    }
    let hops = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','));
    let hops: Vec<_> = hops.map(|hop| hop.trim().parse::<IpAddr>()).collect();
    // From the nearest hop outwards: the first that is no proxy of ours is the client. What is no
    // address ends the search, because everything behind it is hearsay.
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Ok(hop) = hop else { break };
        client = hop;
        if !is_trusted(&hop) {
            break;
        }
    }
    canonical(client)
}

/// An IPv4 address in IPv6 clothes is the IPv4 address.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// What a trusted proxy said.
#[derive(Default)]
struct Believed {
    forwarded_for: Vec<HeaderValue>,
    proto: Option<HeaderValue>,
    host: Option<HeaderValue>,
    traceparent: Option<HeaderValue>,
    forwarded: Vec<HeaderValue>,
}

impl Believed {
    fn of(headers: &HeaderMap) -> Self {
        let all = |name: HeaderName| headers.get_all(name).iter().cloned().collect();
        Self {
            forwarded_for: all(X_FORWARDED_FOR),
            proto: headers.get(X_FORWARDED_PROTO).cloned(),
            host: headers.get(X_FORWARDED_HOST).cloned(),
            traceparent: headers.get(TRACEPARENT).filter(|value| is_traceparent(value)).cloned(),
            forwarded: all(header::FORWARDED),
        }
    }
}

/// Removes every header that could be taken for one of the gateway's own: any case (the map folds
/// it), `_` or any other separator for `-`, however often.
fn scrub(request: &mut RequestHeader) {
    let reserved: Vec<HeaderName> = request.headers.keys().filter(|name| is_reserved(name.as_str())).cloned().collect();
    for name in reserved {
        request.remove_header(&name);
    }
}

fn set_target(request: &mut RequestHeader, terms: &Terms<'_>) -> Result<()> {
    let query = request.uri.query();
    let stripped = query.and_then(|query| strip_tokens(query, &terms.route.settings.sources));
    let origin_form = request.raw_path().first() == Some(&b'/');
    if terms.path.is_none() && stripped.is_none() && origin_form {
        return Ok(());
    }
    let path = terms.path.unwrap_or(request.uri.path());
    let target = match stripped.as_deref().or(query) {
        Some(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    };
    let target = PathAndQuery::try_from(target).map_err(|_| Error::explain(ErrorType::InternalError, "target"))?;
    request.set_uri(Uri::from(target));
    Ok(())
}

fn strip_tokens(query: &str, sources: &[Source]) -> Option<String> {
    let mut stripped = None;
    for source in sources {
        if let Source::Query(name) = source {
            let rest = strip_query(stripped.as_deref().unwrap_or(query), name);
            stripped = rest.or(stripped);
        }
    }
    stripped
}

fn drop_tokens(request: &mut RequestHeader, sources: &[Source]) -> Result<()> {
    for source in sources {
        match source {
            Source::Authorization { .. } => drop(request.remove_header(&header::AUTHORIZATION)),
            Source::Header(name) => drop(request.remove_header(name)),
            Source::Cookie(name) => drop_cookie(request, name)?,
            // Stripped on every route that names it, see `set_target`.
            Source::Query(_) => {}
        }
    }
    Ok(())
}

fn drop_cookie(request: &mut RequestHeader, dropped: &str) -> Result<()> {
    let cookies: Vec<_> = request.headers.get_all(header::COOKIE).iter().cloned().collect();
    request.remove_header(&header::COOKIE);
    for value in cookies {
        let Ok(text) = value.to_str() else { continue };
        let is_dropped = |pair: &&str| pair.split_once('=').is_some_and(|(name, _)| name.trim() == dropped);
        let rest: Vec<_> = text.split(';').filter(|pair| !is_dropped(pair)).map(str::trim).collect();
        if !rest.is_empty() {
            request.append_header(header::COOKIE, rest.join("; "))?;
        }
    }
    Ok(())
}

fn forwarding_headers(request: &mut RequestHeader, terms: &Terms<'_>, believed: &Believed) -> Result<()> {
    let host = request.headers.get(header::HOST).cloned();
    let scheme = terms.connection.map_or(Scheme::Http, |connection| connection.scheme).as_str();
    if let Some(connection) = terms.connection {
        let peer = canonical(connection.peer.ip());
        let hops = believed.forwarded_for.iter().filter_map(|value| value.to_str().ok());
        let chain: Vec<_> = hops.map(str::to_owned).chain([peer.to_string()]).collect();
        request.insert_header(X_FORWARDED_FOR, chain.join(", "))?;
        let node = if peer.is_ipv6() { format!("\"[{peer}]\"") } else { peer.to_string() };
        let quoted = host
            .as_ref()
            .and_then(|host| host.to_str().ok())
            .map(|host| format!(";host=\"{host}\""))
            .unwrap_or_default();
        let own = format!("for={node};proto={scheme}{quoted}");
        let hops = believed.forwarded.iter().filter_map(|value| value.to_str().ok());
        let chain: Vec<_> = hops.map(str::to_owned).chain([own]).collect();
        request.insert_header(header::FORWARDED, chain.join(", "))?;
    }
    let proto = believed.proto.clone().unwrap_or(HeaderValue::from_static(scheme));
    request.insert_header(X_FORWARDED_PROTO, proto)?;
    if let Some(certificate) = terms.connection.and_then(|connection| connection.client_certificate.clone()) {
        request.insert_header(X_FORWARDED_CLIENT_CERT, certificate)?;
    }
    if let Some(host) = believed.host.clone().or(host) {
        request.insert_header(X_FORWARDED_HOST, host)?;
    }
    Ok(())
}

/// A new trace (W3C Trace Context section 3.2), not sampled: that is for who collects traces to say.
fn new_traceparent() -> Result<HeaderValue> {
    let (trace, span) = (u128::from_be_bytes(random::bytes()) | 1, u64::from_be_bytes(random::bytes()) | 1);
    HeaderValue::try_from(format!("00-{trace:032x}-{span:016x}-00"))
        .map_err(|_| Error::explain(ErrorType::InternalError, "traceparent"))
}

fn is_traceparent(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let hex = |range: std::ops::Range<usize>| bytes[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    bytes.len() == 55
        && bytes.starts_with(b"00-")
        && bytes[35] == b'-'
        && bytes[52] == b'-'
        && hex(3..35)
        && hex(36..52)
        && hex(53..55)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_first_hop_that_is_no_proxy_of_ours() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = |peer: &str, chain: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_FORWARDED_FOR, HeaderValue::from_str(chain).unwrap());
            client_address(&headers, peer.parse().unwrap(), &trusted).to_string()
        };
        assert_eq!(client("192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(client("10.0.0.1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(client("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2"), "198.51.100.7");
        assert_eq!(client("10.0.0.1", "198.51.100.7, garbage"), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", "198.51.100.7"), "198.51.100.7");
    }

    #[test]
    fn only_the_tokens_cookie_is_dropped() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.append_header("cookie", "a=1; sid=secret; b=2").unwrap();
        drop_cookie(&mut request, "sid").unwrap();
        assert_eq!(request.headers["cookie"], "a=1; b=2");
    }

    #[test]
    fn traces_are_well_formed() {
        assert!(is_traceparent(&new_traceparent().unwrap()));
        assert!(!is_traceparent(&HeaderValue::from_static("00-zz")));
    }
}
