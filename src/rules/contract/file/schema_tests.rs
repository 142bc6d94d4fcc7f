//! The schema against what the parser knows, and what ships.

use serde_json::Value;
use toml::{Table, Value as Toml};

use super::{TEXTS, load, schema};

/// Whether a value is what the schema says, in the words that the schema uses.
fn is_valid(value: &Value, schema: &Value) -> Result<(), String> {
    let known = ["$schema", "title", "description", "type", "additionalProperties", "properties", "patternProperties"];
    let further = ["anyOf", "required", "items", "enum", "pattern", "minimum", "maximum"];
    let words = schema.as_object().unwrap();
    assert!(words.keys().all(|word| known.contains(&word.as_str()) || further.contains(&word.as_str())), "{words:?}");
    let refused = |why: &str| Err(format!("{value} {why} {schema}"));
    let is_type = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        other => panic!("{other}"),
    };
    match &schema["type"] {
        Value::Array(names) if !names.iter().any(is_type) => return refused("is of no type of"),
        name @ Value::String(_) if !is_type(name) => return refused("is not of the type of"),
        _ => {}
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return refused("is not one of");
    }
    if let Some(choices) = schema["anyOf"].as_array()
        && !choices.iter().any(|choice| is_valid(value, choice).is_ok())
    {
        return refused("is none of");
    }
    let required = schema["required"].as_array().into_iter().flatten();
    if required.into_iter().any(|name| value.get(name.as_str().unwrap()).is_none()) {
        return refused("lacks a key of");
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let is_status = name.len() == 3 && name.parse::<u16>().is_ok();
        let of_pattern = schema["patternProperties"].as_object().filter(|_| is_status);
        let below = schema["properties"].get(name).or_else(|| of_pattern.and_then(|all| all.values().next()));
        match (below, &schema["additionalProperties"]) {
            (Some(below), _) => is_valid(member, below)?,
            (None, Value::Bool(false)) => return Err(format!("the key {name} is not in {schema}")),
            (None, free @ Value::Object(_)) => is_valid(member, free)?,
            (None, _) => {}
        }
    }
    for element in value.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some()) {
        is_valid(element, &schema["items"])?;
    }
    Ok(())
}

#[test]
fn what_ships_is_what_the_schema_says() {
    let schema = schema();
    for (name, _, text) in TEXTS {
        let value = serde_json::to_value(text.parse::<Table>().unwrap()).unwrap();
        assert_eq!(is_valid(&value, &schema), Ok(()), "{name}");
    }
    for (bad, text) in [("type", "name = 1"), ("key", "extends = \"sws\"\nnme = \"x\""), ("lacks", "name = \"x\"")] {
        let value = serde_json::to_value(text.parse::<Table>().unwrap()).unwrap();
        assert!(is_valid(&value, &schema).is_err(), "{bad}");
    }
}

/// Every object of the schema whose keys are not free, with the path to it.
fn objects(schema: &Value, path: &[&str], out: &mut Vec<(Vec<String>, Vec<String>)>) {
    if let Some(properties) = schema["properties"].as_object() {
        out.push((path.iter().map(|&name| name.to_owned()).collect(), properties.keys().cloned().collect()));
        for (name, below) in properties {
            objects(below, &[path, &[name.as_str()]].concat(), out);
        }
    }
    for choice in schema["anyOf"].as_array().into_iter().flatten().filter(|choice| choice.get("properties").is_some()) {
        objects(choice, path, out);
    }
}

/// The keys that the parser knows at a path: it lists them for one that it does not know.
fn parsed(path: &[String]) -> Option<Vec<String>> {
    let mut file: Table = TEXTS[0].2.parse().unwrap();
    let mut table = &mut file;
    for name in path {
        let below = table.entry(name.clone()).or_insert_with(|| Toml::Table(Table::new()));
        if !below.is_table() {
            *below = Toml::Table(Table::new());
        }
        table = below.as_table_mut().unwrap();
    }
    table.insert("zzzzzzzz".to_owned(), Toml::Boolean(true));
    let faults = load("t.toml", &toml::to_string(&file).unwrap()).unwrap_err();
    let message = faults.iter().find_map(|fault| fault.message.strip_prefix("unknown key 'zzzzzzzz'; known: "))?;
    Some(message.split(", ").map(str::to_owned).collect())
}

#[test]
fn the_schema_and_the_parser_know_the_same_keys() {
    let mut all = vec![];
    objects(&schema(), &[], &mut all);
    assert!(all.len() > 20, "{all:?}");
    for (path, mut keys) in all {
        // Errors have names that the check knows, and the parser does not.
        if ["rejections", "denials"].contains(&path.last().map(String::as_str).unwrap_or_default()) {
            continue;
        }
        let mut known = parsed(&path).unwrap_or_else(|| panic!("{path:?}: the parser takes any key"));
        if path.is_empty() {
            known.push("extends".to_owned());
        }
        known.sort_unstable();
        keys.sort_unstable();
        assert_eq!(keys, known, "{path:?}");
    }
}
