//! The languages of a contract: what each has to say, and whether each says all of it.

use std::ops::Range;

use http::StatusCode;
use toml::Spanned;

use super::{
    checker::Checker,
    raw::{Entries, RawContract},
};
use crate::rules::contract::{
    language::{House, LANGUAGES_MAX, LanguageTag},
    template::Texts,
};

/// The language of a contract that names none.
const DEFAULT: &str = "en";

/// The phrases of all statuses that have none of their own.
const OTHER: &str = "other";

/// What a contract says in one language.
#[derive(Clone)]
pub(super) struct Language {
    pub(super) tag: LanguageTag,
    /// The contract's own texts.
    pub(super) texts: Texts,
    phrases: Vec<(String, String)>,
}

impl Language {
    /// The contract's phrase of a status, else the house's.
    pub(super) fn phrase(&self, status: StatusCode) -> String {
        let named = |name: &str| self.phrases.iter().find(|(known, _)| known == name);
        let own = named(status.as_str()).or_else(|| named(OTHER)).map(|(_, text)| text.clone());
        // A language that the house does not have says its other phrases, or the contract was refused.
        own.unwrap_or_else(|| House::of(&self.tag).unwrap_or(House::English).phrase(status).to_owned())
    }
}

impl Checker<'_> {
    /// The contract's languages, the default first.
    pub(super) fn languages(&mut self, raw: &RawContract) -> Vec<Language> {
        let default = raw.language.as_ref().map_or(DEFAULT, |written| written.get_ref().as_str());
        let mut tags: Vec<(LanguageTag, Range<usize>)> = vec![];
        let span = raw.language.as_ref().map_or(0..0, Spanned::span);
        let tables = [&raw.texts, &raw.phrases].into_iter().flat_map(|tables| &tables.0);
        let named = tables.map(|(tag, _)| (tag.get_ref().as_str(), tag.span()));
        for (word, span) in [(default, span)].into_iter().chain(named) {
            if let Some((known, _)) = tags.iter().find(|(known, _)| known.is(word)) {
                if known.as_str() != word {
                    self.wrong(&span, &format!("'{word}' is '{}' elsewhere: write both alike", known.as_str()));
                }
                continue;
            }
            match word.parse() {
                Ok(tag) => tags.push((tag, span)),
                Err(_) => {
                    self.wrong(&span, &format!("'{word}' is no language; write its tag, such as \"es\" or \"pt-BR\""));
                }
            }
        }
        if tags.len() > LANGUAGES_MAX {
            self.wrong(&tags[LANGUAGES_MAX].1.clone(), &format!("a contract has {LANGUAGES_MAX} languages at most"));
            tags.truncate(LANGUAGES_MAX);
        }
        self.complete(raw, &tags);
        tags.into_iter().map(|(tag, span)| self.language(raw, tag, &span)).collect()
    }

    fn language(&mut self, raw: &RawContract, tag: LanguageTag, span: &Range<usize>) -> Language {
        let phrases = entries(&raw.phrases, &tag);
        for (status, _) in phrases {
            if status.get_ref() != OTHER && status_named(status.get_ref()).is_none() {
                self.wrong(
                    &status.span(),
                    "phrases are those of statuses from 400 to 599, such as 404 = \"…\", and other",
                );
            }
        }
        if House::of(&tag).is_none() && !phrases.iter().any(|(status, _)| status.get_ref() == OTHER) {
            let tag = tag.as_str();
            let message = format!("phrases ship in en and es alone: add [phrases.{tag}] with other = \"…\"");
            self.wrong(span, &message);
        }
        let owned = |entries: &[(Spanned<String>, Spanned<String>)]| {
            entries.iter().map(|(name, text)| (name.get_ref().clone(), text.get_ref().clone())).collect()
        };
        let texts = Texts { language: tag.as_str().to_owned(), named: owned(entries(&raw.texts, &tag)) };
        Language { texts, phrases: owned(phrases), tag }
    }

    /// A text that stands in one language stands in each.
    fn complete(&mut self, raw: &RawContract, tags: &[(LanguageTag, Range<usize>)]) {
        for (language, texts) in &raw.texts.0 {
            for (name, _) in &texts.0 {
                let has = |tag: &LanguageTag| {
                    entries(&raw.texts, tag).iter().any(|(known, _)| known.get_ref() == name.get_ref())
                };
                for (tag, _) in tags.iter().filter(|(tag, _)| !has(tag)) {
                    let (name_, tag, language) = (name.get_ref(), tag.as_str(), language.get_ref());
                    let message = format!("the text '{name_}' is missing in [texts.{tag}]: [texts.{language}] has it");
                    self.wrong(&name.span(), &message);
                }
            }
        }
    }
}

/// What stands in the table of a language.
fn entries<'r>(
    tables: &'r Entries<Entries<Spanned<String>>>,
    tag: &LanguageTag,
) -> &'r [(Spanned<String>, Spanned<String>)] {
    let table = tables.0.iter().find(|(known, _)| tag.is(known.get_ref()));
    table.map_or(&[], |(_, entries)| &entries.0)
}

/// The status that a key names.
pub(super) fn status_named(name: &str) -> Option<StatusCode> {
    name.parse().ok().filter(|status: &StatusCode| (400..600).contains(&status.as_u16()))
}
