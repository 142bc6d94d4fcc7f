//! A contract in each of its languages.

use http::HeaderMap;

use super::FileContract;
use crate::rules::contract::language::{LanguageTag, negotiate};

/// A contract from a file, once for each language that it speaks.
pub struct Translations {
    tags: Vec<LanguageTag>,
    /// One for each tag.
    contracts: Vec<FileContract>,
}

impl Translations {
    /// These, the default first; `None` where the list is empty.
    pub(in crate::rules::contract) fn of(translations: Vec<(LanguageTag, FileContract)>) -> Option<Self> {
        let (tags, contracts): (Vec<_>, Vec<_>) = translations.into_iter().unzip();
        (!contracts.is_empty()).then_some(Self { tags, contracts })
    }

    /// The contract in the language that its file names first.
    #[must_use]
    pub fn in_default(&self) -> &FileContract {
        self.at(0)
    }

    /// The tags of its languages, the default first.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(LanguageTag::as_str)
    }

    /// The place of a language, in any case.
    #[must_use]
    pub fn place(&self, language: &str) -> Option<usize> {
        self.tags.iter().position(|tag| tag.is(language))
    }

    /// The contract in the language at a place; in the default where no language has this place.
    #[must_use]
    pub fn at(&self, place: usize) -> &FileContract {
        let contract = self.contracts.get(place).or_else(|| self.contracts.first());
        contract.expect("a contract speaks a language at least")
    }

    /// The place of the language that a client reads best, and its tag.
    pub(in crate::rules::contract) fn negotiate(&self, headers: &HeaderMap, default: usize) -> (usize, &LanguageTag) {
        let place = negotiate(headers, &self.tags, default);
        (place, &self.tags[place])
    }
}
