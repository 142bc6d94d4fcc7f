//! JSON Web Keys (RFC 7517; members of RFC 7518 section 6 and RFC 8037), read and written.
//!
//! Only public keys for signatures pass, each bound to one algorithm (RFC 8725 section 3.1). `x5c`,
//! `x5u` and every other member that leads elsewhere is never looked at. No I/O.

#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa,
    signature::{self, ParsedPublicKey, RsaPublicKeyComponents},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use thiserror::Error;

use super::ed25519;
use crate::domain::{Algorithm, KeyId, json::parse_object};

/// Octets of a JWK set, at most.
pub const SET_BYTES_MAX: usize = 512 * 1024;

/// Keys of a set, at most; an issuer has a handful.
pub const SET_KEYS_MAX: usize = 128;

/// Octets of a `kid`, at most: it is looked up for every token.
pub const KEY_ID_BYTES_MAX: usize = 256;

/// Bits of an RSA modulus. Less is forbidden by RFC 7518 section 3.3, more costs seconds a signature.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// RSA's public exponent: FIPS 186-5 section A.1.1 asks for more than 2^16 and for an odd one; libraries refuse
/// more than 32 bits, since such an exponent only makes verifying slow.
const RSA_EXPONENT: std::ops::RangeInclusive<u64> = 65_537..=u32::MAX as u64;

/// The first octet of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Members that only private and symmetric keys have (RFC 7518 sections 6.2.2, 6.3.2 and 6.4).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What a set holds for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwkSet {
    /// The keys that tokens can be verified with; at least one.
    pub keys: Vec<PublicJwk>,
    /// Why others were left out, in the order of the set.
    pub skipped: Vec<Skipped>,
}

/// A public key, bound to one algorithm.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicJwk {
    /// `kid`; a set may hold keys without one.
    pub id: Option<KeyId>,
    /// The one algorithm that it verifies; asymmetric.
    pub algorithm: Algorithm,
    /// As [`ParsedPublicKey::new`] takes it: `RSAPublicKey` of RFC 8017 section A.1.1 in DER, an uncompressed
    /// point, or the 32 octets of Ed25519.
    pub public: Vec<u8>,
}

/// Why a set as a whole is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JwksError {
    /// It has more than [`SET_BYTES_MAX`] octets.
    #[error("the set has more than {SET_BYTES_MAX} octets")]
    TooLarge,
    /// It is not one JSON object with distinct members at any depth, or has no array `keys`.
    #[error("not a JWK set: one JSON object with distinct members and an array \"keys\"")]
    NotASet,
    /// It has more than [`SET_KEYS_MAX`] keys.
    #[error("the set has more than {SET_KEYS_MAX} keys")]
    TooManyKeys,
    /// Two different keys have the same `kid` and algorithm.
    #[error("two keys of the set are called {0:?} and differ")]
    Ambiguous(KeyId),
    /// None of its keys can be used.
    #[error("the set has no key that could be used")]
    Empty,
}

/// Why a key was left out of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Skipped {
    /// It holds private or symmetric material: every reader of the set could sign with it.
    #[error("a key with private or symmetric material")]
    Private,
    /// Its `use` or `key_ops` is not to verify signatures.
    #[error("a key for another use")]
    OtherUse,
    /// Its `kty`, `crv` or `alg` is unknown, not accepted from this issuer, or they do not fit together.
    #[error("a key of a type or algorithm that is not accepted")]
    NotAccepted,
    /// A member is missing or has another form than its RFC says.
    #[error("a malformed key")]
    Malformed,
    /// Its modulus or exponent is outside the bounds, or its point is not on the curve or of small order.
    #[error("a weak or invalid key")]
    Weak,
}

/// Reads a JWK set (RFC 7517 section 5) and takes out the keys that verify one of the `allowed`
/// algorithms; symmetric ones in `allowed` say nothing here.
///
/// A key with `alg` is bound to it. An RSA key without gives one [`PublicJwk`] for each RSA
/// algorithm in `allowed`; the others follow from their curve.
///
/// # Errors
/// Two different keys with the same `kid` and algorithm make the whole set ambiguous: which one is
/// meant cannot be told, and keeping neither would at once end tokens that the set before let pass.
/// The same key twice is one key. Keys without `kid` have no name that could be ambiguous.
pub fn parse_set(bytes: &[u8], allowed: &[Algorithm]) -> Result<JwkSet, JwksError> {
    if bytes.len() > SET_BYTES_MAX {
        return Err(JwksError::TooLarge);
    }
    let members = parse_object(bytes).map_err(|_| JwksError::NotASet)?;
    let jwks = members.get("keys").and_then(Value::as_array).ok_or(JwksError::NotASet)?;
    if jwks.len() > SET_KEYS_MAX {
        return Err(JwksError::TooManyKeys);
    }
    let mut set = JwkSet { keys: vec![], skipped: vec![] };
    for jwk in jwks {
        let keys = match parse_key(jwk, allowed) {
            Ok(keys) => keys,
            Err(why) => {
                set.skipped.push(why);
                continue;
            }
        };
        for key in keys {
            if let (Some(id), false) = (key.id.clone(), set.keys.contains(&key))
                && set.keys.iter().any(|other| other.id == key.id && other.algorithm == key.algorithm)
            {
                return Err(JwksError::Ambiguous(id));
            }
            if !set.keys.contains(&key) {
                set.keys.push(key);
            }
        }
    }
    if set.keys.is_empty() { Err(JwksError::Empty) } else { Ok(set) }
}

