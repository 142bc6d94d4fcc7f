//! Where a claim stands in a token: a path of member names, since issuers put what we ask for into objects of their own
//! (`realm_access.roles`) and under names that are URLs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};
use thiserror::Error;

/// Member names in a path, at most.
pub const STEPS_MAX: usize = 8;

/// Bytes of a member's name in a path, at most.
const NAME_BYTES_MAX: usize = 255;

/// Where a claim stands: one member's name, or several, each inside the one before. Where a list is on the way, each of
/// its items is gone into.
///
/// As text it is a dotted key as TOML has them: `realm_access.roles`, and `"https://erp.example/roles"` in quotes where
/// a name has a dot, a slash or a space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimPath(Box<[Box<str>]>);

/// What a token says in the place of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'v> {
    /// Nothing: there is no such member.
    Nothing,
    /// A text that is not empty.
    Text(&'v str),
    /// The items of one or several lists, if they have any: texts, none of them empty.
    List(Vec<&'v str>),
    /// Something else.
    Other,
}

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidPath {
    /// A name is missing: at an end, or between two dots.
    #[error("a name is empty")]
    EmptyName,
    /// A name would be ambiguous, or invisible.
    #[error("a name with a dot, '/', a quote or a space in it is written in quotes: '\"https://erp.example/roles\"'")]
    Unquoted,
    /// A quote has no second one, or is not followed by a dot.
    #[error("a quote begins and ends a whole name: 'a.\"b.c\"'")]
    Quote,
    /// There are more names than [`STEPS_MAX`], or one is too long.
    #[error("a path has at most 8 names of 255 bytes")]
    TooLong,
}

impl ClaimPath {
    /// The member `name` of the token itself.
    #[must_use]
    pub fn member(name: &str) -> Self {
        Self(Box::new([name.into()]))
    }

    /// The member `name` of what stands here.
    #[must_use]
    pub fn then(self, name: &str) -> Self {
        Self(self.0.into_iter().chain([name.into()]).collect())
    }

    /// These names, each inside the one before.
    ///
    /// # Errors
    /// When `names` is empty, or has more than [`STEPS_MAX`], or one that is empty or too long.
    pub fn new(names: Vec<Box<str>>) -> Result<Self, InvalidPath> {
        if names.is_empty() || names.iter().any(|name| name.is_empty()) {
            return Err(InvalidPath::EmptyName);
        }
        if names.len() > STEPS_MAX || names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return Err(InvalidPath::TooLong);
        }
        Ok(Self(names.into()))
    }

    /// Whether `test` holds for any of the values in this place. The items of a list are values, the list itself is
    /// not.
    pub fn any<'v>(&self, claims: &'v Map<String, Value>, test: &mut dyn FnMut(&'v Value) -> bool) -> bool {
        any_below(&self.0, claims, false, &mut |found| match found {
            Found::Value { value, .. } => test(value),
            Found::List => false,
        })
    }

    /// What stands in this place: the value, or a list of all where a list is on the way.
    #[must_use]
    pub fn value(&self, claims: &Map<String, Value>) -> Option<Value> {
        let (mut values, mut is_list) = (vec![], false);
        any_below(&self.0, claims, false, &mut |found| {
            match found {
                Found::List => is_list = true,
                Found::Value { value, listed } => {
                    is_list |= listed;
                    values.push(value.clone());
                }
            }
            false
        });
        if is_list { Some(Value::Array(values)) } else { values.pop() }
    }

    /// The texts in this place.
    #[must_use]
    pub fn said<'v>(&self, claims: &'v Map<String, Value>) -> Said<'v> {
        let (mut texts, mut is_list) = (vec![], false);
        let is_other = any_below(&self.0, claims, false, &mut |found| {
            let Found::Value { value, listed } = found else {
                is_list = true;
                return false;
            };
            is_list |= listed;
            let text = value.as_str().filter(|text| !text.is_empty());
            texts.extend(text);
            text.is_none()
        });
        match &texts[..] {
            _ if is_other => Said::Other,
            _ if is_list => Said::List(texts),
            [text] => Said::Text(text),
            _ => Said::Nothing,
        }
    }
}

