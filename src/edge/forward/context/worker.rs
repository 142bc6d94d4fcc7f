//! What a thread that serves has of its own.

use std::sync::Arc;

use super::{connections::Connections, services::Shared};

/// One for each thread that serves.
#[derive(Debug)]
pub(in crate::edge) struct WorkerContext {
    /// What all threads share.
    pub(in crate::edge) shared: Arc<Shared>,
    /// Connections to servers.
    pub(in crate::edge) connections: Connections,
}

impl WorkerContext {
    pub(in crate::edge) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), connections: Connections::default() }
    }
}
