//! Reading a JWT of ours, and of external issuers.

use std::{borrow::Cow, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{
    ClaimDefect, external,
    header::{Header, Kid, Type},
    legacy,
    members::{Claim, Members},
    own,
    refused::Refused,
};
use crate::{
    domain::{Claims, Reason},
    rules::issuer::Issuer,
    state::{
        keys::{Key, Keyring, OwnHeader},
        token::Issuers,
    },
};

/// Bytes of a signature, at most: RSA's with 8192 bits.
const SIGNATURE_BYTES_MAX: usize = 1024;

/// Bytes of a part that are decoded without asking the allocator: most tokens have fewer.
const SHORT_PART_BYTES: usize = 1024;

/// The three parts of a token, as they stand in it.
struct Parts<'t> {
    /// Header and payload with the point between: what the signature is over.
    signed: &'t str,
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
}

impl<'t> Parts<'t> {
    fn split(token: &'t str) -> Result<Self, Reason> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Reason::MalformedToken)?;
        let (header, payload) = signed.split_once('.').ok_or(Reason::MalformedToken)?;
        if payload.contains('.') {
            return Err(Reason::MalformedToken);
        }
        Ok(Self { signed, header, payload, signature })
    }
}

/// Opens a JWT: the cheap refusals first, then the signature, then the claims.
pub(in crate::state::token) fn open(
    token: &str,
    keys: &Keyring,
    issuers: &Issuers,
) -> Result<(Claims, Arc<Key>), Reason> {
    checked(token, keys, issuers).map_err(|refused| refused.reason)
}

/// The claim for which [`open`] refuses a token, if it is one.
pub(in crate::state::token) fn defect(token: &str, keys: &Keyring, issuers: &Issuers) -> Option<Box<ClaimDefect>> {
    checked(token, keys, issuers).err()?.defect
}

fn checked(token: &str, keys: &Keyring, issuers: &Issuers) -> Result<(Claims, Arc<Key>), Refused> {
    let parts = Parts::split(token)?;
    let mut room = Room::new();
    let candidates = Candidates::of(parts.header, keys, &mut room)?;
    let mut signature = [0; SIGNATURE_BYTES_MAX];
    let length = URL_SAFE_NO_PAD.decode_slice(parts.signature, &mut signature).map_err(|_| Reason::MalformedToken)?;
    let signature = &signature[..length];
    let key = candidates.signer(&parts, signature, issuers)?;
    let issuer = issuers.get(&key.realm).ok_or(Reason::UnknownKey)?;
    if matches!(issuer, Issuer::External(_)) != keys.is_external(key) {
        return Err(Reason::UnknownKey.into());
    }
    let claims = read_claims(room.decode(parts.payload)?, key, issuer, candidates.typ, parts.signed)?;
    Ok((claims, Arc::clone(key)))
}

/// The `kid` and the `iss` that a token claims to have, neither of them proven: for asking an external
/// issuer about a key that nobody knows yet.
pub(in crate::state::token) fn unverified_origin(token: &str) -> Option<(String, String)> {
    let parts = Parts::split(token).ok()?;
    let mut room = Room::new();
    let Kid::Named(kid) = Header::parse(room.decode(parts.header).ok()?).ok()?.kid else { return None };
    let kid = kid.into_owned();
    let Issued { iss } = serde_json::from_str(room.decode(parts.payload).ok()?).ok()?;
    Some((kid, iss.into_owned()))
}

/// A payload of which only one claim is asked. All others are skipped and not kept: clients without a key can send
/// them.
#[derive(Deserialize)]
struct Issued<'t> {
    #[serde(borrow)]
    iss: Cow<'t, str>,
}

/// The keys that a header leaves possible.
struct Candidates<'k> {
    /// The first of them, and mostly the only one.
    first: &'k Arc<Key>,
    others: Vec<&'k Arc<Key>>,
    /// Whether the token named one.
    named: bool,
    typ: Type,
}