impl<'v> Said<'v> {
    /// The one text; `None` for several, since nobody could tell which of them counts.
    #[must_use]
    pub fn one(self) -> Option<&'v str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(texts) if texts.len() == 1 => texts.first().copied(),
            _ => None,
        }
    }

    /// All texts.
    #[must_use]
    pub fn all(self) -> Vec<&'v str> {
        match self {
            Self::Text(text) => vec![text],
            Self::List(texts) => texts,
            Self::Nothing | Self::Other => vec![],
        }
    }

    /// The words of a text, or the items of a list. These are not split: what a group is called may have a space in it,
    /// and what stands behind it is no word of its own.
    #[must_use]
    pub fn words(self) -> Vec<&'v str> {
        match self {
            Self::Text(text) => text.split_whitespace().collect(),
            other => other.all(),
        }
    }
}

/// What stands at the end of a path.
enum Found<'v> {
    /// A list, before its items; it may have none.
    List,
    /// A value that is no list, and whether it stands in one.
    Value { value: &'v Value, listed: bool },
}

/// Goes down to the values, and asks `test` of each, until it says yes.
fn any_below<'v>(
    names: &[Box<str>],
    claims: &'v Map<String, Value>,
    listed: bool,
    test: &mut dyn FnMut(Found<'v>) -> bool,
) -> bool {
    let Some((name, below)) = names.split_first() else { return false };
    let is_last = below.is_empty();
    let Some(value) = claims.get(&**name) else { return false };
    if is_last && value.is_array() && test(Found::List) {
        return true;
    }
    let mut one = |value: &'v Value, listed| match value {
        value if is_last => test(Found::Value { value, listed }),
        Value::Object(members) => any_below(below, members, listed, test),
        _ => false,
    };
    match value {
        Value::Array(items) => items.iter().any(|item| one(item, true)),
        value => one(value, listed),
    }
}

impl FromStr for ClaimPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let mut names: Vec<Box<str>> = vec![];
        let mut rest = Some(text);
        while let Some(left) = rest {
            if names.len() == STEPS_MAX {
                return Err(InvalidPath::TooLong);
            }
            let (name, after) = match left.strip_prefix('"') {
                Some(quoted) => {
                    let (name, after) = quoted.split_once('"').ok_or(InvalidPath::Quote)?;
                    let next = after.strip_prefix('.');
                    if next.is_none() && !after.is_empty() {
                        return Err(InvalidPath::Quote);
                    }
                    (name, next)
                }
                None => match left.split_once('.') {
                    Some((name, after)) => (bare(name)?, Some(after)),
                    None => (bare(left)?, None),
                },
            };
            names.push(name.into());
            rest = after;
        }
        Self::new(names)
    }
}

/// A name that needs no quotes.
fn bare(name: &str) -> Result<&str, InvalidPath> {
    if name.chars().any(needs_quotes) { Err(InvalidPath::Unquoted) } else { Ok(name) }
}

fn needs_quotes(char: char) -> bool {
    matches!(char, '.' | '/' | '"' | '\'') || char.is_whitespace() || char.is_control()
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            let quote = if name.contains(needs_quotes) { "\"" } else { "" };
            write!(f, "{dot}{quote}{name}{quote}")?;
        }
        Ok(())
    }
}

