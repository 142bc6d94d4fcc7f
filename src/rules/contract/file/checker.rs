//! What the steps of the check share: the problems so far, and templates with their places.

use std::{collections::HashSet, ops::Range};

use toml::Spanned;

use super::layers::{Fault, Sources};
use crate::{
    domain::text::suggestion,
    rules::contract::template::{At, Body, Constants, Flaw, Json, Place, Read, Scene, Text},
};

/// Checks one contract.
pub(super) struct Checker<'s> {
    sources: &'s Sources<'s>,
    faults: Vec<(usize, String)>,
}

impl<'s> Checker<'s> {
    pub(super) const fn new(sources: &'s Sources<'s>) -> Self {
        Self { sources, faults: vec![] }
    }

    /// Whether nothing was wrong so far.
    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// Everything that was wrong, in the order of the texts.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        // One text may stand for many errors, and be wrong in each.
        let mut said = HashSet::new();
        self.faults.retain(|fault| said.insert(fault.clone()));
        self.faults.sort_by_key(|(at, _)| *at);
        self.faults.iter().map(|(at, message)| self.sources.fault(*at, message)).collect()
    }

    /// Remembers what is wrong with a value.
    pub(super) fn wrong(&mut self, span: &Range<usize>, message: &str) {
        self.faults.push((span.start, message.to_owned()));
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&mut self, written: &Spanned<String>, words: &[(&str, T)]) -> Option<T> {
        let word = written.get_ref();
        let found = words.iter().find(|(known, _)| known == word).map(|(_, value)| *value);
        if found.is_none() {
            let in_other_case = words.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
            let instead = match in_other_case {
                Some((known, _)) => format!("did you mean '{known}'?"),
                None => suggestion(word, words.iter().map(|(known, _)| *known)),
            };
            self.wrong(&written.span(), &format!("'{word}' is not known here; {instead}"));
        }
        found
    }

    /// A text with holes.
    pub(super) fn text(&mut self, written: &Spanned<String>, scene: &Scene<'_>) -> Option<Text> {
        let read = Text::read(written.get_ref(), scene);
        self.good(written, read)
    }

    /// A text that keeps its kind where it is one hole alone.
    pub(super) fn value(&mut self, written: &Spanned<String>, scene: &Scene<'_>) -> Option<Read> {
        let read = Text::read_alone(written.get_ref(), scene);
        self.good(written, read)
    }

    /// A JSON body with holes.
    pub(super) fn body(&mut self, written: &Spanned<String>, scene: &Scene<'_>) -> Option<Body> {
        let read = Json::read(written.get_ref(), scene);
        let body = self.good(written, read)?;
        if matches!(scene.place, Place::Rejection(_) | Place::Denial | Place::Incomplete)
            && holds_token(written.get_ref())
        {
            self.wrong(&written.span(), "a token stands in this body, and an error never carries one");
        }
        Some(body)
    }

    fn good<T>(&mut self, written: &Spanned<String>, read: Result<T, Flaw>) -> Option<T> {
        let flaw = match read {
            Ok(good) => return Some(good),
            Err(flaw) => flaw,
        };
        let span = written.span();
        let source = self.sources.written(&span);
        let (at, message) = match flaw.at {
            At::Whole => (0, flaw.message),
            At::Octets(octets) => (content_start(source) + octets.start, flaw.message),
            At::Hole(hole) => {
                // Quotes are escaped in a JSON string.
                let found = source.find(&hole).or_else(|| source.find(&hole.replace('"', "\\\"")));
                (found.unwrap_or_default(), format!("{hole}: {}", flaw.message))
            }
        };
        self.faults.push((span.start + at, message));
        None
    }
}

/// A template's surroundings outside of an error.
pub(super) const fn outside<'c>(constants: &'c Constants<'c>, base: &Scene<'c>, place: Place) -> Scene<'c> {
    Scene { place, constants, ..*base }
}

/// The octets of the quotes, and of the newline after three of them, before a string's content.
fn content_start(written: &str) -> usize {
    let quotes = if written.starts_with("'''") || written.starts_with("\"\"\"") { 3 } else { 1 };
    let rest = written.get(quotes..).unwrap_or_default();
    let newline = if quotes == 1 {
        0
    } else {
        rest.len() - rest.strip_prefix("\r\n").or(rest.strip_prefix('\n')).unwrap_or(rest).len()
    };
    quotes + newline
}

/// Whether a JWT stands in a text: what its header begins with in base64url, and two dots.
fn holds_token(text: &str) -> bool {
    let is_part = |octet: char| octet.is_ascii_alphanumeric() || matches!(octet, '_' | '-' | '.');
    text.split(|letter| !is_part(letter)).any(|word| word.starts_with("eyJ") && word.matches('.').count() >= 2)
}
