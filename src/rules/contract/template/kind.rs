//! The kinds of values.

/// What kind of value stands in a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    /// A point in time: it takes a formatter to write one.
    Instant,
    List,
    /// Why a member is missing: it takes a formatter to say it.
    Lack,
}
