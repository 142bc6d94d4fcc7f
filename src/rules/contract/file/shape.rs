//! What a value of the wrong type should have been, and what an unknown key: in words, from the JSON Schema of the
//! file.

use std::ops::Range;

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    layers::{Fault, Sources},
    schema::schema,
};
use crate::domain::text::near;

/// Everything in a file that is of another type than its key takes, or out of bounds, in the order of the file.
pub(super) fn faults(sources: &Sources<'_>, table: &DeTable<'_>) -> Vec<Fault> {
    let mut shape = Shape { found: vec![] };
    shape.table(table, &schema(), "");
    shape.found.sort_by_key(|(span, _)| span.start);
    shape.found.iter().map(|(span, message)| sources.fault(span.start, message)).collect()
}

/// The path of the table that begins at an octet; empty for the file itself.
pub(super) fn path_at(table: &DeTable<'_>, at: usize) -> String {
    below(table, at, "").unwrap_or_default()
}

fn below(table: &DeTable<'_>, at: usize, path: &str) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let path = joined(path, key.get_ref());
        let DeValue::Table(inner) = value.get_ref() else { return None };
        below(inner, at, &path).or_else(|| (value.span().start == at).then_some(path))
    })
}

/// That a key is missing in the table at a path, and what it would say.
pub(super) fn missing(path: &str, key: &str) -> String {
    let schema = schema();
    let mut names = path.split('.').filter(|name| !name.is_empty());
    let of_path = names.try_fold(&schema, |schema, name| of_key(schema, name));
    let about = of_path.and_then(|schema| of_key(schema, key)).map(about).unwrap_or_default();
    format!("'{}' is missing{about}", joined(path, key))
}

struct Shape {
    found: Vec<(Range<usize>, String)>,
}

impl Shape {
    fn table(&mut self, table: &DeTable<'_>, schema: &Value, path: &str) {
        for (key, value) in table {
            match of_key(schema, key.get_ref()) {
                Some(of_key) => self.value(value, of_key, &joined(path, key.get_ref())),
                None if schema["additionalProperties"] == false => {
                    let known = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
                    self.found.push((key.span(), unknown(key.get_ref(), &known.collect::<Vec<_>>())));
                }
                None => {}
            }
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &Value, path: &str) {
        // An error is a table, or the name of another one.
        let choices = schema["anyOf"].as_array().into_iter().flatten();
        let chosen = choices.into_iter().find(|choice| is_of_type(value.get_ref(), choice)).unwrap_or(schema);
        if !is_of_type(value.get_ref(), chosen) || !is_within(value.get_ref(), chosen) {
            let found = name(value.get_ref());
            let message = format!("'{path}' takes {}, and this is {found}{}", taken(schema), about(schema));
            self.found.push((value.span(), message));
            return;
        }
        match value.get_ref() {
            DeValue::Table(inner) => self.table(inner, chosen, path),
            DeValue::Array(elements) => {
                for element in elements {
                    self.value(element, &chosen["items"], path);
                }
            }
            _ => {}
        }
    }
}

/// That a key is unknown, with the nearest known one.
pub(super) fn unknown(word: &str, known: &[&str]) -> String {
    match near(word, known) {
        Some(nearest) => format!("unknown key '{word}'; did you mean '{nearest}'?"),
        None => format!("unknown key '{word}'; known: {}", known.join(", ")),
    }
}

/// What the schema says of a key; `None` for a key that it does not know.
fn of_key<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    let is_status = key.len() == 3 && key.parse::<u16>().is_ok();
    let of_status = || schema["patternProperties"].as_object()?.values().next().filter(|_| is_status);
    let named = schema["properties"].get(key).or_else(of_status);
    // Where there is an `other`, what each of the names means is checked later.
    let other = || schema["properties"].get("other");
    named.or_else(other).or_else(|| Some(&schema["additionalProperties"]).filter(|of_each| of_each.is_object()))
}

/// The types that a value may have.
fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        Value::String(name) => vec![name],
        _ if schema.get("enum").is_some() => vec!["string"],
        _ => schema["anyOf"].as_array().into_iter().flatten().flat_map(types).collect(),
    }
}

fn is_of_type(value: &DeValue<'_>, schema: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_table(),
        "array" => value.is_array(),
        "string" => value.is_str(),
        "integer" => value.is_integer(),
        "boolean" => value.is_bool(),
        _ => true,
    };
    let types = types(schema);
    types.is_empty() || types.into_iter().any(is)
}

/// Whether a number is within its bounds, and a word is one of those that are known.
fn is_within(value: &DeValue<'_>, schema: &Value) -> bool {
    match value {
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
            let (least, most) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
            number.is_some_and(|number| {
                least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most)
            })
        }
        DeValue::String(word) => schema["enum"].as_array().is_none_or(|words| words.contains(&Value::from(&**word))),
        _ => true,
    }
}

/// What a key takes, for people.
fn taken(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().map(Value::to_string).collect();
        return if words.len() == 1 { words.concat() } else { format!("one of {}", words.join(", ")) };
    }
    let kinds: Vec<_> = types(schema).into_iter().map(|kind| of_type(kind, schema)).collect();
    kinds.join(" or ")
}

fn of_type(kind: &str, schema: &Value) -> String {
    match kind {
        "object" => match schema["properties"].as_object() {
            Some(keys) => format!("a table with {}", keys.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
            None => "a table".to_owned(),
        },
        "array" => match &schema["items"] {
            of_each @ Value::Object(_) => format!("a list such as [{}]", example(of_each)),
            _ => "a list".to_owned(),
        },
        "integer" => match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
            (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
            _ => "a whole number".to_owned(),
        },
        "boolean" => "true or false".to_owned(),
        _ => "a text".to_owned(),
    }
}

/// A value that a schema takes.
fn example(schema: &Value) -> String {
    match (schema["enum"].as_array(), types(schema).first()) {
        (Some(words), _) => words.first().map(Value::to_string).unwrap_or_default(),
        (None, Some(&"integer")) => "401".to_owned(),
        (None, Some(&"object")) => "{ … }".to_owned(),
        _ => "\"…\"".to_owned(),
    }
}

/// What the key says.
fn about(schema: &Value) -> String {
    schema["description"].as_str().map(|about| format!(" ({about})")).unwrap_or_default()
}

fn name(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= SHOWN_CHARS_MAX => format!("the text \"{text}\""),
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Characters of a text that a message repeats, at most.
const SHOWN_CHARS_MAX: usize = 40;

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
