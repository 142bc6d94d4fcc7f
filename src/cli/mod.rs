//! The commands: `portero` as people and scripts call it.
//!
//! ```text
//! command      all commands: what the arguments ask in, an exit code out. The others have their words for names
//! in_store     commands on a store: opens it, gives up on one that hangs (patience)
//! printed      what a command prints; output: what it answers, as text and as JSON; progress: on the way
//! config_file  where the config is         secret  secrets that are asked for         user  who does it
//! ```

pub mod account;
mod admin;
mod audit;
mod check;
mod clock;
mod command;
pub mod config_file;
mod contract;
mod demo;
mod gateway;
mod import;
mod in_store;
mod key;
mod migration;
pub mod output;
mod patience;
mod printed;
mod progress;
mod revoke;
pub mod secret;
mod store;
mod user;

pub use command::main;
use in_store::{InStore, block_on, with_store};
use printed::{complain, print};
