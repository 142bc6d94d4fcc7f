//! Whether a recorded body is one that a template writes, whatever stands in its holes.

use serde_json::{Deserializer, Value};

use super::{Hole, Json, json::Member, kind::Kind, text::Text};

/// Where a recorded body is no longer what the template writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) struct Mismatch {
    /// The octet of the recorded body.
    pub(in crate::rules::contract) at: usize,
    /// What the template writes there.
    pub(in crate::rules::contract) expected: String,
}

/// Octets of the template that a mismatch shows, at most.
const SHOWN_BYTES_MAX: usize = 60;

impl Json {
    /// Holds the whole of a recorded body against the template.
    ///
    /// # Errors
    /// The first octet that the template would not write.
    pub(in crate::rules::contract) fn accepts(&self, recorded: &[u8]) -> Result<(), Mismatch> {
        match self.accept(recorded, 0)? {
            end if end == recorded.len() => Ok(()),
            end => Err(Mismatch { at: end, expected: "the end of the body".to_owned() }),
        }
    }

    /// The end of what the template would have written from `at` on.
    fn accept(&self, recorded: &[u8], at: usize) -> Result<usize, Mismatch> {
        match self {
            Self::Bytes(bytes) => literal(bytes, recorded, at),
            Self::Text(text) => {
                value(recorded, at, "a text", |value| value.as_str().is_some_and(|said| text.fits(said)))
            }
            Self::Hole(hole) => hole.accept(recorded, at),
            Self::Object(members) => object(members, recorded, at),
            // It stands in an answer to missing members alone, which is written out before it is compared.
            Self::Each(element) | Self::EachMember(element) => element.accept(recorded, at),
            Self::Array(elements) => {
                let mut end = literal(b"[", recorded, at)?;
                for (index, element) in elements.iter().enumerate() {
                    end = if index == 0 { end } else { literal(b",", recorded, end)? };
                    end = element.accept(recorded, end)?;
                }
                literal(b"]", recorded, end)
            }
        }
    }

    /// Whether it may be left out.
    fn may_be_left_out(&self) -> bool {
        matches!(self, Self::Hole(hole) if hole.may_omit())
    }
}

fn object(members: &[Member], recorded: &[u8], at: usize) -> Result<usize, Mismatch> {
    let start = literal(b"{", recorded, at)?;
    let mut end = start;
    for Member { name, value } in members {
        let with_name = if end == start { name.to_vec() } else { [b",", &**name].concat() };
        match literal(&with_name, recorded, end) {
            Ok(after) => end = value.accept(recorded, after)?,
            Err(_) if value.may_be_left_out() => {}
            Err(mismatch) => return Err(mismatch),
        }
    }
    literal(b"}", recorded, end)
}

impl Hole {
    fn accept(&self, recorded: &[u8], at: usize) -> Result<usize, Mismatch> {
        let (kind, expected) = match self.kind {
            Kind::Text | Kind::Instant => (Value::is_string as fn(&Value) -> bool, "a text"),
            Kind::Integer => (Value::is_i64 as fn(&Value) -> bool, "an integer"),
            Kind::List => (Value::is_array as fn(&Value) -> bool, "a list"),
        };
        value(recorded, at, expected, |found| kind(found) || (self.may_be_null() && found.is_null()))
    }
}

impl Text {
    /// Whether its letters stand in `said` in their order, with anything in the place of its holes.
    fn fits(&self, said: &str) -> bool {
        let mut rest = said;
        for (index, letters) in self.letters_between().enumerate() {
            match rest.find(letters) {
                Some(0) => rest = &rest[letters.len()..],
                Some(found) if index > 0 => rest = &rest[found + letters.len()..],
                _ => return false,
            }
        }
        true
    }
}

fn literal(bytes: &[u8], recorded: &[u8], at: usize) -> Result<usize, Mismatch> {
    let rest = &recorded[at..];
    if rest.starts_with(bytes) {
        return Ok(at + bytes.len());
    }
    let same = bytes.iter().zip(rest).take_while(|(one, other)| one == other).count();
    let shown = &bytes[same..bytes.len().min(same + SHOWN_BYTES_MAX)];
    Err(Mismatch { at: at + same, expected: String::from_utf8_lossy(shown).into_owned() })
}

fn value(recorded: &[u8], at: usize, expected: &str, fits: impl Fn(&Value) -> bool) -> Result<usize, Mismatch> {
    let mut values = Deserializer::from_slice(&recorded[at..]).into_iter::<Value>();
    match values.next() {
        Some(Ok(found)) if fits(&found) => Ok(at + values.byte_offset()),
        _ => Err(Mismatch { at, expected: expected.to_owned() }),
    }
}
