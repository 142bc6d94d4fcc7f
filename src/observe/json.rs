//! Values in a line of JSON, byte for byte as `serde_json` writes them. What costs most in a usual line takes a shorter
//! way there than its serializer's; everything else is left to that.

use std::net::IpAddr;

use serde::Serialize;

/// A value in a line.
pub(super) trait Json {
    /// Appends it.
    fn put(&self, line: &mut Vec<u8>);
}

impl Json for &str {
    fn put(&self, line: &mut Vec<u8>) {
        if is_escaped(self.as_bytes()) {
            return put_by_serde(self, line);
        }
        put_as_it_stands(self, line);
    }
}

/// A word of the contract: nobody else wrote it, and it holds nothing that is escaped.
pub(super) struct Word(pub(super) &'static str);

impl Json for Word {
    fn put(&self, line: &mut Vec<u8>) {
        debug_assert!(!is_escaped(self.0.as_bytes()), "{} is no word", self.0);
        put_as_it_stands(self.0, line);
    }
}

impl Json for u64 {
    fn put(&self, line: &mut Vec<u8>) {
        put_by_serde(self, line);
    }
}

impl Json for f64 {
    /// `serde_json` writes the fewest digits that stand for the number. Where three decimals do, it is those.
    fn put(&self, line: &mut Vec<u8>) {
        match in_thousandths(*self) {
            Some(thousandths) => put_thousandths(thousandths, line),
            None => put_by_serde(self, line),
        }
    }
}

impl Json for IpAddr {
    fn put(&self, line: &mut Vec<u8>) {
        put_by_serde(self, line);
    }
}

impl<T: Json> Json for Option<T> {
    fn put(&self, line: &mut Vec<u8>) {
        match self {
            Some(value) => value.put(line),
            None => line.extend_from_slice(b"null"),
        }
    }
}

/// The number in thousandths, where it is a whole number of them and not too large.
fn in_thousandths(number: f64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what does not fit is not equal")]
    let thousandths = (number * 1e3 + 0.5) as u32;
    ((f64::from(thousandths) / 1e3).to_bits() == number.to_bits()).then_some(thousandths)
}

/// Writes a number of thousandths as a decimal fraction, without zeros at its end but for the first decimal.
fn put_thousandths(thousandths: u32, line: &mut Vec<u8>) {
    put_by_serde(&(thousandths / 1000), line);
    line.push(b'.');
    match three_digits(thousandths % 1000) {
        [tenths, b'0', b'0'] => line.push(tenths),
        [tenths, hundredths, b'0'] => line.extend_from_slice(&[tenths, hundredths]),
        digits => line.extend_from_slice(&digits),
    }
}

/// Whether JSON spells this text otherwise than it stands (RFC 8259 section 7): it holds a control character, a quote
/// or a backslash. It may say so of a text that is not ASCII, too.
fn is_escaped(text: &[u8]) -> bool {
    let seen = match text.last_chunk() {
        Some(last) => {
            // The last eight bytes overlap with the word before them: to look twice costs less than a loop over a rest.
            let (words, _) = text.as_chunks();
            words.iter().fold(marks(u64::from_le_bytes(*last)), |seen, word| seen | marks(u64::from_le_bytes(*word)))
        }
        None => marks(padded(text)),
    };
    seen & every_byte(0x80) != 0
}

/// Eight bytes at once: sets the high bit of each byte that JSON escapes. It may set that of one that is not ASCII, or
/// above an escaped one, too. The other bits mean nothing.
const fn marks(word: u64) -> u64 {
    below(word, b' ') | below(word ^ every_byte(b'"'), 1) | below(word ^ every_byte(b'\\'), 1)
}

/// Subtracts `least` from each byte. That sets the high bit of one that goes below zero.
const fn below(word: u64, least: u8) -> u64 {
    word.wrapping_sub(every_byte(least))
}

/// Fewer than eight bytes in one word, filled up with spaces.
fn padded(text: &[u8]) -> u64 {
    text.iter().fold(every_byte(b' '), |word, byte| word << 8 | u64::from(*byte))
}

const fn every_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The last three digits of a number.
pub(super) fn three_digits(number: u32) -> [u8; 3] {
    [number / 100, number / 10, number].map(|number| b"0123456789"[number as usize % 10])
}

fn put_as_it_stands(text: &str, line: &mut Vec<u8>) {
    line.push(b'"');
    line.extend_from_slice(text.as_bytes());
    line.push(b'"');
}

fn put_by_serde(value: &(impl Serialize + ?Sized), line: &mut Vec<u8>) {
    serde_json::to_writer(line, value).expect("memory takes every text, number and address");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(value: &impl Json) -> String {
        let mut line = vec![];
        value.put(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_number_has_as_many_digits_as_it_needs() {
        for (number, text) in
            [(0.0, "0.0"), (1.0, "1.0"), (1.5, "1.5"), (0.12, "0.12"), (0.123, "0.123"), (20.03, "20.03")]
        {
            assert_eq!(json(&number), text);
        }
    }

    proptest! {
        #[test]
        fn a_text_is_what_serde_json_writes(text in r#"[ -~]{0,40}|[ -~]{0,20}[\x00-\x1f"\\\x7f][ -~]{0,20}|(?s:.){0,20}"#) {
            prop_assert_eq!(json(&text.as_str()), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn a_number_is_what_serde_json_writes(
            number in prop_oneof![any::<u32>().prop_map(|thousandths| f64::from(thousandths) / 1e3), any::<f64>()],
        ) {
            prop_assert_eq!(json(&number), serde_json::to_string(&number).unwrap());
            prop_assert_eq!(json(&-number), serde_json::to_string(&-number).unwrap());
        }
    }
}
