//! What is taken out of a set, what is left, and what makes the whole of no use.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// RFC 7517 appendix A.1, the second key.
const RSA_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

const ASYMMETRIC: [Algorithm; 10] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::EdDsa,
];

fn rsa() -> Value {
    json!({ "kty": "RSA", "n": RSA_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" })
}

/// RFC 7517 appendix A.1, the first key, without its use.
fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    })
}

/// RFC 8037 appendix A.2.
fn ed25519() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
}

/// The key `base` with the members of `change`; null takes one away.
fn with(mut base: Value, change: &Value) -> Value {
    let members = base.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            members.shift_remove(name)
        } else {
            members.insert(name.clone(), value.clone())
        };
    }
    base
}

fn parse(keys: &[Value]) -> Result<JwkSet, JwksError> {
    parse_set(json!({ "keys": keys }).to_string().as_bytes(), &Algorithm::known().collect::<Vec<_>>())
}

/// Why a set of this key and a good one is left without it.
fn skipped(key: &Value) -> Skipped {
    let set = parse(&[key.clone(), ed25519()]).unwrap();
    assert_eq!((set.keys.len(), set.skipped.len()), (1, 1), "{key}");
    set.skipped[0]
}

fn names(set: &JwkSet) -> Vec<(Option<&str>, Algorithm)> {
    set.keys.iter().map(|key| (key.id.as_ref().map(KeyId::as_str), key.algorithm)).collect()
}

#[test]
fn the_keys_of_the_rfcs_are_read_and_written_back() {
    let set = parse(&[rsa(), p256(), ed25519()]).unwrap();
    let expected = [(Some("2011-04-29"), Algorithm::Rs256), (Some("1"), Algorithm::Es256), (None, Algorithm::EdDsa)];
    assert_eq!(names(&set), expected);
    assert!(set.skipped.is_empty());
    for (key, jwk) in set.keys.iter().zip([rsa(), p256(), ed25519()]) {
        let id = key.id.clone().unwrap_or(KeyId::from_text("k"));
        let written = export(&id, key.algorithm, &key.public).unwrap();
        let published = json!({ "use": "sig", "alg": key.algorithm.name(), "kid": id.as_str() });
        assert_eq!(Value::Object(written), with(jwk, &published));
    }
}

#[test]
fn what_was_published_verifies_what_was_signed() {
    let random = SystemRandom::new();
    let id = KeyId::from_text("k");
    let read_back = |algorithm, public: &[u8]| {
        let jwk = export(&id, algorithm, public).unwrap();
        let set = parse(&[jwk.into()]).unwrap();
        assert_eq!(names(&set), [(Some("k"), algorithm)]);
        assert_eq!(set.keys[0].public, public);
        set.keys[0].public.clone()
    };
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = read_back(Algorithm::Rs256, pair.public_key().as_ref());
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &random, b"message", &mut signature).unwrap();
    let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).unwrap();
    assert!(key.verify_sig(b"message", &signature).is_ok() && key.verify_sig(b"another", &signature).is_err());

    let curves: [(_, _, &dyn signature::VerificationAlgorithm); 3] = [
        (Algorithm::Es256, &ECDSA_P256_SHA256_FIXED_SIGNING, &signature::ECDSA_P256_SHA256_FIXED),
        (Algorithm::Es384, &ECDSA_P384_SHA384_FIXED_SIGNING, &signature::ECDSA_P384_SHA384_FIXED),
        (Algorithm::Es512, &signature::ECDSA_P521_SHA512_FIXED_SIGNING, &signature::ECDSA_P521_SHA512_FIXED),
    ];
    for (algorithm, signing, verifying) in curves {
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let signature = pair.sign(&random, b"message").unwrap();
        let public = read_back(algorithm, pair.public_key().as_ref());
        let key = ParsedPublicKey::new(verifying, public).unwrap();
        assert!(key.verify_sig(b"message", signature.as_ref()).is_ok());
        assert!(key.verify_sig(b"another", signature.as_ref()).is_err());
    }

    let pair = Ed25519KeyPair::generate().unwrap();
    let key = ParsedPublicKey::new(&ED25519, read_back(Algorithm::EdDsa, pair.public_key().as_ref())).unwrap();
    assert!(key.verify_sig(b"message", pair.sign(b"message").as_ref()).is_ok());
}

#[test]
fn a_key_is_bound_to_its_algorithm_or_to_those_of_its_type_that_are_allowed() {
    let unbound = with(rsa(), &json!({ "alg": null, "kid": "r" }));
    let set = json!({ "keys": [unbound, p256()] }).to_string();
    let named = |allowed: &[Algorithm]| names(&parse_set(set.as_bytes(), allowed).unwrap()).len();
    assert_eq!(named(&[Algorithm::Rs256]), 1);
    assert_eq!(named(&[Algorithm::Rs256, Algorithm::Ps512]), 2);
    assert_eq!(named(&Algorithm::ALL), 7);
    for allowed in [&[][..], &[Algorithm::EdDsa], &[Algorithm::Hs256, Algorithm::Sealed], &[Algorithm::Es384]] {
        assert_eq!(parse_set(set.as_bytes(), allowed), Err(JwksError::Empty), "{allowed:?}");
    }
    assert_eq!(names(&parse(&[rsa()]).unwrap()), [(Some("2011-04-29"), Algorithm::Rs256)]);
}

