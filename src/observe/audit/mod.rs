//! The audit log: chains whose entries nobody can change unseen, and a gateway's own one, of logins, refusals and
//! refreshes. Administrative changes have rows in the store (`state/store/audit`), in a chain of the same make.
//!
//! ```text
//! chain   codes over entries, and their key       event · sums   what is written, and what is summed
//! log     the way in: a queue with a bound        writer         the thread behind it (queue: what it is told)
//! line    one line, written and read              file           whole lines, rotated, under a lock
//! verify  lines against each other and anchors   files          reading those of a gateway, rotated ones too
//! ```

mod chain;
mod event;
mod file;
mod files;
mod line;
mod log;
mod queue;
mod sums;
mod verify;
mod writer;

pub use chain::{CHAIN_ID_BYTES, ChainId, ChainKey, Mac, Purpose, encode};
pub use event::{Account, Act, Event, Sought};
pub use file::Rotation;
pub use files::{Lines, LogFiles, in_order};
pub use line::{Place, ReadLine};
pub use log::{AuditLog, AuditSettings, Beginning, Room, Unwritable};
pub use queue::Point;
pub use verify::{Chains, Expected, Finding, Gap, Summary};
