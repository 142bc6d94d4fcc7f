//! The operator's door: its own listener, its own runtime. Metrics and health answer anybody who
//! reaches it; the API asks for a token, and each of its operations for a role.
//!
//! ```text
//! listener   its connections           slots      how many it has, and for whom some are kept
//! router     where a request goes, and what it passes before that
//! access     what keeps one out: hosts, slots, the store
//! operator   who asks, with which role   token      the token in a file       hosts  the names it answers under
//! api/       the operations              health     health and metrics
//! context    what they reach             readiness  whether the gateway can serve
//! orders     what is asked of the task that reloads and hands over            settings
//! ```

mod access;
mod api;
mod context;
mod health;
mod hosts;
mod listener;
mod operator;
mod orders;
mod readiness;
mod router;
mod settings;
mod slots;
mod token;

pub use api::explain;
pub use context::Admin;
pub use hosts::AllowedHosts;
pub use listener::serve;
pub use orders::{Order, Orders};
pub use readiness::Readiness;
pub use settings::AdminSettings;
pub use token::AdminToken;
