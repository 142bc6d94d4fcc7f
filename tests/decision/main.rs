//! What is decided about requests, over a small site made by hand: no store, no network, no clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod denials;
mod explain;
mod fail_closed;
mod fixture;
mod hot;
mod imported;
mod internal;
mod issuers;
mod policy;
mod routing;
mod shadow;
mod verdicts;
