//! Tokens of external issuers.

use serde_json::{Map, Value, json};

use super::fixture::*;
use crate::{
    domain::{Algorithm, Claims, KeyId, Reason, Timestamp, TokenKind, TokenSubject},
    rules::{
        issuer::{ExternalIssuer, Issuer},
        profile::ClaimMapping,
    },
    state::keys::{Key, KeyState, MaterialBytes},
};

const OTHER_SECRET: &[u8; 32] = b"another secret of thirty-two byt";

/// An external issuer `corp` and a second one, `lab`, whose keys have the name that `sws`'s has too.
fn ground() -> Ground {
    let mut ground = Ground::hs256();
    for (name, secret) in [("corp", OTHER_SECRET), ("lab", b"a third secret of thirty-two byt")] {
        let external = ExternalIssuer {
            name: name.parse().unwrap(),
            issuer: format!("https://{name}.example.com"),
            audiences: vec!["api".into()],
            leeway: std::time::Duration::ZERO,
            claims: ClaimMapping::default(),
            is_asked: false,
        };
        let key = hs256_key(KID, name, secret);
        ground.keys = ground.keys.with_external(&external.name, vec![key]);
        ground.issuers.insert(external.name.clone(), Issuer::External(external.into()));
    }
    ground
}

fn corp_claims() -> Map<String, Value> {
    object(json!({
        "iss": "https://corp.example.com",
        "aud": ["other", "api"],
        "sub": "auth0|42",
        "exp": NOW.as_secs() + 3600,
        "iat": NOW.as_secs(),
        "scope": "read write",
        "preferred_username": "ana",
        "groups": ["a"],
    }))
}

fn open_with(header: &Map<String, Value>, claims: &Map<String, Value>) -> Result<Claims, Reason> {
    ground().open(&signed_with(OTHER_SECRET, text(header), text(claims)))
}

fn open(claims: &Map<String, Value>) -> Result<Claims, Reason> {
    open_with(&good_header(), claims)
}

#[test]
fn one_key_id_in_two_issuers_never_mixes() {
    let ground = ground();
    let corps = signed_with(OTHER_SECRET, text(&good_header()), text(&corp_claims()));
    assert_eq!(ground.open(&corps).unwrap().realm.as_str(), "corp");
    let own = signed(text(&good_header()), text(&good_claims()));
    assert_eq!(ground.open(&own).unwrap().realm.as_str(), "sws");
    // One issuer's signature under another's name, each way round.
    let theirs = with(corp_claims(), "iss", json!("https://lab.example.com"));
    assert_eq!(open(&theirs), Err(Reason::InvalidSignature));
    let ours = with(good_claims(), "iss", json!("https://corp.example.com"));
    assert_eq!(ground.open(&signed(text(&good_header()), text(&ours))), Err(Reason::InvalidSignature));
    assert_eq!(open(&good_claims()), Err(Reason::InvalidSignature));
    assert_eq!(open(&with(corp_claims(), "iss", json!("https://nobody"))), Err(Reason::WrongIssuer));
}

