//! Why a store is not copied.

use thiserror::Error;

use super::super::StoreError;

/// Why nothing was moved, or not to the end. The source goes on as the store unless it says otherwise itself.
#[derive(Debug, Error)]
pub enum CopyError {
    /// What is there is never overwritten.
    #[error("{0} is not empty: a store is copied to a place where none is. Nothing was changed")]
    NotEmpty(String),
    /// A copy was begun there of something else.
    #[error(
        "there is a copy in the making of {0} already: go on with that one, or name another place. Nothing was changed"
    )]
    OtherSource(String),
    /// A store is no copy of itself.
    #[error("both are the same place")]
    SamePlace,
    /// Somebody began later to work on the same copy.
    #[error("another portero store copy has taken over the same copy: this one ends")]
    TakenOver,
    /// The copy is not what was written.
    #[error("table {0} of the copy differs again and again: something else changes it, or its disk is damaged")]
    Differs(&'static str),
    /// The move was begun, and is not at its end.
    #[error("the source has ended already, and the copy is no store yet: repeat the command with --switch")]
    Unfinished,
    /// One of the two.
    #[error(transparent)]
    Store(#[from] StoreError),
}
