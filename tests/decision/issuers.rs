//! External issuers' tokens, whose keys somebody must confirm again and again.

use std::{sync::Arc, time::Duration};

use portero::{
    decision::{
        Decision, LiveState, Site,
        decide::explain::{Inquiry, Keys, Question, explain},
    },
    domain::{Algorithm, KeyId, RealmName, Reason, Secret, Timestamp},
    issuer::{IssuerSettings, Jwks, Source},
    rules::{policy::Policy, profile::ClaimMapping},
    state::{
        keys::{Key, KeyState, MaterialBytes, ValidUntil},
        limit::BadTokenSettings,
        token::CacheSettings,
    },
};
use serde_json::json;

use crate::fixture::*;

use Outcome::{Deny, Forward};

const GOOD: Outcome = Forward(Reason::Authenticated);

const HOUR: Duration = Duration::from_hours(1);

fn corp() -> RealmName {
    "corp".parse().unwrap()
}

fn key(id: &KeyId, material: MaterialBytes<'_>) -> Key {
    Key::new(id.clone(), corp(), Algorithm::EdDsa, KeyState::Active, NOW, material).unwrap()
}

/// A live state whose one route takes tokens of `corp`, and a pair of keys of `corp`'s.
fn ground() -> (LiveState, Key) {
    let issuer = IssuerSettings {
        name: corp(),
        issuer: "https://login.example.com".into(),
        audiences: vec!["api".into()],
        claims: ClaimMapping::default(),
        leeway: LEEWAY,
        algorithms: vec![Algorithm::EdDsa],
        source: Source::Jwks(Jwks::new("https://login.example.com/jwks.json".parse().unwrap())),
    };
    let roots = Policy { roles: vec!["ROOT".into()], scopes: vec!["read".into()], ..policy("corp") };
    let site = Site {
        issuers: vec![Arc::new(issuer)],
        ..site(vec![], vec![], vec![route("/", policy("corp")), route("/roots", roots)])
    };
    let live_state =
        LiveState::new(snapshot(&site, []).unwrap(), CacheSettings::default(), BadTokenSettings::default());
    let material = Key::generate_material(Algorithm::EdDsa).unwrap();
    (live_state, key(&KeyId::generate(), MaterialBytes::Secret(&material)))
}

/// Brings the public half of `pair` into force, as somebody does who confirmed it until then.
fn confirm(live_state: &LiveState, pair: &Key, until: Option<Timestamp>) -> ValidUntil {
    let valid_until = ValidUntil::default();
    valid_until.set(until);
    let public = pair.public_der().unwrap();
    let public = key(&pair.id, MaterialBytes::Public(&public)).with_valid_until(valid_until.clone());
    live_state.set_external_keys(&corp(), vec![Arc::new(public)]);
    valid_until
}

fn token(pair: &Key) -> String {
    let claims = json!({
        "iss": "https://login.example.com", "aud": "api", "sub": "u1", "exp": NOW.plus(2 * HOUR).as_secs(),
    });
    pair.sign("JWT", claims.as_object().unwrap()).unwrap().expose().to_owned()
}

#[test]
fn a_hot_token_ends_with_the_belief_in_its_key_and_goes_on_when_another_confirms_it() {
    let (live_state, pair) = ground();
    let token = token(&pair);
    let outcome = |now| ask(&live_state, now, "/", &token);
    let first = confirm(&live_state, &pair, Some(NOW.plus(HOUR)));
    assert_eq!(outcome(NOW), GOOD);
    assert_eq!(live_state.verified().len(), 1, "it is hot");
    assert_eq!(outcome(NOW.plus(HOUR)), Deny(Reason::IssuerUnavailable));
    // A reload: another task confirms the same key, and what the first one said holds no longer.
    let second = confirm(&live_state, &pair, Some(NOW.plus(HOUR)));
    first.set(None);
    assert_eq!(outcome(NOW), GOOD);
    assert_eq!(outcome(NOW), GOOD, "again, with nothing changed");
    assert_eq!(live_state.verified().len(), 1, "it was hot all the time");
    assert_eq!(outcome(NOW.plus(HOUR)), Deny(Reason::IssuerUnavailable));
    second.set(None);
    assert_eq!(outcome(NOW), Deny(Reason::IssuerUnavailable));
}

