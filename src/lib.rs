//! Portero, the doorman: a reverse-proxy authentication gateway.
//!
//! ```text
//! 6  app · cli        what is started in which order, reload, hand-over; the commands
//! 5  config           gateway.toml, from its text to checked settings
//! 4  edge             bytes in and out: proxy (clients and upstreams), endpoint (tokens), admin, respond
//! 3  decision         the snapshot, and what is decided by it about a request; the administrator's use cases
//! 2  state            what is remembered: keys, tokens, accounts, sessions, revocations, pools, the store
//! 1  rules · observe  pure rules: routes, policies, dialects, rewrites, limits; log, events, metrics
//! 0  domain           words that all share: clock, secret, id, claims, reason
//! ```
//!
//! A module uses lower floors only. `docs/architecture.md` has the path of a request.

#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod config;
pub mod decision;
pub mod domain;
pub mod edge;
pub mod observe;
pub mod rules;
pub mod state;
