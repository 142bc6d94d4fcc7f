//! Tokens of any shape, most of them well signed: nothing panics, and what the gateway takes, jsonwebtoken at its
//! strictest takes too. It may take more.
//!
//! The first octet says who signs, the rest is header, line feed, payload: `o` our realm `sws` (HS256), `f` an external
//! issuer (`EdDSA`), `l` an imported secret of the toc API. With any other, the whole input is the token.

use std::{sync::LazyLock, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm as Jws, DecodingKey, EncodingKey, Validation, crypto};
use portero::{
    domain::{Algorithm, Claims, Clock, SystemClock, Timestamp},
    rules::{
        contract::{self, Dialect},
        issuer::{ExternalIssuer, Issuer},
        profile::{ClaimMapping, ClaimProfile},
        realm::Realm,
    },
    state::{
        keys::{Keyring, MaterialBytes},
        token::{self, Issuers},
    },
};
use serde_json::{Map, Value};

use crate::ground::{self, AUDIENCE, LEEWAY};

/// What signs tokens of `sws`.
const SECRET: &[u8; 32] = b"thirty-two bytes that are secret";

/// What signed the tokens of the toc API, which name no key.
const LEGACY_SECRET: &[u8; 32] = b"the old secret, of 32 bytes also";

/// How the tokens look that the `toc` API gave before Portero.
fn earlier_tokens() -> ClaimProfile {
    "toc".parse::<Dialect>().expect("a contract that ships").facts().earlier_tokens.clone().expect("they are declared")
}

/// What signs an external issuer's tokens: an Ed25519 key in PKCS#8, of the seed 0x01 thirty-two times.
const EXTERNAL_PRIVATE: [u8; 48] = {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let mut der = [1; 48];
    let mut at = 0;
    while at < head.len() {
        der[at] = head[at];
        at += 1;
    }
    der
};

const EXTERNAL_ISSUER: &str = "https://login.example.com";

/// Dates nearer to the present are not compared: jsonwebtoken rounds to seconds, and its clock is read later.
const AWAY_FROM_NOW: Duration = Duration::from_secs(3);

/// Members of a header that somebody acts on. For others (`jwk`, `cty`) the oracle has types, though
/// neither of us looks at them.
const READ_MEMBERS: [&str; 5] = ["alg", "typ", "kid", "crit", "b64"];

/// The key that signed.
struct Signer {
    algorithm: Jws,
    issuer: &'static str,
    sign: EncodingKey,
    verify: DecodingKey,
}

struct Ground {
    keys: Keyring,
    issuers: Issuers,
    own: Signer,
    external: Signer,
    legacy: Signer,
}

static GROUND: LazyLock<Ground> = LazyLock::new(|| {
    let sws = ground::realm("sws", "sws", Algorithm::Hs256);
    let toc = ground::realm("toc", "toc", Algorithm::Hs256);
    let wire = contract::DialectSettings { allow_non_expiring: true, ..toc.wire };
    let toc = Realm { wire, ..toc };
    let corp = ExternalIssuer {
        name: "corp".parse().expect("an issuer's name"),
        issuer: EXTERNAL_ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        leeway: LEEWAY,
        claims: ClaimMapping::default(),
        is_asked: false,
    };
    let legacy = ground::key("imported", "toc", Algorithm::Hs256, MaterialBytes::Secret(LEGACY_SECRET));
    let external = ground::key("k1", "corp", Algorithm::EdDsa, MaterialBytes::Secret(&EXTERNAL_PRIVATE));
    let public = external.public().expect("a public half").as_ref().to_vec();
    let own = [
        ground::key("k1", "sws", Algorithm::Hs256, MaterialBytes::Secret(SECRET)),
        legacy.with_profile(earlier_tokens().into()),
    ];
    let hmac = |secret: &[u8], issuer| Signer {
        algorithm: Jws::HS256,
        issuer,
        sign: EncodingKey::from_secret(secret),
        verify: DecodingKey::from_secret(secret),
    };
    Ground {
        // Both issuers' keys have one name: the token's `iss` chooses.
        keys: Keyring::new(ground::shared(own)).with_external(&corp.name, ground::shared([external]).collect()),
        issuers: [
            (sws.name.clone(), Issuer::Realm(sws.into())),
            (toc.name.clone(), Issuer::Realm(toc.into())),
            (corp.name.clone(), Issuer::External(corp.into())),
        ]
        .into_iter()
        .collect(),
        own: hmac(SECRET, "https://gateway.example.com/sws"),
        external: Signer {
            algorithm: Jws::EdDSA,
            issuer: EXTERNAL_ISSUER,
            sign: EncodingKey::from_ed_der(&EXTERNAL_PRIVATE),
            verify: DecodingKey::from_ed_der(&public),
        },
        legacy: hmac(LEGACY_SECRET, "https://gateway.example.com/toc"),
    }
});

