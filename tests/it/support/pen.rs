//! Tokens made by hand: the signer's pen and the attacker's.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::KeyPair;
use serde_json::{Map, Value, json};

/// Signs whatever it is given.
pub(crate) struct Pen {
    pub(crate) kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
    /// The members of its JWK that are its public key; none of a secret.
    public: Value,
}

impl Pen {
    /// One that signs with a secret.
    pub(crate) fn hs256(kid: &str, secret: &[u8]) -> Self {
        let key = EncodingKey::from_secret(secret);
        Self { kid: kid.to_owned(), algorithm: Algorithm::HS256, key, public: Value::Null }
    }

    /// One with a new Ed25519 key.
    pub(crate) fn ed25519(kid: &str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::EdDSA,
            key: EncodingKey::from_ed_der(&pair.serialize_der()),
            public: json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key_raw()) }),
        }
    }

    /// One with a new P-256 key.
    pub(crate) fn es256(kid: &str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        // An uncompressed point: 4, x, y.
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::ES256,
            key: EncodingKey::from_ec_der(&pair.serialize_der()),
            public: json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) }),
        }
    }

    /// The JWK that its issuer publishes.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = self.public.clone();
        jwk["kid"] = self.kid.as_str().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The header of its tokens.
    pub(crate) fn header(&self) -> Map<String, Value> {
        object(json!({ "typ": "JWT", "alg": self.algorithm, "kid": self.kid }))
    }

    /// A token with its own header.
    pub(crate) fn token(&self, claims: &Map<String, Value>) -> String {
        self.sign_parts(json(&self.header()), json(claims))
    }

    /// A token over these octets, whatever they are.
    pub(crate) fn sign_parts(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.sign_text(&format!("{}.{}", encode(header), encode(payload)))
    }

    /// A text with its signature behind.
    pub(crate) fn sign_text(&self, message: &str) -> String {
        format!("{message}.{}", crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap())
    }
}

/// Base64url, as a token's parts have it.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The JSON text of an object.
pub(crate) fn json(members: &Map<String, Value>) -> String {
    serde_json::to_string(members).unwrap()
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("{value} is no object") };
    members
}

/// `members` with `name` set to `value`.
pub(crate) fn with(members: &Map<String, Value>, name: &str, value: Value) -> Map<String, Value> {
    let mut members = members.clone();
    members.insert(name.to_owned(), value);
    members
}

/// `members` without `name`.
pub(crate) fn without(members: &Map<String, Value>, name: &str) -> Map<String, Value> {
    let mut members = members.clone();
    members.shift_remove(name).unwrap();
    members
}

/// The header and the claims of a JWT.
pub(crate) fn parts(token: &str) -> [Map<String, Value>; 2] {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}
