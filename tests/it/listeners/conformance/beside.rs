//! Runs the cases against Portero and against nginx.

use std::{collections::BTreeSet, io, sync::Arc};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{
    super::tls,
    case::{Report, Server, connected},
    fields,
    framed::Stream,
};
use crate::support::{Authority, Config, Folder, Gateway, Nginx, PATIENCE, Received, Upstream};

/// Cases in which Portero fails, and why.
const KNOWN: &[(&str, &str)] =
    &[(TRAILERS, "the h2 crate drops the field without a word; no trailers of a request are handed on")];

/// nginx 1.22 refuses all trailers, good ones too, and holds this by it.
const TRAILERS: &str = "RFC 9113 8.3, 8.1: a pseudo-header field in trailers";
const GOOD_TRAILERS: &str = "RFC 9113 8.1: a POST with trailers is answered";

#[test]
fn portero_holds_every_requirement_and_each_that_nginx_holds() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).start_bare();
    let portero = Report::of(&Server::in_the_clear(gateway.front, PATIENCE));
    let forwarded = upstream.received_so_far();
    let forward = format!("location / {{ proxy_pass http://{}; }}", upstream.address);
    let nginx = Nginx::start(Folder::new(), "http2", &forward);
    let nginx = Report::of(&Server::in_the_clear(nginx.address, PATIENCE));
    println!("{}\n{}", portero.summary("Portero"), nginx.summary("nginx"));
    holds_all(&portero);
    forwarded_nothing_malformed(&forwarded);
    let failed = |report: &Report| report.failed().into_iter().map(|(case, _)| case).collect::<BTreeSet<_>>();
    let (portero, nginx) = (failed(&portero), failed(&nginx));
    let is_excused = |case: &str| case == TRAILERS && nginx.contains(GOOD_TRAILERS);
    let worse: Vec<_> = portero.difference(&nginx).filter(|case| !is_excused(case)).collect();
    assert!(worse.is_empty(), "nginx holds what Portero does not: {worse:#?}");
}

#[test]
fn portero_holds_every_requirement_through_tls() {
    let (authority, upstream) = (Authority::new(), Upstream::start());
    let gateway = tls::start(&tls::config(&upstream, &["a"], ""), &authority, &[("a", &["a.test"])]);
    let mut client = (*tls::client(&gateway.folder.file("ca.pem"))).clone();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let client = Arc::new(client);
    let connect = || secured(&gateway, &client);
    let report = Report::of(&Server { connect: Box::new(connect), scheme: "https", patience: PATIENCE });
    println!("{}", report.summary("Portero"));
    holds_all(&report);
    forwarded_nothing_malformed(&upstream.received_so_far());
}

/// A connection through TLS that speaks HTTP/2.
fn secured(gateway: &Gateway, client: &Arc<ClientConfig>) -> io::Result<Box<dyn Stream>> {
    let stream = connected(gateway.front, PATIENCE)?;
    let name = ServerName::try_from("a.test").unwrap();
    let client = ClientConnection::new(Arc::clone(client), name).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(client, stream)))
}

/// Asserts that Portero fails in the cases that are known, and in no other.
fn holds_all(report: &Report) {
    let known: BTreeSet<_> = KNOWN.iter().map(|(case, _)| *case).collect();
    let (expected, others): (Vec<_>, Vec<_>) =
        report.failed().into_iter().partition(|(case, _)| known.contains(case.as_str()));
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(expected.len(), known.len(), "some that are known to fail do not: {expected:#?}");
}

/// Asserts that no malformed head reached the service: an intermediary must not forward one (RFC 9113 section 8.1.1).
fn forwarded_nothing_malformed(forwarded: &[Received]) {
    assert!(!forwarded.is_empty());
    let malformed: Vec<_> = forwarded.iter().filter(|request| request.target.contains(fields::PATH)).collect();
    assert!(malformed.is_empty(), "{malformed:#?}");
}
