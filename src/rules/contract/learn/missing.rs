//! How an error speaks of the members that are missing.

use serde_json::{Map, Value, json};

use super::spelling::{escaped, quoted};
use crate::rules::contract::Lack;

/// An answer's part, and the members that were missing from its request.
#[derive(Clone, Copy)]
pub(super) struct Said<'v> {
    pub(super) value: &'v Value,
    pub(super) missing: &'v [String],
    /// What stood in the place of each.
    pub(super) lacks: &'v [Lack],
}

/// The template of what all of them say; `None` where they have nothing in common.
pub(super) fn template(said: &[Said<'_>]) -> Option<Value> {
    let (first, others) = said.split_first()?;
    if let Some(keyed) = keyed(said) {
        return Some(keyed);
    }
    match first.value {
        Value::String(_) => text(said).map(Value::from),
        Value::Array(_) => list(said),
        Value::Object(members) => {
            let mut template = Map::new();
            for name in members.keys() {
                let parts: Option<Vec<_>> = said
                    .iter()
                    .map(|one| Some(Said { value: one.value.get(name)?, missing: one.missing, lacks: one.lacks }))
                    .collect();
                template.insert(name.clone(), self::template(&parts?)?);
            }
            let same = |one: &Said<'_>| one.value.as_object().is_some_and(|other| other.len() == members.len());
            others.iter().all(same).then_some(Value::Object(template))
        }
        constant => others.iter().all(|one| one.value == constant).then(|| constant.clone()),
    }
}

/// An object with one member for each that is missing, and the same value under all of them.
pub(super) fn keyed(said: &[Said<'_>]) -> Option<Value> {
    let mut of_lack: [Option<&Value>; LACKS.len()] = [None; LACKS.len()];
    for Said { value, missing, lacks } in said {
        let members = value.as_object()?;
        let is_keyed = members.len() == missing.len() && missing.iter().all(|name| members.contains_key(name));
        if !is_keyed || missing.is_empty() {
            return None;
        }
        for (name, lack) in missing.iter().zip(*lacks) {
            let (value, known) = (members.get(name)?, &mut of_lack[*lack as usize]);
            if known.is_some_and(|known| known != value) {
                return None;
            }
            *known = Some(value);
        }
    }
    let mut all = of_lack.iter().flatten();
    let of_all = all.next()?;
    if all.any(|value| value != of_all) {
        return Some(json!({ "{missing.each}": [cases(of_lack)?] }));
    }
    let value = of_all.as_array()?.iter().map(|text| text.as_str().map(escaped)).collect::<Option<Vec<_>>>()?;
    Some(json!({ "{missing.each}": value }))
}

/// What can stand in a member's place, in the order of `|cases`.
const LACKS: [Lack; 4] = [Lack::Absent, Lack::Blank, Lack::Null, Lack::Mistyped];

/// The hole of a text for each; what no recording shows has the first one.
fn cases(of_lack: [Option<&Value>; LACKS.len()]) -> Option<String> {
    let text = |value: &Value| match &value.as_array()?[..] {
        [Value::String(text)] => quoted(text),
        _ => None,
    };
    let first = text(of_lack.iter().flatten().next()?)?;
    let texts = of_lack.into_iter().map(|value| value.map_or_else(|| Some(first.clone()), text));
    Some(format!("{{missing.why|cases {}}}", texts.collect::<Option<Vec<_>>>()?.join(" ")))
}

/// A list with one text for each that is missing.
fn list(said: &[Said<'_>]) -> Option<Value> {
    let first = said.first()?;
    if said.iter().all(|one| one.value == first.value)
        && first.value.as_array().is_none_or(|l| l.iter().all(|v| !names_any(v, first.missing)))
    {
        return Some(first.value.clone());
    }
    let mut around: Option<(String, String)> = None;
    for Said { value, missing, .. } in said {
        let elements = value.as_array().filter(|elements| elements.len() == missing.len())?;
        for (element, name) in elements.iter().zip(*missing) {
            let (before, after) = element.as_str()?.split_once(name.as_str())?;
            let found = (before.to_owned(), after.to_owned());
            if around.as_ref().is_some_and(|known| *known != found) {
                return None;
            }
            around = Some(found);
        }
    }
    let (before, after) = around?;
    Some(format!("{{missing|each {}}}", quoted(&format!("{before}{{}}{after}"))?).into())
}

fn names_any(value: &Value, missing: &[String]) -> bool {
    value.as_str().is_some_and(|text| missing.iter().any(|name| text.contains(name.as_str())))
}

fn text(said: &[Said<'_>]) -> Option<String> {
    let all: Vec<(&str, &[String])> = said.iter().filter_map(|one| Some((one.value.as_str()?, one.missing))).collect();
    if all.len() < said.len() {
        return None;
    }
    let (first, names) = *all.first()?;
    if all.iter().all(|(text, _)| *text == first) && !names.iter().any(|name| first.contains(name.as_str())) {
        return Some(escaped(first));
    }
    with_first(&all).or_else(|| with_all(&all))
}

/// The first of them stands in the text.
fn with_first(all: &[(&str, &[String])]) -> Option<String> {
    let around = |(text, names): &(&str, &[String])| {
        let (before, after) = text.split_once(names.first()?.as_str())?;
        let others = names.iter().skip(1).any(|name| after.contains(name.as_str()));
        (!others).then(|| (before.to_owned(), after.to_owned()))
    };
    let first = around(all.first()?)?;
    let same = all.iter().all(|one| around(one).as_ref() == Some(&first));
    same.then(|| format!("{}{{missing.first}}{}", escaped(&first.0), escaped(&first.1)))
}

/// A sentence about one of them, and another one about several.
fn with_all(all: &[(&str, &[String])]) -> Option<String> {
    let one = all.iter().find(|(_, names)| names.len() == 1).map(|(text, names)| parts(text, names));
    let several = all.iter().filter(|(_, names)| names.len() > 1).map(|(text, names)| parts(text, names));
    let several = several.collect::<Option<Vec<_>>>()?;
    let longest = several.iter().max_by_key(|parts| parts.len())?;
    let (before, after) = (longest.first()?, longest.last()?);
    let between = &longest[1..longest.len() - 1];
    let last = between.last()?;
    let usual = between.first()?;
    let (before_one, after_one) = match one {
        Some(parts) => {
            let parts = parts?;
            (parts.first()?.clone(), parts.last()?.clone())
        }
        None => (before.clone(), after.clone()),
    };
    let choice = |one: &str, many: &str| {
        if one == many {
            return Some(escaped(one));
        }
        Some(format!("{{missing|plural {} {}}}", quoted(one)?, quoted(many)?))
    };
    let join = if usual == last { quoted(last)? } else { format!("{} {}", quoted(usual)?, quoted(last)?) };
    Some(format!("{}{{missing|join {join}}}{}", choice(&before_one, before)?, choice(&after_one, after)?))
}

/// What stands before, between and behind the names.
fn parts(text: &str, names: &[String]) -> Option<Vec<String>> {
    let mut parts = vec![];
    let mut rest = text;
    for name in names {
        let (before, after) = rest.split_once(name.as_str())?;
        parts.push(before.to_owned());
        rest = after;
    }
    parts.push(rest.to_owned());
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(said: &[(Value, &[&str])]) -> Option<Value> {
        let names: Vec<Vec<String>> =
            said.iter().map(|(_, missing)| missing.iter().map(|&name| name.to_owned()).collect()).collect();
        let lacks = &[Lack::Absent; 4];
        let said: Vec<_> =
            said.iter().zip(&names).map(|((value, _), missing)| Said { value, missing, lacks }).collect();
        template(&said)
    }

    #[test]
    fn the_way_of_an_error_is_found() {
        for (said, expected) in [
            (
                vec![
                    (json!({"u": ["Required."]}), &["u"][..]),
                    (json!({"u": ["Required."], "p": ["Required."]}), &["u", "p"]),
                ],
                json!({"{missing.each}": ["Required."]}),
            ),
            (
                vec![(json!({"m": "'u' is missing"}), &["u"]), (json!({"m": "'p' is missing"}), &["p"])],
                json!({"m": "'{missing.first}' is missing"}),
            ),
            (vec![(json!(["u?"]), &["u"]), (json!(["u?", "p?"]), &["u", "p"])], json!("{missing|each '{}?'}")),
            (
                vec![(json!("Say u"), &["u"]), (json!("Say u, p and q"), &["u", "p", "q"])],
                json!("Say {missing|join ', ' ' and '}"),
            ),
            (
                vec![(json!("The u is"), &["u"]), (json!("All of u + p are"), &["u", "p"])],
                json!("{missing|plural 'The ' 'All of '}{missing|join ' + '}{missing|plural ' is' ' are'}"),
            ),
            (
                vec![(json!({"code": 1, "m": "{No}"}), &["u"]), (json!({"code": 1, "m": "{No}"}), &["p"])],
                json!({"code": 1, "m": "{{No}}"}),
            ),
        ] {
            assert_eq!(learnt(&said), Some(expected));
        }
        assert_eq!(learnt(&[(json!("a"), &["u"]), (json!("b"), &["u"])]), None);
        assert_eq!(learnt(&[(json!({"a": 1}), &["u"]), (json!({"b": 1}), &["u"])]), None);
    }
}
