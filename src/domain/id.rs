//! Names and identities. Each is a type of its own, so that one cannot stand in for another.

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::digest;
use thiserror::Error;
use uuid::Uuid;

use super::{clock::Timestamp, random};

/// Characters of a realm's name, at most: it becomes a metric label and the end of an issuer URL.
pub const REALM_NAME_CHARS_MAX: usize = 64;

/// The owner of the keys that sign internal tokens: a name that the config gives to nobody.
const INTERNAL_REALM: &str = "portero-internal";

/// The name of a realm or of an external issuer, as `gateway.toml` spells it. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RealmName(Arc<str>);

/// A realm's name that cannot be one.
#[derive(Debug, Error)]
#[error("'{0}' cannot name a realm: 1 to 64 of a-z, 0-9, '-' and '_', starting with a letter")]
pub struct InvalidRealmName(String);

impl RealmName {
    /// The owner of the keys that sign internal tokens. The config refuses this name.
    #[must_use]
    pub fn internal() -> Self {
        Self(INTERNAL_REALM.into())
    }

    /// Whether it is [`RealmName::internal`].
    #[must_use]
    pub fn is_internal(&self) -> bool {
        &*self.0 == INTERNAL_REALM
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RealmName {
    type Err = InvalidRealmName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shaped = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.len() <= REALM_NAME_CHARS_MAX
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if shaped { Ok(Self(text.into())) } else { Err(InvalidRealmName(text.to_owned())) }
    }
}

impl fmt::Display for RealmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RealmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

macro_rules! uuid_identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one, never seen before: 122 random bits (RFC 9562 section 5.4).
            #[must_use]
            pub fn generate() -> Self {
                Self(uuid::Builder::from_random_bytes(random::bytes()).into_uuid())
            }

            /// One that exists.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_identity!(
    /// A user, client or project: the `sub` of its tokens.
    PrincipalId
);
uuid_identity!(
    /// All tokens that one login gave: their `sid`.
    SessionId
);
uuid_identity!(
    /// One token: its `jti`.
    TokenId
);

impl PrincipalId {
    /// A new one, never seen before, that sorts by the time: 74 random bits behind 48 of the time (RFC 9562 section
    /// 5.7). Many that come at once lie side by side in a store, and not each on a page of its own.
    #[must_use]
    pub fn generate_at(now: Timestamp) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random::bytes()).into_uuid())
    }

    /// What stands for an account that a token names but does not identify. It is derived from the
    /// name, so that every gateway knows it without asking the store.
    #[must_use]
    pub fn of_name(realm: &RealmName, business: &str, name: &str) -> Self {
        let lengths = [realm.as_str(), business].map(|text| (text.len() as u64).to_be_bytes());
        let pieces = [b"account name\0", &lengths[0][..], realm.as_str().as_bytes(), &lengths[1], business.as_bytes()];
        let digest = digest128(&[&pieces[..], &[name.as_bytes()]].concat());
        Self(uuid::Builder::from_custom_bytes(digest).into_uuid())
    }

    /// What stands for an account of this id that has the name which [`PrincipalId::of_name`] made `named` of: a token
    /// that says both says one account only where there is such a one.
    #[must_use]
    pub fn with_name(self, named: Self) -> Self {
        let digest = digest128(&[b"account id and name\0", self.0.as_bytes(), named.0.as_bytes()]);
        Self(uuid::Builder::from_custom_bytes(digest).into_uuid())
    }
}

/// The first 128 bits of SHA-256 over `pieces`, one after the other.
fn digest128(pieces: &[&[u8]]) -> [u8; 16] {
    /// Inputs up to this are hashed in one go, which costs half as much.
    const SHORT_BYTES_MAX: usize = 256;
    let mut short = [0; SHORT_BYTES_MAX];
    let mut filled = 0;
    let fits = pieces.iter().all(|piece| {
        let room = short.get_mut(filled..filled + piece.len());
        filled += piece.len();
        room.map(|room| room.copy_from_slice(piece)).is_some()
    });
    let digest = if fits {
        digest::digest(&digest::SHA256, &short[..filled])
    } else {
        let mut context = digest::Context::new(&digest::SHA256);
        for piece in pieces {
            context.update(piece);
        }
        context.finish()
    };
    let mut head = [0; 16];
    head.copy_from_slice(&digest.as_ref()[..16]);
    head
}

