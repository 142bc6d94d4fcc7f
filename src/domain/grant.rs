//! What a token endpoint gives: tokens for an account. What a client asks it with: OAuth's grant types.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::{account::Holder, claims::TokenKind, clock::Timestamp, secret::Secret};

/// Tokens for an account.
#[derive(Debug)]
pub struct Grant {
    /// Whose they are.
    pub holder: Holder,
    /// When they were issued.
    pub issued_at: Timestamp,
    /// In the contract's order; a refresh gives no refresh token.
    pub tokens: Vec<IssuedToken>,
}

impl Grant {
    /// The token of `kind`, if this grant has one.
    #[must_use]
    pub fn token(&self, kind: TokenKind) -> Option<&IssuedToken> {
        self.tokens.iter().find(|token| token.kind == kind)
    }
}

/// One token of a grant.
#[derive(Debug)]
pub struct IssuedToken {
    /// What it is for.
    pub kind: TokenKind,
    /// The token itself.
    pub token: Secret,
    /// When it ends; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// A grant that the token endpoint serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantType {
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 6749 section 6.
    RefreshToken,
}

/// A word that names no grant.
#[derive(Debug, Error)]
#[error("'{0}' is no grant: one of client_credentials, refresh_token")]
pub struct UnknownGrantType(String);

impl GrantType {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ClientCredentials, Self::RefreshToken];

    /// The value of `grant_type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
        }
    }
}

impl FromStr for GrantType {
    type Err = UnknownGrantType;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|grant| grant.name() == word).ok_or_else(|| UnknownGrantType(word.to_owned()))
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
