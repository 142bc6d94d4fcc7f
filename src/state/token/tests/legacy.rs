//! Tokens of imported keys, read by their claim profiles.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::fixture::*;
use crate::{
    domain::{Algorithm, Claims, KeyId, PrincipalId, Reason, Timestamp, TokenKind, TokenSubject},
    rules::{
        claim::ClaimPath,
        contract::{self, Dialect},
        profile::{ClaimProfile, InstantFormat, Optional},
    },
    state::keys::{Imported, Key, KeyState, MaterialBytes, UNNAMED_KEYS_MAX},
};

const OLD_SECRET: &[u8; 32] = b"the old API's secret, thirty-two";

/// How the tokens look that the `toc` API gave before Portero.
fn earlier_tokens() -> ClaimProfile {
    "toc".parse::<Dialect>().unwrap().facts().earlier_tokens.clone().unwrap()
}

fn imported(id: &str, realm: &str, secret: &[u8], profile: ClaimProfile) -> Arc<Key> {
    let (id, realm) = (KeyId::from_text(id), realm.parse().unwrap());
    let key = Key::new(id, realm, Algorithm::Hs256, KeyState::Retiring, NOW, MaterialBytes::Secret(secret));
    Arc::new(key.unwrap().with_profile(Arc::new(profile)))
}

/// The realm `toc` with its own key and the old API's.
fn toc() -> Ground {
    let old = imported("old", "toc", OLD_SECRET, earlier_tokens());
    Ground::new([realm("toc", "toc", Algorithm::Hs256)], [key("toc", Algorithm::Hs256), old])
}

/// The header and the claims of the document's example.
fn old_token(claims: &Map<String, Value>) -> String {
    signed_with(OLD_SECRET, r#"{"alg":"HS256","typ":"JWT"}"#, text(claims))
}

fn old_claims() -> Map<String, Value> {
    object(json!({
        "business": "5a2ac49cbbbce212f885529c",
        "proyecto": "upconta",
        "creacion": "2024-01-16T12:00:00.000Z",
        "expiracion": "2027-01-16T12:00:00.000Z",
    }))
}

#[test]
fn tocs_tokens_of_old_keep_working() {
    let claims = toc().open(&old_token(&old_claims())).unwrap();
    let realm = "toc".parse().unwrap();
    let named = PrincipalId::of_name(&realm, "5a2ac49cbbbce212f885529c", "upconta");
    assert_eq!(claims.subject, TokenSubject::Named(named));
    assert_eq!(claims.subject.accounts().collect::<Vec<_>>(), [named]);
    assert_eq!((&*claims.name, claims.organization.as_deref()), ("upconta", Some("5a2ac49cbbbce212f885529c")));
    let end = "2027-01-16T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert_eq!((claims.kind, claims.expires_at), (TokenKind::Access, Some(Timestamp::from_millis(end))));
    assert_eq!(claims.extra, old_claims(), "its verification shows them");
    // Without expiry, as many of them are; another signature is another token.
    let endless = toc().open(&old_token(&without(old_claims(), "expiracion"))).unwrap();
    assert_eq!(endless.expires_at, None);
    assert_ne!(endless.revocation_id, claims.revocation_id);
}

#[test]
fn a_realm_without_endless_tokens_takes_none_of_old_either() {
    let mut narrow = realm("toc", "toc", Algorithm::Hs256);
    narrow.wire = contract::DialectSettings { allow_non_expiring: false, ..narrow.wire };
    let ground = Ground::new([narrow], [imported("old", "toc", OLD_SECRET, earlier_tokens())]);
    assert!(ground.open(&old_token(&old_claims())).is_ok());
    assert_eq!(ground.open(&old_token(&without(old_claims(), "expiracion"))), Err(Reason::InvalidClaims));
}

#[test]
fn old_tokens_are_read_as_strictly_as_their_profile_allows() {
    let ground = toc();
    for (name, value) in [
        ("expiracion", json!(null)),
        ("expiracion", json!("")),
        ("expiracion", json!("mañana")),
        ("expiracion", json!(1_800_000_000)),
        ("proyecto", json!("")),
        ("proyecto", json!(["upconta"])),
        ("business", json!(7)),
        ("iss", json!(null)),
        ("sub", json!(1)),
        ("nbf", json!("now")),
    ] {
        let opened = ground.open(&old_token(&with(old_claims(), name, value.clone())));
        assert_eq!(opened, Err(Reason::InvalidClaims), "{name}: {value}");
    }
    for name in ["proyecto", "business"] {
        assert_eq!(ground.open(&old_token(&without(old_claims(), name))), Err(Reason::InvalidClaims), "{name}");
    }
    assert_eq!(ground.open(&old_token(&with(old_claims(), "iss", json!("x")))), Err(Reason::WrongIssuer));
    assert_eq!(ground.open(&old_token(&with(old_claims(), "aud", json!("x")))), Err(Reason::WrongAudience));
    let forged = signed_with(SECRET, r#"{"alg":"HS256"}"#, text(&old_claims()));
    assert_eq!(ground.open(&forged), Err(Reason::InvalidSignature));
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"HS256","kid":"older"}"#] {
        assert!(ground.open(&signed_with(OLD_SECRET, header, text(&old_claims()))).is_err(), "{header}");
    }
}

