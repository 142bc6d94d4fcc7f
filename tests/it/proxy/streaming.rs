//! A body is passed through, not collected.

use crate::support::{Connection, Contract, Gateway, Request, get};

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
