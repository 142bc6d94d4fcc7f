//! Clients whose certificate expires while they are connected.

use std::{
    io::{ErrorKind, Read, Write},
    sync::Arc,
    time::Duration,
};

use portero::domain::{Clock, SystemClock};
use rustls::ClientConfig;

use super::{
    h2::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, head},
    tls::{Secured, client_showing, start},
};
use crate::support::{Authority, Config, Gateway, PATIENCE, RawUpstream, Upstream, get, wait_until};

/// A gateway that asks its clients for certificates, of which `ana`'s lasts.
fn gateway(authority: &Authority, upstream: std::net::SocketAddr) -> Gateway {
    let listen = "listen = [{ address = \"127.0.0.1:0\", client_ca = \"ca.pem\", \
                  tls = [{ certificate = \"a.pem\", key = \"a.key\" }] }]";
    start(&Config::standard(upstream).server(listen), authority, &[("a", &["a.test"]), ("ana", &[])])
}

/// What `open` makes with a certificate that expires soon: on a busy machine the first may be over before it is shown.
fn shortly<T>(authority: &Authority, gateway: &Gateway, open: impl Fn(&Arc<ClientConfig>) -> Option<T>) -> T {
    let opened = [2, 4, 8, 16].into_iter().find_map(|seconds| {
        authority.issue_until(&gateway.folder, "short", "short", SystemClock.now().as_secs() + seconds);
        open(&client_showing(gateway, "short", &rustls::version::TLS13))
    });
    opened.unwrap()
}

/// A connection on which this was asked, and a head with `status` came.
fn begun(gateway: &Gateway, client: &Arc<ClientConfig>, request: &[u8], status: &str) -> Option<Secured> {
    let mut secured = Secured::open(gateway, client, "a.test");
    secured.0.write_all(request).ok()?;
    let mut seen = vec![];
    while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut byte = [0];
        secured.0.read_exact(&mut byte).ok()?;
        seen.push(byte[0]);
    }
    seen.starts_with(format!("HTTP/1.1 {status}").as_bytes()).then_some(secured)
}

#[test]
fn what_is_in_flight_ends_with_it() {
    let upstream = RawUpstream::start(|stream| {
        assert!(stream.read());
        if stream.so_far().contains("websocket") {
            stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        } else {
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
        }
        while stream.read() {}
    });
    let authority = Authority::new();
    let gateway = gateway(&authority, upstream.address);
    let download = get("/public/download").bytes();
    let upgrade = get("/public/tunnel").header("Connection", "Upgrade").header("Upgrade", "websocket").bytes();
    let lasting = client_showing(&gateway, "ana", &rustls::version::TLS13);
    let mut stays = begun(&gateway, &lasting, &upgrade, "101").unwrap();
    let short = shortly(&authority, &gateway, |client| {
        Some([begun(&gateway, client, &download, "200")?, begun(&gateway, client, &upgrade, "101")?])
    });
    for mut secured in short {
        let mut rest = vec![];
        match secured.0.read_to_end(&mut rest) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("still open"),
            // Whether or not TLS was ended in order.
            _ => assert!(rest.len() < 100, "{rest:?}"),
        }
    }
    for (path, status) in [("/public/download", 200), ("/public/tunnel", 101)] {
        let line = gateway.process.access_line(path, |line| {
            // One whose certificate was over too soon has such a line, too.
            line["path"] == path && line["reason"] == "expired" && line["status"] == status
        });
        assert_eq!(line["decision"], "error", "{line}");
    }
    stays.0.write_all(b"still there").unwrap();
    wait_until("another client's tunnel goes on", PATIENCE, || upstream.bytes().contains("still there"));
}

/// A frame: its kind, its stream and its payload.
type Frame = (u8, u32, Vec<u8>);

/// The whole frames in these bytes.
fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = vec![];
    while let [a, b, c, kind, _, s, t, u, v, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push((*kind, u32::from_be_bytes([*s, *t, *u, *v]), payload.to_vec()));
        bytes = rest;
    }
    frames
}

/// Opens one stream after the other until the gateway closes; what came, `None` where nothing was answered at first.
fn insist(gateway: &Gateway, client: &Arc<ClientConfig>) -> Option<Vec<Frame>> {
    let mut client = ClientConfig::clone(client);
    client.alpn_protocols = vec![b"h2".to_vec()];
    let mut secured = Secured::open(gateway, &Arc::new(client), "a.test");
    secured.0.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()).ok()?;
    // The pace, too.
    secured.0.sock.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let (mut stream, mut bytes) = (1, vec![]);
    wait_until("the gateway closes", PATIENCE, || {
        let mut chunk = [0; 4096];
        let written = secured.0.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &head()));
        stream += 2;
        match secured.0.read(&mut chunk) {
            Ok(0) => true,
            Ok(read) => {
                bytes.extend_from_slice(&chunk[..read]);
                false
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => written.is_err(),
            Err(_) => true,
        }
    });
    let frames = frames(&bytes);
    frames.iter().any(|(kind, ..)| *kind == HEADERS).then_some(frames)
}

#[test]
fn a_connection_of_http_2_ends_though_its_client_insists() {
    let (authority, upstream) = (Authority::new(), Upstream::start());
    let gateway = gateway(&authority, upstream.address);
    let frames = shortly(&authority, &gateway, |client| insist(&gateway, client));
    let refused = |(kind, _, why): &&Frame| *kind == RST_STREAM && **why == 7_u32.to_be_bytes();
    let (_, first, _) = frames.iter().find(refused).expect("a stream that was refused");
    let served = |(kind, stream, _): &Frame| *kind == HEADERS && stream > first;
    assert!(!frames.iter().any(served), "nothing is served any more");
    assert!(frames.iter().any(|(kind, ..)| *kind == GOAWAY), "it is told to connect again");
    let line = gateway.process.access_line("what was refused", |line| line["reason"] == "expired");
    assert_eq!((&line["decision"], &line["status"]), (&"error".into(), &0.into()), "{line}");
    upstream.received();
}
