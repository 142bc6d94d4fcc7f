//! Records as they lie in the file.
//!
//! The file begins with a [`Header`] in the clear: which store it is of, which master key it is sealed under, and 128
//! random bits that no other file has. Each record is its length, the complement of that (what was cut off is told from
//! what was changed), a nonce, and the sealed bytes. It is sealed together with the header and with its number, so that
//! it opens in its own place only.

use std::{
    io::{self, Read},
    sync::Arc,
};

use aws_lc_rs::{
    aead::{Aad, LessSafeKey, NONCE_LEN, Nonce},
    digest,
};

use crate::domain::random;

/// What the key is derived for.
pub(super) const PURPOSE: &str = "portero store snapshot";

/// How a file begins.
const MAGIC: &[u8; 24] = b"portero store snapshot 1";

/// Bytes of a master key's fingerprint, as the store has it.
const FINGERPRINT_BYTES: usize = 32;

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = MAGIC.len() + FINGERPRINT_BYTES + 16 + 16;

/// Bytes before the nonce of a record.
const LENGTH_BYTES: usize = 8;

/// Bytes of a record in the file, at most: a longer one was never written.
const RECORD_BYTES_MAX: u32 = 64 << 20;

/// Whether a file begins as a snapshot does.
pub(super) fn is_snapshot(mut file: impl Read) -> bool {
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).is_ok() && magic == *MAGIC
}

/// Which file it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The master key's.
    pub(super) fingerprint: [u8; FINGERPRINT_BYTES],
    /// Which store, see [`store_of`].
    pub(super) store: [u8; 16],
    /// Random.
    id: [u8; 16],
}

/// What tells a store from others: where it is, beside its master key.
pub(super) fn store_of(place: &str) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"portero store\0");
    context.update(place.as_bytes());
    context.finish().as_ref()[..16].try_into().expect("SHA-256 has 32 bytes")
}

impl Header {
    /// That of a new file; `None` for a malformed fingerprint.
    pub(super) fn new(fingerprint: &[u8], store: [u8; 16]) -> Option<Self> {
        Some(Self { fingerprint: fingerprint.try_into().ok()?, store, id: random::bytes() })
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let bytes = [&MAGIC[..], &self.fingerprint, &self.store, &self.id].concat();
        bytes.try_into().expect("these are its parts")
    }

    /// `None` where it is another kind of file.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (fingerprint, rest) = rest.split_first_chunk()?;
        let (store, rest) = rest.split_first_chunk()?;
        Some(Self { fingerprint: *fingerprint, store: *store, id: rest.try_into().ok()? })
    }
}

/// Seals and opens the records of one file, in their order.
#[derive(Debug)]
pub(super) struct Sealer {
    key: Arc<LessSafeKey>,
    header: [u8; HEADER_BYTES],
    /// The number of the next record.
    next: u64,
}

/// A record that is not as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

impl Sealer {
    pub(super) fn new(key: Arc<LessSafeKey>, header: &Header) -> Self {
        Self { key, header: header.encode(), next: 0 }
    }

    fn context(&mut self) -> Aad<Vec<u8>> {
        let context = [&self.header[..], &self.next.to_be_bytes()].concat();
        self.next += 1;
        Aad::from(context)
    }

    /// Appends the next record to `out`. False where it is too long: then there is nothing.
    pub(super) fn seal(&mut self, plaintext: Vec<u8>, out: &mut Vec<u8>) -> bool {
        let length = plaintext.len() + NONCE_LEN + self.key.algorithm().tag_len();
        let Some(length) = u32::try_from(length).ok().filter(|length| *length <= RECORD_BYTES_MAX) else {
            return false;
        };
        let nonce = random::bytes::<NONCE_LEN>();
        let (mut sealed, context) = (plaintext, self.context());
        let done = self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), context, &mut sealed);
        if done.is_err() {
            return false;
        }
        out.extend(length.to_be_bytes());
        out.extend((!length).to_be_bytes());
        out.extend(nonce);
        out.extend(sealed);
        true
    }

    /// Opens what must be the next record.
    fn open(&mut self, mut sealed: Vec<u8>) -> Result<Vec<u8>, Damaged> {
        let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE_LEN>().ok_or(Damaged)?;
        let (nonce, context) = (Nonce::assume_unique_for_key(*nonce), self.context());
        let opened = self.key.open_in_place(nonce, context, rest).map_err(|_| Damaged)?.len();
        sealed.drain(..NONCE_LEN);
        sealed.truncate(opened);
        Ok(sealed)
    }
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A record.
    Record(Vec<u8>),
    /// Nothing more; `torn` says that a part of a record stands there.
    End { torn: bool },
}

