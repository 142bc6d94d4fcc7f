//! Why a JWT is refused, and which of its claims was to blame.

use std::{borrow::Cow, fmt};

use serde_json::Value;

use crate::domain::Reason;

/// A claim that is not as it must be, in words for who asks why. It never holds what the token says there: that is a
/// stranger's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimDefect {
    /// Where the claim stands.
    pub claim: Cow<'static, str>,
    /// What is there.
    pub found: &'static str,
    /// What has to be there.
    pub expected: Cow<'static, str>,
}

impl fmt::Display for ClaimDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; expected {}", self.claim, self.found, self.expected)
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: Reason,
    pub(super) defect: Option<Box<ClaimDefect>>,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason, defect: None }
    }
}

impl Refused {
    /// `claim` is not there.
    pub(super) fn missing(claim: impl Into<Cow<'static, str>>, expected: impl Into<Cow<'static, str>>) -> Self {
        Self::defect(Reason::InvalidClaims, claim, "missing", expected)
    }

    /// `claim` is `value`, which is of the wrong type.
    pub(super) fn wrong(claim: impl Into<Cow<'static, str>>, value: &Value, expected: &'static str) -> Self {
        Self::defect(Reason::InvalidClaims, claim, kind_of(value), expected)
    }

    /// `claim` says something else than `expected`.
    pub(super) fn other(
        reason: Reason,
        claim: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::defect(reason, claim, "another", expected)
    }

    /// A refusal for what is `found` at `claim`.
    pub(super) fn defect(
        reason: Reason,
        claim: impl Into<Cow<'static, str>>,
        found: &'static str,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        let defect = ClaimDefect { claim: claim.into(), found, expected: expected.into() };
        Self { reason, defect: Some(defect.into()) }
    }
}

/// What a value is, in words.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty text",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
