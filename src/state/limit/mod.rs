//! How often somebody has failed: counted by client, shared between threads, in bounded memory.

mod scrutiny;
mod throttle;

pub use scrutiny::{Scrutiny, ScrutinySettings};
pub use throttle::{Throttle, ThrottleSettings, Throttled};
