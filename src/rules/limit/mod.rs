//! How often something may happen, as values: who counts as one client, windows of failures, fair turns.

mod client;
mod fair_queue;
mod window;

pub use client::ClientKey;
pub use fair_queue::{FairQueue, Joined, Ticket};
pub use window::Windows;
