//! The attacks on JWTs that RFC 8725 lists, and those that others learned of since.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::json;

use super::fixture::*;
use crate::{
    domain::{Algorithm, KeyId, PrincipalKind, Reason, TokenKind, TokenSubject},
    state::{
        keys::{Key, KeyState, MaterialBytes},
        token::TOKEN_BYTES_MAX,
    },
};

fn jwt_algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_jwt())
}

/// What opening a token of the header `header` and good claims, well signed, says.
fn opened_with_header(header: &str) -> Result<(), Reason> {
    Ground::hs256().open(&signed(header, text(&good_claims()))).map(drop)
}

#[test]
fn what_is_minted_opens_with_every_algorithm() {
    for algorithm in jwt_algorithms() {
        let ground = Ground::new([realm("sws", "sws", algorithm)], [key("sws", algorithm)]);
        let holder = holder();
        let token = ground.mint("sws", TokenKind::Access, &holder).unwrap();
        let claims = ground.open(token.expose()).unwrap();
        assert_eq!(
            (claims.subject, claims.principal),
            (TokenSubject::Account(holder.id), Some(PrincipalKind::User)),
            "{algorithm}"
        );
        assert_eq!((claims.kind, claims.epoch, &*claims.name), (TokenKind::Access, 3, "ana"));
        assert_eq!((claims.issued_at, claims.not_before), (NOW, NOW));
        assert_eq!(claims.expires_at, Some(NOW.plus(std::time::Duration::from_hours(1))));
        assert_eq!((claims.legacy_id, claims.roles.only()), (Some(7), Some("ADMIN")));
        assert_eq!(claims.scopes, ["read".into(), "write".into()]);
        assert_eq!(claims.organization.as_deref(), Some("acme"));
        assert!(claims.extra.is_empty(), "{:?}", claims.extra);
    }
}

#[test]
fn a_token_made_by_hand_opens_too() {
    let claims = with(good_claims(), "tenant", json!({"id": 1}));
    let opened = Ground::hs256().open(&signed(text(&good_header()), text(&claims))).unwrap();
    assert_eq!(text(&opened.extra), r#"{"tenant":{"id":1}}"#);
}

#[test]
fn none_is_no_algorithm_in_any_spelling() {
    let spellings = (0..16_u8).map(|bits| {
        let upper =
            |(at, letter): (usize, char)| if bits >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter };
        "none".chars().enumerate().map(upper).collect::<String>()
    });
    let ground = Ground::hs256();
    for alg in spellings.chain([String::new(), "none ".into(), "\u{fb01}none".into()]) {
        let header = text(&with(good_header(), "alg", json!(alg)));
        let signed = signed(&header, text(&good_claims()));
        let (message, _) = signed.rsplit_once('.').unwrap();
        for token in [signed.clone(), format!("{message}."), format!("{message}.AA")] {
            assert_eq!(ground.open(&token), Err(Reason::WrongAlgorithm), "{alg}");
        }
        assert_eq!(ground.open(message), Err(Reason::MalformedToken));
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    let materials = [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa]
        .map(|algorithm| (algorithm, Key::generate_material(algorithm).unwrap()));
    for (algorithm, material) in materials {
        let id = KeyId::generate();
        let ground = Ground::new([realm("sws", "sws", algorithm)], [key_of(&id, "sws", algorithm, &material)]);
        for secret in public_spellings(algorithm, &material) {
            for (alg, reason) in [("HS256", Reason::WrongAlgorithm), (algorithm.name(), Reason::InvalidSignature)] {
                let header = json!({"typ": "JWT", "alg": alg, "kid": id.as_str()}).to_string();
                let token = signed_with(&secret, header, text(&good_claims()));
                assert_eq!(ground.open(&token), Err(reason), "{algorithm} as {alg}");
            }
        }
    }
}

/// The public half in the forms in which it lies about: raw, DER, PEM.
fn public_spellings(algorithm: Algorithm, material: &[u8]) -> Vec<Vec<u8>> {
    fn both<K: AsRef<[u8]> + AsDer<PublicKeyX509Der<'static>>>(public: &K) -> [Vec<u8>; 2] {
        [public.as_ref().to_vec(), public.as_der().unwrap().as_ref().to_vec()]
    }
    let [raw, der] = match algorithm {
        Algorithm::Es256 => {
            both(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, material).unwrap().public_key())
        }
        Algorithm::Es384 => {
            both(EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, material).unwrap().public_key())
        }
        Algorithm::EdDsa => both(Ed25519KeyPair::from_pkcs8(material).unwrap().public_key()),
        _ => both(RsaKeyPair::from_pkcs8(material).unwrap().public_key()),
    };
    let base64 = STANDARD.encode(&der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    vec![raw, der, format!("{pem}\n").into_bytes(), pem.into_bytes()]
}

