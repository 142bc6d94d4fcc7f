//! Portero as its users meet it: the real binary on free ports, a real upstream, real HTTP. No part
//! of the gateway is replaced. What a test waits for is a condition with a deadline, never time.

#![expect(clippy::unwrap_used, reason = "the whole crate is a test: a failed unwrap is a failed test")]

#[path = "../surface/snapshot.rs"]
mod snapshot;
mod support;

mod accounts;
mod admin;
mod audit;
mod bad_input;
mod check;
mod clock;
mod config;
mod contracts;
mod explain;
mod fronts;
mod gateways;
mod golden;
mod grpc;
mod image;
mod imported;
mod introspection;
mod issuers;
mod keys;
mod killed;
mod lifecycle;
mod listeners;
mod logins;
mod migration;
mod moving;
mod oauth;
mod operators;
mod path;
mod postgres;
mod proxy;
mod recorded;
mod reload;
mod revocation;
mod stopped;
mod store;
mod stores;
mod surface;
mod takeover;
mod throttles;
mod tokens;
mod upgrade;
mod upstreams;
