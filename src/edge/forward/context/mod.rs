//! What a request finds there, whichever it is.
//!
//! ```text
//! services     what all threads share, and what a reload may change of it
//! worker       what a thread has of its own
//! connections  connections to servers, of one thread
//! in_flight    ends what has lost its token, or all of its time
//! ```

pub(super) mod connections;
pub(in crate::edge) mod in_flight;
pub(in crate::edge) mod services;
pub(in crate::edge) mod worker;