impl<'k> Candidates<'k> {
    fn of(header: &str, keys: &'k Keyring, room: &mut Room) -> Result<Self, Reason> {
        // What we write ourselves is always the same text for a key: it need not be parsed.
        if let Some((key, typ)) = keys.by_header(header) {
            let typ = match typ {
                OwnHeader::Jwt => Type::Jwt,
                OwnHeader::AccessToken => Type::AccessToken,
            };
            let alive = key.state.verifies().then_some(Self { first: key, others: vec![], named: true, typ });
            return alive.ok_or(Reason::KeyRevoked);
        }
        let header = Header::parse(room.decode(header)?)?;
        let all = match &header.kid {
            Kid::Named(id) => keys.named(id),
            Kid::Absent => keys.unnamed(),
            Kid::Unreadable => &[],
        };
        if all.is_empty() {
            return Err(Reason::UnknownKey);
        }
        let mut fitting =
            all.iter().filter(|key| header.algorithm == Some(key.algorithm) && key.algorithm.is_jwt()).peekable();
        fitting.peek().ok_or(Reason::WrongAlgorithm)?;
        let mut alive = fitting.filter(|key| key.state.verifies());
        let first = alive.next().ok_or(Reason::KeyRevoked)?;
        Ok(Self { first, others: alive.collect(), named: header.kid != Kid::Absent, typ: header.typ })
    }

    /// The one of them that signed. Where two issuers gave a key the same name, the token's `iss`
    /// chooses, or the signature among imported ones, whose tokens may say another; where the token named no key,
    /// each of the few is tried.
    fn signer(&self, parts: &Parts<'_>, signature: &[u8], issuers: &Issuers) -> Result<&'k Arc<Key>, Refused> {
        let verifies = |key: &&'k Arc<Key>| key.verifies(parts.signed.as_bytes(), signature);
        let all = std::iter::once(self.first).chain(self.others.iter().copied());
        if !self.named || self.others.is_empty() {
            return Ok(all.into_iter().find(verifies).ok_or(Reason::InvalidSignature)?);
        }
        let mut room = Room::new();
        let issuer = Members::parse(room.decode(parts.payload)?)?.optional_text(Claim::Iss)?;
        let is_issuers = |key: &&Arc<Key>| {
            issuer.as_ref().is_some_and(|issuer| issuers.get(&key.realm).is_some_and(|known| known.issuer() == *issuer))
        };
        let is_imported = |key: &&'k Arc<Key>| key.profile.is_some();
        let own = all.clone().find(is_issuers);
        if let Some(own) = own.filter(verifies) {
            return Ok(own);
        }
        let refused = match (own, &issuer) {
            (Some(_), _) => Reason::InvalidSignature,
            (None, Some(_)) => Reason::WrongIssuer,
            (None, None) => Reason::InvalidClaims,
        };
        Ok(all.filter(is_imported).find(verifies).ok_or(refused)?)
    }
}

fn read_claims(payload: &str, key: &Key, issuer: &Issuer, typ: Type, signed: &str) -> Result<Claims, Refused> {
    match issuer {
        Issuer::External(issuer) => {
            if !matches!(typ, Type::Absent | Type::Jwt | Type::AccessToken) {
                return Err(Reason::UnsupportedHeader.into());
            }
            external::read(Members::parse(payload)?, issuer, signed)
        }
        Issuer::Realm(realm) => {
            // One dialect's tokens are not another's (RFC 8725 section 3.11).
            let own_type = typ.is(&realm.dialect.facts().tokens.header_type);
            let Some(profile) = &key.profile else {
                return if own_type {
                    own::read(Members::parse(payload)?, realm)
                } else {
                    Err(Reason::UnsupportedHeader.into())
                };
            };
            // An imported key that signs for us signs tokens like any other of ours.
            let members = Members::parse(payload)?;
            let ours = [Claim::TokenUse, Claim::Sid, Claim::Epoch].into_iter().all(|claim| members.has(claim));
            if own_type && ours {
                return own::read(members, realm);
            }
            if !own_type && !profile.any_type {
                return Err(Reason::UnsupportedHeader.into());
            }
            let claims = legacy::read(payload, profile, realm, signed)?;
            let epoch = key.imported.as_ref().map_or(0, |imported| imported.epoch_of(&claims.subject));
            Ok(Claims { epoch, ..claims })
        }
    }
}

/// Where a part of a token is decoded into.
struct Room {
    short: [u8; SHORT_PART_BYTES],
    long: Vec<u8>,
}

impl Room {
    const fn new() -> Self {
        Self { short: [0; SHORT_PART_BYTES], long: vec![] }
    }

    /// The text behind a part's base64url. The token's size bounds it.
    fn decode(&mut self, part: &str) -> Result<&str, Reason> {
        let bytes = match part.len().div_ceil(4) * 3 {
            needed @ ..=SHORT_PART_BYTES => &mut self.short[..needed],
            needed => {
                self.long.resize(needed, 0);
                &mut self.long[..]
            }
        };
        let length = URL_SAFE_NO_PAD.decode_slice(part, bytes).map_err(|_| Reason::MalformedToken)?;
        std::str::from_utf8(&bytes[..length]).map_err(|_| Reason::MalformedToken)
    }
}
