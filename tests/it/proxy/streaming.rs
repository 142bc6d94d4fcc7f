//! A body is passed through, not collected.

use crate::support::{Connection, Contract, Gateway, Request, Upstream, get};

/// What passes each way.
const BODY_BYTES: u64 = 1 << 30;

/// How much more memory the gateway may have resident after it.
const GROWTH_KIB_MAX: u64 = 64 << 10;

#[test]
fn a_request_arrives_as_it_was_sent() {
    let (gateway, upstream) = Gateway::with_upstream();
    for (method, body) in [("POST", "{\"a\":1}"), ("PATCH", ""), ("QUERY", "\0\u{ff}")] {
        let request = Request::new(method, "/public/x?a=1&b=%20").header("Content-Length", body.len().to_string());
        let mut connection = Connection::open(gateway.front);
        connection.write([request.bytes(), body.as_bytes().to_vec()].concat()).unwrap();
        assert_eq!(connection.receive().status, 200);
        let received = upstream.received();
        assert_eq!(
            (received.method.as_str(), received.path(), received.body.as_slice()),
            (method, "/public/x", body.as_bytes())
        );
        assert_eq!(received.target, "/public/x?a=1&b=%20");
    }
}

#[test]
fn a_gibibyte_passes_each_way_with_flat_memory() {
    let (gateway, upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    let before = gateway.resident_kib();

    let mut down = Connection::open(gateway.front);
    down.write(get(&format!("/sws?bytes={BODY_BYTES}")).bearer(&token).bytes()).unwrap();
    let head = down.receive_head().unwrap();
    assert_eq!((head.status, head.header("Content-Length")), (200, Some(&*BODY_BYTES.to_string())));
    down.discard(BODY_BYTES).unwrap();
    upstream.received();

    let mut up = Connection::open(gateway.front);
    let request = Request::new("PUT", "/sws").bearer(&token).header("Content-Length", BODY_BYTES.to_string());
    up.write(request.bytes()).unwrap();
    let chunk = vec![b'u'; 1 << 20];
    for _ in 0..BODY_BYTES / chunk.len() as u64 {
        up.write(&chunk).unwrap();
    }
    assert_eq!(up.receive().status, 200);
    assert_eq!(upstream.received().body_bytes, BODY_BYTES);

    let growth = gateway.resident_kib().saturating_sub(before);
    assert!(growth < GROWTH_KIB_MAX, "the gateway grew by {growth} KiB");
}

/// Asks for so many bytes of each path with a token that is revoked once the service has answered, and reads nothing
/// before that. Gives how many bytes the client of each has that is logged as cut off; `None` for those that have all.
fn revoked(gateway: &Gateway, upstream: &Upstream, asked: &[(String, u64)]) -> Vec<Option<u64>> {
    let token = gateway.login(Contract::Sws);
    let open = |(path, bytes): &(String, u64)| {
        let mut connection = Connection::open(gateway.front);
        connection.write(get(&format!("{path}?bytes={bytes}")).bearer(&token).bytes()).unwrap();
        upstream.received();
        connection
    };
    let connections: Vec<_> = asked.iter().map(open).collect();
    gateway.command("revoke token", &token).succeeded();
    let ended = asked.iter().zip(connections).map(|((path, bytes), mut connection)| {
        let line = gateway.process.access_line(path, |line| line["path"] == **path);
        assert_eq!(connection.receive_head().unwrap().status, 200);
        if line["reason"] == "authenticated" {
            connection.discard(*bytes).unwrap();
            return None;
        }
        assert_eq!(line["reason"], "token_revoked");
        Some(connection.rest().unwrap().len() as u64)
    });
    ended.collect()
}

/// The system's buffers hold some of a response that nobody reads, and the gateway's own hold more.
#[test]
fn what_a_client_has_not_taken_ends_with_its_token_and_is_logged_so() {
    let (gateway, upstream) = Gateway::with_upstream();
    let held = revoked(&gateway, &upstream, &[("/sws/all".to_owned(), 64 << 20)])[0].unwrap();
    // Around what the system holds, up to more than the gateway does.
    let asked: Vec<_> = (0..12).map(|at| (format!("/sws/{at}"), held + at * (16 << 10))).collect();
    let ended = revoked(&gateway, &upstream, &asked);
    for ((path, bytes), taken) in asked.iter().zip(ended) {
        assert!(taken.is_none_or(|taken| taken < *bytes), "{path}: all of its {bytes} bytes, although they were cut");
    }
}