/// Holds one input against what is promised.
///
/// # Panics
/// Panics where a promise does not hold: that is a finding.
pub fn check(data: &[u8]) {
    let ground = &*GROUND;
    let token = match data.split_first() {
        Some((b'o', rest)) => signed(&ground.own, rest),
        Some((b'f', rest)) => signed(&ground.external, rest),
        Some((b'l', rest)) => signed(&ground.legacy, rest),
        _ => String::from_utf8_lossy(data).into_owned(),
    };
    let _ = token::unverified_origin(&token);
    let Ok((claims, key)) = token::open(&token, &ground.keys, &ground.issuers) else { return };
    assert_eq!(claims.realm, key.realm);
    let signer = match claims.realm.as_str() {
        "sws" => &ground.own,
        "corp" => &ground.external,
        "toc" => &ground.legacy,
        other => panic!("there is no {other}"),
    };
    let (message, signature) = token.rsplit_once('.').expect("only a JWT can have been opened");
    let verified = crypto::verify(signature, message.as_bytes(), &signer.verify, signer.algorithm);
    assert_eq!(verified, Ok(true), "taken without its signature");
    // Of the toc API's tokens every claim may be absent, which is what the oracle cannot be told.
    if claims.realm.as_str() != "toc" && stands(&claims, SystemClock.now()) {
        let (header, payload) = message.split_once('.').expect("it has three parts");
        oracle_takes(signer, header, payload).expect("taken, and the oracle refuses it");
    }
}

/// Header and payload of the input, well signed.
fn signed(signer: &Signer, data: &[u8]) -> String {
    let (header, payload) = data.split_at(data.iter().position(|&octet| octet == b'\n').unwrap_or(data.len()));
    let [header, payload] = [header, payload.get(1..).unwrap_or_default()].map(|part| URL_SAFE_NO_PAD.encode(part));
    sign(signer, &format!("{header}.{payload}"))
}

fn sign(signer: &Signer, message: &str) -> String {
    let signature = crypto::sign(message.as_bytes(), &signer.sign, signer.algorithm).expect("a signature");
    format!("{message}.{signature}")
}

/// Whether the claims hold now, and a while before and after.
fn stands(claims: &Claims, now: Timestamp) -> bool {
    let holds = |at| token::check_times(claims, LEEWAY, at).is_ok();
    holds(now.minus(AWAY_FROM_NOW)) && holds(now.plus(AWAY_FROM_NOW))
}

/// jsonwebtoken at its strictest, with our leeway.
fn oracle_takes(signer: &Signer, header: &str, payload: &str) -> jsonwebtoken::errors::Result<()> {
    let header = URL_SAFE_NO_PAD.decode(header).expect("strict base64url");
    let mut header: Map<String, Value> = serde_json::from_slice(&header).expect("one JSON object");
    header.retain(|name, _| READ_MEMBERS.contains(&name.as_str()));
    let header = URL_SAFE_NO_PAD.encode(Value::Object(header).to_string());
    let mut validation = Validation::new(signer.algorithm);
    validation.leeway = LEEWAY.as_secs();
    validation.validate_nbf = true;
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[signer.issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let token = sign(signer, &format!("{header}.{payload}"));
    jsonwebtoken::decode::<Map<String, Value>>(token, &signer.verify, &validation).map(drop)
}
