//! jsonwebtoken as the oracle: we may refuse what it takes, but take nothing that it refuses.

use jsonwebtoken::{DecodingKey, Validation, decode};
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::fixture::*;
use crate::{
    domain::{Clock, SystemClock, Timestamp},
    state::token::check_times,
};

const ISSUER: &str = "https://gateway.example.com/sws";

/// jsonwebtoken at its strictest, with our leeway.
fn oracle_takes(token: &str) -> bool {
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.leeway = 30;
    validation.validate_nbf = true;
    validation.set_audience(&["api"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    decode::<Map<String, Value>>(token, &DecodingKey::from_secret(SECRET), &validation).is_ok()
}

fn we_take(token: &str, now: Timestamp) -> bool {
    let ground = Ground::hs256();
    ground.open(token).is_ok_and(|claims| check_times(&claims, ground.realm("sws").leeway, now).is_ok())
}

/// Good claims around the oracle's clock, which is the machine's.
fn claims_now(now: Timestamp) -> Map<String, Value> {
    let mut claims = good_claims();
    for (name, after) in [("iat", -10), ("nbf", -10), ("exp", 3600)] {
        claims.insert(name.into(), json!(now.as_secs() + after));
    }
    claims
}

/// What may be done to a token's text, its header or its claims.
#[derive(Clone, Debug)]
enum Change {
    Header(&'static str, Value),
    NoHeader(&'static str),
    Claim(&'static str, Value),
    NoClaim(&'static str),
    Character(usize, char),
    Insert(usize, char),
    Cut(usize),
}

fn value() -> impl Strategy<Value = Value> {
    // Dates keep away from the present: there the two clocks may differ by a tick.
    prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!([])),
        Just(json!({})),
        Just(json!("")),
        Just(json!("api")),
        Just(json!(["api", "b"])),
        Just(json!(["b"])),
        Just(json!(["api", 1])),
        Just(json!(ISSUER)),
        Just(json!([ISSUER])),
        Just(json!("JWT")),
        Just(json!("HS256")),
        Just(json!("HS512")),
        Just(json!("none")),
        Just(json!(KID)),
        Just(json!(-5)),
        Just(json!(0)),
        Just(json!(1.5)),
        Just(json!(1e300)),
        Just(json!(u64::MAX)),
        Just(json!(i64::MAX)),
        Just(json!(i64::MIN)),
        (0..1_000_000_000_i64).prop_map(Value::from),
        (8_000_000_000..9_000_000_000_i64).prop_map(Value::from),
        (8e9..9e9_f64).prop_map(Value::from),
        (-1e15..1e9_f64).prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    // The members that somebody acts on: of the others (`cty`) the oracle still asks for a string.
    let header = || select(vec!["alg", "typ", "kid", "crit", "b64"]);
    let claim = || select(vec!["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "sid", "epoch", "token_use", "x"]);
    let character = || prop_oneof![select(vec!['.', '=', '-', '_', '+', '/', 'A', 'B', ' ']), any::<char>()];
    prop_oneof![
        (header(), value()).prop_map(|(name, value)| Change::Header(name, value)),
        header().prop_map(Change::NoHeader),
        (claim(), value()).prop_map(|(name, value)| Change::Claim(name, value)),
        claim().prop_map(Change::NoClaim),
        (any::<usize>(), character()).prop_map(|(at, character)| Change::Character(at, character)),
        (any::<usize>(), character()).prop_map(|(at, character)| Change::Insert(at, character)),
        any::<usize>().prop_map(Change::Cut),
    ]
}

fn changed(changes: &[Change], now: Timestamp) -> String {
    let (mut header, mut claims) = (good_header(), claims_now(now));
    for change in changes {
        match change {
            Change::Header(name, value) => drop(header.insert((*name).into(), value.clone())),
            Change::NoHeader(name) => drop(header.shift_remove(*name)),
            Change::Claim(name, value) => drop(claims.insert((*name).into(), value.clone())),
            Change::NoClaim(name) => drop(claims.shift_remove(*name)),
            _ => {}
        }
    }
    let mut token: Vec<char> = signed(text(&header), text(&claims)).chars().collect();
    for change in changes {
        let len = token.len().max(1);
        match *change {
            Change::Character(at, character) if !token.is_empty() => token[at % len] = character,
            Change::Insert(at, character) => token.insert(at % len, character),
            Change::Cut(at) => token.truncate(at % len),
            _ => {}
        }
    }
    token.into_iter().collect()
}

#[test]
fn both_take_a_good_token() {
    let now = SystemClock.now();
    let token = signed(text(&good_header()), text(&claims_now(now)));
    assert!(we_take(&token, now) && oracle_takes(&token));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn we_take_only_what_the_oracle_takes(changes in prop::collection::vec(change(), 0..3)) {
        let now = SystemClock.now();
        let token = changed(&changes, now);
        prop_assert!(!we_take(&token, now) || oracle_takes(&token), "{}", token);
    }
}
