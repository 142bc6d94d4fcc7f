//! Sealed tokens: opaque to clients, self-contained for gateways. The `apis` contract's tokens.
//!
//! The bytes, base58 over all of them (the alphabet of the contract's example):
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 8 | the key's id |
//! | 12 | nonce; in hexadecimal it is the token's id |
//! | … | AES-256-GCM-SIV over the payload, its context the version, the key's id and the realm |
//! | 16 | tag |
//!
//! The payload: kind (1), subject (16), session (16), issued at and expires at in Unix seconds (4
//! each), epoch (4), then name, role, scopes and organization, each with its length in one byte.

use std::sync::Arc;

use aws_lc_rs::aead::NONCE_LEN;
use thiserror::Error;

use super::{issuers::Issuers, new_token::NewToken};
use crate::{
    domain::{
        Algorithm, Claims, Holder, KeyId, PrincipalId, RealmName, Reason, RevocationId, Roles, Secret, SessionId,
        Timestamp, TokenKind, TokenSubject, id::hex, random,
    },
    rules::issuer::Issuer,
    state::keys::{Key, KeyError, Keyring},
};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + KeyId::RAW_BYTES + NONCE_LEN;
const TAG_BYTES: usize = 16;
const FIXED_PAYLOAD_BYTES: usize = 1 + 16 + 16 + 4 + 4 + 4;
const TEXTS: usize = 4;

/// Characters of a sealed token, at most (CONTRACTS: «82 there, up to 200 here»).
const TOKEN_CHARS_MAX: usize = 200;

/// 146 bytes are never more than 200 characters in base58.
const TOKEN_BYTES_MAX: usize = 146;

/// Why no token could be made.
#[derive(Debug, Error)]
pub enum MintError {
    /// The realm has no active key.
    #[error("realm {0} has no active key")]
    NoKey(RealmName),
    /// The key failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The account's texts do not fit into a sealed token.
    #[error("the account's name, role and scopes have {0} bytes; a sealed token holds {SEALED_TEXT_BYTES_MAX}")]
    TooLong(usize),
}

/// Bytes that an account's name, role, scopes and organization may have together.
pub const SEALED_TEXT_BYTES_MAX: usize = TOKEN_BYTES_MAX - HEAD_BYTES - TAG_BYTES - FIXED_PAYLOAD_BYTES - TEXTS;

/// How many of [`SEALED_TEXT_BYTES_MAX`] an account takes.
#[must_use]
pub fn sealed_text_bytes(holder: &Holder) -> usize {
    let scopes = holder.scopes.iter().map(|scope| scope.len() + 1).sum::<usize>().saturating_sub(1);
    let company = holder.company.as_ref().map_or(0, String::len);
    holder.name.name.len() + holder.role.len() + scopes + company
}

/// Seals a token.
pub(super) fn mint(key: &Key, token: &NewToken<'_>) -> Result<Secret, MintError> {
    let too_long = || MintError::TooLong(sealed_text_bytes(token.holder));
    if sealed_text_bytes(token.holder) > SEALED_TEXT_BYTES_MAX {
        return Err(too_long());
    }
    let mut payload = vec![kind_byte(token.kind)];
    payload.extend_from_slice(token.holder.id.uuid().as_bytes());
    payload.extend_from_slice(token.session.uuid().as_bytes());
    let end = token.expires_at.ok_or(MintError::Key(KeyError::WrongUse(key.algorithm)))?;
    for instant in [token.issued_at, end] {
        let seconds = u32::try_from(instant.as_secs()).map_err(|_| MintError::Key(KeyError::Signing))?;
        payload.extend_from_slice(&seconds.to_be_bytes());
    }
    payload.extend_from_slice(&token.epoch.to_be_bytes());
    let scopes = token.holder.scopes.join(" ");
    let company = token.holder.company.as_deref().unwrap_or_default();
    for text in [&token.holder.name.name, &token.holder.role, &scopes, company] {
        payload.push(u8::try_from(text.len()).map_err(|_| too_long())?);
        payload.extend_from_slice(text.as_bytes());
    }
    let raw_id = key.id.to_raw().ok_or(KeyError::WrongUse(key.algorithm))?;
    let nonce = random::bytes::<NONCE_LEN>();
    key.seal(nonce, &context(raw_id, key), &mut payload)?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&raw_id);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&payload);
    Ok(Secret::new(bs58::encode(bytes).into_string()))
}

