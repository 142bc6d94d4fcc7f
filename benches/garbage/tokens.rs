//! Good tokens by the hundred, and garbage that looks like them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use portero::domain::{id::TokenId, random};
use serde_json::{Map, Value};

/// Bytes of an ES256 signature.
const SIGNATURE_BYTES: usize = 64;

/// A key that the gateway imported, and the claims that it gives an account.
pub(super) struct Signer {
    header: Header,
    key: EncodingKey,
    claims: Map<String, Value>,
}

impl Signer {
    /// Signs what a login's token says with a key that the gateway knows under `kid`.
    pub(super) fn new(login: &str, kid: &str, algorithm: jsonwebtoken::Algorithm, key: EncodingKey) -> Self {
        let claims = URL_SAFE_NO_PAD.decode(login.split('.').nth(1).unwrap()).unwrap();
        let mut header = Header::new(algorithm);
        header.kid = Some(kid.to_owned());
        Self { header, key, claims: serde_json::from_slice(&claims).unwrap() }
    }

    /// Another good token.
    pub(super) fn good(&mut self) -> String {
        self.claims.insert("jti".to_owned(), TokenId::generate().to_string().into());
        jsonwebtoken::encode(&self.header, &self.claims, &self.key).unwrap()
    }

    /// The same with a signature that is invalid: two numbers of the right size, so that nothing but the
    /// whole computation tells.
    pub(super) fn garbage(&mut self) -> String {
        let token = self.good();
        let signature = URL_SAFE_NO_PAD.encode(random::bytes::<SIGNATURE_BYTES>());
        format!("{}.{signature}", token.rsplit_once('.').unwrap().0)
    }
}