#[test]
fn private_and_symmetric_keys_are_never_taken() {
    for member in PRIVATE_MEMBERS {
        assert_eq!(skipped(&with(rsa(), &json!({ member: "AQAB" }))), Skipped::Private, "{member}");
    }
    assert_eq!(skipped(&with(p256(), &json!({ "d": 1 }))), Skipped::Private);
    assert_eq!(skipped(&json!({ "kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "h" })), Skipped::Private);
    assert_eq!(skipped(&json!({ "kty": "oct", "alg": "HS256", "kid": "h" })), Skipped::NotAccepted);
}

#[test]
fn keys_for_another_use_are_left_out() {
    for change in [
        json!({ "use": "enc" }),
        json!({ "use": "" }),
        json!({ "key_ops": [] }),
        json!({ "key_ops": ["encrypt"] }),
        json!({ "key_ops": ["verify"], "use": "enc" }),
    ] {
        assert_eq!(skipped(&with(rsa(), &change)), Skipped::OtherUse, "{change}");
    }
    for change in [json!({ "use": "sig" }), json!({ "key_ops": ["sign", "verify"] })] {
        assert!(parse(&[with(rsa(), &change)]).unwrap().skipped.is_empty(), "{change}");
    }
}

#[test]
fn what_does_not_fit_together_is_not_accepted() {
    for key in [
        with(rsa(), &json!({ "alg": "none" })),
        with(rsa(), &json!({ "alg": "HS256" })),
        with(rsa(), &json!({ "alg": "ES256" })),
        with(rsa(), &json!({ "alg": "RSA-OAEP" })),
        with(rsa(), &json!({ "alg": "rs256" })),
        with(rsa(), &json!({ "kty": "EC" })),
        with(rsa(), &json!({ "kty": "XYZ" })),
        with(p256(), &json!({ "crv": "P-384" , "alg": "ES256" })),
        with(p256(), &json!({ "crv": "P-521", "alg": "ES256" })),
        with(p256(), &json!({ "crv": "secp256k1" })),
        with(p256(), &json!({ "crv": null })),
        with(ed25519(), &json!({ "crv": "X25519" })),
        with(ed25519(), &json!({ "kty": "EC" })),
    ] {
        assert_eq!(skipped(&key), Skipped::NotAccepted, "{key}");
    }
}

#[test]
fn malformed_keys_leave_the_others_standing() {
    let p384_of_p256 = with(p256(), &json!({ "crv": "P-384" }));
    for key in [
        json!(1),
        json!([]),
        json!({}),
        with(rsa(), &json!({ "kty": 1 })),
        with(rsa(), &json!({ "alg": 1 })),
        with(rsa(), &json!({ "use": ["sig"] })),
        with(rsa(), &json!({ "key_ops": "verify" })),
        with(rsa(), &json!({ "kid": 1 })),
        with(rsa(), &json!({ "kid": "" })),
        with(rsa(), &json!({ "kid": "a\nb" })),
        with(rsa(), &json!({ "kid": "k".repeat(KEY_ID_BYTES_MAX + 1) })),
        with(rsa(), &json!({ "n": null })),
        with(rsa(), &json!({ "n": format!("{RSA_N}==") })),
        with(rsa(), &json!({ "n": RSA_N.replace('_', "/") })),
        with(rsa(), &json!({ "n": URL_SAFE_NO_PAD.encode([&[0][..], &[0xff; 256]].concat()) })),
        with(rsa(), &json!({ "e": "" })),
        with(rsa(), &json!({ "e": "AAEAAQ" })),
        with(p256(), &json!({ "y": null })),
        with(p256(), &json!({ "x": "AA" })),
        with(ed25519(), &json!({ "x": "AA" })),
        p384_of_p256,
        with(p256(), &json!({ "crv": "P-521" })),
    ] {
        assert_eq!(skipped(&key), Skipped::Malformed, "{key}");
    }
    let longest = with(rsa(), &json!({ "kid": "k".repeat(KEY_ID_BYTES_MAX) }));
    assert!(parse(&[longest]).unwrap().skipped.is_empty());
}

#[test]
fn weak_keys_are_refused() {
    let modulus = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= (8 - bits % 8) % 8;
        URL_SAFE_NO_PAD.encode(n)
    };
    for bits in [1024, 2047, 8193] {
        assert_eq!(skipped(&with(rsa(), &json!({ "n": modulus(bits) }))), Skipped::Weak, "{bits}");
    }
    for bits in [2048, 8192] {
        assert!(parse(&[with(rsa(), &json!({ "n": modulus(bits) }))]).unwrap().skipped.is_empty(), "{bits}");
    }
    let even = URL_SAFE_NO_PAD.encode([vec![0xff; 255], vec![0xfe]].concat());
    assert_eq!(skipped(&with(rsa(), &json!({ "n": even }))), Skipped::Weak);
    for e in [&[1][..], &[3], &[1, 0, 0], &[1, 0, 2], &[1, 0, 0, 0, 1], &[1; 9]] {
        let key = with(rsa(), &json!({ "e": URL_SAFE_NO_PAD.encode(e) }));
        assert_eq!(skipped(&key), Skipped::Weak, "{e:?}");
    }
    assert_eq!(skipped(&with(p256(), &json!({ "y": p256()["x"] }))), Skipped::Weak, "not on the curve");
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    assert_eq!(skipped(&with(ed25519(), &json!({ "x": zero }))), Skipped::Weak, "of small order");
}

#[test]
fn two_keys_of_one_name_make_the_set_ambiguous() {
    let other = with(rsa(), &json!({ "e": "AQAD" }));
    assert_eq!(parse(&[rsa(), other.clone()]), Err(JwksError::Ambiguous(KeyId::from_text("2011-04-29"))));
    let unbound = with(other.clone(), &json!({ "alg": null }));
    assert_eq!(parse(&[rsa(), unbound]), Err(JwksError::Ambiguous(KeyId::from_text("2011-04-29"))));
    // The same key twice, another algorithm, or no name: nothing is ambiguous.
    assert_eq!(parse(&[rsa(), rsa()]).unwrap().keys.len(), 1);
    let elsewhere = with(p256(), &json!({ "kid": "2011-04-29" }));
    assert_eq!(parse(&[rsa(), elsewhere]).unwrap().keys.len(), 2);
    let nameless = [rsa(), other].map(|key| with(key, &json!({ "kid": null })));
    assert_eq!(parse(&nameless).unwrap().keys.len(), 2);
}

#[test]
fn what_is_no_set_is_refused_as_a_whole() {
    let of = |text: &str| parse_set(text.as_bytes(), &Algorithm::ALL);
    for text in ["", "<html>", "[]", "null", "{}", r#"{"keys":{}}"#, r#"{"keys":[]"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(of(text), Err(JwksError::NotASet), "{text}");
    }
    let doubled = format!(r#"{{"keys":[{},{{"kty":"oct","kty":"RSA"}}]}}"#, rsa());
    assert_eq!(of(&doubled), Err(JwksError::NotASet));
    assert_eq!(of(r#"{"keys":[]}"#), Err(JwksError::Empty));
    assert_eq!(of(r#"{"keys":[{"kty":"oct"}]}"#), Err(JwksError::Empty));
    assert_eq!(parse(&vec![rsa(); SET_KEYS_MAX]).unwrap().keys.len(), 1);
    assert_eq!(parse(&vec![rsa(); SET_KEYS_MAX + 1]), Err(JwksError::TooManyKeys));
    let padded = |bytes: usize| {
        let set = json!({ "keys": [rsa()] }).to_string();
        parse_set(format!("{set}{}", " ".repeat(bytes - set.len())).as_bytes(), &Algorithm::ALL)
    };
    assert!(padded(SET_BYTES_MAX).is_ok());
    assert_eq!(padded(SET_BYTES_MAX + 1), Err(JwksError::TooLarge));
}

#[test]
fn symmetric_keys_are_never_published() {
    let id = KeyId::from_text("k");
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !ASYMMETRIC.contains(algorithm)) {
        assert_eq!(export(&id, algorithm, &[7; 64]), None, "{algorithm}");
    }
    for algorithm in ASYMMETRIC {
        assert_eq!(export(&id, algorithm, &[7; 63]), None, "{algorithm}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_point_survives_the_way_out_and_in(id in "[^\\pC]{1,60}", ed in any::<[u8; 32]>(), seed in any::<bool>()) {
        let (algorithm, signing) = if seed {
            (Algorithm::Es256, &ECDSA_P256_SHA256_FIXED_SIGNING)
        } else {
            (Algorithm::Es384, &ECDSA_P384_SHA384_FIXED_SIGNING)
        };
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let id = KeyId::from_text(&id);
        for (algorithm, public) in [(algorithm, pair.public_key().as_ref()), (Algorithm::EdDsa, &ed[..])] {
            let set = parse(&[export(&id, algorithm, public).unwrap().into()]).unwrap();
            prop_assert_eq!(&set.keys, &[PublicJwk { id: Some(id.clone()), algorithm, public: public.to_vec() }]);
        }
    }

    /// Whatever stands in a set, it is read or refused.
    #[test]
    fn no_set_panics(
        values in proptest::collection::vec("(RSA|EC|OKP|P-256|P-384|Ed25519|RS256|[A-Za-z0-9_-]{0,90})", 8),
    ) {
        let names = ["kty", "crv", "alg", "kid", "n", "e", "x", "y"];
        let key: Map<_, _> = names.into_iter().zip(values).map(|(name, value)| (name.to_owned(), value.into())).collect();
        let _ = parse(&[key.into()]);
    }
}
