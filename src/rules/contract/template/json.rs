//! A JSON body with holes, checked. A string that is one hole alone becomes the value of the hole, with its type.

use bytes::Bytes;
use serde::de::DeserializeSeed;
use serde_json::{Map, Value, json};

use super::{
    flaw::{At, Flaw},
    hole::{Filled, Hole, Incomplete},
    kind::Kind,
    text::{Read, Text},
    value::{Fact, Known, MISSING_EACH, Place, Scene},
};
use crate::{domain::json::Strict, rules::contract::RejectionKind};

/// A JSON value whose holes are filled when it is written. What has no holes is bytes already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) enum Json {
    /// Without holes, as it goes out.
    Bytes(Bytes),
    /// A string with holes.
    Text(Text),
    /// A hole alone.
    Hole(Hole),
    Object(Box<[Member]>),
    Array(Box<[Json]>),
    /// An element of an array, once for each missing member.
    Each(Box<Json>),
    /// The value under a member's name, for each missing member. It stands in an object, under no name.
    EachMember(Box<Json>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) struct Member {
    /// Its name with quotes and colon.
    pub(super) name: Box<[u8]>,
    pub(super) value: Json,
}

/// A template and the JSON Schema of what it writes.
pub(in crate::rules::contract) struct Body {
    pub(in crate::rules::contract) json: Json,
    pub(in crate::rules::contract) schema: Value,
}

