//! The chain that makes a log tamper-evident: each entry has a code (HMAC-SHA-256, RFC 2104) over itself and the code
//! of the entry before it, under a key that only who has the master key can derive. Nobody else can change, insert,
//! swap or remove an entry so that the codes behind it still fit.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hkdf, hmac};
use zeroize::Zeroizing;

use crate::domain::{AccountName, RealmName, id::hex};

/// Bytes of a derived key, and of a code.
const KEY_BYTES: usize = 32;

/// Bytes of a chain's id.
pub const CHAIN_ID_BYTES: usize = 16;

/// Bytes of the code that stands for a name: enough to see that two are the same.
const NAME_CODE_BYTES: usize = 8;

/// What the derivation is for: another purpose, another key.
const SALT: &[u8] = b"portero audit v1";

/// Whose chain an entry belongs to: no entry fits into another chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainId([u8; CHAIN_ID_BYTES]);

impl ChainId {
    /// The chain of administrative changes, which stands in the store.
    pub const STORE: Self = Self([0; CHAIN_ID_BYTES]);

    /// A chain of these random bytes.
    #[must_use]
    pub const fn of(bytes: [u8; CHAIN_ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; CHAIN_ID_BYTES] {
        &self.0
    }

    /// The chain that this text names, as [`std::fmt::Display`] writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

impl std::fmt::Display for ChainId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The code of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Mac([u8; KEY_BYTES]);

impl Mac {
    /// What stands before the first entry of a chain.
    pub const BEGINNING: Self = Self([0; KEY_BYTES]);

    /// One that was written down.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The code that this text is, as [`std::fmt::Display`] writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

/// In constant time: somebody who guesses learns nothing from how long it takes.
impl PartialEq for Mac {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Mac {}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// What a code is about: a code of one purpose does not serve another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A row of the store.
    Row,
    /// A line of a gateway's file.
    Line,
    /// How far a chain had come.
    Anchor,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Row => b"portero audit row\0",
            Self::Line => b"portero audit line\0",
            Self::Anchor => b"portero audit anchor\0",
        }
    }
}

/// The key that the codes are made with, derived from the master key (HKDF-SHA-256, RFC 5869).
#[derive(Clone)]
pub struct ChainKey {
    id: String,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    codes: hmac::Key,
    names: hmac::Key,
}

impl ChainKey {
    /// Derives it from a master key. `id` says which master key that was, and tells nothing of it.
    #[must_use]
    pub fn derive(id: String, master: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        expand(master, b"chain", &mut bytes);
        Self::from_bytes(id, bytes)
    }

    /// The key that [`ChainKey::expose`] gave.
    #[must_use]
    pub fn from_exposed(id: String, bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; KEY_BYTES] = bytes.try_into().ok()?;
        Some(Self::from_bytes(id, Zeroizing::new(bytes)))
    }

    fn from_bytes(id: String, bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut names = Zeroizing::new([0; KEY_BYTES]);
        expand(&*bytes, b"names", &mut names);
        let codes = hmac::Key::new(hmac::HMAC_SHA256, &*bytes);
        let names = hmac::Key::new(hmac::HMAC_SHA256, &*names);
        Self { id, bytes, codes, names }
    }

    /// Which master key it was derived from.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key itself, to be sealed. The caller answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &*self.bytes
    }

    /// The code of an entry that follows one with the code `previous`.
    #[must_use]
    pub fn code(&self, purpose: Purpose, chain: ChainId, previous: &Mac, entry: &[u8]) -> Mac {
        let mut context = hmac::Context::with_key(&self.codes);
        // What comes before the entry has a fixed length for each purpose.
        context.update(purpose.label());
        context.update(&chain.0);
        context.update(&previous.0);
        context.update(entry);
        let mut code = [0; KEY_BYTES];
        code.copy_from_slice(context.sign().as_ref());
        Mac(code)
    }

    /// What stands for a name that no account has: people type passwords there, so nobody may read or guess it without
    /// the master key.
    #[must_use]
    pub fn name_code(&self, realm: &RealmName, name: &AccountName) -> String {
        let mut context = hmac::Context::with_key(&self.names);
        for part in [realm.as_str(), &name.business, &name.name] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        hex(&context.sign().as_ref()[..NAME_CODE_BYTES])
    }
}

