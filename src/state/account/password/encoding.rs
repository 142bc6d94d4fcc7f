//! How systems write bytes in text: hexadecimal, Base64 in its dialects, and crypt(3)'s own alphabet.

use base64::{
    Engine, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD},
    },
};

/// Padded or not: both are found.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The alphabet of crypt(3) and phpass, in which six bits are read from the low end on.
const CRYPT: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Hexadecimal digits of either case.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    bytes.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Base64 or base64url, padded or not.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL.decode(text)).ok()
}

/// Passlib's Base64: without padding, and with a dot for the plus sign.
pub(super) fn from_passlib(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.replace('.', "+")).ok()
}

/// Base64 without padding, as the PHC string format has it.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Base64 with padding.
pub(super) fn to_padded_base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What phpass calls `encode64`.
pub(super) fn to_crypt(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().rev().fold(0_usize, |group, byte| group << 8 | usize::from(*byte));
        for place in 0..=chunk.len() {
            text.push(char::from(CRYPT[group >> (6 * place) & 63]));
        }
    }
    text
}

/// The six bits that a character stands for.
pub(super) fn crypt_value(character: u8) -> Option<u8> {
    CRYPT.iter().position(|known| *known == character).and_then(|place| u8::try_from(place).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_are_written() {
        assert_eq!(from_hex("00fFa0"), Some(vec![0, 255, 160]));
        for text in ["0", "0g", "é0", "+1"] {
            assert_eq!(from_hex(text), None, "{text}");
        }
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(from_base64(text), Some(vec![251, 255]), "{text}");
        }
        assert_eq!(from_base64("a"), None);
        assert_eq!(from_passlib("./8"), from_base64("+/8"));
        assert_eq!(to_crypt(&[0xff, 0, 1]), "z1E.");
        assert_eq!((crypt_value(b'z'), crypt_value(b'.'), crypt_value(b'$')), (Some(63), Some(0), None));
    }
}
