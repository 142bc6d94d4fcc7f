//! Internal tokens: what upstreams receive instead of the client's.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use portero::{
    decision::{Decision, ForwardToken, INTERNAL_LIFETIME, LiveState, RouteSettings, Site},
    domain::{Algorithm, KeyId, RealmName, Reason, Timestamp},
    state::{
        keys::{Key, KeyState, MaterialBytes},
        limit::BadTokenSettings,
        token::CacheSettings,
    },
};
use serde_json::Value;

use crate::fixture::*;

use Outcome::Deny;

fn internal_key() -> Arc<Key> {
    let material = Key::generate_material(Algorithm::EdDsa).unwrap();
    let (id, realm, bytes) = (KeyId::generate(), RealmName::internal(), MaterialBytes::Secret(&material));
    Arc::new(Key::new(id, realm, Algorithm::EdDsa, KeyState::Active, NOW, bytes).unwrap())
}

/// A live state whose route exchanges tokens, with the key of its realm and these.
fn live_state_with(internal: &[Arc<Key>]) -> LiveState {
    let exchanged = RouteSettings { forward_token: ForwardToken::Internal, ..route("/", policy("sws")) };
    let site = site(vec![realm("sws", "sws", Algorithm::Hs256)], vec![], vec![exchanged]);
    let site = Site { internal_issuer: Some("https://gateway.example.com/portero-internal".into()), ..site };
    let own = MadeKey::new("sws", Algorithm::Hs256).in_state(KeyState::Active);
    let keys = internal.iter().cloned().chain([own]);
    LiveState::new(snapshot(&site, keys).unwrap(), CacheSettings::default(), BadTokenSettings::default())
}

/// The internal token for `upstream` at `now`, on behalf of `token`.
fn exchanged(live_state: &LiveState, token: &str, upstream: &str, now: Timestamp) -> Result<String, Reason> {
    let headers = headers(token);
    let Decision::Forward(permit) = decide_fully(live_state, now, &get("/", &headers)) else { panic!("a good token") };
    let value = live_state.view().internal_token(&permit.identity.unwrap(), &upstream.into(), now)?;
    assert!(value.is_sensitive());
    Ok(value.to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned())
}

fn part(token: &str, at: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap()).unwrap()
}

#[test]
fn an_upstream_is_told_who_asks_in_a_token_of_its_own() {
    let key = internal_key();
    let live_state = live_state_with(&[Arc::clone(&key)]);
    let holder = holder();
    let original = mint(&live_state, "sws", &new_token(&holder));
    let token = exchanged(&live_state, &original, "crm", NOW).unwrap();
    assert_eq!(part(&token, 0)["typ"], "portero-internal+jwt");
    assert_eq!(part(&token, 0)["alg"], "EdDSA");
    assert_eq!(part(&token, 0)["kid"], key.id.as_str());
    let claims = part(&token, 1);
    assert_eq!(claims["iss"], "https://gateway.example.com/portero-internal");
    assert_eq!(claims["aud"], "crm");
    assert_eq!(claims["sub"], holder.id.to_string());
    assert_eq!(claims["original_iss"], "https://gateway.example.com/sws");
    assert_eq!((&claims["role"], &claims["scope"], &claims["name"]), (&"ADMIN".into(), &"read".into(), &"ana".into()));
    assert_eq!(claims["exp"], NOW.plus(INTERNAL_LIFETIME).as_secs());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    assert!(key.verifies(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()));
}

#[test]
fn it_is_refused_at_the_front() {
    let live_state = live_state_with(&[internal_key()]);
    let original = mint(&live_state, "sws", &new_token(&holder()));
    let token = exchanged(&live_state, &original, "crm", NOW).unwrap();
    assert_eq!(ask(&live_state, NOW, "/", &token), Deny(Reason::UnknownKey));
}

#[test]
fn it_is_minted_once_and_again_in_time_and_for_each_upstream() {
    let live_state = live_state_with(&[internal_key()]);
    let original = mint(&live_state, "sws", &new_token(&holder()));
    let at = |upstream: &str, seconds| {
        exchanged(&live_state, &original, upstream, NOW.plus(Duration::from_secs(seconds))).unwrap()
    };
    let first = at("crm", 0);
    assert_eq!(at("crm", 29), first);
    assert_ne!(at("erp", 0), first);
    assert_ne!(at("crm", 31), first, "what an upstream receives has half of its life left");
}

#[test]
fn it_never_outlives_the_clients_token() {
    let live_state = live_state_with(&[internal_key()]);
    let holder = holder();
    let end = NOW.plus(Duration::from_secs(20));
    let mut short = new_token(&holder);
    short.expires_at = Some(end);
    let original = mint(&live_state, "sws", &short);
    assert_eq!(part(&exchanged(&live_state, &original, "crm", NOW).unwrap(), 1)["exp"], end.as_secs());
}

#[test]
fn it_is_never_minted_or_handed_out_expired() {
    let live_state = live_state_with(&[internal_key()]);
    let holder = holder();
    let mut short = new_token(&holder);
    let end = NOW.plus(Duration::from_secs(20));
    short.expires_at = Some(end);
    let original = mint(&live_state, "sws", &short);
    // Within the leeway the client's token passes, and there is nothing left to exchange it for.
    for after in [0, 1, 1_000, 17_000, 29_999] {
        let now = end.plus(Duration::from_millis(after));
        assert_eq!(exchanged(&live_state, &original, "crm", now), Err(Reason::Expired), "{after} ms after its end");
    }
    for before in [1, 500, 999, 1_001, 10_000] {
        let now = end.minus(Duration::from_millis(before));
        let minted = part(&exchanged(&live_state, &original, "crm", now).unwrap(), 1);
        assert_eq!(minted["exp"], end.as_secs(), "{before} ms before its end");
    }
    // The last one is not handed out once more, although it was minted less than a second ago.
    assert_eq!(exchanged(&live_state, &original, "crm", end.plus(Duration::from_millis(400))), Err(Reason::Expired));
}

#[test]
fn a_key_that_was_replaced_signs_no_more_and_none_at_all_is_no_token() {
    let live_state = live_state_with(&[internal_key()]);
    let original = mint(&live_state, "sws", &new_token(&holder()));
    let first = exchanged(&live_state, &original, "crm", NOW).unwrap();
    let next = internal_key();
    let own: Vec<_> = live_state.snapshot().keys.own().filter(|key| !key.realm.is_internal()).cloned().collect();
    let with = |keys: Vec<Arc<Key>>| {
        let keys = Arc::new(portero::state::keys::Keyring::new(keys));
        live_state.publish(|snapshot| snapshot.with_keys(keys));
    };
    with(own.iter().cloned().chain([Arc::clone(&next)]).collect());
    let second = exchanged(&live_state, &original, "crm", NOW).unwrap();
    assert_ne!(second, first);
    assert_eq!(part(&second, 0)["kid"], next.id.as_str());
    with(own);
    assert_eq!(exchanged(&live_state, &original, "crm", NOW), Err(Reason::Unavailable));
}
