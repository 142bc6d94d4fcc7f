//! `portero key …`: beside a running gateway, which sees what was done within a second.
//!
//! ```text
//! command   the commands; named: the owner or the key that one names
//! list      every key with its state
//! rotate    rotates, retires and restores keys
//! restrict  takes tokens of known accounts alone
//! import    takes a key over from outside
//! export    prints public keys
//! reseal    seals all keys under a new master key
//! ```

mod command;
mod export;
mod import;
mod list;
mod named;
mod reseal;
mod restrict;
mod rotate;

pub(super) use command::Command;
