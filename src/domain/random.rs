//! Unpredictable bytes, from the system through aws-lc's generator. The one door to randomness:
//! `clippy.toml` bans the others.

use std::cell::RefCell;

use aws_lc_rs::rand;

use super::secret::Secret;

/// Letters and digits without those that people confuse (`0O1lI`): base58's alphabet.
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Bytes that identifiers are drawn from at once.
const BLOCK_BYTES: usize = 1024;

/// Random bytes, of which some are `used` up.
struct Block {
    bytes: [u8; BLOCK_BYTES],
    used: usize,
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block { bytes: [0; BLOCK_BYTES], used: BLOCK_BYTES }) };
}

/// `N` random bytes.
///
/// # Panics
/// When the system has no randomness to give: nothing that is minted then would be safe.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system's random generator works");
    bytes
}

/// `N` random bytes for what must differ and need not be secret: the ids of requests and of traces. They are drawn by
/// the block, because a draw costs more than a decision.
#[must_use]
pub fn identifier<const N: usize>() -> [u8; N] {
    const { assert!(N <= BLOCK_BYTES) };
    BLOCK.with_borrow_mut(|block| {
        if block.used + N > BLOCK_BYTES {
            *block = Block { bytes: bytes(), used: 0 };
        }
        let mut identifier = [0; N];
        identifier.copy_from_slice(&block.bytes[block.used..block.used + N]);
        block.used += N;
        identifier
    })
}

/// A secret of so many base58 characters: each has more than 5.8 bits.
#[must_use]
pub fn base58<const CHARS: usize>() -> Secret {
    let mut text = String::with_capacity(CHARS);
    while text.len() < CHARS {
        for byte in bytes::<CHARS>() {
            // Bytes past the last whole multiple of 58 are skipped, so that no character is likelier than another.
            if byte < 232 && text.len() < CHARS {
                text.push(char::from(ALPHABET[usize::from(byte % 58)]));
            }
        }
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_given_twice() {
        let ids: std::collections::HashSet<[u8; 16]> = (0..10 * BLOCK_BYTES).map(|_| identifier()).collect();
        assert_eq!(ids.len(), 10 * BLOCK_BYTES);
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let (a, b) = (base58::<32>(), base58::<32>());
        assert_eq!(a.expose().len(), 32);
        assert_ne!(a, b);
    }
}