#[test]
fn a_key_is_used_with_its_own_algorithm_only() {
    for algorithm in Algorithm::ALL.into_iter().filter(|&algorithm| algorithm != Algorithm::Hs256) {
        let header = text(&with(good_header(), "alg", json!(algorithm.name())));
        assert_eq!(opened_with_header(&header), Err(Reason::WrongAlgorithm), "{algorithm}");
    }
    for alg in ["hs256", "HS256 ", "Hs256", "HMAC", "HS256\u{0}"] {
        let header = text(&with(good_header(), "alg", json!(alg)));
        assert_eq!(opened_with_header(&header), Err(Reason::WrongAlgorithm), "{alg}");
    }
    for alg in [json!(null), json!(1), json!(["HS256"]), json!({})] {
        assert_eq!(opened_with_header(&text(&with(good_header(), "alg", alg))), Err(Reason::MalformedToken));
    }
    assert_eq!(opened_with_header(&text(&without(good_header(), "alg"))), Err(Reason::MalformedToken));
}

#[test]
fn a_sealing_key_signs_no_jwt() {
    let sealing = key("apis", Algorithm::Sealed);
    let id = sealing.id.as_str().to_owned();
    let ground = Ground::new([realm("apis", "apis", Algorithm::Sealed)], [sealing]);
    for alg in ["sealed", "HS256", "none"] {
        let header = json!({"typ": "JWT", "alg": alg, "kid": id}).to_string();
        assert_eq!(ground.open(&signed(header, text(&good_claims()))), Err(Reason::WrongAlgorithm), "{alg}");
    }
}

#[test]
fn the_kid_is_an_exact_name() {
    let unknown = ["", "aa", "00000000000000AA", "00000000000000aa ", "../00000000000000aa", "' OR 1=1 --", "\u{0}"];
    for kid in unknown {
        let header = text(&with(good_header(), "kid", json!(kid)));
        assert_eq!(opened_with_header(&header), Err(Reason::UnknownKey), "{kid}");
    }
    for kid in [json!(null), json!(170), json!([KID]), json!({})] {
        assert_eq!(opened_with_header(&text(&with(good_header(), "kid", kid))), Err(Reason::UnknownKey));
    }
    assert_eq!(opened_with_header(&text(&without(good_header(), "kid"))), Err(Reason::UnknownKey));
}

#[test]
fn another_realms_key_signs_for_its_own_realm_only() {
    let ground = Ground::new(
        [realm("sws", "sws", Algorithm::Hs256), realm("other", "maxpoint", Algorithm::Hs256)],
        [hs256_key("bb", "other", SECRET), key("sws", Algorithm::Hs256)],
    );
    let header = text(&with(good_header(), "kid", json!("bb")));
    assert_eq!(ground.open(&signed(&header, text(&good_claims()))), Err(Reason::WrongIssuer));
    let own = with(good_claims(), "iss", json!("https://gateway.example.com/other"));
    assert_eq!(ground.open(&signed(&header, text(&own))).unwrap().realm.as_str(), "other");
    // The right name over another realm's signature.
    let external = signed_with(b"another secret of thirty-two byt", text(&good_header()), text(&good_claims()));
    assert_eq!(Ground::hs256().open(&external), Err(Reason::InvalidSignature));
}

#[test]
fn a_key_without_its_realm_and_a_revoked_key_open_nothing() {
    let token = signed(text(&good_header()), text(&good_claims()));
    let orphaned = Ground::new([], [hs256_key(KID, "sws", SECRET)]);
    assert_eq!(orphaned.open(&token), Err(Reason::UnknownKey));
    let no_keys = Ground::new([realm("sws", "sws", Algorithm::Hs256)], []);
    assert_eq!(no_keys.open(&token), Err(Reason::UnknownKey));
    for (state, opens) in [(KeyState::Retiring, Ok(())), (KeyState::Revoked, Err(Reason::KeyRevoked))] {
        let id = KeyId::from_text(KID);
        let key =
            Key::new(id, "sws".parse().unwrap(), Algorithm::Hs256, state, NOW, MaterialBytes::Secret(SECRET)).unwrap();
        let ground = Ground::new([realm("sws", "sws", Algorithm::Hs256)], [key.into()]);
        assert_eq!(ground.open(&token).map(drop), opens);
    }
}

