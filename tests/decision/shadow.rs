//! Routes in shadow mode: what is about the token is let through with the reason that it would be denied for.

use http::{HeaderValue, Method};
use portero::{
    decision::{Decision, Mode, Request, RouteSettings},
    domain::{Algorithm, Holder, Reason, TokenKind},
    rules::{
        policy::{Auth, Policy},
        route::Host,
    },
    state::{
        keys::KeyState,
        revocation::log::{Record, RevokedSubject},
    },
};

use crate::fixture::*;

use Outcome::{Deny, Forward};

fn shadow(path: &str, policy: Policy) -> RouteSettings {
    RouteSettings { mode: Mode::Shadow, ..route(path, policy) }
}

fn house(key: &MadeKey) -> portero::decision::LiveState {
    let get_only = |route: RouteSettings| {
        let pattern = portero::rules::route::Pattern { methods: vec![Method::GET], ..route.pattern };
        RouteSettings { pattern, ..route }
    };
    let routes = vec![
        get_only(shadow("/api", policy("sws"))),
        shadow("/optional", Policy { auth: Auth::Optional, ..policy("sws") }),
        shadow("/roots", Policy { roles: vec!["ROOT".into()], ..policy("sws") }),
        shadow("/files", Policy { token: TokenKind::Content, ..policy("sws") }),
        shadow("/other", policy("other")),
        route("/enforced", policy("sws")),
    ];
    let realms = vec![realm("sws", "sws", Algorithm::Hs256), realm("other", "maxpoint", Algorithm::Hs256)];
    live_state(&site(realms, vec![], routes), &[key])
}

#[test]
fn a_denial_that_is_about_the_token_is_let_through_with_its_reason() {
    let key = MadeKey::new("sws", Algorithm::Hs256);
    let (live_state, holder) = (house(&key), holder());
    let token = mint(&live_state, "sws", &new_token(&holder));
    let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, "A".repeat(43));
    for (path, token, reason) in [
        ("/api", token.as_str(), Reason::Authenticated),
        ("/api", "", Reason::MissingToken),
        ("/api", "garbage", Reason::MalformedToken),
        ("/api", &forged, Reason::InvalidSignature),
        ("/api", &"a".repeat(9000), Reason::TokenTooLarge),
        ("/optional", "", Reason::Anonymous),
        ("/optional", "garbage", Reason::MalformedToken),
        ("/roots", &token, Reason::RoleMissing),
        ("/files", &token, Reason::WrongTokenKind),
        ("/other", &token, Reason::RealmNotAccepted),
    ] {
        assert_eq!(ask(&live_state, NOW, path, token), Forward(reason), "{path} {token:.20}");
    }
    let late = NOW.plus(LIFETIME).plus(LEEWAY);
    assert_eq!(ask(&live_state, late, "/api", &token), Forward(Reason::Expired));
    assert_eq!(ask(&live_state, late, "/enforced", &token), Deny(Reason::Expired), "another route is not in shadow");
    let mut two = headers(&token);
    two.insert("currenttokenvalue", HeaderValue::from_static("abc"));
    assert_eq!(Outcome::from(decide_fully(&live_state, NOW, &get("/api", &two))), Forward(Reason::ConflictingTokens));
}

#[test]
fn what_is_revoked_passes_and_says_so() {
    let key = MadeKey::new("sws", Algorithm::Hs256);
    let (live_state, holder) = (house(&key), holder());
    let new = new_token(&holder);
    let token = mint(&live_state, "sws", &new);
    assert_eq!(ask(&live_state, NOW, "/api", &token), Forward(Reason::Authenticated));
    let record = Record { subject: RevokedSubject::Session(new.session), expires_at: None, created_at: NOW };
    live_state.revocations().apply(&[record]);
    assert_eq!(ask(&live_state, NOW, "/api", &token), Forward(Reason::SessionRevoked));
    assert_eq!(ask(&live_state, NOW, "/enforced", &token), Deny(Reason::SessionRevoked));
    let keys = std::sync::Arc::new(portero::state::keys::Keyring::new([key.in_state(KeyState::Revoked)]));
    live_state.publish(|snapshot| snapshot.with_keys(keys));
    assert_eq!(ask(&live_state, NOW, "/api", &token), Forward(Reason::KeyRevoked));
}

#[test]
fn only_who_is_proven_is_named_to_the_upstream() {
    let key = MadeKey::new("sws", Algorithm::Hs256);
    let live_state = house(&key);
    let holder = Holder { role: "USER".into(), ..holder() };
    let token = mint(&live_state, "sws", &new_token(&holder));
    let headers = headers(&token);
    let late = NOW.plus(LIFETIME).plus(LEEWAY);
    for (path, now, proven) in [
        ("/api", NOW, true),
        ("/roots", NOW, true),
        ("/other", NOW, false),
        ("/files", NOW, false),
        ("/api", late, false),
    ] {
        let Decision::Forward(permit) = decide_fully(&live_state, now, &get(path, &headers)) else { panic!("{path}") };
        assert_eq!(permit.identity.is_some(), proven, "{path}");
        assert_eq!(permit.is_shadow(), permit.reason != Reason::Authenticated, "{path}");
        assert_eq!(permit.unverified.is_some(), permit.is_shadow(), "the log says who it was: {path}");
    }
}

#[test]
fn what_is_not_about_the_token_is_enforced() {
    let live_state = house(&MadeKey::new("sws", Algorithm::Hs256));
    let headers = headers("");
    let denied = |method: &Method, path: &str, host: Option<&str>| {
        let host = host.map_or_else(|| Host::of(&headers, None), Host::parse);
        let request = Request { method, host, path: path.as_bytes(), query: None, headers: &headers };
        Outcome::from(decide_fully(&live_state, NOW, &request))
    };
    assert_eq!(denied(&Method::GET, "/api/%2e%2e%2f", None), Deny(Reason::AmbiguousPath));
    assert_eq!(denied(&Method::GET, "/api", Some("a b")), Deny(Reason::InvalidHost));
    assert_eq!(denied(&Method::POST, "/api", None), Deny(Reason::MethodNotAllowed));
    assert_eq!(denied(&Method::TRACE, "/optional", None), Deny(Reason::MethodNotAllowed));
    assert_eq!(denied(&Method::GET, "/nowhere", None), Deny(Reason::NoRoute));
}