#[test]
fn what_an_external_token_says_is_told() {
    let claims = open(&with(corp_claims(), "role", json!("ADMIN"))).unwrap();
    assert_eq!(claims.subject, TokenSubject::External("auth0|42".into()));
    assert_eq!((claims.principal, claims.kind, claims.session), (None, TokenKind::Access, None));
    assert_eq!((&*claims.name, claims.roles.only()), ("ana", Some("ADMIN")));
    assert_eq!(claims.scopes, ["read".into(), "write".into()]);
    assert_eq!(claims.extra.get("groups"), Some(&json!(["a"])));
    assert_eq!(claims.expires_at, Some(Timestamp::from_secs(NOW.as_secs() + 3600)));
    let listed = with(without(corp_claims(), "scope"), "scp", json!(["read", "x"]));
    assert_eq!(open(&listed).unwrap().scopes, ["read".into(), "x".into()]);
    // Several roles are several, and all claims stay what they are.
    let several = open(&with(corp_claims(), "role", json!(["A", "B"]))).unwrap();
    assert_eq!(several.roles.iter().collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(several.extra.get("role"), Some(&json!(["A", "B"])));
    for no_role in [json!(1), json!(["A", 1]), json!({"A": 1}), json!("")] {
        assert!(open(&with(corp_claims(), "role", no_role.clone())).unwrap().roles.is_empty(), "{no_role}");
    }
}

#[test]
fn registered_claims_are_asked_for_and_typed() {
    for name in ["iss", "aud", "sub", "exp"] {
        assert_eq!(open(&without(corp_claims(), name)), Err(Reason::InvalidClaims), "{name}");
    }
    assert!(open(&without(corp_claims(), "iat")).is_ok());
    let wrong = [json!(null), json!(true), json!([]), json!({}), json!("")];
    for value in wrong {
        for name in ["iss", "sub", "exp", "iat", "nbf", "jti"] {
            assert_eq!(open(&with(corp_claims(), name, value.clone())), Err(Reason::InvalidClaims), "{name} {value}");
        }
    }
    assert_eq!(open(&with(corp_claims(), "aud", json!(["other"]))), Err(Reason::WrongAudience));
    assert_eq!(open(&with(corp_claims(), "aud", json!("apis"))), Err(Reason::WrongAudience));
    assert_eq!(open(&with(corp_claims(), "sub", json!("x".repeat(256)))), Err(Reason::InvalidClaims));
    for subject in [" ana", "ana ", "ana\t", "\u{a0}ana", "ana\r\nX-Auth-Role: ADMIN", "a\0b"] {
        assert_eq!(open(&with(corp_claims(), "sub", json!(subject))), Err(Reason::InvalidClaims), "{subject:?}");
    }
    assert!(open(&with(corp_claims(), "sub", json!("ana maría"))).is_ok());
    for date in [json!(-1), json!("1768564800"), json!(1e300), json!(1_768_568_400.0), json!(1_768_568_400.5)] {
        assert_eq!(open(&with(corp_claims(), "exp", date.clone())), Err(Reason::InvalidClaims), "{date}");
    }
}

#[test]
fn other_tokens_of_the_issuer_are_no_access_tokens() {
    for (name, value) in
        [("token_use", json!("id")), ("typ", json!("ID")), ("typ", json!("Refresh")), ("typ", json!(1))]
    {
        assert_eq!(open(&with(corp_claims(), name, value.clone())), Err(Reason::WrongTokenKind), "{name} {value}");
    }
    for (name, value) in [("token_use", json!("access")), ("typ", json!("Bearer"))] {
        assert!(open(&with(corp_claims(), name, value)).is_ok());
    }
    for (typ, takes) in
        [("at+jwt", true), ("application/at+jwt", true), ("jwt", true), ("dpop+jwt", false), ("", false)]
    {
        let opened = open_with(&with(good_header(), "typ", json!(typ)), &corp_claims());
        assert_eq!(opened.map(drop), if takes { Ok(()) } else { Err(Reason::UnsupportedHeader) }, "{typ}");
    }
    assert!(open_with(&without(good_header(), "typ"), &corp_claims()).is_ok());
}

#[test]
fn a_token_without_an_id_is_known_by_what_was_signed() {
    let id = |claims: &Map<String, Value>| open(claims).unwrap().revocation_id;
    assert_eq!(id(&corp_claims()), id(&corp_claims()));
    assert_ne!(id(&corp_claims()), id(&with(corp_claims(), "x", json!(1))));
    let named = with(corp_claims(), "jti", json!("1"));
    assert_eq!(id(&named), id(&with(named.clone(), "x", json!(1))));
}

#[test]
fn an_external_key_is_bound_to_its_algorithm() {
    for alg in ["none", "HS384", "RS256", "EdDSA"] {
        let opened = open_with(&with(good_header(), "alg", json!(alg)), &corp_claims());
        assert_eq!(opened, Err(Reason::WrongAlgorithm), "{alg}");
    }
    // Its public key's own text as a secret, the oldest confusion.
    let pair = Key::generate_material(Algorithm::EdDsa).unwrap();
    let signer = key_of(&KeyId::from_text("k"), "corp", Algorithm::EdDsa, &pair);
    let public = signer.public().unwrap().as_ref().to_vec();
    let bytes = MaterialBytes::Public(&public);
    let key =
        Key::new(signer.id.clone(), signer.realm.clone(), Algorithm::EdDsa, KeyState::Active, NOW, bytes).unwrap();
    assert!(!key.can_sign() && key.is(&signer));
    let mut ground = ground();
    ground.keys = ground.keys.with_external(&signer.realm, vec![key.into()]);
    let good = signer.sign("JWT", &corp_claims()).unwrap();
    assert!(ground.open(good.expose()).is_ok());
    for alg in ["HS256", "EdDSA"] {
        let header = json!({"alg": alg, "kid": "k"}).to_string();
        assert!(ground.open(&signed_with(&public, header, text(&corp_claims()))).is_err(), "{alg}");
    }
}

#[test]
fn a_realms_kid_that_an_external_issuer_uses_too_is_still_its_own() {
    // The fast way to a key by its header must not skip the choice by issuer.
    let mut ground = Ground::new([realm("sws", "sws", Algorithm::Hs256)], [hs256_key(KID, "sws", SECRET)]);
    let minted = ground.mint("sws", TokenKind::Access, &holder()).unwrap();
    let external = ExternalIssuer {
        name: "corp".parse().unwrap(),
        issuer: "https://corp.example.com".into(),
        audiences: vec!["api".into()],
        leeway: std::time::Duration::ZERO,
        claims: ClaimMapping::default(),
        is_asked: false,
    };
    ground.keys = ground.keys.with_external(&external.name, vec![hs256_key(KID, "corp", OTHER_SECRET)]);
    ground.issuers.insert(external.name.clone(), Issuer::External(external.into()));
    assert_eq!(ground.open(minted.expose()).unwrap().realm.as_str(), "sws");
    let (header, _) = minted.expose().split_once('.').unwrap();
    let token = sign_text(OTHER_SECRET, &format!("{header}.{}", encode(text(&corp_claims()))));
    assert_eq!(ground.open(&token).unwrap().realm.as_str(), "corp");
}

#[test]
fn a_realms_key_signs_nothing_for_an_issuer_that_took_its_name() {
    // The realm `corp` has gone from the config, its keys have not, and an issuer has its name now.
    let mut ground = ground();
    let left = Ground::new([], [hs256_key("left", "corp", SECRET)]);
    ground.keys = ground.keys.with_own(&left.keys);
    let header = with(good_header(), "kid", json!("left"));
    assert_eq!(ground.open(&signed(text(&header), text(&corp_claims()))).map(drop), Err(Reason::UnknownKey));
}

#[test]
fn an_external_key_of_the_same_name_ends_no_imported_keys_tokens() {
    use crate::rules::profile::{ClaimProfile, Optional::*};
    let old = Key::new(
        KeyId::from_text("1"),
        "sws".parse().unwrap(),
        Algorithm::Hs256,
        KeyState::Retiring,
        NOW,
        MaterialBytes::Secret(SECRET),
    );
    let profile = ClaimProfile { optional: vec![Iss, Aud, Sub, Jti, Iat, Nbf], ..ClaimProfile::default() };
    let old = std::sync::Arc::new(old.unwrap().with_profile(profile.into()));
    let mut ground = Ground::new([realm("sws", "sws", Algorithm::Hs256)], [old]);
    let token = signed(
        r#"{"alg":"HS256","typ":"JWT","kid":"1"}"#,
        text(&object(json!({"name": "ana", "exp": NOW.as_secs() + 3600}))),
    );
    assert!(ground.open(&token).is_ok());
    let external = ExternalIssuer {
        name: "corp".parse().unwrap(),
        issuer: "https://corp.example.com".into(),
        audiences: vec!["api".into()],
        leeway: std::time::Duration::ZERO,
        claims: ClaimMapping::default(),
        is_asked: false,
    };
    ground.keys = ground.keys.with_external(&external.name, vec![hs256_key("1", "corp", OTHER_SECRET)]);
    ground.issuers.insert(external.name.clone(), Issuer::External(external.into()));
    assert!(ground.open(&token).is_ok(), "the token has no iss, and its signature says whose it is");
}

#[test]
fn tokens_of_others_may_be_signed_with_es512() {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };

    use crate::domain::{Algorithm, KeyId};

    let mut ground = ground();
    let [pair, other] = [(); 2].map(|()| EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap());
    let corp = "corp".parse::<crate::domain::RealmName>().unwrap();
    let public = MaterialBytes::Public(pair.public_key().as_ref());
    let key = Key::new(KeyId::from_text(KID), corp.clone(), Algorithm::Es512, KeyState::Active, NOW, public).unwrap();
    ground.keys = ground.keys.with_external(&corp, vec![key.into()]);
    let signed = |alg: &str, pair: &EcdsaKeyPair| {
        let message =
            format!("{}.{}", encode(text(&with(good_header(), "alg", json!(alg)))), encode(text(&corp_claims())));
        let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encode(signature.as_ref()))
    };
    assert_eq!(ground.open(&signed("ES512", &pair)).unwrap().realm, corp);
    assert_eq!(ground.open(&signed("ES512", &other)), Err(Reason::InvalidSignature));
    assert_eq!(ground.open(&signed("ES384", &pair)), Err(Reason::WrongAlgorithm));
}
