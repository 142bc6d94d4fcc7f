//! Health checks and ejection, as metrics and clients see them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{is_healthy, named_pool, nobody, pool, start};
use crate::support::{Connection, PATIENCE, RawUpstream, Upstream, get, wait_until};

/// A server that does answer has all the time that a busy machine may need.
const OFTEN: &str = "interval = \"100ms\", timeout = \"20s\", healthy = 2, unhealthy = 2";

#[test]
fn a_server_that_answers_its_checks_badly_has_no_requests_until_it_answers_well() {
    let well = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&well);
    let patient = RawUpstream::start(move |stream| {
        while stream.read() {
            let status = if state.load(Ordering::SeqCst) { "204 No Content" } else { "500 No" };
            stream.write(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let other = Upstream::named("other");
    let checks = format!("health = {{ path = \"/health?deep\", {OFTEN}, host = \"crm.internal\" }}");
    let gateway = start(&pool(&[patient.address, other.address], &checks));
    wait_until("it was asked", PATIENCE, || patient.bytes().contains("GET /health?deep HTTP/1.1\r\n"));
    assert!(patient.bytes().to_lowercase().contains("host: crm.internal\r\n"));
    assert!(is_healthy(&gateway, patient.address), "before and after a good answer");

    well.store(false, Ordering::SeqCst);
    wait_until("it is not well", PATIENCE, || !is_healthy(&gateway, patient.address));
    gateway.process.event("a server is not well");
    let mut connection = Connection::open(gateway.front);
    assert!((0..10).all(|_| connection.send(&get("/")).text() == "other"));

    well.store(true, Ordering::SeqCst);
    wait_until("it is well again", PATIENCE, || is_healthy(&gateway, patient.address));
    assert!((0..2).any(|_| connection.send(&get("/")).status == 204));
}

#[test]
fn a_port_that_is_closed_fails_a_tcp_check() {
    let (closed, open) = (nobody(), Upstream::start());
    let checks = format!("health = {{ tcp = true, {OFTEN} }}\nretries = 0");
    let gateway = start(&pool(&[closed, open.address], &checks));
    wait_until("it is not well", PATIENCE, || !is_healthy(&gateway, closed));
    assert!(is_healthy(&gateway, open.address));
    assert!((0..10).all(|_| gateway.send(&get("/")).status == 200));
    let _opened = Upstream::on(closed, "opened");
    wait_until("it is well again", PATIENCE, || is_healthy(&gateway, closed));
}

#[test]
fn two_names_of_one_address_are_checked_apart() {
    let closed = nobody();
    let names = [format!("localhost:{}", closed.port()), closed.to_string()];
    let checks = format!("health = {{ tcp = true, {OFTEN} }}");
    let gateway = start(&named_pool(&format!("\"{}\", \"{}\"", names[0], names[1]), &checks));
    let healthy = |name| gateway.metric(&format!("portero_upstream_healthy{{server=\"{name}\",upstream=\"service\"}}"));
    wait_until("neither is well", PATIENCE, || names.iter().all(|name| healthy(name) < 0.5));
}

#[test]
fn a_server_that_is_silent_holds_up_no_check_of_another() {
    let well = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&well);
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let other = RawUpstream::start(move |stream| {
        while stream.read() {
            let status = if state.load(Ordering::SeqCst) { "204 No Content" } else { "500 No" };
            stream.write(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let checks = format!("health = {{ path = \"/\", {} }}", OFTEN.replace("20s", "1h"));
    let gateway = start(&pool(&[silent.address, other.address], &checks));
    for good in [true, false, true] {
        well.store(good, Ordering::SeqCst);
        wait_until("its checks are counted", PATIENCE, || is_healthy(&gateway, other.address) == good);
    }
}

#[test]
fn a_check_reads_what_a_request_does() {
    let old = RawUpstream::start(|stream| {
        while stream.read() {
            stream.write("HTTP/1.1 200 OK\r\nX-Old : 1\r\nX-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let checks = format!("health = {{ path = \"/health\", {} }}", OFTEN.replace("unhealthy = 2", "unhealthy = 1"));
    let gateway = start(&pool(&[old.address], &checks));
    wait_until("it was asked", PATIENCE, || old.bytes().matches("/health").count() > 3);
    assert!(is_healthy(&gateway, old.address));
    assert_eq!(gateway.send(&get("/")).status, 200);
}

#[test]
fn a_check_that_is_not_answered_is_a_bad_one() {
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let checks = format!("health = {{ path = \"/\", {} }}", OFTEN.replace("20s", "300ms"));
    let gateway = start(&pool(&[silent.address], &checks));
    wait_until("it is not well", PATIENCE, || !is_healthy(&gateway, silent.address));
    let refused = gateway.send(&get("/"));
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
}

#[test]
fn a_server_that_fails_in_a_row_is_left_alone_and_tried_by_one_request() {
    let (down, up) = (nobody(), Upstream::named("up"));
    let gateway = start(&pool(&[down, up.address], "eject = { failures = 3, for = \"200ms\" }"));
    let ejections = format!("portero_upstream_ejections_total{{server=\"{down}\",upstream=\"service\"}}");
    wait_until("it is ejected", PATIENCE, || {
        assert_eq!(gateway.send(&get("/")).text(), "up");
        gateway.metric(&ejections) >= 1.0
    });
    assert!(!is_healthy(&gateway, down));
    let _back = Upstream::on(down, "back");
    wait_until("a trial closes the breaker", PATIENCE, || {
        gateway.send(&get("/"));
        is_healthy(&gateway, down)
    });
    let answers: Vec<_> = (0..2).map(|_| gateway.send(&get("/")).text()).collect();
    assert!(answers.contains(&"back".to_owned()), "{answers:?}");
}

#[test]
fn a_reload_forgets_nothing_about_a_pool_that_did_not_change() {
    let (down, up) = (nobody(), Upstream::start());
    let config = pool(&[down, up.address], "eject = { failures = 1, for = \"1h\" }");
    let gateway = start(&config);
    wait_until("it is ejected", PATIENCE, || gateway.send(&get("/")).status == 200 && !is_healthy(&gateway, down));
    config.clone().route("more", "/more", "auth = \"public\"").write_to(&gateway.folder);
    gateway.process.signal("HUP");
    gateway.process.event("the config was taken over");
    assert!(!is_healthy(&gateway, down));
    config
        .replace("failures = 1", "failures = 2")
        .route("even", "/even", "auth = \"public\"")
        .write_to(&gateway.folder);
    gateway.process.signal("HUP");
    wait_until("a changed pool begins anew", PATIENCE, || is_healthy(&gateway, down));
}