/// Reads the next record.
pub(super) fn next(from: &mut impl Read, records: &mut Sealer) -> io::Result<Result<Next, Damaged>> {
    let mut lengths = vec![];
    from.take(LENGTH_BYTES as u64).read_to_end(&mut lengths)?;
    let Ok(lengths) = <[u8; LENGTH_BYTES]>::try_from(lengths.as_slice()) else {
        return Ok(Ok(Next::End { torn: !lengths.is_empty() }));
    };
    let [a, b, c, d, complement @ ..] = lengths;
    let length = u32::from_be_bytes([a, b, c, d]);
    if !length != u32::from_be_bytes(complement) || length > RECORD_BYTES_MAX {
        return Ok(Err(Damaged));
    }
    let mut sealed = vec![];
    from.take(length.into()).read_to_end(&mut sealed)?;
    if sealed.len() < length as usize {
        return Ok(Ok(Next::End { torn: true }));
    }
    Ok(records.open(sealed).map(Next::Record))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::aead::{AES_256_GCM_SIV, UnboundKey};
    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> Arc<LessSafeKey> {
        Arc::new(LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &[n; 32]).unwrap()))
    }

    fn header() -> Header {
        Header::new(&[b'a'; FINGERPRINT_BYTES], store_of("postgres://u@h/d")).unwrap()
    }

    fn written(header: &Header, records: &[Vec<u8>]) -> Vec<u8> {
        let (mut sealer, mut bytes) = (Sealer::new(key(1), header), vec![]);
        assert!(records.iter().all(|record| sealer.seal(record.clone(), &mut bytes)));
        bytes
    }

    /// The records that come out, and whether the last one was torn; or that something is wrong.
    fn read(header: &Header, key: Arc<LessSafeKey>, mut bytes: &[u8]) -> Result<(Vec<Vec<u8>>, bool), Damaged> {
        let (mut sealer, mut records) = (Sealer::new(key, header), vec![]);
        loop {
            match next(&mut bytes, &mut sealer).unwrap()? {
                Next::Record(record) => records.push(record),
                Next::End { torn } => return Ok((records, torn)),
            }
        }
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6)
    }

    proptest! {
        #[test]
        fn a_cut_leaves_the_records_before_it(records in records(), cut in any::<prop::sample::Index>()) {
            let header = header();
            let bytes = written(&header, &records);
            prop_assert_eq!(read(&header, key(1), &bytes).unwrap(), (records.clone(), false));
            let cut = cut.index(bytes.len());
            let (left, torn) = read(&header, key(1), &bytes[..cut]).unwrap();
            prop_assert!(left.len() < records.len() && records.starts_with(&left));
            let whole = written(&header, &left).len();
            prop_assert_eq!(torn, whole != cut);
        }

        #[test]
        fn a_flipped_bit_is_noticed(records in records(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let header = header();
            let mut bytes = written(&header, &records);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(read(&header, key(1), &bytes), Err(Damaged));
        }

        #[test]
        fn records_that_are_swapped_left_out_doubled_or_foreign_are_noticed(records in records(), at in any::<prop::sample::Index>()) {
            let header = header();
            let pieces: Vec<_> = {
                let mut sealer = Sealer::new(key(1), &header);
                records.iter().map(|record| {
                    let mut bytes = vec![];
                    sealer.seal(record.clone(), &mut bytes);
                    bytes
                }).collect()
            };
            let at = at.index(pieces.len());
            let refused = |pieces: &[Vec<u8>]| read(&header, key(1), &pieces.concat()) == Err(Damaged);
            let mut doubled = pieces.clone();
            doubled.insert(at, pieces[at].clone());
            prop_assert!(refused(&doubled));
            if at + 1 < pieces.len() {
                let mut swapped = pieces.clone();
                swapped.swap(at, at + 1);
                prop_assert!(refused(&swapped));
                let mut without = pieces.clone();
                without.remove(at);
                prop_assert!(refused(&without));
            }
            let other = self::header();
            let foreign = written(&other, &records);
            prop_assert_eq!(read(&header, key(1), &foreign), Err(Damaged));
            let joined = [&pieces[..at].concat()[..], &foreign[pieces[..at].concat().len()..]].concat();
            prop_assert_eq!(read(&header, key(1), &joined), Err(Damaged));
            prop_assert_eq!(read(&header, key(2), &pieces.concat()), Err(Damaged));
        }
    }

    #[test]
    fn a_header_comes_back_and_no_two_are_the_same() {
        let (one, other) = (header(), header());
        assert_eq!(Header::decode(&one.encode()), Some(one.clone()));
        assert_ne!(one, other);
        let mut wrong = one.encode();
        wrong[0] ^= 1;
        assert_eq!(Header::decode(&wrong), None);
        assert_eq!(Header::new(b"short", [0; 16]), None);
        assert_ne!(store_of("postgres://u@h/d"), store_of("postgres://u@h/e"));
    }
}
