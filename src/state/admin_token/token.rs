//! The text of an admin token: `pto_`, 44 random characters, and a checksum of 6. The prefix and the checksum let
//! scanners find one that was published, and tell it from what only looks like one.

use aws_lc_rs::digest;

use crate::domain::{Secret, random};

/// What every token begins with.
const PREFIX: &str = "pto_";

/// Random characters of base58: more than 256 bits.
const RANDOM_CHARS: usize = 44;

/// Characters of the checksum.
const CHECKSUM_CHARS: usize = 6;

/// What the store and the memory have of a token: SHA-256. A token is random, so nobody finds it by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Of a token's text. `None` for what cannot be one: its shape or its checksum is wrong.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let body = text.strip_prefix(PREFIX)?;
        if !body.is_ascii() || body.len() != RANDOM_CHARS + CHECKSUM_CHARS {
            return None;
        }
        let (random, sum) = body.split_at(RANDOM_CHARS);
        (checksum(random) == sum).then(|| Self::of_any(text))
    }

    fn of_any(text: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self(bytes)
    }

    /// As the store has it.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A new token, and what is kept of it.
#[derive(Debug)]
pub struct Made {
    /// The token, shown once.
    pub secret: Secret,
    /// What is kept.
    pub digest: TokenDigest,
}

/// Makes a token.
#[must_use]
pub fn make() -> Made {
    let random = random::base58::<RANDOM_CHARS>();
    let text = format!("{PREFIX}{}{}", random.expose(), checksum(random.expose()));
    let digest = TokenDigest::of_any(&text);
    Made { secret: Secret::new(text), digest }
}

/// The first characters of the SHA-256 of the prefix and the random part, in base58.
fn checksum(random: &str) -> String {
    let digest = digest::digest(&digest::SHA256, format!("{PREFIX}{random}").as_bytes());
    let mut text = bs58::encode(digest.as_ref()).into_string();
    text.truncate(CHECKSUM_CHARS);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_text_alone() {
        let (one, two) = (make(), make());
        assert_eq!(TokenDigest::of(one.secret.expose()), Some(one.digest));
        assert_ne!(one.digest, two.digest);
        assert_eq!(TokenDigest::from_bytes(one.digest.bytes()), Some(one.digest));
    }

    #[test]
    fn what_only_looks_like_one_is_told_apart() {
        let made = make();
        let text = made.secret.expose();
        let mut wrong = text.to_owned();
        let last = if wrong.pop() == Some('1') { '2' } else { '1' };
        wrong.push(last);
        let short = &text[..text.len() - 1];
        for bad in ["", "pto_", &wrong, short, &text[4..], &format!("{text}1"), &format!("pto_{}", "é".repeat(25))] {
            assert_eq!(TokenDigest::of(bad), None, "{bad}");
        }
    }
}
