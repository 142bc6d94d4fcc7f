//! What is in force, on this gateway's disk: for a start while the server of its store is away.
//!
//! One file: a *base* with all that is in force at one moment, and behind it a *journal* of what came since. Every
//! record is sealed under a key of its own, for its place in this very file, so that none can be changed, left out,
//! moved or taken from another file. What can happen is that the end is missing. Then what is left is what was in force
//! earlier, with the instant of its confirmation, and counts as that old.
//!
//! ```text
//! decision::sync ──► recorder ──(bounded queue)──► writer ──► the file  (each a thread's own; nobody waits for a disk)
//! the file ──► reader ──► memory                                        (at a start without the store)
//! ```
//!
//! - `confirmed`: when something was confirmed, and how long ago that is.
//! - `entry`: what a record says, as bytes. `frame`: records as they lie in the file, sealed.
//! - `recorder` · `writer`: what writes it. `reader`: what reads it.

mod confirmed;
mod entry;
mod frame;
mod reader;
mod recorder;
#[cfg(test)]
mod tests;
mod writer;

pub use confirmed::{Boot, Confirmed, Instant};
pub use reader::{Found, SnapshotLocation, StoreSnapshotError, examine, load};
pub use recorder::Recorder;
pub use writer::{InForce, Observer, Written};
