//! Lines of the file: keys and values as TOML has them.

use std::fmt::Write;

use serde_json::Value;

use crate::domain::TokenKind;

pub(super) fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {value}");
}

/// Between a value and the comment behind it.
pub(super) const fn pad() -> &'static str {
    "   # "
}

/// A string of TOML.
pub(super) fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A key of TOML.
pub(super) fn key(name: &str) -> String {
    let is_bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { text(name) }
}

pub(super) fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), text)
}

pub(super) fn kinds(kinds: &[TokenKind]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| text(kind.name())).collect();
    format!("[{}]", names.join(", "))
}

pub(super) fn media_type(out: &mut String, said: Option<&str>) {
    if let Some(known) = known_type(said).filter(|known| *known != crate::rules::contract::JSON) {
        line(out, "media_type", &text(known));
    }
}

/// The media type that a contract may have and that was said.
pub(super) fn known_type(said: Option<&str>) -> Option<&'static str> {
    let said = said?.replace(' ', "").to_lowercase();
    crate::rules::contract::outcome::MEDIA_TYPES.into_iter().find(|known| known.replace(' ', "").to_lowercase() == said)
}
