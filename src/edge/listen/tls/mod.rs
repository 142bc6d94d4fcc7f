//! TLS towards clients: certificates by name, swapped without a restart, and what is told about a
//! client's own certificate.
//!
//! ```text
//! settings      what the config says
//! certificate   a chain and its key, for some names
//! authority     whose certificates clients show
//! client        what services are told of a client's certificate
//! terminator    the handshake
//! resumption    tickets: which sessions go on without a whole handshake
//! validity      until when a client's certificate is good
//! ```

mod authority;
mod certificate;
mod client;
mod resumption;
mod settings;
mod terminator;
#[cfg(test)]
mod tests;
mod validity;

pub use authority::{ClientAuthority, ClientAuthorityError};
pub use certificate::{Certificate, CertificateError, Chain};
pub(in crate::edge) use client::forwarded_certificate;
pub use settings::ListenTlsSettings;
pub(in crate::edge) use terminator::{Present, Terminator};
pub(in crate::edge) use validity::Validity;