/// The JWK that publishes a public key, in the encoding of [`PublicJwk::public`]; `None` for
/// symmetric algorithms, whose keys must never be published, and for bytes that are no such key.
#[must_use]
pub fn export(id: &KeyId, algorithm: Algorithm, public: &[u8]) -> Option<Map<String, Value>> {
    let family = Family::of(algorithm)?;
    let components = family.components(public)?;
    let named = [("use", "sig"), ("alg", algorithm.name()), ("kid", id.as_str())];
    let curve = family.curve().map(|curve| ("crv", curve));
    let members = [("kty", family.key_type())].into_iter().chain(named).chain(curve);
    let mut jwk: Map<_, _> = members.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    jwk.extend(components.into_iter().map(|(name, value)| (name.to_owned(), URL_SAFE_NO_PAD.encode(value).into())));
    Some(jwk)
}

fn parse_key(jwk: &Value, allowed: &[Algorithm]) -> Result<Vec<PublicJwk>, Skipped> {
    let jwk = jwk.as_object().ok_or(Skipped::Malformed)?;
    if PRIVATE_MEMBERS.iter().any(|&member| jwk.contains_key(member)) {
        return Err(Skipped::Private);
    }
    if !verifies_signatures(jwk)? {
        return Err(Skipped::OtherUse);
    }
    let key_type = text(jwk, "kty")?.ok_or(Skipped::Malformed)?;
    let curve = text(jwk, "crv")?;
    let bound_to = text(jwk, "alg")?;
    let fits = |algorithm: &Algorithm| {
        let family = Family::of(*algorithm);
        let fits =
            |family: Family| family.key_type() == key_type && (family.curve().is_none() || family.curve() == curve);
        family.is_some_and(fits) && bound_to.is_none_or(|name| name == algorithm.name())
    };
    let algorithms: Vec<_> = allowed.iter().copied().filter(fits).collect();
    let family = algorithms.first().and_then(|&algorithm| Family::of(algorithm)).ok_or(Skipped::NotAccepted)?;
    let id = key_id(jwk)?;
    let public = family.public(jwk)?;
    let key = |algorithm| PublicJwk { id: id.clone(), algorithm, public: public.clone() };
    Ok(algorithms.into_iter().map(key).collect())
}

/// RFC 7517 sections 4.2 and 4.3: a key that says nothing is for anything.
fn verifies_signatures(jwk: &Map<String, Value>) -> Result<bool, Skipped> {
    let operations = match jwk.get("key_ops") {
        None => return Ok(text(jwk, "use")?.is_none_or(|name| name == "sig")),
        Some(operations) => operations.as_array().ok_or(Skipped::Malformed)?,
    };
    Ok(operations.iter().any(|name| name == "verify") && text(jwk, "use")?.is_none_or(|name| name == "sig"))
}

fn key_id(jwk: &Map<String, Value>) -> Result<Option<KeyId>, Skipped> {
    let Some(id) = text(jwk, "kid")? else { return Ok(None) };
    let shaped = (1..=KEY_ID_BYTES_MAX).contains(&id.len()) && !id.contains(char::is_control);
    if shaped { Ok(Some(KeyId::from_text(id))) } else { Err(Skipped::Malformed) }
}

/// A member that is text; `None` when it is left out.
fn text<'j>(jwk: &'j Map<String, Value>, name: &str) -> Result<Option<&'j str>, Skipped> {
    jwk.get(name).map(|value| value.as_str().ok_or(Skipped::Malformed)).transpose()
}

/// A member that is octets in strict base64url (RFC 7515 section 2).
fn octets(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Skipped> {
    let text = text(jwk, name)?.ok_or(Skipped::Malformed)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Skipped::Malformed)
}

