//! Whether a recorded body is one that a template writes, whatever stands in its holes.

use serde_json::{Deserializer, Value};

use super::{
    Hole, Json,
    json::Member,
    kind::Kind,
    text::{Part, Text},
};

/// Where a recorded body is no longer what the template writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) struct Mismatch {
    /// The octet of the recorded body.
    pub(in crate::rules::contract) at: usize,
    /// What the template writes there.
    pub(in crate::rules::contract) expected: Expected,
}

/// What a contract writes where a recorded body says something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// These letters.
    Letters(String),
    /// A value of this kind.
    Value(&'static str),
    /// Nothing more.
    End,
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
            end => Err(Mismatch { at: end, expected: Expected::End }),
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
            Kind::Text | Kind::Instant | Kind::Lack if self.is_token() => (is_token as fn(&Value) -> bool, A_TOKEN),
            Kind::Text | Kind::Instant | Kind::Lack => (Value::is_string as fn(&Value) -> bool, "a text"),
            Kind::Integer => (Value::is_i64 as fn(&Value) -> bool, "an integer"),
            Kind::List => (Value::is_array as fn(&Value) -> bool, "a list"),
        };
        value(recorded, at, expected, |found| {
            kind(found)
                || (self.may_be_null() && found.is_null())
                || found.as_str().is_some_and(|said| self.default() == Some(said))
        })
    }

    /// Whether it could have written these letters inside of a text.
    fn writes(&self, letters: &str) -> bool {
        let of_kind = match self.kind {
            _ if self.is_token() => is_written_token(letters),
            Kind::Integer => letters.parse::<i64>().is_ok(),
            _ => true,
        };
        of_kind || self.default() == Some(letters)
    }
}

/// What a difference calls the value of a token's hole.
const A_TOKEN: &str = "a token, without white space";

fn is_token(value: &Value) -> bool {
    value.as_str().is_some_and(is_written_token)
}

/// No client could send another one in a field (RFC 9110 section 5.5).
fn is_written_token(letters: &str) -> bool {
    !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Text {
    /// Whether its letters stand in `said` in their order, with what may stand there in the place of its holes.
    fn fits(&self, said: &str) -> bool {
        let parts = self.parts();
        let (mut rest, mut open) = (said, None);
        for (index, part) in parts.iter().enumerate() {
            let letters = match part {
                Part::Hole(hole) => {
                    open = Some(hole);
                    continue;
                }
                Part::Letters(letters) => letters.as_str(),
            };
            let found = match open {
                None => rest.starts_with(letters).then_some(0),
                Some(_) if index + 1 == parts.len() => rest.ends_with(letters).then(|| rest.len() - letters.len()),
                Some(_) => rest.find(letters),
            };
            let Some(found) = found else { return false };
            if open.take().is_some_and(|hole| !hole.writes(&rest[..found])) {
                return false;
            }
            rest = &rest[found + letters.len()..];
        }
        open.map_or(rest.is_empty(), |hole| hole.writes(rest))
    }
}

fn literal(bytes: &[u8], recorded: &[u8], at: usize) -> Result<usize, Mismatch> {
    let rest = &recorded[at..];
    if rest.starts_with(bytes) {
        return Ok(at + bytes.len());
    }
    let same = bytes.iter().zip(rest).take_while(|(one, other)| one == other).count();
    let shown = &bytes[same..bytes.len().min(same + SHOWN_BYTES_MAX)];
    Err(Mismatch { at: at + same, expected: Expected::Letters(String::from_utf8_lossy(shown).into_owned()) })
}

/// The end of a value that fits, if it is written as answers are: without white space, and with no more escapes than
/// JSON needs.
fn value(recorded: &[u8], at: usize, expected: &'static str, fits: impl Fn(&Value) -> bool) -> Result<usize, Mismatch> {
    let found = Deserializer::from_slice(&recorded[at..]).into_iter::<Value>().next();
    match found {
        Some(Ok(found)) if fits(&found) => literal(found.to_string().as_bytes(), recorded, at),
        _ => Err(Mismatch { at, expected: Expected::Value(expected) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::TokenKind,
        rules::contract::template::{Constants, Place, Scene},
    };

    /// Where a recorded body is no longer what the answer to a login writes.
    fn parted(body: &str, recorded: &str) -> Option<(usize, Expected)> {
        let scene = Scene {
            place: Place::Granted,
            gives: &[TokenKind::Access],
            may_not_end: false,
            has_timezone: false,
            has_incomplete: false,
            secret_member: "password",
            is_repeated: false,
            constants: Constants::NONE,
        };
        let Ok(body) = Json::read(body, &scene) else { panic!("{body} is no template") };
        body.json.accepts(recorded.as_bytes()).err().map(|Mismatch { at, expected }| (at, expected))
    }

    #[test]
    fn white_space_is_a_difference_wherever_it_stands() {
        let body = r#"{"id":"{account.legacy_id|null}","scopes":"{account.scopes}","t":"{access.token}"}"#;
        let good = r#"{"id":7,"scopes":["a","b"],"t":"x.y"}"#;
        assert_eq!(parted(body, good), None);
        assert_eq!(parted(body, &good.replace('7', "null")), None);
        for (spaced, at) in [
            (good.replace(":7", ": 7"), 6),
            (good.replace(":[", ":\n["), 17),
            (good.replace(",\"b\"", ", \"b\""), 22),
            (good.replace(":\"x", ": \"x"), 31),
        ] {
            let found = parted(body, &spaced);
            assert!(matches!(found, Some((found, Expected::Letters(_))) if found == at), "{spaced}: {found:?}");
        }
        assert_eq!(parted(body, &format!("{good}\n")), Some((good.len(), Expected::End)));
    }

    #[test]
    fn a_token_is_not_empty_and_has_no_white_space() {
        let token = || Some((5, Expected::Value(A_TOKEN)));
        for (written, expected) in [
            ("eyJ.e30.AA", None),
            ("", token()),
            (" eyJ", token()),
            ("eyJ\\n", token()),
            ("Bearer eyJ", token()),
            ("café", token()),
        ] {
            assert_eq!(parted(r#"{"t":"{access.token}"}"#, &format!(r#"{{"t":"{written}"}}"#)), expected, "{written}");
        }
        let text = |said: &str| parted(r#"{"t":"Bearer {access.token}!"}"#, &format!(r#"{{"t":"{said}"}}"#));
        assert_eq!(text("Bearer x!y!"), None);
        for bad in ["Bearer !", "Bearer  x!", "Bearer x! and more", "Bearer x"] {
            assert_eq!(text(bad), Some((5, Expected::Value("a text"))), "{bad}");
        }
    }

    #[test]
    fn a_default_stands_where_the_value_is_absent() {
        let body = r#"{"id":"{account.legacy_id|default ''}"}"#;
        assert_eq!([parted(body, r#"{"id":7}"#), parted(body, r#"{"id":""}"#)], [None, None]);
        assert_eq!(parted(body, r#"{"id":"x"}"#), Some((6, Expected::Value("an integer"))));
    }

    #[test]
    fn letters_are_escaped_as_answers_escape_them() {
        let body = r#"{"name":"{account.display_name}"}"#;
        assert_eq!(parted(body, r#"{"name":"Ana \"la\" Peña / \t"}"#), None);
        assert_eq!(parted(body, r#"{"name":"a\/b"}"#), Some((10, Expected::Letters("/b\"".to_owned()))));
    }
}
