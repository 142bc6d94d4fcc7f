//! What every request changes, kept apart by thread: two threads that write to one cache line wait for each other.
//!
//! ```text
//! values   one value for each thread, such as a count
//! handles  references to a shared value, which each thread counts by itself
//! ```

mod handles;
mod values;

pub use self::{
    handles::{Handle, Spread},
    values::PerThread,
};
