//! Which contract a realm speaks.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use thiserror::Error;

use super::{
    Contract, Facts,
    engine::FileContract,
    file::{self, TEXTS},
    oauth::Oauth,
};
use crate::domain::{PrincipalKind, TokenKind};

/// A contract that realms speak. Cloning it is cheap.
#[derive(Clone)]
pub struct Dialect(Spoken);

#[derive(Clone)]
enum Spoken {
    File(Arc<FileContract>),
    Oauth,
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
static OAUTH: Dialect = Dialect(Spoken::Oauth);

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
        matches!(self.0, Spoken::Oauth)
    }

    /// How it speaks.
    #[must_use]
    pub fn contract(&self) -> &dyn Contract {
        match &self.0 {
            Spoken::File(contract) => &**contract,
            Spoken::Oauth => &Oauth,
        }
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

impl From<FileContract> for Dialect {
    fn from(contract: FileContract) -> Self {
        Self(Spoken::File(Arc::new(contract)))
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::shipped().find(|dialect| dialect.name() == word).ok_or_else(|| UnknownDialect(word.to_owned()))
    }
}

/// Two dialects are one when their files say the same.
impl PartialEq for Dialect {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Spoken::Oauth, Spoken::Oauth) => true,
            (Spoken::File(one), Spoken::File(other)) => {
                Arc::ptr_eq(one, other) || one.fingerprint() == other.fingerprint()
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
