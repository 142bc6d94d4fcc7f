//! What a stream of an HTTP/2 connection brings along for its exchange.

use std::sync::Arc;

use super::{exchange::Exchange, in_flight::Lifeline, upload::Progress};
use crate::{domain::Reason, edge::listen::connection::Connection};

/// One stream of an HTTP/2 connection: pingora hands nothing of ours on to it, so it is found in the
/// task that serves it.
#[derive(Clone, Debug)]
pub(in crate::edge) struct StreamContext {
    pub(in crate::edge) connection: Arc<Connection>,
    /// What ends it before its time.
    pub(in crate::edge) lifeline: Arc<Lifeline<Exchange>>,
    /// Why it is refused whatever it asks for: what the head's reader does for HTTP/1.
    pub(in crate::edge) refused: Option<Reason>,
    /// How far it has come, where it has a body.
    pub(in crate::edge) upload: Option<Arc<Progress>>,
}

tokio::task_local! {
    /// The stream that this task serves.
    pub(in crate::edge) static STREAM: StreamContext;
}
