//! Portero: a reverse-proxy authentication gateway.
//!
//! ```text
//! 7  app · cli        what is started in which order, reload, hand-over; the commands
//! 6  config           gateway.toml, from its text to checked settings
//! 5  edge             bytes in and out: listen, armour, forward, front, token_endpoints, respond, admin
//! 4  decision         decide (the hot path), issue (tokens), admin (operators), sync (following the store)
//! 3  upstream·issuer  reaching others: the services behind, and the keys of external issuers
//! 2  state · verifier what is remembered: keys, tokens, accounts, sessions, revocations, failures, the store; asking
//!                     old systems about logins, and others about their tokens
//! 1  rules · observe  pure rules: routes, policies, contracts, rewrites, limits; log, events, metrics
//! 0  domain · timer   words that all share: clock, secret, id, account, claims, grant, reason, strict JSON; deadlines,
//!    gather · trust   several pieces in one write; whom our clients trust; values and counts that no two threads
//!    per_thread       write to; what most requests do not await, out of the way of all
//!    aside · wakes     and wakes of tasks that can be held back
//! ```
//!
//! A module uses lower floors only. `docs/architecture.md` has the path of a request.

#![forbid(unsafe_code)]

pub mod app;
mod aside;
pub mod cli;
pub mod config;
pub mod decision;
pub mod domain;
pub mod edge;
mod gather;
pub mod issuer;
#[cfg(test)]
#[path = "../tests/it/support/memory.rs"]
mod memory;
pub mod observe;
pub mod per_thread;
#[cfg(test)]
#[path = "../tests/it/support/port.rs"]
mod port;
pub mod rules;
pub mod state;
mod timer;
pub mod trust;
pub mod upstream;
pub mod verifier;
mod wakes;
