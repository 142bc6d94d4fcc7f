//! What an upstream receives: the authorised path, the gateway's own identity and forwarding
//! headers, and nothing that a client sent under their names.

use std::{mem, net::IpAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version, header, request::Parts, uri::PathAndQuery};
use ipnet::IpNet;
use pingora::{Error, ErrorType, Result, http::RequestHeader};

use super::exchange::RequestId;
use crate::{
    decision::{ForwardToken, Route},
    domain::{id::write_hex, random},
    edge::listen::{
        connection::{Connection, Protocol, Scheme},
        trusted::{
            Believed, TRACEPARENT, TRACESTATE, TrustedHeader, TrustedHeaders, X_FORWARDED_FOR, X_FORWARDED_HOST,
            X_FORWARDED_PROTO,
        },
    },
    rules::{
        grpc,
        policy::{Source, strip_cookie, strip_query},
        rewrite::{Dropped, HostPolicy, OddNames, Rewrites, is_reserved, join_authorization},
    },
    state::token::Verified,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Fields that the gateway adds, at most, beside what a route sets.
pub(super) const ADDED_FIELDS: usize = 16;

/// What a request was forwarded with, beside its route.
#[derive(Debug)]
pub(in crate::edge) struct Terms<'a> {
    pub(in crate::edge) route: &'a Route,
    pub(in crate::edge) identity: Option<&'a Verified>,
    /// What stands for the client's token.
    pub(super) internal_token: Option<&'a HeaderValue>,
    /// The path to forward, where it is not the one received.
    pub(in crate::edge) path: Option<&'a str>,
    /// The `host:port` of the server that it goes to.
    pub(in crate::edge) server: Option<&'a str>,
    pub(super) request_id: &'a RequestId,
    pub(in crate::edge) connection: Option<&'a Connection>,
    /// Which of the peer's own forwarding headers are believed.
    pub(in crate::edge) trusted: TrustedHeaders,
    /// What becomes of odd names that mean nothing here.
    pub(super) odd_names: OddNames,
}

/// Turns the client's head into the upstream's. Runs after pingora removed what `Connection`
/// nominates, so nothing that is added here can be nominated away. Gives why fields were dropped, for each of them that
/// counts.
///
/// Field names lose the letter case in which the client wrote them (RFC 9110 section 5.1: it means nothing), unless the
/// pool says otherwise: to keep it, pingora has a second table beside the first, and each field that is added costs
/// several times as much.
pub(in crate::edge) fn prepare(request: &mut RequestHeader, terms: &Terms<'_>) -> Result<Vec<Dropped>> {
    let spelling = terms.route.pool.settings.preserve_header_case.then(|| Spelling::of(request, terms));
    let in_origin_form = request.raw_path().first() == Some(&b'/');
    // Whoever sees an error forwards nothing: what is left of the head then is none.
    let mut head = Parts::from(mem::replace(request, Request::new(()).into_parts().0.into()));
    let headers = &mut head.headers;
    let believed = Believed::of(headers, terms.trusted);
    let dropped = scrub(headers, terms);
    join_authorization(headers);
    headers.reserve(ADDED_FIELDS);
    let settings = &terms.route.settings;
    if settings.forward_token != ForwardToken::Keep {
        drop_tokens(headers, &settings.sources);
    }
    if settings.forward_token == ForwardToken::Internal {
        // Whoever reads internal tokens must never see another in their place, nor when there is none.
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
    set_target(&mut head, terms, in_origin_form)?;
    if let Some(rewrites) = settings.rewrites.as_deref() {
        rewrite(&mut head.headers, rewrites, terms.server)?;
    }
    *request = match spelling {
        None => head.into(),
        Some(spelling) => spelling.of_head(head)?,
    };
    Ok(dropped)
}

/// How a client wrote the names of its fields.
struct Spelling(Vec<(HeaderName, Bytes)>);

impl Spelling {
    /// Empty where the client spoke HTTP/2, which has lower case alone. It never says how the names of fields that we
    /// write are spelt: a server that looks for one spelling must find ours.
    fn of(request: &RequestHeader, terms: &Terms<'_>) -> Self {
        let settings = &terms.route.settings;
        let set = settings.rewrites.as_deref().map(|rewrites| rewrites.request.set.as_slice()).unwrap_or_default();
        let is_ours = |name: &HeaderName| {
            is_reserved(name.as_str())
                || set.iter().any(|(set, _)| set == name)
                || (*name == header::AUTHORIZATION && settings.forward_token == ForwardToken::Internal)
        };
        let names = request.headers.iter().map(|(name, _)| name).zip(request.case_header_iter());
        let names = names.filter(|(name, _)| !is_ours(name));
        Self(names.map(|(name, (spelt, _))| (name.clone(), Bytes::copy_from_slice(spelt.as_slice()))).collect())
    }

    fn of_head(&self, head: Parts) -> Result<RequestHeader> {
        let mut request = RequestHeader::build(head.method, b"/", Some(head.headers.len()))?;
        request.set_uri(head.uri);
        request.set_version(head.version);
        for (name, value) in &head.headers {
            match self.0.iter().find(|(known, _)| known == name) {
                Some((_, spelt)) => request.append_header(spelt.clone(), value.clone())?,
                None => request.append_header(name, value.clone())?,
            };
        }
        Ok(request)
    }
}

/// What the route changes, last: the forwarding headers tell of the request as the client sent it.
fn rewrite(headers: &mut HeaderMap, rewrites: &Rewrites, server: Option<&str>) -> Result<()> {
    for name in &rewrites.request.remove {
        headers.remove(name);
    }
    for (name, value) in &rewrites.request.set {
        headers.insert(name.clone(), value.clone());
    }
    let host = match (&rewrites.host, server) {
        (HostPolicy::Keep, _) => return Ok(()),
        (HostPolicy::Server, Some(server)) => value(server)?,
        (HostPolicy::Server, None) => return Error::e_explain(ErrorType::InternalError, "no server to name"),
        (HostPolicy::Named(host), _) => host.clone(),
    };
    headers.insert(header::HOST, host);
    Ok(())
}

/// A value of ours. That one cannot stand in a head is a defect.
fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| Error::explain(ErrorType::InternalError, "a header of ours"))
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

