//! The contracts' files against the Rust that spoke the same contracts before them: any request is read alike, any
//! outcome and any denial is written in the same bytes, and tokens carry the same claims in the same order.
//!
//! `dialect/` is that Rust as it was. It stays for one release.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[allow(dead_code, unreachable_pub, missing_docs, clippy::unused_self, reason = "the sources stay as they were")]
mod dialect;
mod properties;
mod samples;
