//! The algorithms of tokens: those a realm may sign its own with, and one more that others sign with.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A token algorithm: a JWS algorithm of RFC 7518 section 3.1 or RFC 8037, or Portero's sealed tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512. Others sign with it: what signs our tokens does not know it.
    Es512,
    /// Ed25519.
    EdDsa,
    /// AES-256-GCM-SIV: an opaque token that only the gateways can open (the `apis` contract).
    Sealed,
}

/// A word that names no algorithm.
#[derive(Debug, Error)]
#[error(
    "'{0}' is no algorithm: one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA"
)]
pub struct UnknownAlgorithm(String);

impl Algorithm {
    /// Every algorithm that tokens of ours may have, in the order of its documentation.
    pub const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Sealed,
    ];

    /// Every algorithm that somebody's tokens may have.
    pub fn known() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain([Self::Es512])
    }

    /// The word of RFC 7518 (`sealed` for ours, which never stands in a JWT's header).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Sealed => "sealed",
        }
    }

    /// Whether tokens of this algorithm are JWTs.
    #[must_use]
    pub const fn is_jwt(self) -> bool {
        !matches!(self, Self::Sealed)
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Exact words only: `none` in any spelling is no algorithm (RFC 8725 section 3.1).
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::known().find(|algorithm| algorithm.name() == word).ok_or_else(|| UnknownAlgorithm(word.to_owned()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
