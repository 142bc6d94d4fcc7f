//! What names and addresses are remembered as: a keyed hash, so that nobody reads them from the store who lacks the
//! key.

use std::net::IpAddr;

use aws_lc_rs::hmac;

use crate::{
    domain::{AccountName, RealmName, random},
    rules::limit::ClientKey,
};

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// The bits that a name's hash has. The bits below are those of an address in the hash of both, so that the name of a
/// pair is known.
const NAME_BITS: u128 = !(u64::MAX as u128);

/// The key of the hashes: one for a store, which all gateways on it have.
#[derive(Clone)]
pub struct ThrottleKey(hmac::Key);

/// A name and an address, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subjects {
    /// The name of an account, whether there is one or not.
    pub(super) name: u128,
    /// The client's address.
    pub(super) address: u128,
    /// Both.
    pub(super) pair: u128,
}

impl ThrottleKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// A new one, for a throttle that nobody else shares.
    #[must_use]
    pub fn generate() -> Self {
        Self::new(&random::bytes::<KEY_BYTES>())
    }

    /// Whether both hash alike.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.hash("key", &[]) == other.hash("key", &[])
    }

    pub(super) fn name(&self, realm: &RealmName, name: &AccountName) -> u128 {
        self.hash("name", &[realm.as_str().as_bytes(), name.business.as_bytes(), name.name.as_bytes()]) & NAME_BITS
    }

    pub(super) fn address(&self, address: IpAddr) -> u128 {
        self.hash("address", &[&ClientKey::of(address).address().to_be_bytes()])
    }

    pub(super) fn subjects(&self, realm: &RealmName, name: &AccountName, address: IpAddr) -> Subjects {
        let (name, address) = (self.name(realm, name), self.address(address));
        let pair = self.hash("pair", &[&name.to_be_bytes(), &address.to_be_bytes()]);
        Subjects { name, address, pair: name | (pair & !NAME_BITS) }
    }

    /// A lot in the draw of a name: the same for the same turn and client, and nobody can foretell it.
    pub(super) fn lot(&self, name: u128, turn: u64, client: u128) -> u64 {
        let hash = self.hash("lot", &[&name.to_be_bytes(), &turn.to_be_bytes(), &client.to_be_bytes()]);
        (hash >> 64) as u64
    }

    /// Each part goes in with its length, so that no two lists are the same bytes.
    fn hash(&self, kind: &str, parts: &[&[u8]]) -> u128 {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(kind.as_bytes()).chain(parts.iter().copied()) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let head = tag.as_ref().first_chunk().expect("HMAC-SHA256 has 32 bytes");
        u128::from_be_bytes(*head)
    }
}

/// The name of a pair.
pub(super) const fn name_of(pair: u128) -> u128 {
    pair & NAME_BITS
}

impl std::fmt::Debug for ThrottleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ThrottleKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(business: &str, name: &str) -> AccountName {
        AccountName { business: business.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn no_two_names_are_the_same_bytes_and_another_key_hashes_otherwise() {
        let (key, realm): (_, RealmName) = (ThrottleKey::new(&[1; 32]), "sws".parse().unwrap());
        let (one, other) = (named("a", "bc"), named("ab", "c"));
        assert_ne!(key.name(&realm, &one), key.name(&realm, &other));
        assert_ne!(key.name(&realm, &one), key.name(&"apis".parse().unwrap(), &one));
        assert_ne!(key.name(&realm, &one), ThrottleKey::new(&[2; 32]).name(&realm, &one));
        assert_eq!(format!("{key:?}"), "ThrottleKey(…)");
    }

    #[test]
    fn a_pair_tells_its_name_and_addresses_of_one_client_are_the_same() {
        let (key, realm) = (ThrottleKey::generate(), "sws".parse().unwrap());
        let subjects = |text: &str| key.subjects(&realm, &named("", "admin"), text.parse().unwrap());
        let (one, other) = (subjects("2001:db8:0:1::1"), subjects("2001:db8:0:2::1"));
        assert_eq!(one, subjects("2001:db8:0:1:ffff::2"));
        assert!(one.pair != other.pair && one.address != other.address);
        assert_eq!((name_of(one.pair), name_of(other.pair)), (one.name, one.name));
    }
}
