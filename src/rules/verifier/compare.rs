//! How two answers to one request differ, for `mode = "observe"`. Only names of members come out, never what they hold.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// Differences that are named, at most.
pub const DIFFERENCES_MAX: usize = 16;

/// Members below each other that are looked at.
const DEPTH_MAX: usize = 4;

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// In one word: `same`, `status`, `fields` or `claims`, the first of them that differs.
    pub outcome: &'static str,
    /// The members and claims that only one of them has, or that are of another type: `-` before what the old answer
    /// has alone, `+` before what ours has, `~` before another type.
    pub differences: Vec<String>,
}

/// Compares the old answer with ours: the status, the members with their types, and the claims of tokens that are JWTs.
#[must_use]
pub fn compare(old: (u16, &[u8]), ours: (u16, &[u8])) -> Comparison {
    let read = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    let (was, is) = (read(old.1), read(ours.1));
    let (mut old_claims, mut our_claims) = (Kinds::new(), Kinds::new());
    let (mut old_members, mut our_members) = (Kinds::new(), Kinds::new());
    gather(&was, "", 0, &mut old_members, &mut old_claims);
    gather(&is, "", 0, &mut our_members, &mut our_claims);
    let mut fields = differences(&old_members, &our_members);
    // Claims can be compared only where both are JWTs.
    let claims =
        if old_claims.is_empty() || our_claims.is_empty() { vec![] } else { differences(&old_claims, &our_claims) };
    let outcome = if old.0 != ours.0 {
        "status"
    } else if !fields.is_empty() {
        "fields"
    } else if claims.iter().any(|claim| !claim.starts_with('+')) {
        // What our tokens carry beside theirs breaks nobody.
        "claims"
    } else {
        "same"
    };
    fields.extend(claims);
    fields.truncate(DIFFERENCES_MAX);
    Comparison { outcome, differences: fields }
}

/// The type of each member.
type Kinds = BTreeMap<String, &'static str>;

fn gather(value: &Value, path: &str, depth: usize, members: &mut Kinds, claims: &mut Kinds) {
    members.insert(if path.is_empty() { "$".to_owned() } else { path.to_owned() }, kind(value));
    match value {
        Value::Object(object) if depth < DEPTH_MAX => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                gather(value, &path, depth + 1, members, claims);
            }
        }
        Value::String(text) => {
            for (name, claim) in claims_of(text) {
                claims.insert(format!("{}:{name}", if path.is_empty() { "$" } else { path }), kind(&claim));
            }
        }
        _ => {}
    }
}

fn claims_of(token: &str) -> serde_json::Map<String, Value> {
    let parts: Vec<_> = token.split('.').collect();
    let [_, payload, _] = parts[..] else { return serde_json::Map::new() };
    let payload = URL_SAFE_NO_PAD.decode(payload).ok();
    payload.and_then(|payload| serde_json::from_slice(&payload).ok()).unwrap_or_default()
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn differences(old: &Kinds, ours: &Kinds) -> Vec<String> {
    let gone = old.keys().filter(|name| !ours.contains_key(*name)).map(|name| format!("-{name}"));
    let new = ours.keys().filter(|name| !old.contains_key(*name)).map(|name| format!("+{name}"));
    let other = old.iter().filter(|(name, kind)| ours.get(*name).is_some_and(|ours| ours != *kind));
    // Names come from the other side: they go to the log.
    let shown = |name: String| name.chars().filter(|c| !c.is_control()).take(64).collect::<String>();
    gone.chain(new).chain(other.map(|(name, _)| format!("~{name}"))).map(shown).take(DIFFERENCES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn values_may_differ_and_names_and_types_not() {
        let old = br#"{"tokenValido":"a","usuario":{"id":1,"username":"x"}}"#;
        assert_eq!(
            compare((200, old), (200, br#"{"usuario":{"username":"y","id":2},"tokenValido":"b"}"#)).outcome,
            "same"
        );
        let other = compare((200, old), (200, br#"{"tokenValido":"b","usuario":{"id":"2"},"error":0}"#));
        assert_eq!(
            (other.outcome, other.differences),
            ("fields", vec!["-usuario.username".into(), "+error".into(), "~usuario.id".into()])
        );
        assert_eq!(compare((200, old), (401, old)).outcome, "status");
        assert_eq!(compare((401, b"<html>"), (401, b"not json")).outcome, "same");
    }

    #[test]
    fn claims_are_compared_where_both_are_jwts() {
        let body = |claims: &str| format!("\"{}\"", jwt(claims)).into_bytes();
        let old = body(r#"{"business":"b","proyecto":"p","own":1}"#);
        let same = compare((200, &old), (200, &body(r#"{"business":"b","proyecto":"p","own":1,"jti":"x"}"#)));
        assert_eq!((same.outcome, same.differences), ("same", vec!["+$:jti".to_owned()]));
        let less = compare((200, &old), (200, &body(r#"{"business":"b","proyecto":"p"}"#)));
        assert_eq!((less.outcome, less.differences), ("claims", vec!["-$:own".to_owned()]));
        assert_eq!(compare((200, &old), (200, br#""opaque""#)).outcome, "same");
    }
}
