//! How often somebody has failed: counted by client, shared between threads, in bounded memory.

mod bad_tokens;
mod throttle;

pub use bad_tokens::{BadTokenLimiter, BadTokenSettings};
pub use throttle::{Throttle, ThrottleSettings, Throttled};
