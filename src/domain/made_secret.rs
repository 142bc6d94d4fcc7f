//! The form of secrets that Portero makes: `pto_`, random characters of base58, and a checksum of 6 characters. The
//! prefix lets scanners find one that was published; the checksum tells it from what only looks like one, and from one
//! that lost a character on its way.

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use super::{random, secret::Secret};

/// What every one begins with.
pub const PREFIX: &str = "pto_";

/// Random characters: 58^32 is more than 187 bits.
const RANDOM_CHARS: usize = 32;

/// Characters of the checksum.
const CHECKSUM_CHARS: usize = 6;

/// A new secret, shown once to the administrator who asked for it.
#[must_use]
pub fn make() -> Secret {
    let random = random::base58::<RANDOM_CHARS>();
    // With room for all of it, so that growing leaves no copy behind.
    let mut text = String::with_capacity(PREFIX.len() + RANDOM_CHARS + CHECKSUM_CHARS);
    text.push_str(PREFIX);
    text.push_str(random.expose());
    let checksum = checksum(&text);
    text.push_str(&checksum);
    Secret::new(text)
}

/// Whether it begins like a secret that Portero made, and was cut or mistyped since.
#[must_use]
pub fn is_damaged(secret: &Secret) -> bool {
    secret.expose().starts_with(PREFIX) && !is_whole(secret)
}

/// Whether it has the form of a secret that Portero made, whole.
#[must_use]
pub fn is_whole(secret: &Secret) -> bool {
    let text = secret.expose();
    let parts = text.len().checked_sub(CHECKSUM_CHARS).and_then(|at| text.split_at_checked(at));
    parts.is_some_and(|(signed, sum)| {
        signed.starts_with(PREFIX) && signed.len() > PREFIX.len() && *checksum(signed) == sum
    })
}

/// The first characters of the SHA-256 of what stands before it, in base58.
fn checksum(signed: &str) -> Zeroizing<String> {
    let mut text = bs58::encode(digest::digest(&digest::SHA256, signed.as_bytes())).into_string();
    text.truncate(CHECKSUM_CHARS);
    Zeroizing::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_differ_and_have_the_form_that_scanners_look_for() {
        let (one, two) = (make(), make());
        assert_ne!(one, two);
        let body = one.expose().strip_prefix(PREFIX).unwrap();
        assert_eq!(body.len(), RANDOM_CHARS + CHECKSUM_CHARS);
        let is_base58 = |b: u8| b.is_ascii_alphanumeric() && !b"0OIl".contains(&b);
        assert!(body.bytes().all(is_base58), "{body}");
    }

    #[test]
    fn one_that_lost_or_changed_a_character_is_told() {
        let whole = make();
        assert!(!is_damaged(&whole) && is_whole(&whole) && !is_whole(&Secret::new("chosen".to_owned())));
        let text = whole.expose();
        for at in PREFIX.len()..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            assert!(is_damaged(&Secret::new(String::from_utf8(changed).unwrap())), "character {at}");
            let cut = format!("{}{}", &text[..at], &text[at + 1..]);
            assert!(is_damaged(&Secret::new(cut)), "without character {at}");
        }
        for text in ["pto_", "pto_x", "pto_ñandúñ", "pto_ñandúñandú"] {
            assert!(is_damaged(&text.into()), "{text}");
        }
        for text in ["", "pto", "1234", "Pto_123456789", "correct horse pto_"] {
            assert!(!is_damaged(&text.into()), "{text} does not begin like one");
        }
    }

    #[test]
    fn the_form_stays_as_it_is_documented() {
        let known = "pto_22222222222222222222222222222222";
        assert_eq!(*checksum(known), KNOWN_CHECKSUM);
    }

    /// Made with Python's hashlib and the Bitcoin alphabet.
    const KNOWN_CHECKSUM: &str = "BRKd1M";
}