#[test]
fn extensions_that_are_not_understood_are_refused() {
    let extensions = [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("b64", json!(true)),
        ("b64", json!(false)),
        ("typ", json!("at+jwt")),
        ("typ", json!("JWT ")),
        ("typ", json!("JOSE")),
        ("typ", json!("")),
        ("typ", json!(null)),
        ("typ", json!(["JWT"])),
    ];
    for (name, value) in extensions {
        let header = text(&with(good_header(), name, value.clone()));
        assert_eq!(opened_with_header(&header), Err(Reason::UnsupportedHeader), "{name}: {value}");
    }
    assert_eq!(opened_with_header(&text(&without(good_header(), "typ"))), Err(Reason::UnsupportedHeader));
    assert_eq!(opened_with_header(&text(&with(good_header(), "typ", json!("jwt")))), Ok(()));
}

#[test]
fn tokens_of_oauth_have_a_type_of_their_own_and_no_other_realms_have() {
    for (dialect, typ, opens) in [
        ("oauth", "at+jwt", true),
        ("oauth", "AT+JWT", true),
        ("oauth", "JWT", false),
        ("oauth", "application/at+jwt", true),
        ("oauth", "application/jwt", false),
        ("become", "at+jwt", false),
        ("become", "JWT", true),
    ] {
        let ground = Ground::new([realm("sws", dialect, Algorithm::Hs256)], [hs256_key(KID, "sws", SECRET)]);
        let header = with(good_header(), "typ", json!(typ));
        let opened = ground.open(&signed(text(&header), text(&good_claims())));
        assert_eq!(opened.is_ok(), opens, "{dialect} {typ}: {opened:?}");
    }
}

#[test]
fn keys_that_a_token_brings_along_are_never_looked_at() {
    let secret = b"the attacker's own thirty-two byt";
    let jwk = json!({"kty": "oct", "alg": "HS256", "kid": KID, "k": encode(secret)});
    let brought = [
        ("jwk", jwk),
        ("jku", json!("http://127.0.0.1:1/jwks.json")),
        ("x5u", json!("http://127.0.0.1:1/chain.pem")),
        ("x5c", json!([STANDARD.encode(secret)])),
        ("x5t", json!(encode(secret))),
    ];
    for (name, value) in brought {
        let header = text(&with(good_header(), name, value));
        let theirs = signed_with(secret, &header, text(&good_claims()));
        assert_eq!(Ground::hs256().open(&theirs), Err(Reason::InvalidSignature), "{name}");
        assert_eq!(opened_with_header(&header), Ok(()), "{name}");
    }
}

#[test]
fn a_token_has_three_parts() {
    let good = signed(text(&good_header()), text(&good_claims()));
    let parts: Vec<_> = good.split('.').collect();
    let joined = [
        parts[..2].join("."),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{}", parts[2]),
        format!("{good}.{}.{}", parts[2], parts[2]),
        sign_text(SECRET, &format!("{}.{}", parts[..2].join("."), parts[1])),
        "..".into(),
        ".".into(),
        format!("{}..{}", parts[0], parts[2]),
    ];
    for token in joined {
        assert!(Ground::hs256().open(&token).is_err(), "{token}");
    }
}

#[test]
fn base64url_has_one_spelling() {
    let ground = Ground::hs256();
    let good = signed(text(&good_header()), text(&good_claims()));
    assert!(ground.open(&good).is_ok());
    // 32 bytes leave two bits of the last character over.
    let (rest, last) = good.split_at(good.len() - 1);
    let others: Vec<_> = same_sextet_head(last.as_bytes()[0]).map(|other| format!("{rest}{other}")).collect();
    assert_eq!(others.len(), 3);
    for other in others {
        assert_eq!(ground.open(&other), Err(Reason::MalformedToken), "{other}");
    }
    for token in [format!("{good}="), format!("{good}\n"), format!(" {good}"), good.replace('.', "=.")] {
        assert_eq!(ground.open(&token), Err(Reason::MalformedToken), "{token}");
    }
}

/// The other characters of base64url with the same first four bits.
fn same_sextet_head(character: u8) -> impl Iterator<Item = char> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = ALPHABET.iter().position(|&known| known == character).unwrap();
    (at & !3..=at | 3).filter(move |&other| other != at).map(|other| char::from(ALPHABET[other]))
}

#[test]
fn even_well_signed_parts_are_read_strictly() {
    let [header, claims] = [text(&good_header()), text(&good_claims())];
    // One or two more spaces, so that the part's last character has bits left over.
    let [header, claims] = [header, claims].map(|part| {
        let spaces = 4 - part.len() % 3;
        format!("{part}{}", " ".repeat(spaces))
    });
    let [header, claims] = [encode(header), encode(claims)];
    assert_eq!((header.len() % 4, claims.len() % 4), (2, 2));
    let ground = Ground::hs256();
    let sign = |header: &str, claims: &str| sign_text(SECRET, &format!("{header}.{claims}"));
    assert!(ground.open(&sign(&header, &claims)).is_ok());
    let spellings = |part: &str| {
        let (rest, last) = part.split_at(part.len() - 1);
        let mut spellings: Vec<_> =
            same_sextet_head(last.as_bytes()[0]).map(|other| format!("{rest}{other}")).collect();
        spellings.extend([format!("{part}=="), format!("{part}="), format!("{part} "), format!("{part}A+")]);
        spellings
    };
    for other in spellings(&header) {
        assert_eq!(ground.open(&sign(&other, &claims)), Err(Reason::MalformedToken), "{other}");
    }
    for other in spellings(&claims) {
        assert_eq!(ground.open(&sign(&header, &other)), Err(Reason::MalformedToken), "{other}");
    }
}