impl Json {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::rules::contract) fn read(text: &str, scene: &Scene<'_>) -> Result<Body, Flaw> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Strict.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
        let value = value.map_err(|error| {
            let line_start =
                text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
            let at = (line_start + error.column().saturating_sub(1)).min(text.len());
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default();
            let message = format!("the body is no JSON: {said}; a hole stands between quotes: \"{{status}}\"");
            Flaw { at: At::Octets(at..at), message }
        })?;
        let body = Self::check(&value, scene)?;
        match &body.json {
            Self::Hole(hole) if hole.may_omit() => {
                Err(Flaw::whole("|omit leaves out a member, and the body is not a member"))
            }
            _ => Ok(body),
        }
    }

    fn check(value: &Value, scene: &Scene<'_>) -> Result<Body, Flaw> {
        Ok(match value {
            Value::String(text) => match Text::read_alone(text, scene)? {
                Read::Constant(value) => constant(&value),
                Read::Hole(hole) => Body { schema: schema(&hole), json: Self::Hole(hole) },
                Read::Text(text) => match text.letters() {
                    Some(letters) => constant(&letters.into()),
                    None => Body { json: Self::Text(text), schema: json!({ "type": "string" }) },
                },
            },
            Value::Array(elements) => {
                let bodies =
                    elements.iter().map(|element| Self::element(element, scene)).collect::<Result<Vec<_>, _>>()?;
                let items = bodies.first().map_or_else(|| json!({}), |body| body.schema.clone());
                let schema = json!({ "type": "array", "items": items });
                Body { json: Self::array(bodies.into_iter().map(|body| body.json).collect()), schema }
            }
            Value::Object(members) => Self::object(members, scene)?,
            other => constant(other),
        })
    }

    /// An element of an array; repeated where it speaks of each missing member.
    fn element(value: &Value, scene: &Scene<'_>) -> Result<Body, Flaw> {
        if scene.is_repeated || !names_each(value) {
            return Self::check(value, scene);
        }
        let Body { json, schema } = Self::check(value, &Scene { is_repeated: true, ..*scene })?;
        Ok(Body { json: Self::Each(Box::new(json)), schema })
    }

    /// An object with a member for each missing one, called as it.
    fn keyed(members: &Map<String, Value>, scene: &Scene<'_>) -> Result<Body, Flaw> {
        let hole = format!("{{{MISSING_EACH}}}");
        let wrong = |message: &str| Flaw { at: At::Hole(hole.clone()), message: message.to_owned() };
        if !matches!(scene.place, Place::Rejection(RejectionKind::Missing)) {
            return Err(wrong("members are missing in rejections.missing_field alone"));
        }
        let Some(value) = members.values().next().filter(|_| members.len() == 1) else {
            return Err(wrong("a member that is repeated is the only one of its object: another could have its name"));
        };
        if scene.is_repeated {
            return Err(wrong("it stands in what is repeated already"));
        }
        let Body { json, schema } = Self::check(value, &Scene { is_repeated: true, ..*scene })?;
        let schema = json!({ "type": "object", "additionalProperties": schema });
        let member = Member { name: Box::default(), value: Self::EachMember(Box::new(json)) };
        Ok(Body { json: Self::Object([member].into()), schema })
    }

    fn object(members: &Map<String, Value>, scene: &Scene<'_>) -> Result<Body, Flaw> {
        if members.contains_key(&format!("{{{MISSING_EACH}}}")) {
            return Self::keyed(members, scene);
        }
        let (mut checked, mut properties, mut required) = (vec![], Map::new(), vec![]);
        for (name, value) in members {
            if name.contains(['{', '}']) {
                return Err(Flaw::whole(format!(
                    "the member {name:?} has a brace in its name: no name has a hole but {{{MISSING_EACH}}}"
                )));
            }
            let body = Self::check(value, scene)?;
            if !matches!(&body.json, Self::Hole(hole) if hole.may_omit()) {
                required.push(name.clone());
            }
            properties.insert(name.clone(), body.schema);
            let mut name = bytes(&Value::from(name.as_str()));
            name.push(b':');
            checked.push(Member { name: name.into(), value: body.json });
        }
        let schema = json!({ "type": "object", "required": required, "properties": properties });
        Ok(Body { json: Self::Object(checked.into()).folded(), schema })
    }

    fn array(elements: Vec<Self>) -> Self {
        Self::Array(elements.into()).folded()
    }

    /// The same as bytes, where nothing in it has a hole.
    fn folded(self) -> Self {
        let is_constant = match &self {
            Self::Object(members) => members.iter().all(|member| matches!(member.value, Self::Bytes(_))),
            Self::Array(elements) => elements.iter().all(|element| matches!(element, Self::Bytes(_))),
            _ => false,
        };
        if !is_constant {
            return self;
        }
        let mut out = vec![];
        match &self {
            Self::Object(members) => object(&mut out, members, |out, value| value.push_bytes(out)),
            Self::Array(elements) => array(&mut out, elements, |out, value| value.push_bytes(out)),
            _ => {}
        }
        Self::Bytes(out.into())
    }

    /// The bytes, where it has no holes.
    pub(in crate::rules::contract) fn constant(&self) -> Option<&Bytes> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    fn push_bytes(&self, out: &mut Vec<u8>) -> bool {
        if let Self::Bytes(bytes) = self {
            out.extend_from_slice(bytes);
        }
        true
    }

    /// Writes it.
    ///
    /// # Errors
    /// When a value is missing that it cannot do without.
    pub(in crate::rules::contract) fn write(&self, known: &Known<'_>, out: &mut Vec<u8>) -> Result<(), Incomplete> {
        self.push(known, out).map(drop)
    }

    /// Whether something was written: a hole may be left out.
    fn push(&self, known: &Known<'_>, out: &mut Vec<u8>) -> Result<bool, Incomplete> {
        match self {
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Text(text) => push_text(out, &text.fill(known)?),
            Self::Hole(hole) => match hole.fill(known)? {
                Filled::Fact(fact) => push_fact(out, &fact),
                Filled::Null => out.extend_from_slice(b"null"),
                Filled::Omitted => return Ok(false),
            },
            Self::Object(members) => {
                let mut result = Ok(());
                object(out, members, |out, value| match value.push(known, out) {
                    Ok(written) => written,
                    Err(incomplete) => {
                        result = Err(incomplete);
                        false
                    }
                });
                result?;
            }
            Self::Array(elements) => {
                let mut result = Ok(());
                array(out, elements, |out, value| match value.push(known, out) {
                    Ok(written) => written,
                    Err(incomplete) => {
                        result = Err(incomplete);
                        false
                    }
                });
                result?;
            }
            Self::Each(element) => {
                let start = out.len();
                for name in known.missing() {
                    if out.len() > start {
                        out.push(b',');
                    }
                    element.push(&known.for_each(name), out)?;
                }
                return Ok(out.len() > start);
            }
            Self::EachMember(value) => {
                let start = out.len();
                for name in known.missing() {
                    if out.len() > start {
                        out.push(b',');
                    }
                    push_text(out, &name.name);
                    out.push(b':');
                    value.push(&known.for_each(name), out)?;
                }
                return Ok(out.len() > start);
            }
        }
        Ok(true)
    }
}

