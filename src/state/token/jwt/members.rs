//! The members of a JWT's payload, read once: those that we know into their places, borrowed from
//! the text, and all others into a map.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::refused::Refused;
use crate::domain::{Reason, Timestamp, json::Strict};

/// A claim that has a place of its own: those of RFC 7519 section 4.1, and those of Portero's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Iss,
    Aud,
    Sub,
    Jti,
    Iat,
    Nbf,
    Exp,
    Sid,
    Epoch,
    TokenUse,
    Name,
    LegacyId,
    Role,
    Scope,
    Org,
}

impl Claim {
    /// Each at its place.
    const ALL: [Self; 15] = [
        Self::Iss,
        Self::Aud,
        Self::Sub,
        Self::Jti,
        Self::Iat,
        Self::Nbf,
        Self::Exp,
        Self::Sid,
        Self::Epoch,
        Self::TokenUse,
        Self::Name,
        Self::LegacyId,
        Self::Role,
        Self::Scope,
        Self::Org,
    ];

    /// Its member's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Iss => "iss",
            Self::Aud => "aud",
            Self::Sub => "sub",
            Self::Jti => "jti",
            Self::Iat => "iat",
            Self::Nbf => "nbf",
            Self::Exp => "exp",
            Self::Sid => "sid",
            Self::Epoch => "epoch",
            Self::TokenUse => "token_use",
            Self::Name => "name",
            Self::LegacyId => "legacy_id",
            Self::Role => "role",
            Self::Scope => "scope",
            Self::Org => "org",
        }
    }

    /// The claim of a member's name. A match, since a table would be searched for each member of each token.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "iss" => Self::Iss,
            "aud" => Self::Aud,
            "sub" => Self::Sub,
            "jti" => Self::Jti,
            "iat" => Self::Iat,
            "nbf" => Self::Nbf,
            "exp" => Self::Exp,
            "sid" => Self::Sid,
            "epoch" => Self::Epoch,
            "token_use" => Self::TokenUse,
            "name" => Self::Name,
            "legacy_id" => Self::LegacyId,
            "role" => Self::Role,
            "scope" => Self::Scope,
            "org" => Self::Org,
            _ => return None,
        })
    }
}

/// One value, as far as claims ask.
#[derive(Debug)]
pub(super) enum Member<'t> {
    Text(Cow<'t, str>),
    Integer(i64),
    /// Boxed, since it is rare, and all places of [`Members`] are as large as the largest value.
    Other(Box<Value>),
}

impl Member<'_> {
    fn other(value: Value) -> Self {
        Self::Other(Box::new(value))
    }
}

impl From<Member<'_>> for Value {
    fn from(member: Member<'_>) -> Self {
        match member {
            Member::Text(text) => Self::String(text.into_owned()),
            Member::Integer(integer) => Self::from(integer),
            Member::Other(value) => *value,
        }
    }
}

/// All members of one payload. Taking a claim leaves its place empty.
#[derive(Debug, Default)]
pub(super) struct Members<'t> {
    known: [Option<Member<'t>>; Claim::ALL.len()],
    extra: Map<String, Value>,
}

impl<'t> Members<'t> {
    /// Reads one JSON object; a duplicated member, at any depth, makes it none.
    pub(super) fn parse(text: &'t str) -> Result<Self, Reason> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let members = deserializer.deserialize_map(MembersVisitor).map_err(|_| Reason::MalformedToken)?;
        deserializer.end().map_err(|_| Reason::MalformedToken)?;
        Ok(members)
    }

    pub(super) fn has(&self, claim: Claim) -> bool {
        self.known[claim as usize].is_some()
    }

