//! What was dropped, without a store.

use crate::domain::Timestamp;

/// What ended before this is not known any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned(Option<Timestamp>);

impl Pruned {
    pub(crate) fn covers(self, _issued_at: Timestamp, ends_at: Timestamp) -> bool {
        self.0.is_some_and(|before| ends_at < before)
    }

    pub(crate) fn and(self, end: Timestamp) -> Self {
        Self(self.0.max(Some(Timestamp::from_millis(end.as_millis() + 1))))
    }

    pub(crate) fn with_stored(self, stored: Self) -> Self {
        Self(self.0.max(stored.0))
    }
}
