//! Every claim, missing and with every wrong type (jsonwebtoken CVE-2026-25537 and its kin).

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::fixture::*;
use crate::{
    domain::{Algorithm, Claims, Reason, TokenKind},
    rules::contract::{self, Dialect},
};

const REQUIRED_TEXTS: [&str; 6] = ["iss", "sub", "jti", "sid", "token_use", "name"];
const OPTIONAL_TEXTS: [&str; 3] = ["role", "scope", "org"];
const DATES: [&str; 3] = ["exp", "iat", "nbf"];
const WHOLE_NUMBERS: [&str; 2] = ["epoch", "legacy_id"];

fn open(claims: &Map<String, Value>) -> Result<Claims, Reason> {
    Ground::hs256().open(&signed(text(&good_header()), text(claims)))
}

fn open_with(name: &str, value: Value) -> Result<Claims, Reason> {
    open(&with(good_claims(), name, value))
}

#[test]
fn a_missing_claim_is_never_fine() {
    for name in REQUIRED_TEXTS.into_iter().chain(DATES).chain(["aud", "epoch"]) {
        assert_eq!(open(&without(good_claims(), name)), Err(Reason::InvalidClaims), "{name}");
    }
    for name in OPTIONAL_TEXTS.into_iter().chain(["legacy_id"]) {
        assert!(open(&without(good_claims(), name)).is_ok(), "{name}");
    }
}

#[test]
fn a_claim_of_the_wrong_type_never_counts_as_absent() {
    let common = [json!(null), json!(true), json!(false), json!([]), json!({}), json!({"a": 1}), json!([1]), json!("")];
    let no_text = [json!(0), json!(1.5), json!(["access"]), json!([null])];
    let no_number = [json!("1"), json!("1768564800"), json!([1_768_564_800]), json!("a")];
    for wrong in common {
        for name in REQUIRED_TEXTS.into_iter().chain(OPTIONAL_TEXTS).chain(DATES).chain(WHOLE_NUMBERS) {
            assert_eq!(open_with(name, wrong.clone()), Err(Reason::InvalidClaims), "{name}: {wrong}");
        }
    }
    for wrong in no_text {
        for name in REQUIRED_TEXTS.into_iter().chain(OPTIONAL_TEXTS) {
            assert_eq!(open_with(name, wrong.clone()), Err(Reason::InvalidClaims), "{name}: {wrong}");
        }
    }
    for wrong in no_number {
        for name in DATES.into_iter().chain(WHOLE_NUMBERS) {
            assert_eq!(open_with(name, wrong.clone()), Err(Reason::InvalidClaims), "{name}: {wrong}");
        }
    }
}

#[test]
fn the_audience_is_ours_as_we_write_it() {
    for external in ["API", "api ", "apis", "other"] {
        assert_eq!(open_with("aud", json!(external)), Err(Reason::WrongAudience), "{external}");
    }
    let wrong = [json!(null), json!(true), json!(1), json!(""), json!({"api": true})];
    let lists = [json!([]), json!(["api"]), json!(["other", "api"]), json!(["api", 1]), json!([["api"]])];
    for wrong in wrong.into_iter().chain(lists) {
        assert_eq!(open_with("aud", wrong.clone()), Err(Reason::InvalidClaims), "{wrong}");
    }
}

#[test]
fn the_issuer_is_exactly_the_realms() {
    let own = "https://gateway.example.com/sws";
    for external in [
        "https://gateway.example.com/other".to_owned(),
        format!("{own}/"),
        format!(" {own}"),
        own.to_uppercase(),
        own.replace("https", "http"),
        own[..own.len() - 1].to_owned(),
    ] {
        assert_eq!(open_with("iss", json!(external)), Err(Reason::WrongIssuer), "{external}");
    }
}

#[test]
fn kinds_and_identities_are_words_that_we_know() {
    for kind in [TokenKind::Access, TokenKind::Content, TokenKind::Refresh] {
        assert_eq!(open_with("token_use", json!(kind.name())).unwrap().kind, kind);
    }
    for word in ["Access", "id", "access ", "access refresh"] {
        assert_eq!(open_with("token_use", json!(word)), Err(Reason::InvalidClaims), "{word}");
    }
    for name in ["sub", "sid"] {
        for word in ["ana", "1", "b331336a-46f4-4fe4-a850-3208bfc2c39", "b331336a-46f4-4fe4-a850-3208bfc2c398x"] {
            assert_eq!(open_with(name, json!(word)), Err(Reason::InvalidClaims), "{name}: {word}");
        }
    }
}

#[test]
fn numbers_stay_inside_their_bounds() {
    let claims = |number: &str, name: &str| {
        let rest = text(&without(good_claims(), name));
        let payload = format!("{{\"{name}\":{number},{}", &rest[1..]);
        Ground::hs256().open(&signed(text(&good_header()), payload))
    };
    for number in ["-1", "1.0", "0.5", "4294967296", "9223372036854775808", "1e3", "1e400", "-0.0", "NaN", "01"] {
        assert!(claims(number, "epoch").is_err(), "epoch {number}");
    }
    assert_eq!(claims("4294967295", "epoch").unwrap().epoch, u32::MAX);
    for number in ["1.0", "9223372036854775808", "-9223372036854775809", "1e3"] {
        assert!(claims(number, "legacy_id").is_err(), "legacy_id {number}");
    }
    assert_eq!(claims("-9223372036854775808", "legacy_id").unwrap().legacy_id, Some(i64::MIN));
    for name in DATES {
        for number in [
            "-1",
            "-0.5",
            "-1e300",
            "-9223372036854775808",
            "9223372036854775808",
            "1e300",
            "1e400",
            "9e12",
            "Infinity",
            "1768564800.0",
            "1768564800.25",
            "17685648e2",
        ] {
            assert!(claims(number, name).is_err(), "{name} {number}");
        }
    }
    assert!(claims("9223372036854775807", "exp").unwrap().expires_at > Some(NOW));
}

#[test]
fn only_a_realm_that_issues_such_tokens_takes_one_without_expiry() {
    let endless = without(good_claims(), "exp");
    for dialect in Dialect::shipped() {
        for allow_non_expiring in [true, false] {
            let mut sws = realm("sws", dialect.name(), Algorithm::Hs256);
            sws.wire = contract::DialectSettings { allow_non_expiring, ..sws.wire };
            let ground = Ground::new([sws], [hs256_key(KID, "sws", SECRET)]);
            let takes = dialect.name() == "toc" && allow_non_expiring;
            let header = with(good_header(), "typ", json!(dialect.facts().tokens.header_type));
            let opened = ground.open(&signed(text(&header), text(&endless)));
            let expected = if takes { Ok(None) } else { Err(Reason::InvalidClaims) };
            assert_eq!(opened.map(|claims| claims.expires_at), expected, "{dialect}");
            // A broken expiry is not a missing one.
            let broken = with(good_claims(), "exp", json!(null));
            let opened = ground.open(&signed(text(&header), text(&broken)));
            assert_eq!(opened, Err(Reason::InvalidClaims), "{dialect}");
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..3).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_of_another_type_is_taken(value in any_json(), at in 0..15_usize) {
        let claims = good_claims();
        let (name, good) = claims.iter().nth(at).unwrap();
        let alike = match &value {
            Value::String(_) => good.is_string(),
            Value::Number(_) => good.is_number(),
            _ => false,
        };
        prop_assume!(!alike);
        prop_assert_eq!(open_with(name, value), Err(Reason::InvalidClaims));
    }
}
