//! The task against a real server that misbehaves.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{sync::Notify, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{
    fixture::{Bench, PAUSE_SECS, set, until},
    server::{Reply, Server},
};
use crate::{
    domain::Clock,
    issuer::{FetcherError, IssuerKeys, Jwks},
    port::Port,
    state::{clock::TrustedClock, keys::jwk::SET_BYTES_MAX},
};

#[tokio::test]
async fn a_set_is_told_and_fetched_again_ahead_of_its_end() {
    let bench = Bench::new(Reply::ok(&set(&["a"]))).await;
    let keys = bench.start();
    assert!(!keys.valid_until().holds(bench.clock.now()), "nothing holds before there is a set");
    bench.until_present(&["a"]).await;
    assert!(keys.valid_until().holds(bench.clock.now()));
    let head = &bench.server.heads()[0];
    assert!(
        head.starts_with("get /jwks http/1.1\r\n") && head.contains("\r\naccept: application/jwk-set+json"),
        "{head}"
    );
    bench.server.reply(Reply::ok(&set(&["a", "b"])));
    bench.clock.pass(Duration::from_secs(240));
    bench.until_present(&["a", "b"]).await;
    assert_eq!((bench.outcomes("success"), bench.server.requests()), (2, 2));
    bench.clock.pass(Duration::from_secs(17));
    until("the age is shown", || bench.age().is_some_and(|age| age == "17")).await;
    assert_eq!(bench.told().len(), 2, "what has not changed is not told again");
}

