//! How far a feed was read, and what is to be read next: pure, so that every order of losses and delays can be tried.
//!
//! A cursor begins with the whole state and where the feed ended in the same snapshot. From there it takes pages of the
//! feed. A page that does not begin with the row that was read last is from another history: the state is read once
//! more, and nothing that was in force is forgotten.

use crate::state::store::{Change, Page, Position};

/// How far a feed was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    /// The row that was read last; `None` until the state was.
    position: Option<Position>,
    /// Whether another history was found, and nobody was told yet: the reading may fail half-way.
    is_another: bool,
}

/// What came of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Changes, which are to be put in force; there may be more.
    Changes(Vec<Change>),
    /// Nothing: the feed was read to its end. Says whether its history is another one than before.
    End { is_another: bool },
    /// The state is to be read once more.
    Resync,
}

impl Cursor {
    /// Everything up to this row was read.
    pub(super) const fn at(position: Position) -> Self {
        Self { position: Some(position), is_another: false }
    }

    /// The row behind which the feed goes on; `None` where the state is to be read first.
    pub(super) const fn position(&self) -> Option<Position> {
        self.position
    }

    /// All of the state is in force, as it was when the feed ended here.
    pub(super) const fn took_state(&mut self, end: Position) {
        self.position = Some(end);
    }

    /// Takes a page that was asked for by [`position`](Self::position).
    pub(super) fn take(&mut self, page: Page) -> Taken {
        match page {
            Page::Next(changes, _) if changes.is_empty() => {
                Taken::End { is_another: std::mem::take(&mut self.is_another) }
            }
            Page::Next(changes, last) => {
                self.position = Some(last);
                Taken::Changes(changes)
            }
            Page::OtherHistory => {
                *self = Self { position: None, is_another: true };
                Taken::Resync
            }
        }
    }
}

#[cfg(test)]
mod simulation;