#[test]
fn explaining_says_whom_it_would_ask_for_a_key_and_asks_nobody() {
    let (live_state, pair) = ground();
    let token = Secret::from(token(&pair).as_str());
    let explained = |now| {
        let inquiry = Inquiry { method: "GET", url: "/", headers: &[], token: Some(&token), client: None };
        let question = Question::of(&inquiry, &live_state.snapshot()).unwrap();
        let explained = explain(&live_state.view(), now, &question, Keys::Known);
        let reason = match explained.decision.unwrap() {
            Decision::Forward(permit) => permit.reason,
            Decision::Reply(denial) => denial.reason,
            other => panic!("{other:?}"),
        };
        (reason, explained.steps.into_iter().map(|step| format!("{}: {}", step.name, step.text)).collect::<Vec<_>>())
    };
    let asked = format!("issuer: nobody knows key {} yet: issuer 'corp' would be asked for it first", pair.id);
    let (reason, steps) = explained(NOW);
    assert_eq!(reason, Reason::IssuerUnavailable);
    assert!(steps.iter().any(|step| step.starts_with(&asked)), "{steps:?}");

    let another = key(&KeyId::generate(), MaterialBytes::Secret(&Key::generate_material(Algorithm::EdDsa).unwrap()));
    confirm(&live_state, &another, Some(NOW.plus(HOUR)));
    let (reason, steps) = explained(NOW);
    assert_eq!(reason, Reason::UnknownKey, "the issuer's keys are at hand, and this is not one of them");
    assert!(steps.iter().any(|step| step.starts_with(&asked)), "{steps:?}");

    confirm(&live_state, &pair, Some(NOW.plus(HOUR)));
    let (reason, steps) = explained(NOW);
    assert_eq!(reason, Reason::Authenticated);
    assert!(steps.contains(&"issuer: 'corp' confirmed its keys lately".to_owned()), "{steps:?}");
    assert_eq!(explained(NOW.plus(HOUR)).0, Reason::IssuerUnavailable);
    assert_eq!(live_state.verified().len(), 0);
}

#[test]
fn explaining_names_the_claim_that_is_missing_or_wrong() {
    let (live_state, pair) = ground();
    confirm(&live_state, &pair, Some(NOW.plus(HOUR)));
    let good = json!({
        "iss": "https://login.example.com", "aud": "api", "sub": "u1", "exp": NOW.plus(2 * HOUR).as_secs(),
    });
    let failed = |path: &str, more: serde_json::Value| {
        let mut claims = good.as_object().unwrap().clone();
        claims.extend(more.as_object().unwrap().clone());
        let token = Secret::from(pair.sign("JWT", &claims).unwrap().expose());
        let inquiry = Inquiry { method: "GET", url: path, headers: &[], token: Some(&token), client: None };
        let question = Question::of(&inquiry, &live_state.snapshot()).unwrap();
        let explained = explain(&live_state.view(), NOW, &question, Keys::Known);
        let failed = explained.steps.into_iter().filter(|step| step.reason.is_some());
        failed.map(|step| format!("{} {}: {}", step.reason.unwrap_or(""), step.name, step.text)).collect::<Vec<_>>()
    };
    for (path, more, expected) in [
        ("/", json!({}), &[][..]),
        ("/", json!({"aud": "other"}), &["wrong_audience claims: aud is another; expected one of api"]),
        ("/", json!({"sub": 7}), &["invalid_claims claims: sub is not a text; expected a text"]),
        ("/", json!({"exp": "x"}), &["invalid_claims claims: exp is a text; expected a number of seconds since 1970"]),
        ("/", json!({"token_use": "id"}), &["wrong_token_kind claims: token_use is another; expected access"]),
        ("/roots", json!({}), &["role_missing roles: asks for one of the roles ROOT; it has none: role is missing"]),
        (
            "/roots",
            json!({"role": [1]}),
            &[
                "role_missing roles: asks for one of the roles ROOT; it has none: role is not a text, nor a list of texts",
            ],
        ),
        ("/roots", json!({"role": ["A", "B"]}), &["role_missing roles: asks for one of the roles ROOT; it has A, B"]),
        (
            "/roots",
            json!({"role": ["A", "ROOT"]}),
            &["scope_missing scopes: asks for all scopes of read; it has none: scope or scp is missing"],
        ),
    ] {
        assert_eq!(failed(path, more.clone()), expected, "{path} {more}");
    }
}