/// In JSON one name is a text, whatever is in it, as claim profiles have always had it; several are a list.
impl Serialize for ClaimPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [name] => name.serialize(serializer),
            names => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClaimPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a claim's name, or a list of names, each inside the one before")]
        enum Names {
            One(Box<str>),
            Several(Vec<Box<str>>),
        }
        let names = match Names::deserialize(deserializer)? {
            Names::One(name) => vec![name],
            Names::Several(names) => names,
        };
        Self::new(names).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> ClaimPath {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn names(path: &ClaimPath) -> Vec<&str> {
        path.0.iter().map(|name| &**name).collect()
    }

    #[test]
    fn a_path_is_a_dotted_key() {
        for (text, expected) in [
            ("role", vec!["role"]),
            ("cognito:groups", vec!["cognito:groups"]),
            ("realm_access.roles", vec!["realm_access", "roles"]),
            ("\"https://erp.example/roles\"", vec!["https://erp.example/roles"]),
            ("resource_access.\"my.api\".roles", vec!["resource_access", "my.api", "roles"]),
        ] {
            assert_eq!(names(&path(text)), expected, "{text}");
            assert_eq!(path(text).to_string(), text);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_path() {
        use InvalidPath::{EmptyName, Quote, TooLong, Unquoted};
        for (text, expected) in [
            ("", EmptyName),
            ("a.", EmptyName),
            (".a", EmptyName),
            ("a..b", EmptyName),
            ("\"\"", EmptyName),
            ("https://erp.example/roles", Unquoted),
            ("a b", Unquoted),
            ("a\"b", Unquoted),
            ("'a'", Unquoted),
            ("\"a", Quote),
            ("\"a\"b", Quote),
            ("a.b.c.d.e.f.g.h.i", TooLong),
        ] {
            assert_eq!(text.parse::<ClaimPath>(), Err(expected), "{text}");
        }
        assert_eq!("x".repeat(256).parse::<ClaimPath>(), Err(TooLong));
    }

    #[test]
    fn lists_on_the_way_are_gone_into() {
        let Value::Object(claims) = json!({
            "role": "a", "roles": ["a", "b"], "none": [], "mixed": ["a", 1], "empty": "", "null": null,
            "realm_access": {"roles": ["a"]},
            "grants": [{"role": "a"}, {"role": ["b", "c"]}, {}],
            "a.b": "dotted",
        }) else {
            unreachable!()
        };
        let said = |text: &str| path(text).said(&claims);
        assert_eq!(said("role"), Said::Text("a"));
        assert_eq!(said("roles"), Said::List(vec!["a", "b"]));
        assert_eq!(said("realm_access.roles"), Said::List(vec!["a"]));
        assert_eq!(said("grants.role"), Said::List(vec!["a", "b", "c"]));
        assert_eq!(said("\"a.b\""), Said::Text("dotted"));
        assert_eq!(said("none"), Said::List(vec![]), "an empty list says that there is none");
        for nothing in ["a.b", "role.name", "realm_access.role", "grants.name", "x"] {
            assert_eq!(said(nothing), Said::Nothing, "{nothing}");
        }
        for other in ["mixed", "empty", "null", "realm_access", "grants"] {
            assert_eq!(said(other), Said::Other, "{other}");
        }
    }

    #[test]
    fn only_a_text_has_words() {
        assert_eq!(Said::Text("read  write").words(), ["read", "write"]);
        assert_eq!(Said::List(vec!["read write", "x"]).words(), ["read write", "x"]);
        assert_eq!((Said::List(vec!["a"]).one(), Said::List(vec!["a", "b"]).one()), (Some("a"), None));
    }

    #[test]
    fn json_has_names_as_they_are() {
        let read = |value: Value| serde_json::from_value::<ClaimPath>(value);
        assert_eq!(names(&read(json!("a.b")).unwrap()), ["a.b"]);
        assert_eq!(names(&read(json!(["a", "b"])).unwrap()), ["a", "b"]);
        for value in [json!("a.b"), json!(["a", "b.c"])] {
            assert_eq!(json!(read(value.clone()).unwrap()), value);
        }
        for value in [json!(""), json!([]), json!(["a", ""]), json!([1]), json!(1), json!(null)] {
            assert!(read(value.clone()).is_err(), "{value}");
        }
    }
}
