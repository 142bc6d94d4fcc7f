//! What an upstream receives: the authorised path, the gateway's own identity and forwarding
//! headers, and nothing that a client sent under their names.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, Version, header,
    uri::{PathAndQuery, Scheme as UriScheme},
};
use ipnet::IpNet;

use crate::{
    decision::{ForwardToken, Route},
    domain::{id::write_hex, random},
    edge::{
        forward::exchange::RequestId,
        listen::{
            connection::{Connection, Protocol, Scheme},
            forwarded::hop_address,
            trusted::{
                Believed, TRACEPARENT, TRACESTATE, TrustedHeader, TrustedHeaders, X_FORWARDED_FOR, X_FORWARDED_HOST,
                X_FORWARDED_PROTO,
            },
        },
    },
    rules::{
        grpc,
        list::elements,
        policy::{Source, strip_cookie, strip_query},
        rewrite::{Dropped, HostPolicy, OddNames, Rewrites, join_authorization, remove_hop_by_hop},
    },
    state::token::Verified,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Fields that the gateway adds, at most, beside what a route sets.
pub(in crate::edge::forward) const ADDED_FIELDS: usize = 16;

/// What a request was forwarded with, beside its route.
#[derive(Debug)]
pub(in crate::edge::forward) struct Terms<'a> {
    pub(in crate::edge) route: &'a Route,
    pub(in crate::edge) identity: Option<&'a Verified>,
    /// What stands for the client's token.
    pub(in crate::edge::forward) internal_token: Option<&'a HeaderValue>,
    /// The path to forward, where it is not the one received.
    pub(in crate::edge) path: Option<&'a str>,
    /// The `host:port` of the server that it goes to.
    pub(in crate::edge) server: Option<&'a str>,
    pub(in crate::edge::forward) request_id: &'a RequestId,
    pub(in crate::edge) connection: Option<&'a Connection>,
    /// Which of the peer's own forwarding headers are believed.
    pub(in crate::edge) trusted: TrustedHeaders,
    /// What becomes of odd names that mean nothing here.
    pub(in crate::edge::forward) odd_names: OddNames,
}

/// A head could not be made: a defect of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge::forward) struct Defect;