/// Whether a text in it speaks of each missing member.
fn names_each(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(MISSING_EACH),
        Value::Array(elements) => elements.iter().any(names_each),
        Value::Object(members) => members.values().any(names_each),
        _ => false,
    }
}

/// Writes an object; `push` says whether it wrote the value.
fn object(out: &mut Vec<u8>, members: &[Member], mut push: impl FnMut(&mut Vec<u8>, &Json) -> bool) {
    out.push(b'{');
    let start = out.len();
    for Member { name, value } in members {
        let before = out.len();
        if before > start {
            out.push(b',');
        }
        out.extend_from_slice(name);
        if !push(out, value) {
            out.truncate(before);
        }
    }
    out.push(b'}');
}

/// The same for an array.
fn array(out: &mut Vec<u8>, elements: &[Json], mut push: impl FnMut(&mut Vec<u8>, &Json) -> bool) {
    out.push(b'[');
    let start = out.len();
    for value in elements {
        let before = out.len();
        if before > start {
            out.push(b',');
        }
        if !push(out, value) {
            out.truncate(before);
        }
    }
    out.push(b']');
}

fn constant(value: &Value) -> Body {
    let name = match value {
        Value::String(_) => "string",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Body { json: Json::Bytes(bytes(value).into()), schema: json!({ "type": name }) }
}

fn schema(hole: &Hole) -> Value {
    let name = match hole.kind {
        Kind::Text | Kind::Instant | Kind::Lack => "string",
        Kind::Integer => "integer",
        Kind::List => return json!({ "type": "array", "items": { "type": "string" } }),
    };
    if hole.may_be_null() { json!({ "type": [name, "null"] }) } else { json!({ "type": name }) }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a vector takes every string");
}

fn push_fact(out: &mut Vec<u8>, fact: &Fact<'_>) {
    let written = match fact {
        Fact::Text(text) => serde_json::to_writer(out, text),
        Fact::Integer(number) => serde_json::to_writer(out, number),
        Fact::List(items) => serde_json::to_writer(out, items),
        // These without a formatter were refused when the contract was read.
        Fact::Instant(instant) => serde_json::to_writer(out, &instant.as_secs()),
        Fact::Lack(_) => serde_json::to_writer(out, ""),
    };
    written.expect("a vector takes strings, integers and lists of strings");
}

impl Filled<'_> {
    /// The value that a claim has; `None` when it is left out.
    pub(in crate::rules::contract) fn into_value(self) -> Option<Value> {
        Some(match self {
            Self::Fact(Fact::Text(text)) => text.into_owned().into(),
            Self::Fact(Fact::Integer(number)) => number.into(),
            Self::Fact(Fact::Instant(instant)) => instant.as_secs().into(),
            Self::Fact(Fact::List(items)) => items.into_iter().map(|item| Value::from(item.into_owned())).collect(),
            Self::Null | Self::Fact(Fact::Lack(_)) => Value::Null,
            Self::Omitted => return None,
        })
    }
}
