//! Whom a client of ours trusts over TLS: the authorities of a file, or the system's.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem, pem::PemObject},
};
use thiserror::Error;

/// Why TLS cannot be spoken.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The file cannot be read, or holds no certificate.
    #[error("{}: {source}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A certificate of the file cannot be trusted, or TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The system's trusted certificates cannot be used, or there are none.
    #[error("the system's trusted certificates: {0}")]
    System(#[from] io::Error),
}

/// A client that trusts the authorities in `ca`, else the system's; nobody where it speaks no TLS.
///
/// # Errors
/// When the certificates to trust cannot be read.
pub fn client(ca: Option<&Path>, speaks_tls: bool) -> Result<ClientConfig, TrustError> {
    // TLS from aws-lc, named here: the process may have another default.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match ca {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None if speaks_tls => builder.with_root_certificates(some_system_roots()?),
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, TrustError> {
    let unusable = |source| TrustError::Certificates { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unusable)? {
        roots.add(certificate.map_err(unusable)?)?;
    }
    if roots.is_empty() { Err(unusable(pem::Error::NoItemsFound)) } else { Ok(roots) }
}

/// The authorities that the system trusts; none where it has no such file.
///
/// # Errors
/// When one of them cannot be read: a start says so, and a reload trusts no fewer than were trusted before it.
pub fn system_roots() -> Result<RootCertStore, io::Error> {
    let found = rustls_native_certs::load_native_certs();
    if let Some(error) = found.errors.first() {
        return Err(io::Error::other(error.to_string()));
    }
    let mut roots = RootCertStore::empty();
    for certificate in found.certs {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    Ok(roots)
}

fn some_system_roots() -> Result<RootCertStore, TrustError> {
    let roots = system_roots()?;
    if roots.is_empty() { Err(io::Error::other("there are none").into()) } else { Ok(roots) }
}