#[tokio::test]
async fn whatever_the_server_does_the_old_keys_stand() {
    let bench = Bench::new(Reply::ok(&set(&["a"]))).await;
    let elsewhere = Server::start(Reply::ok(&set(&["evil"]))).await;
    let redirect = format!("location: http://{}/jwks", elsewhere.address);
    let keys = bench.start();
    bench.until_present(&["a"]).await;

    let ten_mebioctets = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{{", 10 << 20);
    let cut_short = format!("HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\n{}", set(&["b"]));
    let ambiguous = set(&["b", "b"]).replacen("YgAA", "YwAA", 1);
    let cases = [
        ("invalid", Reply::ok("<html>It works!</html>")),
        ("invalid", Reply::ok("")),
        ("invalid", Reply::ok(&ambiguous)),
        ("invalid", Reply::ok(&set(&["b"]).replace("\"kty\"", "\"kid\":\"c\",\"kty\""))),
        ("empty", Reply::ok(r#"{"keys":[]}"#)),
        ("empty", Reply::ok(r#"{"keys":[{"kty":"oct","k":"AAAA","alg":"HS256","kid":"b"}]}"#)),
        ("status", Reply::of("500 Internal Server Error", &[], &set(&["b"]))),
        ("status", Reply::of("404 Not Found", &[], &set(&["b"]))),
        ("status", Reply::of("206 Partial Content", &[], &set(&["b"]))),
        ("status", Reply::of("302 Found", &[&redirect], "")),
        ("status", Reply::of("307 Temporary Redirect", &[&redirect], "")),
        ("status", Reply::Bytes(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec())),
        ("too_large", Reply::Endless(ten_mebioctets.into())),
        ("too_large", Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n{".to_vec())),
        ("too_large", Reply::ok(&format!("{}{}", set(&["b"]), " ".repeat(SET_BYTES_MAX)))),
        ("broken", Reply::Bytes(cut_short.into())),
        ("broken", Reply::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())),
        ("broken", Reply::Bytes(vec![])),
        ("broken", Reply::Endless(b"HTTP/1.1 200 OK\r\nx: ".to_vec())),
    ];
    let mut counts = std::collections::HashMap::new();
    for (outcome, reply) in cases {
        let count = counts.entry(outcome).and_modify(|count| *count += 1).or_insert(1);
        bench.server.reply(reply);
        bench.clock.pass(Duration::from_secs(PAUSE_SECS));
        bench.until_outcomes(outcome, *count).await;
        assert_eq!(bench.present().unwrap(), ["a"], "{outcome} {count}");
        assert!(keys.valid_until().holds(bench.clock.now()));
    }
    until("the client hung up on what is endless", || bench.server.cut_off() == 3).await;
    assert_eq!(elsewhere.requests(), 0, "no redirect is followed");
    assert_eq!((bench.outcomes("success"), bench.told().len()), (1, 1));

    bench.server.reply(Reply::ok(&set(&["b"])));
    bench.clock.pass(Duration::from_secs(PAUSE_SECS));
    bench.until_present(&["b"]).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_in_time_changes_nothing() {
    let mut bench = Bench::new(Reply::ok(&set(&["a"]))).await;
    let (keys, late) = bench.start_with_little_time(&["a"]).await;
    for (count, reply) in (late + 1..).zip([Reply::Silence, Reply::Held(vec![], Arc::default())]) {
        bench.server.reply(reply);
        bench.clock.pass(Duration::from_secs(PAUSE_SECS));
        bench.until_outcomes("timeout", count).await;
        assert_eq!(bench.present().unwrap(), ["a"]);
        assert!(keys.valid_until().holds(bench.clock.now()));
    }
}

#[tokio::test]
async fn keys_that_nobody_confirms_close_and_open_again() {
    let mut bench = Bench::new(Reply::ok(&set(&["a"]))).await;
    bench.jwks.max_stale = Duration::from_secs(1000);
    let keys = bench.start();
    bench.until_present(&["a"]).await;
    bench.server.reply(Reply::of("503 Service Unavailable", &[], ""));
    bench.clock.pass(Duration::from_secs(999));
    bench.until_outcomes("status", 1).await;
    assert_eq!(bench.present().unwrap(), ["a"]);
    assert!(keys.valid_until().holds(bench.clock.now()));

    bench.clock.pass(Duration::from_secs(1));
    // The task has had no time to see it.
    assert!(!keys.valid_until().holds(bench.clock.now()), "a verdict does not wait for the task");
    bench.until_present(&[]).await;
    until("no age is shown", || bench.age().is_none()).await;

    bench.server.reply(Reply::ok(&set(&["b"])));
    bench.clock.pass(Duration::from_secs(PAUSE_SECS));
    bench.until_present(&["b"]).await;
    assert!(keys.valid_until().holds(bench.clock.now()));
    assert_eq!(bench.told(), [vec!["a"], vec![], vec!["b"]]);
}

#[tokio::test]
async fn a_set_that_has_an_etag_is_asked_for_with_it() {
    let bench = Bench::new(Reply::of("200 OK", &["etag: \"v1\""], &set(&["a"]))).await;
    let keys = bench.start();
    bench.until_present(&["a"]).await;
    bench.server.reply(Reply::Bytes(b"HTTP/1.1 304 Not Modified\r\ncache-control: max-age=3000\r\n\r\n".to_vec()));
    bench.clock.pass(Duration::from_secs(240));
    bench.until_outcomes("unchanged", 1).await;
    let heads = bench.server.heads();
    assert!(!heads[0].contains("if-none-match") && heads[1].contains("\r\nif-none-match: \"v1\"\r\n"), "{heads:?}");
    bench.clock.pass(Duration::from_secs(86_400 - 1));
    assert!(keys.valid_until().holds(bench.clock.now()), "the issuer confirmed them 240 s after they came");
    bench.until_outcomes("unchanged", 2).await;
    assert_eq!(bench.told(), [vec!["a"]]);
}

#[tokio::test]
async fn the_answer_says_how_long_it_is_fresh_within_bounds() {
    for (control, seconds) in [
        ("max-age=1000", 800),
        ("max-age=0", 48),
        ("no-cache", 48),
        ("no-store", 48),
        ("max-age=31536000", 2880),
        ("public", 240),
    ] {
        let bench = Bench::new(Reply::of("200 OK", &[&format!("cache-control: {control}")], &set(&["a"]))).await;
        let _keys = bench.start();
        bench.until_present(&["a"]).await;
        bench.clock.pass(Duration::from_secs(seconds - 1));
        until("the task has looked", || bench.age().is_some_and(|age| age == (seconds - 1).to_string())).await;
        assert_eq!(bench.server.requests(), 1, "{control}");
        bench.clock.pass(Duration::from_secs(1));
        bench.until_outcomes("success", 2).await;
    }
}

#[tokio::test]
async fn an_unknown_key_brings_the_set_that_has_it() {
    let bench = Bench::new(Reply::ok(&set(&["a"]))).await;
    let keys = bench.start();
    bench.until_present(&["a"]).await;
    keys.ask("a").await;
    assert_eq!(bench.server.requests(), 1, "a key that is there is not asked for");
    bench.server.reply(Reply::ok(&set(&["b"])));
    keys.ask("b").await;
    assert_eq!((bench.present().unwrap(), bench.server.requests()), (vec!["b".to_owned()], 2));
}

#[tokio::test]
async fn who_asks_before_the_first_set_waits_for_it() {
    let told = Arc::new(Notify::new());
    let Reply::Bytes(answer) = Reply::ok(&set(&["a"])) else { unreachable!() };
    let bench = Bench::new(Reply::Held(answer, Arc::clone(&told))).await;
    let keys = bench.start();
    until("it is asked", || bench.server.requests() == 1).await;
    let ask = keys.ask("a");
    told.notify_one();
    ask.await;
    assert_eq!((bench.present().unwrap(), bench.server.requests()), (vec!["a".to_owned()], 1));
}

#[tokio::test]
async fn a_wait_for_a_key_is_bounded() {
    let mut bench = Bench::new(Reply::ok(&set(&["a"]))).await;
    let (keys, late) = bench.start_with_little_time(&["a"]).await;
    bench.server.reply(Reply::Silence);
    keys.ask("b").await;
    assert_eq!(bench.present().unwrap(), ["a"]);
    bench.until_outcomes("timeout", late + 1).await;
}

/// Ten thousand requests with unknown keys at once.
async fn storm(keys: &Arc<IssuerKeys>) {
    let mut asks = JoinSet::new();
    for number in 0..10_000 {
        let keys = Arc::clone(keys);
        asks.spawn(async move { keys.ask(&format!("forged-{number}")).await });
    }
    assert_eq!(asks.join_all().await.len(), 10_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_unknown_keys_is_one_fetch_a_cooldown() {
    let bench = Bench::new(Reply::ok(&set(&["a"]))).await;
    let keys = Arc::new(bench.start());
    bench.until_present(&["a"]).await;
    for round in 1..=3 {
        storm(&keys).await;
        assert_eq!(bench.server.requests(), 1 + round, "one in round {round}");
        storm(&keys).await;
        bench.clock.pass(Duration::from_secs(29));
        storm(&keys).await;
        assert_eq!(bench.server.requests(), 1 + round, "none in the cool-down of round {round}");
        bench.clock.pass(Duration::from_secs(1));
    }
    bench.server.reply(Reply::of("500 Oops", &[], ""));
    storm(&keys).await;
    storm(&keys).await;
    assert_eq!(bench.server.requests(), 5, "nor more where it fails");
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_asked_until_it_is_there() {
    let port = Port::hold();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number));
    let jwks = Jwks::new(format!("http://{address}/jwks").parse().unwrap());
    let mut bench = Bench::with(Server::start(Reply::Silence).await, jwks);
    let keys = bench.start();
    bench.until_outcomes("connect", 1).await;
    assert!(bench.told().is_empty() && !keys.valid_until().holds(bench.clock.now()));
    bench.server = Server::bind(address, Reply::ok(&set(&["a"])), None).await;
    bench.clock.pass(Duration::from_secs(5));
    bench.until_present(&["a"]).await;
}

#[tokio::test]
async fn a_start_without_the_server_goes_on_with_the_snapshot() {
    let bench = Bench::new(Reply::of("200 OK", &["etag: \"v1\""], &set(&["a"]))).await;
    let keys = bench.start();
    bench.until_present(&["a"]).await;
    until("the snapshot is written", || bench.snapshot().exists()).await;
    drop(keys);
    bench.until_present(&[]).await;

    bench.server.reply(Reply::of("500 Oops", &[], ""));
    bench.clock.pass(Duration::from_secs(86_399));
    let keys = bench.start();
    assert_eq!(bench.present().unwrap(), ["a"], "at once");
    assert!(keys.valid_until().holds(bench.clock.now()));
    bench.until_outcomes("status", 1).await;
    assert!(bench.server.heads().last().unwrap().contains("if-none-match: \"v1\""));
    bench.clock.pass(Duration::from_secs(1));
    bench.until_present(&[]).await;
    drop(keys);

    let before = bench.told().len();
    let keys = bench.start();
    bench.until_outcomes("status", 2).await;
    assert!(bench.told()[before..].iter().all(Vec::is_empty), "a day is over");
    assert!(!keys.valid_until().holds(bench.clock.now()));
}

#[tokio::test]
async fn a_snapshot_that_is_of_no_use_is_ignored() {
    let bench = Bench::new(Reply::ok(&set(&["a"]))).await;
    let keys = bench.start();
    bench.until_present(&["a"]).await;
    until("the snapshot is written", || bench.snapshot().exists()).await;
    drop(keys);
    bench.until_present(&[]).await;
    bench.server.reply(Reply::of("500 Oops", &[], ""));
    let good = fs::read_to_string(bench.snapshot()).unwrap();
    let emptied = good.replace("OKP", "oct");
    for (bad, failures) in [(&good[..good.len() / 2], 1), (&emptied, 2), ("", 3)] {
        fs::write(bench.snapshot(), bad).unwrap();
        let before = bench.told().len();
        let _keys = bench.start();
        bench.until_outcomes("status", failures).await;
        assert!(bench.told()[before..].iter().all(Vec::is_empty), "{bad}");
    }
}

#[tokio::test]
async fn what_must_not_be_stored_is_taken_off_the_disk() {
    let no_store = "cache-control: no-store";
    for (outcome, reply) in [
        ("success", Reply::of("200 OK", &[no_store], &set(&["b"]))),
        ("unchanged", Reply::Bytes(format!("HTTP/1.1 304 Not Modified\r\n{no_store}\r\n\r\n").into())),
    ] {
        let bench = Bench::new(Reply::of("200 OK", &["etag: \"v1\""], &set(&["a"]))).await;
        let _keys = bench.start();
        until("the snapshot is written", || bench.snapshot().exists()).await;
        let before = bench.outcomes(outcome);
        bench.server.reply(reply);
        bench.clock.pass(Duration::from_secs(240));
        bench.until_outcomes(outcome, before + 1).await;
        until("it is removed", || !bench.snapshot().exists()).await;
    }
}

#[tokio::test]
async fn however_the_task_ends_nothing_holds_any_longer() {
    let bench = Bench::new(Reply::ok(&set(&["a"]))).await;
    let keys = bench.start();
    bench.until_present(&["a"]).await;
    let valid_until = keys.valid_until();
    drop(keys);
    bench.until_present(&[]).await;
    assert!(!valid_until.holds(bench.clock.now()));

    // A defect on the way of a new set.
    let keys = bench.start_with(|ids| assert_ne!(ids, ["b"], "a defect"));
    bench.until_present(&["a"]).await;
    bench.server.reply(Reply::ok(&set(&["b"])));
    bench.clock.pass(Duration::from_secs(240));
    bench.until_present(&[]).await;
    assert!(!keys.valid_until().holds(bench.clock.now()));
    assert_eq!(bench.age(), None);
    keys.ask("b").await;
}

/// An authority, and a server's certificate from it for `name`.
fn certificate(name: &str) -> (String, TlsAcceptor) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// A server whose certificate is for `name`, and a client that trusts its authority or a stranger's.
async fn over_tls(name: &str, trusted: bool) -> Bench {
    let (authority, acceptor) = certificate(name);
    let address = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(address, Reply::ok(&set(&["a"])), Some(acceptor)).await;
    let jwks = Jwks::new(format!("https://localhost:{}/jwks", server.address.port()).parse().unwrap());
    let mut bench = Bench::with(server, jwks);
    let ca = bench.folder.path().join("ca.pem");
    fs::write(&ca, if trusted { authority } else { certificate(name).0 }).unwrap();
    bench.jwks.ca = Some(ca);
    bench
}

#[tokio::test]
async fn a_server_is_believed_by_its_certificate_only() {
    let bench = over_tls("localhost", true).await;
    let _keys = bench.start();
    bench.until_present(&["a"]).await;

    for (name, trusted) in [("localhost", false), ("login.example.com", true)] {
        let bench = over_tls(name, trusted).await;
        let _keys = bench.start();
        bench.until_outcomes("connect", 1).await;
        assert_eq!((bench.server.requests(), bench.told().len()), (0, 0), "{name}");
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_is_of_no_use_ends_the_start() {
    let bench = over_tls("localhost", true).await;
    let start = |jwks: &Jwks| {
        let metrics = crate::observe::metrics::Metrics::new().unwrap();
        let trusted = TrustedClock::begin(None, bench.clock.clone());
        IssuerKeys::start(&super::fixture::corp(jwks), jwks, bench.folder.path(), trusted, &metrics, |_, _| {})
    };
    let ca = bench.jwks.ca.clone().unwrap();
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(&ca, text).unwrap();
        assert!(start(&bench.jwks).is_err(), "{text}");
    }
    fs::remove_file(&ca).unwrap();
    assert!(matches!(start(&bench.jwks), Err(FetcherError::Certificates { .. })));
}
