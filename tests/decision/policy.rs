//! Which requests may pass: required, optional and public routes, and what their policies ask for.

use http::HeaderValue;
use portero::{
    domain::{Algorithm, Holder, Reason, TokenKind},
    rules::policy::{Auth, Policy, Source},
    state::token::{NewToken, TOKEN_BYTES_MAX},
};
use serde_json::json;

use crate::fixture::*;

use Outcome::{Deny, Forward};

/// The realms sws and apis, with a route for everything that a policy can ask for.
fn house() -> portero::decision::LiveState {
    let sws = || policy("sws");
    let files = route("/files", Policy { token: TokenKind::Content, ..policy("apis") });
    let site = site(
        vec![realm("sws", "sws", Algorithm::Hs256), realm("apis", "apis", Algorithm::Sealed)],
        vec![],
        vec![
            route("/api", sws()),
            route("/optional", Policy { auth: Auth::Optional, ..sws() }),
            route("/public", Policy { auth: Auth::Public, ..sws() }),
            route("/apis", policy("apis")),
            route("/both", Policy { accept: vec!["sws".parse().unwrap(), "apis".parse().unwrap()], ..sws() }),
            route("/admin", Policy { roles: vec!["ADMIN".into(), "ROOT".into()], ..sws() }),
            route("/read", Policy { scopes: vec!["read".into()], ..sws() }),
            route("/write", Policy { scopes: vec!["read".into(), "write".into()], ..sws() }),
            route("/tenant", Policy { claims: vec![("tenant".parse().unwrap(), json!("x"))], ..sws() }),
            portero::decision::RouteSettings { sources: vec![Source::Query("token".into())], ..files },
        ],
    );
    live_state(&site, &[&MadeKey::new("sws", Algorithm::Hs256), &MadeKey::new("apis", Algorithm::Sealed)])
}

#[test]
fn a_required_token_is_required() {
    let (live_state, holder) = (house(), holder());
    let token = mint(&live_state, "sws", &new_token(&holder));
    assert_eq!(ask(&live_state, NOW, "/api", &token), Forward(Reason::Authenticated));
    assert_eq!(ask(&live_state, NOW, "/api/deeper", &token), Forward(Reason::Authenticated));
    assert_eq!(ask(&live_state, NOW, "/api", ""), Deny(Reason::MissingToken));
    assert_eq!(ask(&live_state, NOW, "/api", "garbage"), Deny(Reason::MalformedToken));
    assert_eq!(ask(&live_state, NOW, "/api", &"a".repeat(TOKEN_BYTES_MAX + 1)), Deny(Reason::TokenTooLarge));
}

#[test]
fn a_bad_token_on_an_optional_route_is_no_anonymous_request() {
    let (live_state, holder) = (house(), holder());
    let token = mint(&live_state, "sws", &new_token(&holder));
    assert_eq!(ask(&live_state, NOW, "/optional", ""), Forward(Reason::Anonymous));
    assert_eq!(ask(&live_state, NOW, "/optional", &token), Forward(Reason::Authenticated));
    for garbage in ["x", "a.b.c", "1111", &token[..token.len() - 1]] {
        let Deny(reason) = ask(&live_state, NOW, "/optional", garbage) else { panic!("{garbage}") };
        assert_eq!(reason.status(), 401);
    }
    assert_eq!(ask(&live_state, NOW.plus(2 * LIFETIME), "/optional", &token), Deny(Reason::Expired));
    let other = mint(&live_state, "apis", &new_token(&holder));
    assert_eq!(ask(&live_state, NOW, "/optional", &other), Deny(Reason::RealmNotAccepted));
}

#[test]
fn tokens_are_not_looked_at_on_public_routes() {
    let (live_state, holder) = (house(), holder());
    let token = mint(&live_state, "sws", &new_token(&holder));
    for sent in ["", "garbage", &token] {
        assert_eq!(ask(&live_state, NOW, "/public", sent), Forward(Reason::Public));
    }
    let headers = headers(&token);
    let portero::decision::Decision::Forward(permit) = decide_fully(&live_state, NOW, &get("/public", &headers)) else {
        panic!()
    };
    assert!(permit.identity.is_none());
}

