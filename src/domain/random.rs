//! Unpredictable bytes, from the system through aws-lc's generator. The one door to randomness:
//! `clippy.toml` bans the others.

use aws_lc_rs::rand;

use super::secret::Secret;

/// Letters and digits without those that people confuse (`0O1lI`): base58's alphabet.
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Characters of a generated secret: 58^32 is more than 187 bits.
const GENERATED_SECRET_CHARS: usize = 32;

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

/// A secret of 32 base58 characters, shown once to the administrator who asked for it.
#[must_use]
pub fn secret() -> Secret {
    let mut text = String::with_capacity(GENERATED_SECRET_CHARS);
    while text.len() < GENERATED_SECRET_CHARS {
        for byte in bytes::<GENERATED_SECRET_CHARS>() {
            // Bytes past the last whole multiple of 58 are skipped, so that no character is likelier than another.
            if byte < 232 && text.len() < GENERATED_SECRET_CHARS {
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
    fn secrets_are_long_and_differ() {
        let (a, b) = (secret(), secret());
        assert_eq!(a.expose().len(), GENERATED_SECRET_CHARS);
        assert_ne!(a, b);
    }
}
