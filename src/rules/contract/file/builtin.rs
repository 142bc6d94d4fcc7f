//! The contracts that ship.

use crate::domain::text;

/// Their names and files, in the order in which messages list them.
pub(in crate::rules::contract) const TEXTS: [(&str, &str, &str); 6] = [
    ("sws", "sws.toml", include_str!("../builtin/sws.toml")),
    ("apis", "apis.toml", include_str!("../builtin/apis.toml")),
    ("toc", "toc.toml", include_str!("../builtin/toc.toml")),
    ("maxpoint", "maxpoint.toml", include_str!("../builtin/maxpoint.toml")),
    ("become", "become.toml", include_str!("../builtin/become.toml")),
    ("sws-classic", "sws-classic.toml", include_str!("../builtin/sws-classic.toml")),
];

/// The file of the contract `name` that ships.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    named(name).map(|(_, text)| text)
}

/// How problems call the file of the contract `name`, and its text.
pub(super) fn named(name: &str) -> Option<(&'static str, &'static str)> {
    TEXTS.iter().find(|(known, ..)| *known == name).map(|(_, file, text)| (*file, *text))
}

/// What to write instead of `name`.
pub(super) fn suggestion(name: &str) -> String {
    text::suggestion(name, TEXTS.map(|(name, ..)| name))
}
