//! How often something may happen, as values: who counts as one client, windows of failures, fair turns, fair draws.

mod client;
mod draw;
mod fair_queue;
mod window;

pub use client::ClientKey;
pub use draw::Draw;
pub use fair_queue::{FairQueue, Joined, Ticket};
pub use window::{Bounds, Changed, Origin, Share, Windows};
