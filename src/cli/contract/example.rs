//! A recorded exchange, from whatever file.

use crate::rules::contract::Recorded;

/// An exchange and where it was recorded.
pub(super) struct Example {
    /// `FILE:LINE`, or the number of the entry.
    pub(super) place: String,
    /// The path of the request.
    pub(super) path: String,
    /// The exchange itself.
    pub(super) recorded: Recorded,
    /// What the recording lacks, so that nothing can be said about it.
    pub(super) lacks: Option<&'static str>,
}