impl std::fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn expand(secret: &[u8], info: &[u8], out: &mut [u8; KEY_BYTES]) {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret);
    let filled = extracted.expand(&[info], hkdf::HKDF_SHA256).and_then(|key| key.fill(out));
    filled.expect("SHA-256 gives 32 bytes");
}

/// The parts of an entry as one text of bytes in which nothing can move from one part to another.
#[must_use]
pub fn encode(parts: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = vec![];
    for part in parts {
        bytes.push(u8::from(part.is_some()));
        let part = part.unwrap_or_default();
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(master: u8) -> ChainKey {
        ChainKey::derive("k".to_owned(), &[master; 32])
    }

    #[test]
    fn a_code_depends_on_everything() {
        let (key, chain) = (key(1), ChainId::of([1; 16]));
        let code = key.code(Purpose::Line, chain, &Mac::BEGINNING, b"entry");
        assert_eq!(code, super::tests::key(1).code(Purpose::Line, chain, &Mac::BEGINNING, b"entry"));
        for other in [
            super::tests::key(2).code(Purpose::Line, chain, &Mac::BEGINNING, b"entry"),
            key.code(Purpose::Row, chain, &Mac::BEGINNING, b"entry"),
            key.code(Purpose::Line, ChainId::of([2; 16]), &Mac::BEGINNING, b"entry"),
            key.code(Purpose::Line, chain, &code, b"entry"),
            key.code(Purpose::Line, chain, &Mac::BEGINNING, b"entrx"),
        ] {
            assert_ne!(code, other);
        }
    }

    #[test]
    fn what_was_sealed_gives_the_same_key_and_the_master_key_gives_another() {
        let key = key(1);
        let again = ChainKey::from_exposed("k".to_owned(), key.expose()).unwrap();
        let chain = ChainId::STORE;
        let code = |key: &ChainKey| key.code(Purpose::Row, chain, &Mac::BEGINNING, b"");
        assert_eq!(code(&key), code(&again));
        assert_ne!(key.expose(), [1; 32]);
        assert!(ChainKey::from_exposed(String::new(), &[1; 31]).is_none());
        assert!(!format!("{key:?}").contains(&hex(key.expose())));
    }

    #[test]
    fn nothing_moves_from_one_part_to_another() {
        let pairs: [&[Option<&[u8]>]; 5] = [
            &[Some(b"ab"), Some(b"c")],
            &[Some(b"a"), Some(b"bc")],
            &[Some(b"abc"), None],
            &[Some(b"abc"), Some(b"")],
            &[None, Some(b"abc")],
        ];
        let encoded: std::collections::HashSet<_> = pairs.iter().map(|parts| encode(parts)).collect();
        assert_eq!(encoded.len(), pairs.len());
    }

    #[test]
    fn ids_and_codes_are_read_as_they_are_written() {
        let (id, mac) = (ChainId::of([0xab; 16]), Mac([0x0f; 32]));
        assert_eq!(ChainId::parse(&id.to_string()), Some(id));
        assert_eq!(Mac::parse(&mac.to_string()), Some(mac));
        for bad in ["", "AB", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(Mac::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_name_has_a_code_that_tells_nothing() {
        let (key, realm) = (key(1), "sws".parse().unwrap());
        let name = |business: &str, name: &str| AccountName { business: business.into(), name: name.into() };
        let code = key.name_code(&realm, &name("", "hunter2"));
        assert_eq!(code.len(), 16);
        assert_eq!(code, key.name_code(&realm, &name("", "hunter2")));
        assert_ne!(code, key.name_code(&realm, &name("h", "unter2")));
        assert_ne!(code, super::tests::key(2).name_code(&realm, &name("", "hunter2")));
    }
}