#[test]
fn no_other_key_takes_a_token_without_a_kid() {
    let ground = Ground::hs256();
    let token = signed_with(SECRET, r#"{"alg":"HS256","typ":"JWT"}"#, text(&good_claims()));
    assert_eq!(ground.open(&token), Err(Reason::UnknownKey));
    let profile = ClaimProfile { optional: vec![Optional::Jti], ..ClaimProfile::default() };
    let named = Ground::new([realm("sws", "sws", Algorithm::Hs256)], [imported("old", "sws", OLD_SECRET, profile)]);
    assert_eq!(named.open(&signed_with(OLD_SECRET, r#"{"alg":"HS256"}"#, "{}")), Err(Reason::UnknownKey));
}

#[test]
fn a_few_unnamed_keys_are_tried_and_no_more() {
    let secret = |at: usize| format!("an old secret of thirty-two b. {at}");
    let keys =
        (0..=UNNAMED_KEYS_MAX).map(|at| imported(&format!("old{at}"), "toc", secret(at).as_bytes(), earlier_tokens()));
    let ground = Ground::new([realm("toc", "toc", Algorithm::Hs256)], keys);
    for at in 0..=UNNAMED_KEYS_MAX {
        let token = signed_with(secret(at).as_bytes(), r#"{"alg":"HS256"}"#, text(&old_claims()));
        let expected = if at < UNNAMED_KEYS_MAX { Ok(()) } else { Err(Reason::InvalidSignature) };
        assert_eq!(ground.open(&token).map(drop), expected, "{at}");
    }
}

#[test]
fn a_profile_of_ones_own_says_where_the_claims_are() {
    let profile = ClaimProfile {
        any_type: true,
        optional: vec![Optional::Aud, Optional::Jti, Optional::Nbf],
        require: object(json!({"tipo": "acceso"})),
        issuer: Some("https://old.example.com".into()),
        expiry: "vence".into(),
        expiry_format: InstantFormat::Milliseconds,
        name: ClaimPath::member("usuario"),
        role: ClaimPath::member("rol"),
        scopes: ClaimPath::member("permisos"),
        ..ClaimProfile::default()
    };
    let old = imported("old-1", "sws", OLD_SECRET, profile);
    let ground = Ground::new([realm("sws", "sws", Algorithm::Hs256)], [old]);
    let header = r#"{"alg":"HS256","kid":"old-1"}"#;
    let claims = object(json!({
        "iss": "https://old.example.com",
        "sub": "42",
        "iat": NOW.as_secs(),
        "vence": NOW.as_millis() + 1000,
        "tipo": "acceso",
        "usuario": "ana",
        "rol": "ADMIN",
        "permisos": ["read", "write"],
    }));
    let open = |claims: &Map<String, Value>| ground.open(&signed_with(OLD_SECRET, header, text(claims)));
    let opened: Claims = open(&claims).unwrap();
    let named = PrincipalId::of_name(&"sws".parse().unwrap(), "", "ana");
    assert_eq!((opened.subject, opened.roles.only()), (TokenSubject::Named(named), Some("ADMIN")));
    assert_eq!(opened.scopes, ["read".into(), "write".into()]);
    assert_eq!(opened.expires_at, Some(Timestamp::from_millis(NOW.as_millis() + 1000)));
    let account = with(claims.clone(), "sub", json!("b331336a-46f4-4fe4-a850-3208bfc2c398"));
    assert!(matches!(open(&account).unwrap().subject, TokenSubject::Imported { named: known, .. } if known == named));
    assert_eq!(open(&with(claims.clone(), "tipo", json!("refresco"))), Err(Reason::WrongTokenKind));
    assert_eq!(open(&without(claims.clone(), "tipo")), Err(Reason::WrongTokenKind));
    assert_eq!(open(&without(claims.clone(), "vence")), Err(Reason::InvalidClaims));
    assert_eq!(open(&without(claims.clone(), "iss")), Err(Reason::InvalidClaims));
    assert_eq!(open(&with(claims, "vence", json!(-1))), Err(Reason::InvalidClaims));
}

#[test]
fn an_end_in_seconds_is_a_whole_number() {
    let profile = ClaimProfile { optional: vec![Optional::Iat, Optional::Nbf], ..ClaimProfile::default() };
    let old = imported("old-1", "sws", OLD_SECRET, profile);
    let ground = Ground::new([realm("sws", "sws", Algorithm::Hs256)], [old]);
    let header = r#"{"alg":"HS256","kid":"old-1","typ":"JWT"}"#;
    let claims = text(&without(without(good_claims(), "exp"), "token_use"));
    let open = |end: &str| {
        let claims = format!("{{\"exp\":{end},{}", &claims[1..]);
        ground.open(&signed_with(OLD_SECRET, header, claims)).map(|claims| claims.expires_at)
    };
    assert_eq!(open("1768568400"), Ok(Some(Timestamp::from_secs(1_768_568_400))));
    for end in ["1768568400.0", "1768568400.5", "17685684e2", "-1", "\"1768568400\"", "null", "9223372036854775808"] {
        assert_eq!(open(end), Err(Reason::InvalidClaims), "{end}");
    }
}

#[test]
fn an_imported_key_that_signs_reads_our_own_tokens_and_the_old_ones() {
    let key = Key::new(
        KeyId::from_text("old"),
        "toc".parse().unwrap(),
        Algorithm::Hs256,
        KeyState::Active,
        NOW,
        MaterialBytes::Secret(OLD_SECRET),
    );
    let key = Arc::new(key.unwrap().with_profile(Arc::new(earlier_tokens())));
    let ground = Ground::new([realm("toc", "toc", Algorithm::Hs256)], [key]);
    let holder = holder();
    let minted = ground.mint("toc", TokenKind::Access, &holder).unwrap();
    let claims = ground.open(minted.expose()).unwrap();
    assert_eq!((claims.subject, claims.epoch), (TokenSubject::Account(holder.id), 3));
    assert!(ground.open(&old_token(&old_claims())).is_ok());
}

#[test]
fn exp_counts_whatever_a_profile_calls_the_expiry() {
    let ground = toc();
    let open = |claims: Map<String, Value>| ground.open(&old_token(&claims)).map(|claims| claims.expires_at);
    let ends = |second: i64| Ok(Some(Timestamp::from_secs(second)));
    let early = NOW.as_secs() - 1000;
    assert_eq!(open(with(old_claims(), "exp", json!(early))), ends(early), "the earlier end");
    assert_eq!(open(with(without(old_claims(), "expiracion"), "exp", json!(early))), ends(early), "the only end");
    let late = open(old_claims());
    assert_eq!(open(with(old_claims(), "exp", json!(9_999_999_999_i64))), late, "it makes no token longer");
    for wrong in [json!("zzz"), json!(null), json!(""), json!(1.5), json!(-1), json!([early]), json!("1768568400")] {
        assert_eq!(open(with(old_claims(), "exp", wrong.clone())), Err(Reason::InvalidClaims), "{wrong}");
    }
}

#[test]
fn the_last_day_that_dotnet_knows_is_an_end() {
    let open = |end: &str| {
        toc().open(&old_token(&with(old_claims(), "expiracion", json!(end)))).map(|claims| claims.expires_at)
    };
    let at = |millis| Ok(Some(Timestamp::from_millis(millis)));
    assert_eq!(open("9999-12-31T23:59:59.999Z"), at(253_402_300_799_999));
    assert_eq!(open("9999-12-31T23:59:59.9999999Z"), at(253_402_300_799_999));
    assert_eq!(open("9999-12-31T23:59:59.999-03:00"), at(253_402_300_799_999 + 3 * 3_600_000));
    assert_eq!(open("9999-12-30T21:59:59+00:00"), at(253_402_207_199_000));
    for wrong in ["9999-12-31T23:59:59.999", "9999-12-31", "9999-12-32T00:00:00Z", "10000-01-01T00:00:00Z"] {
        assert_eq!(open(wrong), Err(Reason::InvalidClaims), "{wrong}");
    }
    assert_eq!(open("9999-12-31T23:59:59Z[America/Bogota]"), Err(Reason::InvalidClaims));
}

#[test]
fn token_use_is_looked_at_as_on_tokens_of_external_issuers() {
    let open = |word: Value| toc().open(&old_token(&with(old_claims(), "token_use", word))).map(|claims| claims.kind);
    assert_eq!(open(json!("access")), Ok(TokenKind::Access));
    assert_eq!(open(json!("Access")), Ok(TokenKind::Access));
    for wrong in [json!("refresh"), json!("id"), json!("content"), json!(""), json!(null), json!(1)] {
        assert_eq!(open(wrong.clone()), Err(Reason::WrongTokenKind), "{wrong}");
    }
}

#[test]
fn tokens_of_old_have_the_epoch_that_their_account_had_at_import() {
    let realm_name = "toc".parse().unwrap();
    let named = PrincipalId::of_name(&realm_name, "5a2ac49cbbbce212f885529c", "upconta");
    let secret = MaterialBytes::Secret(OLD_SECRET);
    let key = Key::new(KeyId::from_text("old"), realm_name, Algorithm::Hs256, KeyState::Retiring, NOW, secret);
    let key = key.unwrap().with_profile(Arc::new(earlier_tokens()));
    let key = key.with_import(Arc::new(Imported::new(false, [(named, 4)])));
    let ground = Ground::new([realm("toc", "toc", Algorithm::Hs256)], [Arc::new(key)]);
    assert_eq!(ground.open(&old_token(&old_claims())).unwrap().epoch, 4);
    assert_eq!(ground.open(&old_token(&with(old_claims(), "proyecto", json!("other")))).unwrap().epoch, 0);
}
