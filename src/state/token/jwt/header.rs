//! A JWT's header: the four members that are looked at, and the one place where it is decided that
//! the others never are.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{
    Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use super::members::{AnyMember, Member, Name};
use crate::domain::{Algorithm, Reason};

/// Members of a header, at most: what repeats is looked for among all of them.
const MEMBERS_MAX: usize = 32;

/// What a header says.
#[derive(Debug)]
pub(super) struct Header<'t> {
    /// `alg`; `None` for a word that is no algorithm of ours.
    pub(super) algorithm: Option<Algorithm>,
    /// `kid`; `Unreadable` when it is no text.
    pub(super) kid: Kid<'t>,
    /// `typ`.
    pub(super) typ: Type,
}

/// Which key a header names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kid<'t> {
    /// None.
    Absent,
    /// This one.
    Named(Cow<'t, str>),
    /// Something that is no name.
    Unreadable,
}

/// The explicit type of a token (RFC 8725 section 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// None.
    Absent,
    /// `JWT`
    Jwt,
    /// `at+jwt` (RFC 9068 section 2.1), with or without `application/`.
    AccessToken,
    /// Any other.
    Other,
}

impl Type {
    /// Whether it is the one that `word` names.
    pub(super) fn is(self, word: &str) -> bool {
        matches!((self, word), (Self::Jwt, "JWT") | (Self::AccessToken, "at+jwt"))
    }

    fn of(member: &Member<'_>) -> Self {
        let Member::Text(word) = member else { return Self::Other };
        // Media types are compared without regard to case (RFC 7515 section 4.1.9).
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        if is("JWT") {
            Self::Jwt
        } else if is("at+jwt") || is("application/at+jwt") {
            Self::AccessToken
        } else {
            Self::Other
        }
    }
}

impl<'t> Header<'t> {
    /// Reads a header. `jwk`, `jku`, `x5u` and `x5c` are never looked at.
    ///
    /// # Errors
    /// [`Reason::UnsupportedHeader`] where it asks for an extension (`crit`, `b64`).
    pub(super) fn parse(text: &'t str) -> Result<Self, Reason> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let raw = deserializer.deserialize_map(RawVisitor).map_err(|_| Reason::MalformedToken)?;
        deserializer.end().map_err(|_| Reason::MalformedToken)?;
        if raw.extended {
            return Err(Reason::UnsupportedHeader);
        }
        let Some(Member::Text(algorithm)) = raw.alg else { return Err(Reason::MalformedToken) };
        let kid = match raw.kid {
            None => Kid::Absent,
            Some(Member::Text(kid)) => Kid::Named(kid),
            Some(_) => Kid::Unreadable,
        };
        let typ = raw.typ.as_ref().map_or(Type::Absent, Type::of);
        Ok(Self { algorithm: Algorithm::from_str(&algorithm).ok(), kid, typ })
    }
}

#[derive(Default)]
struct Raw<'t> {
    alg: Option<Member<'t>>,
    kid: Option<Member<'t>>,
    typ: Option<Member<'t>>,
    extended: bool,
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw<'de>, A::Error> {
        let mut raw = Raw::default();
        let mut seen: Vec<Cow<'de, str>> = Vec::new();
        while let Some(name) = access.next_key_seed(Name)? {
            if seen.contains(&name) || seen.len() == MEMBERS_MAX {
                return Err(A::Error::custom("a duplicated member, or too many"));
            }
            let value = access.next_value_seed(AnyMember)?;
            match &*name {
                "alg" => raw.alg = Some(value),
                "kid" => raw.kid = Some(value),
                "typ" => raw.typ = Some(value),
                "crit" | "b64" => raw.extended = true,
                _ => {}
            }
            seen.push(name);
        }
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_bound() {
        let header = |members: usize| {
            let rest = (0..members).map(|at| format!(r#","x{at}":1"#)).collect::<Vec<_>>().concat();
            format!(r#"{{"alg":"HS256"{rest}}}"#)
        };
        assert!(Header::parse(&header(MEMBERS_MAX - 1)).is_ok());
        assert_eq!(Header::parse(&header(MEMBERS_MAX)).map(drop), Err(Reason::MalformedToken));
    }

    #[test]
    fn types_are_read_in_any_case() {
        let typ = |word: &str| Header::parse(&format!(r#"{{"alg":"none","typ":"{word}"}}"#)).unwrap().typ;
        assert_eq!(typ("jwt"), Type::Jwt);
        assert_eq!(typ("AT+JWT"), Type::AccessToken);
        assert_eq!(typ("application/at+jwt"), Type::AccessToken);
        assert_eq!(typ("application/jwt"), Type::Other);
        assert_eq!(Header::parse(r#"{"alg":"none"}"#).unwrap().typ, Type::Absent);
    }
}
