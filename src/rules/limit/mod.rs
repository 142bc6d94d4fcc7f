//! How often something may happen.

mod client;
mod fair_queue;
mod scrutiny;
mod throttle;
mod window;

pub use client::ClientKey;
pub use fair_queue::{FairQueue, Joined, Ticket};
pub use scrutiny::{Scrutiny, ScrutinySettings};
pub use throttle::{Settings, Throttle, Throttled};
