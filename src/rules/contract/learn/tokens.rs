//! What the tokens of the recordings tell of themselves.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::domain::Reason;

/// The tokens that the recorded logins gave: JWTs tell something of themselves.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Refresh tokens.
    pub(super) refreshing: BTreeSet<String>,
    /// When the first of the recorded JWTs was issued, in seconds since 1970; none where they are no JWTs.
    pub(super) first_issue: Option<i64>,
    /// Whom the first of them is for.
    pub(super) audience: Option<Value>,
    /// The schemes that routes took, in lower case.
    pub(super) schemes: BTreeSet<String>,
}

impl Tokens {
    /// Whether a field has a scheme that carries no token here.
    pub(super) fn is_of_others(&self, field: &str) -> bool {
        let scheme = field.split_once(' ').map(|(scheme, _)| scheme.to_lowercase());
        scheme.is_some_and(|scheme| scheme != "bearer" && !self.schemes.contains(&scheme))
    }

    /// Why a token of a field is refused; `None` where that is not plain.
    pub(super) fn reason(&self, field: &str) -> Option<Reason> {
        let issue = self.first_issue?;
        let token = field.split(' ').next_back()?;
        if self.refreshing.contains(token) {
            return Some(Reason::WrongTokenKind);
        }
        let Some(payload) = payload(token) else { return Some(Reason::MalformedToken) };
        let ended = payload.get("exp").and_then(Value::as_i64).is_some_and(|end| end < issue);
        let is_for_others = self.audience.is_some() && payload.get("aud") != self.audience.as_ref();
        ended.then_some(Reason::Expired).or(is_for_others.then_some(Reason::WrongAudience))
    }
}

/// What a JWT says.
pub(super) fn payload(token: &str) -> Option<Value> {
    let [_, payload, _] = token.split('.').collect::<Vec<_>>()[..] else { return None };
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}
