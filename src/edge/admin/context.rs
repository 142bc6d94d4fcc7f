//! What the admin listener works with.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{hosts::AllowedHosts, orders::Orders, readiness::Readiness, token::AdminToken};
use crate::{
    decision::{AdminServices, LiveState},
    edge::forward::Shared,
    observe::metrics::Metrics,
    state::{account::Hasher, clock::TrustedClock},
};

/// What its operations reach.
#[derive(Debug)]
pub struct Admin {
    /// Does what the API is asked for.
    pub services: Arc<AdminServices>,
    /// Hashes passwords; here for its queue.
    pub hasher: Arc<Hasher>,
    /// The live state, for its realms and its numbers.
    pub live_state: Arc<LiveState>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The front listener, for what it dropped.
    pub front: Arc<Shared>,
    /// Whether the gateway can serve.
    pub readiness: Arc<Readiness>,
    /// Whether the civil clock is trusted.
    pub trusted: TrustedClock,
    /// Where store I/O and password hashes are waited for.
    pub control: Handle,
    /// The task that reloads the config and hands over.
    pub orders: Orders,
    /// The API's token in a file.
    pub token: AdminToken,
    /// The names under which this listener answers.
    pub hosts: AllowedHosts,
}
