//! Portero, the doorman: a reverse-proxy authentication gateway.

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
