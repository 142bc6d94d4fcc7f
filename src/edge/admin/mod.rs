//! The operator's door: its own listener, its own runtime. Metrics and health answer anybody who
//! reaches it; the API asks for a token, and each of its operations for a role.
//!
//! ```text
//! listener    its connections
//! router      which operation a request asks for, and what every request passes before it
//! access      who may ask at all: hosts, the token in the file, slots      operator    who asks, and with which role
//! operations  each with its role, and what the document says of it         openapi     the document itself
//! api · accounts · companies · explain · limits · process                  the operations themselves
//! ```

mod access;
mod accounts;
mod api;
mod companies;
mod explain;
mod health;
mod limits;
mod listener;
mod openapi;
mod operations;
mod operator;
mod process;
mod router;
mod settings;
mod slots;

use std::sync::Arc;

use tokio::runtime::Handle;

pub use access::{AdminToken, AllowedHosts};
pub use explain::explain;
pub use health::Readiness;
pub use listener::serve;
pub use process::{Order, Orders};
pub use settings::AdminSettings;

use super::forward::Shared;
use crate::{
    decision::{AdminServices, LiveState},
    observe::metrics::Metrics,
    state::{account::Hasher, clock::TrustedClock},
};

/// What the admin listener works with.
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