#[test]
fn a_duplicated_member_has_no_meaning() {
    let [header, claims] = [text(&good_header()), text(&good_claims())];
    let twice = |object: &str, member: &str| format!("{},{member}}}", object.strip_suffix('}').unwrap());
    let ground = Ground::hs256();
    for member in [r#""alg":"HS256""#, r#""\u0061lg":"none""#, r#""x":{"a":1,"a":1}"#, r#""x":[{"y":{"a":1,"a":2}}]"#] {
        assert_eq!(ground.open(&signed(twice(&header, member), &claims)), Err(Reason::MalformedToken), "{member}");
    }
    let members =
        [r#""sub":"b331336a-46f4-4fe4-a850-3208bfc2c398""#, r#""\u0065xp":9999999999"#, r#""x":[[{"a":1,"a":1}]]"#];
    for member in members {
        assert_eq!(ground.open(&signed(&header, twice(&claims, member))), Err(Reason::MalformedToken), "{member}");
    }
    assert!(ground.open(&signed(twice(&header, r#""x":{"a":1}"#), twice(&claims, r#""x":{"sub":1}"#))).is_ok());
}

#[test]
fn parts_that_are_no_json_object_are_malformed() {
    let [header, claims] = [text(&good_header()), text(&good_claims())];
    let ground = Ground::hs256();
    let bom = |part: &str| format!("\u{feff}{part}").into_bytes();
    let others: [Vec<u8>; 7] = [
        vec![],
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{".to_vec(),
        b"\xff{}".to_vec(),
        format!("{{\"a\":{}", "[".repeat(5000)).into_bytes(),
        b"\"{}\"".to_vec(),
    ];
    for other in &others {
        assert_eq!(ground.open(&signed(other, &claims)), Err(Reason::MalformedToken), "{other:?}");
        assert_eq!(ground.open(&signed(&header, other)), Err(Reason::MalformedToken), "{other:?}");
    }
    assert_eq!(ground.open(&signed(bom(&header), &claims)), Err(Reason::MalformedToken));
    assert_eq!(ground.open(&signed(&header, bom(&claims))), Err(Reason::MalformedToken));
}

#[test]
fn a_token_over_the_bound_is_not_looked_at() {
    let ground = Ground::hs256();
    let filled = |chars: usize| {
        let claims = with(good_claims(), "filler", json!("x".repeat(chars)));
        signed(text(&good_header()), text(&claims))
    };
    let (mut largest, mut chars) = (0, 5400);
    loop {
        let token = filled(chars);
        if token.len() > TOKEN_BYTES_MAX {
            assert_eq!(ground.open(&token), Err(Reason::TokenTooLarge));
            break;
        }
        assert!(ground.open(&token).is_ok());
        (largest, chars) = (token.len(), chars + 1);
    }
    assert!(largest > TOKEN_BYTES_MAX - 3, "{largest}");
    for huge in ["a".repeat(1 << 20), "a.".repeat(1 << 19), ".".repeat(TOKEN_BYTES_MAX + 1)] {
        assert_eq!(ground.open(&huge), Err(Reason::TokenTooLarge));
    }
}

#[test]
fn other_characters_than_ascii_make_no_token() {
    let ground = Ground::hs256();
    let good = signed(text(&good_header()), text(&good_claims()));
    for token in [format!("{good}ñ"), good.replacen('.', "\u{ff0e}", 1), format!("ñ.{good}"), "\u{0}.\u{0}.".into()] {
        assert_eq!(ground.open(&token), Err(Reason::MalformedToken), "{token}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(token in r"[\PC.]{0,300}") {
        prop_assert!(Ground::hs256().open(&token).is_err());
    }

    #[test]
    fn no_changed_character_opens(at in 0..10_000_usize, other in any::<u8>()) {
        let mut token = signed(text(&good_header()), text(&good_claims())).into_bytes();
        let at = at % token.len();
        prop_assume!(other.is_ascii() && token[at] != other);
        token[at] = other;
        prop_assert!(Ground::hs256().open(std::str::from_utf8(&token).unwrap()).is_err());
    }
}