/// Makes heads with a body and without one alike between HTTP/2 and HTTP/2, where pingora takes `TE` and `Trailer` from the
/// former alone. `TE` says `trailers` or nothing there (RFC 9113 section 8.2.2), and every gRPC call has it.
pub(super) fn settle_trailers(request: &mut RequestHeader, asked: &RequestHeader) -> Result<()> {
    if asked.version != Version::HTTP_2 || request.version != Version::HTTP_2 {
        return Ok(());
    }
    request.remove_header(&header::TRAILER);
    match asked.headers.get(header::TE) {
        Some(te) => request.insert_header(header::TE, te.clone()),
        None => Ok(()),
    }
}

/// Whether a request is a gRPC call as clients send them: over HTTP/2.
pub(super) fn is_grpc(headers: &HeaderMap, connection: Option<&Connection>) -> bool {
    let is_http2 = connection.is_some_and(|connection| connection.protocol == Protocol::Http2);
    is_http2 && grpc::content_type(headers).is_some()
}

/// Whether an address is a trusted proxy's.
pub(in crate::edge) fn is_trusted(address: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    trusted_proxies.iter().any(|net| net.contains(&canonical(address)))
}

/// The client's address: the peer's, or what the outermost believed proxy says.
pub(super) fn client_address(
    headers: &HeaderMap,
    peer: IpAddr,
    trusted_proxies: &[IpNet],
    trusted_headers: TrustedHeaders,
) -> IpAddr {
    if !trusted_headers.contains(TrustedHeader::For) || !is_trusted(peer, trusted_proxies) {
        return canonical(peer);
    }
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev().filter_map(|value| value.to_str().ok());
    // From the nearest hop outwards: the first that is no proxy of ours is the client. What is no
    // address ends the search, because everything behind it is hearsay.
    let mut client = peer;
    for hop in lines.flat_map(|list| list.rsplit(',')) {
        let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
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

/// Removes every field that could be taken for one of the gateway's own, or for one that the route gives a meaning to, and
/// those that are said to proxies: the gateway is one. Gives what was dropped and counts.
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

fn set_target(head: &mut Parts, terms: &Terms<'_>, in_origin_form: bool) -> Result<()> {
    let query = head.uri.query();
    let stripped = query.and_then(|query| strip_tokens(query, &terms.route.settings.sources));
    if terms.path.is_none() && stripped.is_none() && in_origin_form {
        return Ok(());
    }
    let path = terms.path.unwrap_or(head.uri.path());
    let target = match stripped.as_deref().or(query) {
        Some(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    };
    let target = PathAndQuery::try_from(target).map_err(|_| Error::explain(ErrorType::InternalError, "target"))?;
    head.uri = Uri::from(target);
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

fn drop_cookie(headers: &mut HeaderMap, dropped: &str) {
    let without = |value: &HeaderValue| HeaderValue::try_from(strip_cookie(value.as_bytes(), dropped)?).ok();
    let kept: Vec<_> = headers.get_all(header::COOKIE).iter().filter_map(without).collect();
    headers.remove(header::COOKIE);
    for value in kept {
        headers.append(header::COOKIE, value);
    }
}

fn forwarding_headers(headers: &mut HeaderMap, terms: &Terms<'_>, believed: &Believed) -> Result<()> {
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
fn chained(before: &[HeaderValue], own: HeaderValue) -> Result<HeaderValue> {
    if before.is_empty() {
        return Ok(own);
    }
    let hops: Vec<_> = before.iter().chain([&own]).filter_map(|value| value.to_str().ok()).collect();
    value(&hops.join(", "))
}

/// A new trace (W3C Trace Context section 3.2), not sampled: that is for who collects traces to say.
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
