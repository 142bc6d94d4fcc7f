//! A listener's TLS as the config has it.

use super::{Certificate, ClientAuthority};
use crate::rules::route::HostPattern;

/// A listener's TLS, checked: each key fits its certificate, and no name has two certificates.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenTlsSettings {
    certificates: Vec<Certificate>,
    pub(super) clients: Option<ClientAuthority>,
}

impl ListenTlsSettings {
    /// A listener's certificates, the first of which answers a client that asks for no known name; and the authorities
    /// of client certificates, where clients are asked for any.
    ///
    /// # Errors
    /// A name that two certificates have, or `None` where there is no certificate.
    pub fn new(certificates: Vec<Certificate>, clients: Option<ClientAuthority>) -> Result<Self, Option<HostPattern>> {
        let mut names: Vec<&HostPattern> = vec![];
        for name in certificates.iter().flat_map(Certificate::names) {
            if names.contains(&name) {
                return Err(Some(name.clone()));
            }
            names.push(name);
        }
        if certificates.is_empty() { Err(None) } else { Ok(Self { certificates, clients }) }
    }

    /// The certificates, in the order of the file.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Whose certificates clients show; `None` where they are asked for none.
    pub(in crate::edge) const fn clients(&self) -> Option<&ClientAuthority> {
        self.clients.as_ref()
    }
}
