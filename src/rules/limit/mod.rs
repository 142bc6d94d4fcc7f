//! How often something may happen.

mod throttle;
mod window;

pub use throttle::{Settings, Throttle, Throttled};
