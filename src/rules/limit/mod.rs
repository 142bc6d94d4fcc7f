//! How often something may happen.

mod scrutiny;
mod throttle;
mod window;

pub use scrutiny::{Scrutiny, ScrutinySettings};
pub use throttle::{Settings, Throttle, Throttled};
