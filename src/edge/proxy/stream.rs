//! What a stream of an HTTP/2 connection brings along for its exchange.

use std::sync::Arc;

use super::{connection::Connection, exchange::Exchange, live::Lifeline, upload::Progress};
use crate::domain::Reason;

/// One stream of an HTTP/2 connection: pingora hands nothing of ours on to it, so it is found in the
/// task that serves it.
#[derive(Clone, Debug)]
pub(super) struct StreamContext {
    pub(super) connection: Arc<Connection>,
    /// What ends it before its time.
    pub(super) lifeline: Arc<Lifeline<Exchange>>,
    /// Why it is refused whatever it asks for: what the head's reader does for HTTP/1.
    pub(super) refused: Option<Reason>,
    /// How far it has come, where it has a body.
    pub(super) upload: Option<Arc<Progress>>,
}

tokio::task_local! {
    /// The stream that this task serves.
    pub(super) static STREAM: StreamContext;
}
