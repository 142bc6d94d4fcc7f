//! A request whose token is remembered is decided without one allocation.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "decision/fixture.rs"]
mod fixture;

use allocation_counter::measure;
use portero::{
    decision::{Decision, LiveState},
    domain::Algorithm,
    rules::policy::Policy,
};

use fixture::{
    MadeKey, NOW, decide_fully, get, headers, holder, jwt_of_bytes, live_state, mint, new_token, realm, route, site,
};

fn house() -> LiveState {
    let realms = vec![realm("sws", "sws", Algorithm::Hs256), realm("apis", "apis", Algorithm::Sealed)];
    let admins = Policy { roles: vec!["USER".into(), "ADMIN".into()], ..fixture::policy("sws") };
    let routes = vec![route("/api/Clientes", admins), route("/api/data", fixture::policy("apis"))];
    let keys = [MadeKey::new("sws", Algorithm::Hs256), MadeKey::new("apis", Algorithm::Sealed)];
    live_state(&site(realms, vec![fixture::endpoint("/login", "sws")], routes), &[&keys[0], &keys[1]])
}

/// Allocations of one decision, the request's head given; and whether it forwards.
fn allocations(live_state: &LiveState, path: &str, token: &str) -> (u64, bool) {
    let headers = headers(token);
    let mut forwards = false;
    let info = measure(|| {
        let decision = decide_fully(live_state, NOW, &get(path, &headers));
        forwards = matches!(decision, Decision::Forward(_));
    });
    (info.count_total, forwards)
}

#[test]
fn a_hit_allocates_nothing() {
    let (live_state, holder) = (house(), holder());
    let tokens = [
        ("/api/Clientes/42/pedidos", jwt_of_bytes(&live_state, "sws", 400)),
        ("/api/Clientes/42/pedidos", jwt_of_bytes(&live_state, "sws", 1024)),
        ("/api/Clientes/42/pedidos", jwt_of_bytes(&live_state, "sws", 8000)),
        ("/api/data", mint(&live_state, "apis", &new_token(&holder))),
    ];
    for (path, token) in &tokens {
        let (opening, forwards) = allocations(&live_state, path, token);
        assert!(forwards && opening > 0, "the counter counts: {opening}");
        for _ in 0..100 {
            assert_eq!(allocations(&live_state, path, token), (0, true), "a token of {} bytes", token.len());
        }
    }
}

#[test]
fn a_hit_that_is_looked_through_again_allocates_nothing_either() {
    let live_state = house();
    let token = jwt_of_bytes(&live_state, "sws", 1024);
    assert!(allocations(&live_state, "/api/Clientes", &token).1);
    for _ in 0..100 {
        live_state.revocations().next_generation();
        assert_eq!(allocations(&live_state, "/api/Clientes", &token), (0, true));
    }
}

#[test]
fn what_needs_no_token_to_be_refused_allocates_nothing() {
    let live_state = house();
    for (path, token) in [("/nowhere", "a.b.c"), ("/api/Clientes", ""), ("/login", "")] {
        let _ = allocations(&live_state, path, token);
        assert_eq!(allocations(&live_state, path, token), (0, false), "{path}");
    }
}