/// Opens a sealed token.
pub(super) fn open(token: &str, keys: &Keyring, issuers: &Issuers) -> Result<(Claims, Arc<Key>), Reason> {
    if token.len() > TOKEN_CHARS_MAX {
        return Err(Reason::MalformedToken);
    }
    let mut bytes = [0; TOKEN_CHARS_MAX];
    let len = bs58::decode(token).onto(&mut bytes[..]).map_err(|_| Reason::MalformedToken)?;
    let (head, sealed) = bytes[..len].split_at_mut_checked(HEAD_BYTES).ok_or(Reason::MalformedToken)?;
    let mut head = Reader(&*head);
    if head.array() != Some([VERSION]) {
        return Err(Reason::MalformedToken);
    }
    let raw_id = head.array().ok_or(Reason::MalformedToken)?;
    let nonce: [u8; NONCE_LEN] = head.array().ok_or(Reason::MalformedToken)?;
    let named = keys.named(KeyId::from_raw(raw_id).as_str());
    if named.is_empty() {
        return Err(Reason::UnknownKey);
    }
    let key = named.iter().find(|key| key.algorithm == Algorithm::Sealed).ok_or(Reason::WrongAlgorithm)?;
    if !key.state.verifies() {
        return Err(Reason::KeyRevoked);
    }
    let Some(Issuer::Realm(realm)) = issuers.get(&key.realm) else { return Err(Reason::UnknownKey) };
    let payload = key.open(nonce, &context(raw_id, key), sealed).ok_or(Reason::InvalidSignature)?;
    let mut claims = read_payload(payload, key, &hex(&nonce)).ok_or(Reason::InvalidClaims)?;
    claims.principal = Some(realm.dialect.principal_kind());
    Ok((claims, Arc::clone(key)))
}

fn read_payload(payload: &[u8], key: &Key, token_id: &str) -> Option<Claims> {
    let mut payload = Reader(payload);
    let [kind] = payload.array()?;
    let subject = PrincipalId::from_uuid(uuid::Uuid::from_bytes(payload.array()?));
    let session = SessionId::from_uuid(uuid::Uuid::from_bytes(payload.array()?));
    let issued_at = Timestamp::from_secs(u32::from_be_bytes(payload.array()?).into());
    let expires_at = Timestamp::from_secs(u32::from_be_bytes(payload.array()?).into());
    let epoch = u32::from_be_bytes(payload.array()?);
    let name = payload.text()?;
    let role = payload.text()?;
    let scopes = payload.text()?;
    let organization = payload.text()?;
    let some = |text: &str| (!text.is_empty()).then(|| text.into());
    payload.0.is_empty().then(|| Claims {
        realm: key.realm.clone(),
        kind: kind_of(kind),
        subject: TokenSubject::Account(subject),
        principal: None,
        session: Some(session),
        revocation_id: RevocationId::of_token_id(&key.realm, token_id),
        epoch,
        issued_at,
        not_before: issued_at,
        expires_at: Some(expires_at),
        name: name.into(),
        legacy_id: None,
        roles: some(role).map(Roles::one).unwrap_or_default(),
        scopes: scopes.split_terminator(' ').map(Box::from).collect(),
        organization: some(organization),
        extra: serde_json::Map::new(),
    })
}

fn context(raw_id: [u8; KeyId::RAW_BYTES], key: &Key) -> Vec<u8> {
    let mut context = vec![VERSION];
    context.extend_from_slice(&raw_id);
    context.extend_from_slice(key.realm.as_str().as_bytes());
    context
}

const fn kind_byte(kind: TokenKind) -> u8 {
    match kind {
        TokenKind::Access => 1,
        TokenKind::Content => 2,
        TokenKind::Refresh => 3,
    }
}

/// Only the three bytes above are ever sealed; anything else could only be the least of them.
const fn kind_of(byte: u8) -> TokenKind {
    match byte {
        1 => TokenKind::Access,
        2 => TokenKind::Content,
        _ => TokenKind::Refresh,
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn text(&mut self) -> Option<&'a str> {
        let [len] = self.array()?;
        let (text, rest) = self.0.split_at_checked(usize::from(len))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}
