//! `portero demo`: the whole gateway with every contract, the documents' example credentials, and an
//! upstream that echoes, on loopback. Everything is real but the upstream.
//!
//! ```text
//! command   binds what a demo needs, writes its config and serves
//! folder    where its files are; trouble: why they cannot be there
//! accounts  the example credentials
//! echo      the upstream
//! banner    what it tells its user
//! ```

mod accounts;
mod banner;
mod command;
mod echo;
mod folder;
mod trouble;

pub(super) use command::Demo;
