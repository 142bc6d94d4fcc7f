//! A connection that is about to have its first request.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    edge::{forward::context::in_flight::Registered, listen::connection::Connection},
    timer::LazyTimeout,
};

/// What a connection begins with, whichever version of HTTP it speaks.
pub(super) struct Begun {
    pub(super) connection: Arc<Connection>,
    /// What wakes it to look around, and ends its exchanges.
    pub(super) registered: Registered,
    /// When it was accepted.
    pub(super) accepted: Instant,
    /// Until then it has for its first request.
    pub(super) deadline: LazyTimeout,
}
