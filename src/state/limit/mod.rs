//! How often somebody has failed: counted by client, shared between threads, in bounded memory; and kept in the store,
//! where gateways add up what each has counted.
//!
//! ```text
//! bad_tokens   tokens with a wrong signature, by address; in memory only
//! throttle     failed logins: whether an attempt may be made, and what came of it
//!   settings   how many are allowed
//!   key        what names and addresses are remembered as
//!   capped     names above the cap over all addresses
//!   known      addresses that an owner has used
//!   status     what an operator sees and clears
//! exchange     the throttle's batches: to the store and from it
//!   batch      what goes there and comes from there
//!   rows       their tables
//! ```

mod bad_tokens;
mod batch;
mod capped;
mod exchange;
mod key;
mod known;
mod rows;
mod settings;
mod status;
mod throttle;

pub use bad_tokens::{BadTokenLimiter, BadTokenSettings};
pub use exchange::{Exchange, SHARED_EVERY, WRITTEN_EVERY};
pub use key::ThrottleKey;
pub use known::{KNOWN_FOR, KNOWN_MAX};
pub use rows::{known_addresses, prune};
pub use settings::{FREE_FAILURES, NAME_WINDOW, Table, ThrottleSettings};
pub use status::{Restrained, ThrottleStatus, Whom};
pub use throttle::{Attempt, Held, Throttle, Throttled};
