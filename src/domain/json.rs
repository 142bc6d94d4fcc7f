//! Strict JSON objects: what a contract's body, a JWT's header and a JWT's payload all are.
//!
//! RFC 8259 section 4 leaves open what a duplicated member means, so two readers may see two
//! different accounts (or two algorithms) in the same bytes. Here it has no meaning at all.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, map::Entry};
use thiserror::Error;
use zeroize::Zeroize;

use super::form;

/// Objects and arrays that may stand inside each other, the outermost one counted. The bound is
/// `serde_json`'s own, and keeps both the reading and the dropping of a value off the stack's end.
pub const DEPTH_MAX: usize = 127;

/// The byte order mark in UTF-8, which some clients put in front (RFC 8259 section 8.1 lets a reader skip it).
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The bytes are no JSON object, or one whose members are ambiguous. It says no more: these bytes
/// hold secrets, and a parser's message quotes what it stumbled over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not one JSON object with distinct members")]
pub struct NotJson;

/// Reads one JSON object, its members in their order.
///
/// One BOM in front is skipped, and space around the object; a number that is no integer of 64 bits becomes an `f64`.
///
/// # Errors
/// When the bytes are not UTF-8, not JSON, another value than an object, nested deeper than
/// [`DEPTH_MAX`], followed by anything but space, or when a member is duplicated at any depth. Names
/// are compared as they are after unescaping, so `"a"` and `"\u0061"` are the same member.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, NotJson> {
    // serde_json checks only the strings it meets, so the whole is checked here, once.
    let text = std::str::from_utf8(bytes.strip_prefix(BOM).unwrap_or(bytes)).map_err(|_| NotJson)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Object(members) = Object::deserialize(&mut deserializer).map_err(|_| NotJson)?;
    deserializer.end().map_err(|_| NotJson)?;
    Ok(members)
}

/// Reads a form as an object: each of its fields is a text.
///
/// # Errors
/// Where it has no single meaning, see [`form::fields`].
pub fn parse_form(bytes: &[u8]) -> Result<Map<String, Value>, NotJson> {
    let fields = form::fields(bytes).map_err(|_| NotJson)?;
    Ok(fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
}

/// The outermost value, which has to be an object.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Object, A::Error> {
        distinct_members(access).map(Object)
    }
}

/// Reads any value, in which no object has a duplicated member.
#[derive(Clone, Copy, Debug)]
pub struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        distinct_members(access).map(Value::Object)
    }
}

fn distinct_members<'de, A: MapAccess<'de>>(access: A) -> Result<Map<String, Value>, A::Error> {
    let mut members = Map::new();
    let filled = fill(&mut members, access);
    if filled.is_err() {
        // What was read until then may be a password.
        members.values_mut().for_each(wipe);
    }
    filled.map(|()| members)
}

fn fill<'de, A: MapAccess<'de>>(members: &mut Map<String, Value>, mut access: A) -> Result<(), A::Error> {
    while let Some(name) = access.next_key::<String>()? {
        match members.entry(name) {
            Entry::Vacant(vacant) => vacant.insert(access.next_value_seed(Strict)?),
            Entry::Occupied(_) => return Err(A::Error::custom("a duplicated member")),
        };
    }
    Ok(())
}

/// Overwrites every string in a value.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A request's body that may hold a password: what its members say is wiped when this is dropped. Without `Debug`.
pub struct SecretObject(Result<Map<String, Value>, NotJson>);

impl SecretObject {
    /// Reads one JSON object, see [`parse_object`].
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        Self(parse_object(bytes))
    }

    /// Reads a form, see [`parse_form`].
    #[must_use]
    pub fn of_form(bytes: &[u8]) -> Self {
        Self(parse_form(bytes))
    }

    /// The object, if the bytes were one.
    pub const fn members(&self) -> &Result<Map<String, Value>, NotJson> {
        &self.0
    }
}

impl Drop for SecretObject {
    fn drop(&mut self) {
        if let Ok(members) = &mut self.0 {
            members.values_mut().for_each(wipe);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refused(bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        assert_eq!(parse_object(bytes), Err(NotJson), "{}", String::from_utf8_lossy(bytes));
    }

    fn nested(depth: usize) -> String {
        format!("{}0{}", "{\"a\":".repeat(depth), "}".repeat(depth))
    }

    #[test]
    fn members_keep_their_order_and_types() {
        let body = r#" {"z":"ñ \u00f1","a":[null,true,-1,18446744073709551615,1.5],"m":{"k":{}}} "#;
        let members = parse_object(body.as_bytes()).unwrap();
        assert_eq!(members.keys().collect::<Vec<_>>(), ["z", "a", "m"]);
        assert_eq!(Value::Object(members), json!({"z": "ñ ñ", "a": [null, true, -1, u64::MAX, 1.5], "m": {"k": {}}}));
    }

    #[test]
    fn a_form_is_an_object_of_texts() {
        let read = parse_form(b"user=ana&pin=7&empty=").map(Value::Object);
        assert_eq!(read, Ok(json!({"user": "ana", "pin": "7", "empty": ""})));
        assert_eq!(parse_form(b"a=1&a=2"), Err(NotJson));
    }

    #[test]
    fn one_bom_is_skipped_and_no_more() {
        assert_eq!(parse_object(b"\xEF\xBB\xBF{}"), Ok(Map::new()));
        refused(b"\xEF\xBB\xBF\xEF\xBB\xBF{}");
        refused(b"{}\xEF\xBB\xBF");
        refused(b"\xFF\xFE{\0}\0");
    }

    #[test]
    fn anything_but_an_object_is_refused() {
        for text in ["", " ", "null", "true", "1", "\"a\"", "[]", "[{}]", "username=admin&password=demo2024"] {
            refused(text);
        }
    }

    #[test]
    fn lenient_spellings_are_refused() {
        for text in ["{", "{}{}", "{} x", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":NaN}"] {
            refused(text);
        }
        for text in ["{\"a\":1e999}", "{\"a\":\"\n\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\x\"}", "/**/{}", "{}\0"] {
            refused(text);
        }
    }

    #[test]
    fn invalid_utf8_is_refused_wherever_it_stands() {
        for bytes in
            [&b"{\"a\":\"\xFF\"}"[..], b"{\"\xC3\":1}", b"{}\xFF", b"{\"a\":\"\xED\xA0\x80\"}", b"{\"a\":\"\xC0\xAF\"}"]
        {
            refused(bytes);
        }
    }

    #[test]
    fn a_duplicated_member_is_refused_at_any_depth() {
        refused(r#"{"a":1,"a":1}"#);
        refused(r#"{"a":1,"b":2,"\u0061":3}"#);
        refused(r#"{"x":[0,{"y":{"a":1,"a":2}}]}"#);
        assert!(parse_object(br#"{"a":{"a":1},"b":[{"a":1},{"a":2}],"A":0}"#).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse_object(nested(DEPTH_MAX).as_bytes()).is_ok());
        refused(nested(DEPTH_MAX + 1));
        refused("{\"a\":".to_owned() + &"[".repeat(100_000));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse_object(&bytes);
        }

        #[test]
        fn what_serde_json_reads_without_duplicates_is_read_alike(members in proptest::collection::btree_map(".{0,8}", any::<f64>(), 0..8)) {
            let text = serde_json::to_string(&members).unwrap();
            let expected: Map<String, Value> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(parse_object(text.as_bytes()), Ok(expected));
        }
    }
}