#[test]
fn two_different_tokens_are_refused_and_the_same_one_twice_is_not() {
    let (live_state, holder) = (house(), holder());
    let [first, second] = [(); 2].map(|()| mint(&live_state, "sws", &new_token(&holder)));
    let with_named = |named: &str| {
        let mut headers = headers(&first);
        headers.insert("currenttokenvalue", HeaderValue::from_str(named).unwrap());
        Outcome::from(decide_fully(&live_state, NOW, &get("/api", &headers)))
    };
    assert_eq!(with_named(&first), Forward(Reason::Authenticated));
    assert_eq!(with_named(&second), Deny(Reason::ConflictingTokens));
    assert_eq!(with_named("garbage"), Deny(Reason::ConflictingTokens));
}

#[test]
fn a_kind_opens_its_own_routes_only() {
    let (live_state, holder) = (house(), holder());
    let by_query = |kind| {
        let token = mint(&live_state, "apis", &NewToken { kind, ..new_token(&holder) });
        let (headers, query) = (headers(""), format!("a=1&token={token}"));
        let request = portero::decision::Request { query: Some(&query), ..get("/files", &headers) };
        Outcome::from(decide_fully(&live_state, NOW, &request))
    };
    let by_header =
        |kind| ask(&live_state, NOW, "/apis", &mint(&live_state, "apis", &NewToken { kind, ..new_token(&holder) }));
    assert_eq!(by_header(TokenKind::Access), Forward(Reason::Authenticated));
    assert_eq!(by_header(TokenKind::Content), Deny(Reason::WrongTokenKind));
    assert_eq!(by_header(TokenKind::Refresh), Deny(Reason::WrongTokenKind));
    assert_eq!(by_query(TokenKind::Content), Forward(Reason::Authenticated));
    assert_eq!(by_query(TokenKind::Access), Deny(Reason::WrongTokenKind));
    assert_eq!(by_query(TokenKind::Refresh), Deny(Reason::WrongTokenKind));
    // Where the route names the query only, a header is nowhere.
    let content = mint(&live_state, "apis", &NewToken { kind: TokenKind::Content, ..new_token(&holder) });
    assert_eq!(ask(&live_state, NOW, "/files", &content), Deny(Reason::MissingToken));
}

#[test]
fn realms_open_the_routes_that_accept_them() {
    let (live_state, holder) = (house(), holder());
    let [sws, apis] = ["sws", "apis"].map(|realm| mint(&live_state, realm, &new_token(&holder)));
    for (path, token, outcome) in [
        ("/api", &sws, Forward(Reason::Authenticated)),
        ("/api", &apis, Deny(Reason::RealmNotAccepted)),
        ("/apis", &sws, Deny(Reason::RealmNotAccepted)),
        ("/apis", &apis, Forward(Reason::Authenticated)),
        ("/both", &sws, Forward(Reason::Authenticated)),
        ("/both", &apis, Forward(Reason::Authenticated)),
    ] {
        assert_eq!(ask(&live_state, NOW, path, token), outcome, "{path}");
    }
}

#[test]
fn roles_scopes_and_claims_are_asked_for() {
    let (live_state, admin) = (house(), holder());
    let user = Holder { role: "USER".into(), scopes: vec!["read".into(), "write".into()], ..holder() };
    let mut tenant = new_token(&user);
    tenant.extra.insert("tenant".into(), json!("x"));
    let [admin, user, tenant] =
        [&new_token(&admin), &new_token(&user), &tenant].map(|token| mint(&live_state, "sws", token));
    for (path, token, outcome) in [
        ("/admin", &admin, Forward(Reason::Authenticated)),
        ("/admin", &user, Deny(Reason::RoleMissing)),
        ("/read", &admin, Forward(Reason::Authenticated)),
        ("/write", &admin, Deny(Reason::ScopeMissing)),
        ("/write", &user, Forward(Reason::Authenticated)),
        ("/tenant", &user, Deny(Reason::ClaimMissing)),
        ("/tenant", &tenant, Forward(Reason::Authenticated)),
    ] {
        assert_eq!(ask(&live_state, NOW, path, token), outcome, "{path}");
    }
}
