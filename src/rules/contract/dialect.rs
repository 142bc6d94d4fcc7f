//! Which contract a realm speaks.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, HeaderValue};
use thiserror::Error;

use super::{
    Contract, Facts,
    engine::Translations,
    file::{self, TEXTS},
    oauth::Oauth,
};
use crate::domain::{PrincipalKind, TokenKind};

/// A contract that realms speak. Cloning it is cheap.
#[derive(Clone)]
pub struct Dialect {
    spoken: Spoken,
    /// The place of the language that is spoken to a client that asks for none.
    language: usize,
    /// Whether a client's `Accept-Language` chooses.
    negotiates: bool,
}

#[derive(Clone)]
enum Spoken {
    File(Arc<Translations>),
    Oauth,
}

/// A contract in the language that a client is answered in.
#[derive(Clone)]
pub struct Voice<'d> {
    /// The contract.
    pub contract: &'d dyn Contract,
    /// `Content-Language`, where the client's `Accept-Language` chose: the answer then varies with that.
    pub chosen: Option<HeaderValue>,
}

/// A word that names no dialect.
#[derive(Debug, Error)]
#[error("'{0}' is no dialect: one of {names}", names = names())]
pub struct UnknownDialect(String);

/// The contracts that ship as files, read once.
static SHIPPED: LazyLock<Vec<Dialect>> = LazyLock::new(|| {
    let read = |(_, file, text): &(&str, &str, &str)| {
        let loaded = file::load(file, text).expect("a contract that ships is good: a test reads each");
        Dialect::from(loaded.contract)
    };
    TEXTS.iter().map(read).collect()
});

/// OAuth 2.0, for those who ask it alone.
static OAUTH: Dialect = Dialect { spoken: Spoken::Oauth, language: 0, negotiates: false };

impl Dialect {
    /// All that ship: those from files, then OAuth.
    pub fn shipped() -> impl Iterator<Item = Self> {
        SHIPPED.iter().cloned().chain([OAUTH.clone()])
    }

    /// OAuth 2.0 (RFC 6749), which also words the denials of external issuers' tokens.
    #[must_use]
    pub fn oauth() -> &'static Self {
        &OAUTH
    }

    /// Whether it is OAuth, whose endpoints are a protocol of their own.
    #[must_use]
    pub const fn is_oauth(&self) -> bool {
        matches!(self.spoken, Spoken::Oauth)
    }

    /// How it speaks, in the realm's language.
    #[must_use]
    pub fn contract(&self) -> &dyn Contract {
        match &self.spoken {
            Spoken::File(translations) => translations.at(self.language),
            Spoken::Oauth => &Oauth,
        }
    }

    /// How it speaks to the client that sent these header fields.
    #[must_use]
    pub fn for_client(&self, headers: &HeaderMap) -> Voice<'_> {
        match &self.spoken {
            Spoken::File(translations) if self.negotiates => {
                let (place, tag) = translations.negotiate(headers, self.language);
                Voice { contract: translations.at(place), chosen: Some(tag.field_value()) }
            }
            _ => Voice { contract: self.contract(), chosen: None },
        }
    }

    /// The tags of the languages that it speaks; that of its file first.
    #[must_use]
    pub fn languages(&self) -> Vec<&str> {
        match &self.spoken {
            Spoken::File(translations) => translations.languages().collect(),
            Spoken::Oauth => vec!["en"],
        }
    }

    /// The same in another of its languages; `None` where it does not speak that.
    #[must_use]
    pub fn in_language(self, language: &str) -> Option<Self> {
        let place = match &self.spoken {
            Spoken::File(translations) => translations.place(language)?,
            Spoken::Oauth => self.languages().iter().position(|known| known.eq_ignore_ascii_case(language))?,
        };
        Some(Self { language: place, ..self })
    }

    /// The same, where a client's `Accept-Language` chooses among its languages.
    #[must_use]
    pub fn negotiating(self) -> Self {
        Self { negotiates: true, ..self }
    }

    /// What it declares.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        self.contract().facts()
    }

    /// The word in `gateway.toml`, or in the contract's own file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.facts().name
    }

    /// What its accounts are.
    #[must_use]
    pub fn principal_kind(&self) -> PrincipalKind {
        self.facts().accounts.kind
    }

    /// The tokens that one login gives.
    #[must_use]
    pub fn token_kinds(&self) -> &[TokenKind] {
        &self.facts().tokens.login
    }

    /// Whether its logins say how long their tokens live, so that a realm may let tokens be without expiry.
    #[must_use]
    pub fn chooses_validity(&self) -> bool {
        self.facts().settings.max_years.is_some()
    }
}

/// The names of the contracts that ship and whose facts are such, variants of others left out, for messages.
#[must_use]
pub fn names_with(is_such: impl Fn(&Facts) -> bool) -> String {
    let facts = |dialect: Dialect| dialect.facts().clone();
    let such = Dialect::shipped().map(facts).filter(|facts| facts.extends.is_none() && is_such(facts));
    such.map(|facts| facts.name.into_string()).collect::<Vec<_>>().join(", ")
}

fn names() -> String {
    Dialect::shipped().map(|dialect| dialect.name().to_owned()).collect::<Vec<_>>().join(", ")
}

impl From<Translations> for Dialect {
    fn from(translations: Translations) -> Self {
        Self { spoken: Spoken::File(Arc::new(translations)), language: 0, negotiates: false }
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::shipped().find(|dialect| dialect.name() == word).ok_or_else(|| UnknownDialect(word.to_owned()))
    }
}

/// Two dialects are one when their files say the same, in whatever language.
impl PartialEq for Dialect {
    fn eq(&self, other: &Self) -> bool {
        match (&self.spoken, &other.spoken) {
            (Spoken::Oauth, Spoken::Oauth) => true,
            (Spoken::File(one), Spoken::File(other)) => {
                Arc::ptr_eq(one, other) || one.in_default().fingerprint() == other.in_default().fingerprint()
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialect").field(&self.name()).finish()
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
