//! Two realms, their keys, and tokens signed by hand: the attacker's pen and, where a test needs
//! one, the signer's.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::{
    domain::{
        AccountName, Algorithm, Claims, Holder, KeyId, PrincipalId, Reason, Secret, SessionId, Timestamp, TokenKind,
    },
    rules::{
        contract,
        issuer::Issuer,
        realm::{Lifetime, Realm},
    },
    state::{
        keys::{Key, KeyState, Keyring, MaterialBytes},
        token::{self, Issuers, MintError, NewToken},
    },
};

/// 2026-01-16T12:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_768_564_800);

/// The key of the realm `sws`, whose secret is [`SECRET`].
pub(super) const KID: &str = "00000000000000aa";

/// The secret behind [`KID`].
pub(super) const SECRET: &[u8; 32] = b"thirty-two bytes that are secret";

/// What tokens are opened against.
pub(super) struct Ground {
    pub(super) issuers: Issuers,
    pub(super) keys: Keyring,
}

impl Ground {
    /// These realms and keys.
    pub(super) fn new(realms: impl IntoIterator<Item = Realm>, keys: impl IntoIterator<Item = Arc<Key>>) -> Self {
        let issuer = |realm: Realm| (realm.name.clone(), Issuer::Realm(Arc::new(realm)));
        Self { issuers: realms.into_iter().map(issuer).collect(), keys: Keyring::new(keys) }
    }

    /// The realm `sws` with the key [`KID`], and the realm `other` with one of its own.
    pub(super) fn hs256() -> Self {
        let realms = [realm("sws", "sws", Algorithm::Hs256), realm("other", "maxpoint", Algorithm::Hs256)];
        Self::new(realms, [hs256_key(KID, "sws", SECRET), key("other", Algorithm::Hs256)])
    }

    pub(super) fn realm(&self, name: &str) -> &Realm {
        let Issuer::Realm(realm) = &self.issuers[&name.parse().unwrap()] else { panic!("{name} is no realm") };
        realm
    }

    pub(super) fn open(&self, token: &str) -> Result<Claims, Reason> {
        token::open(token, &self.keys, &self.issuers).map(|(claims, _)| claims)
    }

    pub(super) fn mint(&self, realm: &str, kind: TokenKind, holder: &Holder) -> Result<Secret, MintError> {
        let token = NewToken {
            kind,
            holder,
            epoch: 3,
            session: SessionId::generate(),
            issued_at: NOW,
            expires_at: Some(NOW.plus(Duration::from_hours(1))),
            extra: Map::new(),
        };
        token::mint(self.realm(realm), &self.keys, &token)
    }
}

pub(super) fn realm(name: &str, dialect: &str, algorithm: Algorithm) -> Realm {
    Realm {
        name: name.parse().unwrap(),
        dialect: dialect.parse().unwrap(),
        issuer: format!("https://gateway.example.com/{name}"),
        audience: "api".into(),
        leeway: Duration::from_secs(30),
        algorithm,
        keeps_algorithm: false,
        lifetime: Lifetime::Fixed(Duration::from_hours(1)),
        content_lifetime: Duration::from_hours(1),
        refresh_lifetime: Duration::from_hours(12),
        wire: contract::DialectSettings::default(),
        uniform_errors: false,
    }
}

/// A new active key.
pub(super) fn key(realm: &str, algorithm: Algorithm) -> Arc<Key> {
    key_of(&KeyId::generate(), realm, algorithm, &Key::generate_material(algorithm).unwrap())
}

pub(super) fn hs256_key(id: &str, realm: &str, secret: &[u8]) -> Arc<Key> {
    key_of(&KeyId::from_text(id), realm, Algorithm::Hs256, secret)
}

pub(super) fn key_of(id: &KeyId, realm: &str, algorithm: Algorithm, material: &[u8]) -> Arc<Key> {
    let realm = realm.parse().unwrap();
    Arc::new(Key::new(id.clone(), realm, algorithm, KeyState::Active, NOW, MaterialBytes::Secret(material)).unwrap())
}

/// An account that has everything.
pub(super) fn holder() -> Holder {
    Holder {
        id: PrincipalId::generate(),
        name: AccountName { business: String::new(), name: "ana".into() },
        display_name: "Ana Ruiz".into(),
        legacy_id: Some(7),
        role: "ADMIN".into(),
        scopes: vec!["read".into(), "write".into()],
        company: Some("acme".into()),
    }
}

/// The header of a good token of `sws`.
pub(super) fn good_header() -> Map<String, Value> {
    object(json!({"typ": "JWT", "alg": "HS256", "kid": KID}))
}

/// The claims of a good token of `sws`, all of them.
pub(super) fn good_claims() -> Map<String, Value> {
    object(json!({
        "iss": "https://gateway.example.com/sws",
        "aud": "api",
        "sub": "b331336a-46f4-4fe4-a850-3208bfc2c398",
        "jti": "4d2f8a3e-0c6b-4a0f-9a53-2f5f6c1e7b90",
        "iat": NOW.as_secs(),
        "nbf": NOW.as_secs(),
        "exp": NOW.as_secs() + 3600,
        "sid": "9b2a7c1e-55d4-4d3b-8f0e-0a1b2c3d4e5f",
        "epoch": 3,
        "token_use": "access",
        "name": "ana",
        "legacy_id": 7,
        "role": "ADMIN",
        "scope": "read write",
        "org": "acme",
    }))
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("{value} is no object") };
    members
}

/// `members` with `name` set to `value`.
pub(super) fn with(mut members: Map<String, Value>, name: &str, value: Value) -> Map<String, Value> {
    members.insert(name.to_owned(), value);
    members
}

/// `members` without `name`.
pub(super) fn without(mut members: Map<String, Value>, name: &str) -> Map<String, Value> {
    members.shift_remove(name).unwrap();
    members
}

pub(super) fn text(members: &Map<String, Value>) -> String {
    serde_json::to_string(members).unwrap()
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token over these bytes, whatever they are, with an HMAC of `secret`.
pub(super) fn signed_with(secret: &[u8], header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    sign_text(secret, &format!("{}.{}", encode(header), encode(payload)))
}

/// The same with the true secret.
pub(super) fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    signed_with(SECRET, header, payload)
}

/// `message` with its HMAC behind.
pub(super) fn sign_text(secret: &[u8], message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{message}.{}", encode(hmac::sign(&key, message.as_bytes())))
}
