//! The operator's door: its own listener, its own runtime. Metrics and health answer anybody who
//! reaches it; the API asks for a token, and each of its operations for a role.
//!
//! ```text
//! listener    its connections
//! router      which operation a request asks for, and what every request passes before it
//! access      what keeps a request out: hosts, slots, the store            operator    who asks, and with which role
//! token       the token in a file                                          hosts       the names it answers under
//! operations  each with its role, and what the document says of it         openapi     the document itself
//! api · accounts · companies · explain · limits · process · health         the operations themselves
//! context     what they reach      readiness   whether the gateway serves  orders      asked of the process's own task
//! ```

mod access;
mod accounts;
mod api;
mod companies;
mod context;
mod explain;
mod health;
mod hosts;
mod limits;
mod listener;
mod openapi;
mod operations;
mod operator;
mod orders;
mod process;
mod readiness;
mod router;
mod settings;
mod slots;
mod token;

pub use context::Admin;
pub use explain::explain;
pub use hosts::AllowedHosts;
pub use listener::serve;
pub use orders::{Order, Orders};
pub use readiness::Readiness;
pub use settings::AdminSettings;
pub use token::AdminToken;