/// A signing key's public name, the `kid` of a JWT's header. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// Raw bytes of a key id that Portero makes: it also stands in every sealed token.
    pub const RAW_BYTES: usize = 8;

    /// A new key id.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_raw(random::bytes())
    }

    /// The id whose raw bytes a sealed token carries.
    #[must_use]
    pub fn from_raw(raw: [u8; Self::RAW_BYTES]) -> Self {
        Self(format!("{:016x}", u64::from_be_bytes(raw)).into())
    }

    /// An id as a JWT's header or the store spells it.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The raw bytes, when this is an id that Portero made.
    #[must_use]
    pub fn to_raw(&self) -> Option<[u8; Self::RAW_BYTES]> {
        let shaped = self.0.len() == 2 * Self::RAW_BYTES;
        let raw = u64::from_str_radix(&self.0, 16).ok().filter(|_| shaped)?.to_be_bytes();
        (Self::from_raw(raw) == *self).then_some(raw)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Bytes in lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = vec![0; 2 * bytes.len()];
    write_hex(bytes, &mut digits);
    digits.into_iter().map(char::from).collect()
}

/// Writes bytes in lower-case hexadecimal digits, as many as there is room for.
pub fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair.copy_from_slice(&[byte >> 4, byte & 15].map(|nibble| b"0123456789abcdef"[usize::from(nibble)]));
    }
}

/// What a token's revocation is recorded under: 128 bits of SHA-256 over its realm and its id, so
/// that the same `jti` in two realms is two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationId(u128);

impl RevocationId {
    /// The revocation id of the token `id` (its `jti`) of `realm`.
    #[must_use]
    pub fn of_token_id(realm: &RealmName, id: &str) -> Self {
        Self::digest(realm, *b"jti", id.as_bytes())
    }

    /// The revocation id of a token that carries no id: over its signed part.
    #[must_use]
    pub fn of_signed_part(realm: &RealmName, signed: &[u8]) -> Self {
        Self::digest(realm, *b"sha", signed)
    }

    /// From the 16 bytes that the store keeps.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The 16 bytes that the store keeps.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    fn digest(realm: &RealmName, kind: [u8; 3], id: &[u8]) -> Self {
        Self(u128::from_be_bytes(digest128(&[realm.as_str().as_bytes(), &[0], &kind, id])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realm_names_are_plain_words() {
        for good in ["sws", "a", "realm-2_b"] {
            assert!(good.parse::<RealmName>().is_ok(), "{good}");
        }
        for bad in ["", "Sws", "1a", "a/b", "a b", "ñ", &"a".repeat(65)] {
            assert!(bad.parse::<RealmName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn key_ids_survive_the_way_into_a_sealed_token() {
        let id = KeyId::generate();
        assert_eq!(KeyId::from_raw(id.to_raw().unwrap()), id);
        assert_eq!(KeyId::from_text("imported").to_raw(), None);
        assert_eq!(KeyId::from_text("+00000000000000f").to_raw(), None);
    }

    #[test]
    fn the_same_token_id_in_two_realms_is_two_tokens() {
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_ne!(RevocationId::of_token_id(&a, "1"), RevocationId::of_token_id(&b, "1"));
        assert_ne!(RevocationId::of_token_id(&a, "1"), RevocationId::of_signed_part(&a, b"1"));
    }

    #[test]
    fn what_the_store_keeps_stays_readable() {
        // Written by an earlier version: a digest that changed would give revoked tokens their life back.
        let sws = "sws".parse().unwrap();
        let id = RevocationId::of_token_id(&sws, "b331336a-46f4-4fe4-a850-3208bfc2c398");
        assert_eq!(hex(&id.to_bytes()), "053dcb75025f4e13278dee9978c3d644");
    }

    #[test]
    fn short_and_long_ids_are_hashed_alike() {
        for length in [0, 1, 255, 256, 257, 8192] {
            let id = "x".repeat(length);
            let whole = ["sws\0jti".to_owned(), id.clone()].concat();
            let expected = digest::digest(&digest::SHA256, whole.as_bytes());
            let digest = RevocationId::of_token_id(&"sws".parse().unwrap(), &id);
            assert_eq!(digest.to_bytes(), expected.as_ref()[..16], "{length}");
        }
    }

    #[test]
    fn a_named_account_is_one_of_its_realm_and_business() {
        let realm: RealmName = "toc".parse().unwrap();
        let names = [("a", "bc"), ("ab", "c"), ("", "abc")].map(|(b, n)| PrincipalId::of_name(&realm, b, n));
        assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
        assert_ne!(names[0], PrincipalId::of_name(&"toca".parse().unwrap(), "", "bc"));
    }
}
