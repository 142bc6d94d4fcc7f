//! What is wrong with a text that is no TOML.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{
    report::{Position, Problem},
    section::key_in,
};

/// Repeated keys whose first place is looked for, at most: each look reads the file once more.
const REPEATED_KEYS_MAX: usize = 8;

/// A key that no file has.
const STAND_IN: &str = "portero-stand-in-for-a-repeated-key";

/// The parser's errors. It goes on after an error and may stumble again over the same line: the first
/// of each line says what is wrong.
pub(in crate::config) fn problems(text: &str, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = vec![];
    let mut repeated = 0;
    for error in errors {
        let position = Position::of(text, error.span().map_or(0, |span| span.start));
        if problems.iter().any(|known| known.position.is_some_and(|known| known.line == position.line)) {
            continue;
        }
        let mut message = format!("no TOML: {}", error.message());
        if error.message() == "duplicate key" && repeated < REPEATED_KEYS_MAX {
            repeated += 1;
            if let Some(first) = error.span().and_then(|span| first_place(text, span)) {
                let line = Position::of(text, first.offset).line;
                message = format!("{message}: '{}' stands on line {line} already", first.key);
            }
        }
        problems.push(Problem::new(Some(position), String::new(), &message));
    }
    problems
}

/// Where a key stands first.
struct First {
    key: String,
    offset: usize,
}

/// The first place of the key that is repeated at `span`: the parser keeps it to itself. Under another name the
/// repeated key stands beside the first one.
fn first_place(text: &str, span: Range<usize>) -> Option<First> {
    let (before, repeated, behind) = (text.get(..span.start)?, text.get(span.clone())?, text.get(span.end..)?);
    let alone = format!("{repeated} = 1");
    let (alone, _) = DeTable::parse_recoverable(&alone);
    let name = alone.get_ref().keys().next()?.get_ref().to_string();
    let renamed = format!("{before}{STAND_IN}{behind}");
    let (table, _) = DeTable::parse_recoverable(&renamed);
    beside(table.get_ref(), "", &name)
}

/// The key `name` of the table that has [`STAND_IN`] too; `path` is where `table` stands.
fn beside(table: &DeTable<'_>, path: &str, name: &str) -> Option<First> {
    if table.keys().any(|key| key.get_ref() == STAND_IN) {
        let (first, _) = table.get_key_value(name)?;
        return Some(First { key: key_in(path, name), offset: first.span().start });
    }
    table.iter().find_map(|(key, value)| in_value(value.get_ref(), &key_in(path, key.get_ref()), name))
}

fn in_value(value: &DeValue<'_>, path: &str, name: &str) -> Option<First> {
    match value {
        DeValue::Table(table) => beside(table, path, name),
        DeValue::Array(values) => {
            let mut values = values.iter().enumerate();
            values.find_map(|(index, value)| in_value(value.get_ref(), &format!("{path}[{index}]"), name))
        }
        _ => None,
    }
}