/// Turns the client's request into the upstream's, for HTTP/1. Gives why fields were dropped, for each of them that
/// counts. What `Connection` nominates goes first, so that nothing that is added here can be nominated away. What a
/// trusted proxy says cannot either: it was decided by.
pub(in crate::edge::forward) fn prepare<B>(
    request: &mut Request<B>,
    terms: &Terms<'_>,
) -> Result<Vec<Dropped>, Defect> {
    let headers = request.headers_mut();
    let believed = Believed::of(headers, terms.trusted);
    remove_hop_by_hop(headers);
    let dropped = scrub(headers, terms);
    join_authorization(headers);
    headers.reserve(ADDED_FIELDS + terms.identity.map_or(0, |identity| identity.identity.len()));
    let settings = &terms.route.settings;
    if settings.forward_token != ForwardToken::Keep {
        drop_tokens(headers, &settings.sources);
    }
    if settings.forward_token == ForwardToken::Internal {
        // A service that reads internal tokens must never see another in their place, nor where the request has no
        // internal token.
        headers.remove(header::AUTHORIZATION);
        if let Some(authorization) = terms.internal_token {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
    }
    for (name, value) in terms.identity.map(|identity| identity.identity.as_slice()).unwrap_or_default() {
        headers.insert(name, value.clone());
    }
    headers.insert(X_REQUEST_ID, terms.request_id.to_header());
    headers.insert(TRACEPARENT, believed.traceparent.clone().unwrap_or_else(new_traceparent));
    for value in &believed.tracestate {
        headers.append(TRACESTATE, value.clone());
    }
    forwarding_headers(headers, terms, &believed)?;
    set_target(request.uri_mut(), terms)?;
    if let Some(rewrites) = settings.rewrites.as_deref() {
        rewrite(request.headers_mut(), rewrites, terms.server)?;
    }
    *request.version_mut() = Version::HTTP_11;
    Ok(dropped)
}

/// Brings a request that was made for HTTP/1 into the form of HTTP/2 (RFC 9113 section 8.3.1).
pub(in crate::edge::forward) fn for_http2<B>(
    request: &mut Request<B>,
    encrypted: bool,
    trailers: bool,
) -> Result<(), Defect> {
    let host = request.headers_mut().remove(header::HOST).ok_or(Defect)?;
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if encrypted { UriScheme::HTTPS } else { UriScheme::HTTP });
    parts.authority = Some(host.as_bytes().try_into().map_err(|_| Defect)?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Defect)?;
    if trailers {
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    }
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// Whether a client can take trailers (RFC 9110 section 10.1.4). Every gRPC call says so.
pub(in crate::edge::forward) fn takes_trailers(headers: &HeaderMap) -> bool {
    elements(headers, &header::TE).any(|te| te.eq_ignore_ascii_case("trailers"))
}

/// What the route changes, last: the forwarding headers tell of the request as the client sent it.
#[inline(never)]
fn rewrite(headers: &mut HeaderMap, rewrites: &Rewrites, server: Option<&str>) -> Result<(), Defect> {
    for name in &rewrites.request.remove {
        headers.remove(name);
    }
    for (name, value) in &rewrites.request.set {
        headers.insert(name.clone(), value.clone());
    }
    let host = match (&rewrites.host, server) {
        (HostPolicy::Keep, _) => return Ok(()),
        (HostPolicy::Server, Some(server)) => value(server)?,
        (HostPolicy::Server, None) => return Err(Defect),
        (HostPolicy::Named(host), _) => host.clone(),
    };
    headers.insert(header::HOST, host);
    Ok(())
}

/// A value of ours. That one cannot stand in a head is a defect.
fn value(text: &str) -> Result<HeaderValue, Defect> {
    HeaderValue::from_str(text).map_err(|_| Defect)
}

/// Whether a request is a gRPC call as clients send them: over HTTP/2.
pub(in crate::edge::forward) fn is_grpc(headers: &HeaderMap, connection: Option<&Connection>) -> bool {
    let is_http2 = connection.is_some_and(|connection| connection.protocol == Protocol::Http2);
    is_http2 && grpc::content_type(headers).is_some()
}

/// Whether an address is a trusted proxy's.
pub(in crate::edge) fn is_trusted(address: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    trusted_proxies.iter().any(|net| net.contains(&canonical(address)))
}

/// The client's address: the peer's, or what the outermost believed proxy says.
pub(in crate::edge::forward) fn client_address(
    headers: &HeaderMap,
    peer: IpAddr,
    trusted_proxies: &[IpNet],
    trusted_headers: TrustedHeaders,
) -> IpAddr {
    if !trusted_headers.contains(TrustedHeader::For) || !is_trusted(peer, trusted_proxies) {
        return canonical(peer);
    }
    // From the nearest hop outwards: the first that is no proxy of ours is the client. What is no
    // address ends the search, because everything behind it is hearsay.
    let mut client = peer;
    for hop in elements(headers, &X_FORWARDED_FOR).rev() {
        let Some(hop) = hop_address(hop) else { break };
        client = hop;
        if !is_trusted(hop, trusted_proxies) {
            break;
        }
    }
    canonical(client)
}

/// An IPv4 address in IPv6 clothes is the IPv4 address.
pub(in crate::edge) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Removes every field that could be taken for one of the gateway's own, or for one that the route gives a meaning to,
/// and those that are said to proxies: the gateway is one. Gives what was dropped and counts.
fn scrub(headers: &mut HeaderMap, terms: &Terms<'_>) -> Vec<Dropped> {
    // gRPC's metadata has such names.
    let passes = terms.odd_names == OddNames::Pass || is_grpc(headers, terms.connection);
    let odd_names = if passes { OddNames::Pass } else { OddNames::Drop };
    let judged = |name: &HeaderName| Some((name.clone(), terms.route.meant_names.judge(name.as_str(), odd_names)?));
    let goes: Vec<_> = headers.keys().filter_map(judged).collect();
    let mut dropped = vec![];
    for (name, why) in goes {
        if why != Dropped::Ours {
            dropped.extend(headers.get_all(&name).iter().map(|_| why));
        }
        headers.remove(name);
    }
    dropped
}

fn set_target(uri: &mut Uri, terms: &Terms<'_>) -> Result<(), Defect> {
    let query = uri.query();
    let stripped = query.and_then(|query| strip_tokens(query, &terms.route.settings.sources));
    if terms.path.is_none() && stripped.is_none() {
        if uri.scheme().is_some() {
            *uri = Uri::from(uri.path_and_query().cloned().ok_or(Defect)?);
        }
        return Ok(());
    }
    let target = target(terms.path.unwrap_or(uri.path()), stripped.as_deref().or(query))?;
    *uri = Uri::from(target);
    Ok(())
}

#[inline(never)]
fn target(path: &str, query: Option<&str>) -> Result<PathAndQuery, Defect> {
    let target = match query {
        Some(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    };
    PathAndQuery::try_from(target).map_err(|_| Defect)
}

#[inline(never)]
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

fn drop_tokens(headers: &mut HeaderMap, sources: &[Source]) {
    for source in sources {
        match source {
            Source::Authorization { .. } => drop(headers.remove(header::AUTHORIZATION)),
            Source::Header(name) => drop(headers.remove(name)),
            Source::Cookie(name) => drop_cookie(headers, name),
            // Stripped on every route that names it, see `set_target`.
            Source::Query(_) => {}
        }
    }
}

#[inline(never)]
fn drop_cookie(headers: &mut HeaderMap, dropped: &str) {
    let without = |value: &HeaderValue| HeaderValue::try_from(strip_cookie(value.as_bytes(), dropped)?).ok();
    let kept: Vec<_> = headers.get_all(header::COOKIE).iter().filter_map(without).collect();
    headers.remove(header::COOKIE);
    for value in kept {
        headers.append(header::COOKIE, value);
    }
}

fn forwarding_headers(headers: &mut HeaderMap, terms: &Terms<'_>, believed: &Believed) -> Result<(), Defect> {
    let host = headers.get(header::HOST).cloned();
    if let Some(connection) = terms.connection {
        let own = connection.forwarded_for.clone();
        headers.insert(X_FORWARDED_FOR, chained(&believed.forwarded_for, own)?);
        let own = connection.forwarded(host.as_ref());
        headers.insert(header::FORWARDED, chained(&believed.forwarded, own)?);
    }
    let scheme = terms.connection.map_or(Scheme::Http, |connection| connection.scheme).as_str();
    let proto = believed.proto.clone().unwrap_or(HeaderValue::from_static(scheme));
    headers.insert(X_FORWARDED_PROTO, proto);
    if let Some(certificate) = terms.connection.and_then(|connection| connection.client_certificate.clone()) {
        headers.insert(X_FORWARDED_CLIENT_CERT, certificate);
    }
    if let Some(host) = believed.host.clone().or(host) {
        headers.insert(X_FORWARDED_HOST, host);
    }
    Ok(())
}

/// What the proxies before us said, and then we.
fn chained(before: &[HeaderValue], own: HeaderValue) -> Result<HeaderValue, Defect> {
    if before.is_empty() { Ok(own) } else { joined(before, &own) }
}

#[inline(never)]
fn joined(before: &[HeaderValue], own: &HeaderValue) -> Result<HeaderValue, Defect> {
    let hops: Vec<_> = before.iter().chain([own]).filter_map(|value| value.to_str().ok()).collect();
    value(&hops.join(", "))
}

/// A new trace (W3C Trace Context section 3.2), not sampled: that is for the collector of traces to say.
fn new_traceparent() -> HeaderValue {
    let mut text = *b"00-tttttttttttttttttttttttttttttttt-ssssssssssssssss-00";
    // Neither may be zero.
    write_hex(&(u128::from_be_bytes(random::identifier()) | 1).to_be_bytes(), &mut text[3..35]);
    write_hex(&(u64::from_be_bytes(random::identifier()) | 1).to_be_bytes(), &mut text[36..52]);
    HeaderValue::from_bytes(&text).expect("hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::listen::trusted::is_traceparent;

    #[test]
    fn the_client_is_the_first_hop_that_is_no_proxy_of_ours() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = |peer: &str, chain: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_FORWARDED_FOR, HeaderValue::from_str(chain).unwrap());
            client_address(&headers, peer.parse().unwrap(), &trusted, TrustedHeaders::DEFAULT).to_string()
        };
        assert_eq!(client("192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(client("10.0.0.1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(client("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2"), "198.51.100.7");
        assert_eq!(client("10.0.0.1", "198.51.100.7, garbage"), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", "198.51.100.7"), "198.51.100.7");
        for hop in ["198.51.100.7:4711", "[2001:db8::7]:4711", "[2001:db8::7]", "2001:db8::7"] {
            let address = if hop.contains("db8") { "2001:db8::7" } else { "198.51.100.7" };
            assert_eq!(client("10.0.0.1", &format!("203.0.113.9, {hop}, 10.0.0.2:80")), address, "{hop}");
        }
        for hop in ["unknown", "_hidden", "[198.51.100.7]", "198.51.100.7:99999", "2001:db8::7:port"] {
            assert_eq!(client("10.0.0.1", hop), "10.0.0.1", "{hop}");
        }
    }

    #[test]
    fn only_the_tokens_cookie_is_dropped() {
        let cookies = ["a=1; sid=secret; b=2", "sid=another", "c=3"];
        let mut headers: HeaderMap =
            cookies.iter().map(|cookie| (header::COOKIE, HeaderValue::from_static(cookie))).collect();
        drop_cookie(&mut headers, "sid");
        assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2", "c=3"]);
    }

    #[test]
    fn traces_are_well_formed() {
        assert!(is_traceparent(&new_traceparent()));
        assert!(!is_traceparent(&HeaderValue::from_static("00-zz")));
    }
}