/// What keys of several algorithms have in common: their members.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

impl Family {
    const fn of(algorithm: Algorithm) -> Option<Self> {
        Some(match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Self::Rsa,
            Algorithm::Es256 => Self::P256,
            Algorithm::Es384 => Self::P384,
            Algorithm::Es512 => Self::P521,
            Algorithm::EdDsa => Self::Ed25519,
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 | Algorithm::Sealed => return None,
        })
    }

    const fn key_type(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::P256 | Self::P384 | Self::P521 => "EC",
            Self::Ed25519 => "OKP",
        }
    }

    const fn curve(self) -> Option<&'static str> {
        match self {
            Self::Rsa => None,
            Self::P256 => Some("P-256"),
            Self::P384 => Some("P-384"),
            Self::P521 => Some("P-521"),
            Self::Ed25519 => Some("Ed25519"),
        }
    }

    /// Octets of a coordinate, which is never shortened (RFC 7518 section 6.2.1.2).
    const fn coordinate_bytes(self) -> usize {
        match self {
            Self::P384 => 48,
            Self::P521 => 66,
            Self::Rsa | Self::P256 | Self::Ed25519 => 32,
        }
    }

    /// The key that the members of `jwk` describe, checked.
    fn public(self, jwk: &Map<String, Value>) -> Result<Vec<u8>, Skipped> {
        match self {
            Self::Rsa => rsa_public(&octets(jwk, "n")?, &octets(jwk, "e")?),
            Self::P256 | Self::P384 | Self::P521 => {
                let (x, y) = (octets(jwk, "x")?, octets(jwk, "y")?);
                if x.len() != self.coordinate_bytes() || y.len() != self.coordinate_bytes() {
                    return Err(Skipped::Malformed);
                }
                let curve = match self {
                    Self::P384 => &signature::ECDSA_P384_SHA384_FIXED,
                    Self::P521 => &signature::ECDSA_P521_SHA512_FIXED,
                    _ => &signature::ECDSA_P256_SHA256_FIXED,
                };
                let point = [&[UNCOMPRESSED][..], &x, &y].concat();
                // It parses only where the point is on the curve.
                ParsedPublicKey::new(curve, &point).map_err(|_| Skipped::Weak)?;
                Ok(point)
            }
            Self::Ed25519 => {
                let x = octets(jwk, "x")?;
                match x.len() {
                    ed25519::PUBLIC_BYTES if ed25519::is_weak(&x) => Err(Skipped::Weak),
                    ed25519::PUBLIC_BYTES => Ok(x),
                    _ => Err(Skipped::Malformed),
                }
            }
        }
    }

    /// The members that describe the key `public`.
    fn components(self, public: &[u8]) -> Option<Vec<(&'static str, Vec<u8>)>> {
        match self {
            Self::Rsa => {
                let RsaPublicKeyComponents { n, e } = (&rsa::PublicKey::from_der(public).ok()?).into();
                Some(vec![("n", n), ("e", e)])
            }
            Self::P256 | Self::P384 | Self::P521 => {
                let coordinates = public.strip_prefix(&[UNCOMPRESSED])?;
                let (x, y) = coordinates.split_at_checked(self.coordinate_bytes())?;
                (y.len() == x.len()).then(|| vec![("x", x.to_vec()), ("y", y.to_vec())])
            }
            Self::Ed25519 => (public.len() == ed25519::PUBLIC_BYTES).then(|| vec![("x", public.to_vec())]),
        }
    }
}

/// The DER of an RSA key, when it is one that can be trusted.
fn rsa_public(n: &[u8], e: &[u8]) -> Result<Vec<u8>, Skipped> {
    // No leading zeros (RFC 7518 sections 6.3.1.1 and 2): one number has one spelling.
    let (Some(&first @ 1..), Some(1..)) = (n.first(), e.first()) else { return Err(Skipped::Malformed) };
    let bits = 8 * n.len() - usize::try_from(first.leading_zeros()).unwrap_or(0);
    let exponent = e.iter().try_fold(0_u64, |sum, &octet| Some(sum.checked_mul(256)? + u64::from(octet)));
    let exponent = exponent.filter(|exponent| exponent % 2 == 1 && RSA_EXPONENT.contains(exponent));
    if !RSA_BITS.contains(&bits) || exponent.is_none() {
        return Err(Skipped::Weak);
    }
    let spki: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n, e }.as_der().map_err(|_| Skipped::Weak)?;
    let key = rsa::PublicKey::from_der(spki.as_ref()).map_err(|_| Skipped::Weak)?;
    Ok(key.as_ref().to_vec())
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicJwk").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
