//! Whatever is taken away, nobody gets in: without its inputs a required route has no entry.

use std::{net::IpAddr, sync::Arc};

use portero::{
    decision::{EndpointSettings, LiveState, RouteSettings, Site},
    domain::{Algorithm, Reason},
    rules::{
        policy::{Auth, Policy},
        realm::Realm,
    },
    state::{
        keys::KeyState,
        limit::BadTokenSettings,
        token::{CacheSettings, NewToken},
    },
};
use proptest::prelude::*;

use crate::fixture::*;

use Outcome::{Deny, Forward};

fn whole() -> Site {
    let realms = vec![realm("sws", "sws", Algorithm::Hs256), realm("other", "sws", Algorithm::Hs256)];
    site(realms, vec![endpoint("/login", "sws")], vec![route("/api", policy("sws"))])
}

#[test]
fn without_keys_nobody_gets_in() {
    let (site, key, holder) = (whole(), MadeKey::new("sws", Algorithm::Hs256), holder());
    let token = mint(&live_state(&site, &[&key]), "sws", &new_token(&holder));
    assert_eq!(ask(&live_state(&site, &[&key]), NOW, "/api", &token), Forward(Reason::Authenticated));
    assert_eq!(ask(&live_state(&site, &[]), NOW, "/api", &token), Deny(Reason::UnknownKey));
    assert_eq!(ask(&live_state(&site, &[]), NOW, "/api", ""), Deny(Reason::MissingToken));
    let others = MadeKey::new("other", Algorithm::Hs256);
    assert_eq!(ask(&live_state(&site, &[&others]), NOW, "/api", &token), Deny(Reason::UnknownKey));
    let revoked = snapshot(&site, [key.in_state(KeyState::Revoked)]).unwrap();
    let live_state = LiveState::new(revoked, CacheSettings::default(), BadTokenSettings::default());
    assert_eq!(ask(&live_state, NOW, "/api", &token), Deny(Reason::KeyRevoked));
}

#[test]
fn two_keys_of_one_name_open_no_more_than_one_does() {
    let (site, holder) = (whole(), holder());
    let sws = MadeKey::new("sws", Algorithm::Hs256);
    let other = sws.of_realm("other");
    let token = mint(&live_state(&site, &[&sws]), "sws", &new_token(&holder));
    assert_eq!(ask(&live_state(&site, &[&other, &sws]), NOW, "/api", &token), Forward(Reason::Authenticated));
    // The later key has the name: its realm's issuer and secret are not those of the token.
    assert!(matches!(ask(&live_state(&site, &[&sws, &other]), NOW, "/api", &token), Deny(_)));
}

#[test]
fn whatever_is_refused_after_its_signature_was_checked_counts_against_its_address() {
    let (site, key, holder) = (whole(), MadeKey::new("sws", Algorithm::Hs256), holder());
    let elsewhere = Realm { audience: "others".into(), ..realm("sws", "sws", Algorithm::Hs256) };
    let others = Site { realms: vec![Arc::new(elsewhere)], routes: vec![], endpoints: vec![], ..whole() };
    let external = mint(&live_state(&site, &[&key]), "sws", &new_token(&holder));
    let others = snapshot(&others, [key.in_state(KeyState::Active)]);
    let bad_tokens = BadTokenSettings { bad_tokens: 2, ..BadTokenSettings::default() };
    let live_state = LiveState::new(others.unwrap(), CacheSettings::default(), bad_tokens);
    let client = Some(IpAddr::from([192, 0, 2, 1]));
    let open = |token: &str| live_state.view().open(token, client, NOW).map(drop);
    for unchecked in ["garbage", "a.b.c", &external[1..]] {
        assert_eq!(open(unchecked), Err(Reason::MalformedToken), "{unchecked}");
    }
    // It is well signed and not for this site: nothing remembers it, so it costs a signature every time.
    assert_eq!(open(&external), Err(Reason::WrongAudience));
    let garbage = format!("{}.{}", external.rsplit_once('.').unwrap().0, "A".repeat(43));
    assert_eq!(open(&garbage), Err(Reason::InvalidSignature));
    assert_eq!(open(&external), Err(Reason::TooManyBadTokens));
}

#[test]
fn a_site_that_uses_what_it_does_not_define_is_not_built() {
    let without_realms = Site { realms: vec![], ..whole() };
    let without_upstreams = Site { upstreams: vec![], ..whole() };
    let [api] = <[RouteSettings; 1]>::try_from(whole().routes).unwrap();
    let elsewhere = Site { routes: vec![RouteSettings { upstream: "elsewhere".into(), ..api.clone() }], ..whole() };
    let twice = Site { routes: vec![api.clone(), api], ..whole() };
    let nobodys = EndpointSettings { realms: vec![], ..endpoint("/login", "sws") };
    let nobodys = Site { endpoints: vec![nobodys], ..whole() };
    for (site, word) in [
        (without_realms, "realm 'sws'"),
        (without_upstreams, "upstream 'echo'"),
        (elsewhere, "upstream 'elsewhere'"),
        (twice, "/api"),
        (nobodys, "without realms"),
    ] {
        let error = snapshot(&site, []).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_site_that_accepts_what_it_does_not_define_is_not_built() {
    let accepting = |names: [&str; 2]| {
        let accept = names.map(|name| name.parse().unwrap()).into();
        Site { routes: vec![route("/api", Policy { accept, ..policy("sws") })], ..whole() }
    };
    assert!(snapshot(&accepting(["sws", "other"]), []).is_ok());
    assert!(snapshot(&accepting(["nobody", "sws"]), []).is_err());
    assert!(snapshot(&accepting(["sws", "nobody"]), []).is_err());
}

#[test]
fn a_route_that_accepts_no_realm_has_no_entry() {
    for auth in [Auth::Required, Auth::Optional] {
        let nobodys = route("/api", Policy { auth, accept: vec![], ..policy("sws") });
        let (site, key, holder) =
            (Site { routes: vec![nobodys], ..whole() }, MadeKey::new("sws", Algorithm::Hs256), holder());
        let live_state = live_state(&site, &[&key]);
        let token = mint(&live_state, "sws", &new_token(&holder));
        assert_eq!(ask(&live_state, NOW, "/api", &token), Deny(Reason::RealmNotAccepted));
    }
}

#[test]
fn a_route_without_sources_has_no_entry() {
    let (key, holder) = (MadeKey::new("sws", Algorithm::Hs256), holder());
    let blind = RouteSettings { sources: vec![], ..route("/api", policy("sws")) };
    let live_state = live_state(&Site { routes: vec![blind], ..whole() }, &[&key]);
    let token = mint(&live_state, "sws", &new_token(&holder));
    assert_eq!(ask(&live_state, NOW, "/api", &token), Deny(Reason::MissingToken));
}

proptest! {
    /// Whatever is sent: without a good token of an accepted realm, nothing passes.
    #[test]
    fn nothing_but_a_good_token_passes(
        token in r"[!-~]{0,80}", has_keys in any::<bool>(), good in any::<bool>(), late in any::<bool>()
    ) {
        let (site, key, holder) = (whole(), MadeKey::new("sws", Algorithm::Hs256), holder());
        let whole = live_state(&site, &[&key]);
        let token = if good { mint(&whole, "sws", &NewToken { epoch: 0, ..new_token(&holder) }) } else { token };
        let live_state = if has_keys { whole } else { live_state(&site, &[]) };
        let now = if late { NOW.plus(2 * LIFETIME) } else { NOW };
        let passes = good && has_keys && !late;
        prop_assert_eq!(matches!(ask(&live_state, now, "/api", &token), Forward(_)), passes);
    }
}