    pub(super) fn take(&mut self, claim: Claim) -> Option<Member<'t>> {
        self.known[claim as usize].take()
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, claim: Claim) -> Result<Cow<'t, str>, Refused> {
        self.optional_text(claim)?.ok_or_else(|| Refused::missing(claim.name(), TEXT))
    }

    /// Such a text, or nothing at all: another type never counts as absent.
    pub(super) fn optional_text(&mut self, claim: Claim) -> Result<Option<Cow<'t, str>>, Refused> {
        match self.take(claim) {
            None => Ok(None),
            Some(Member::Text(text)) if !text.is_empty() => Ok(Some(text)),
            Some(other) => Err(Refused::wrong(claim.name(), &other.into(), TEXT)),
        }
    }

    /// An integer, or nothing at all.
    pub(super) fn optional_integer(&mut self, claim: Claim) -> Result<Option<i64>, Refused> {
        match self.take(claim) {
            None => Ok(None),
            Some(Member::Integer(integer)) => Ok(Some(integer)),
            Some(other) => Err(Refused::wrong(claim.name(), &other.into(), "a whole number")),
        }
    }

    /// A `NumericDate`, or nothing at all. `exp` is a whole number: an end that is spelt as a float is refused,
    /// though RFC 7519 would let it pass, since what reads it next may round it up.
    pub(super) fn optional_instant(&mut self, claim: Claim) -> Result<Option<Timestamp>, Refused> {
        match self.take(claim) {
            None => Ok(None),
            Some(Member::Integer(seconds @ 0..)) => Ok(Some(Timestamp::from_secs(seconds))),
            Some(Member::Other(value)) if claim != Claim::Exp => numeric_date(claim.name(), &value).map(Some),
            Some(other) => Err(Refused::wrong(claim.name(), &other.into(), SECONDS)),
        }
    }

    /// The members that were not taken.
    pub(super) fn into_rest(self) -> Map<String, Value> {
        let mut rest = self.extra;
        for (claim, member) in Claim::ALL.into_iter().zip(self.known) {
            if let Some(member) = member {
                rest.insert(claim.name().to_owned(), member.into());
            }
        }
        rest
    }
}

/// A `NumericDate` (RFC 7519 section 2): a number, with or without a fraction. No token is from
/// before 1970, so a negative one is a defect of its issuer's, and no date.
pub(super) fn numeric_date(claim: &'static str, value: &Value) -> Result<Timestamp, Refused> {
    /// Seconds, about 285,000 years: beyond it a float no longer stands for one instant.
    const SECONDS_MAX: f64 = 9e12;
    match (value.as_i64(), value.as_f64()) {
        (Some(seconds @ 0..), _) => Ok(Timestamp::from_secs(seconds)),
        #[expect(clippy::cast_possible_truncation, reason = "the bound keeps the value inside i64")]
        (None, Some(seconds)) if (0.0..SECONDS_MAX).contains(&seconds) => {
            Ok(Timestamp::from_millis((seconds * 1000.0).floor() as i64))
        }
        _ => Err(Refused::wrong(claim, value, SECONDS)),
    }
}

/// What a text has to be.
pub(super) const TEXT: &str = "a text";

/// What a `NumericDate` has to be.
pub(super) const SECONDS: &str = "a number of seconds since 1970";

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(name) = access.next_key_seed(Name)? {
            let duplicated = match Claim::named(&name) {
                Some(claim) => members.known[claim as usize].replace(access.next_value_seed(AnyMember)?).is_some(),
                None => members.extra.insert(name.into_owned(), access.next_value_seed(Strict)?).is_some(),
            };
            if duplicated {
                return Err(A::Error::custom("a duplicated member"));
            }
        }
        Ok(members)
    }
}

/// A member's name, borrowed where it is spelt without escapes.
pub(super) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// A value of a known member.
pub(super) struct AnyMember;

impl<'de> DeserializeSeed<'de> for AnyMember {
    type Value = Member<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyMember {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Member<'de>, E> {
        Ok(Member::Integer(integer))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Member<'de>, E> {
        Ok(i64::try_from(integer).map_or_else(|_| Member::other(Value::from(integer)), Member::Integer))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Member<'de>, E> {
        Strict.visit_f64(number).map(Member::other)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Member<'de>, E> {
        Ok(Member::other(Value::Bool(value)))
    }

    fn visit_unit<E>(self) -> Result<Member<'de>, E> {
        Ok(Member::other(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Member<'de>, A::Error> {
        Strict.visit_seq(access).map(Member::other)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Member<'de>, A::Error> {
        Strict.visit_map(access).map(Member::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_has_the_place_of_its_name() {
        for (at, claim) in Claim::ALL.into_iter().enumerate() {
            assert_eq!((claim as usize, Claim::named(claim.name())), (at, Some(claim)));
        }
    }

    #[test]
    fn what_is_not_taken_is_left_over() {
        let mut members = Members::parse(r#"{"sub":"\u0061na","x":[1],"role":["A"],"nbf":1.5}"#).unwrap();
        assert_eq!(members.text(Claim::Sub).unwrap(), "ana");
        assert_eq!(members.optional_instant(Claim::Nbf), Ok(Some(Timestamp::from_millis(1500))));
        assert_eq!(serde_json::to_string(&members.into_rest()).unwrap(), r#"{"x":[1],"role":["A"]}"#);
    }

    #[test]
    fn a_member_stands_once() {
        for text in [r#"{"sub":"a","sub":"a"}"#, r#"{"x":1,"\u0078":1}"#, r#"{"aud":[{"a":1,"a":1}]}"#, "{} {}", "[]"] {
            assert_eq!(Members::parse(text).map(drop), Err(Reason::MalformedToken), "{text}");
        }
    }
}
