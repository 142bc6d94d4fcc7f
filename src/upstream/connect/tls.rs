//! TLS towards a pool's servers: one configuration for all of a pool's connections, so that sessions are resumed.
//! The server's certificate is checked against the pool's authorities and the server's name, always.

use std::{fmt, io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::protocol::{HttpVersion, Speak};
use crate::trust;

/// How TLS is spoken with a pool's servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The name that certificates must have, and the SNI; default each server's own host.
    pub name: Option<Box<str>>,
    /// Whose certificates are trusted; default the system's authorities.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// The client certificate that servers are shown.
    pub identity: Option<Identity>,
}

/// A client certificate: its chain, its own first, and its key.
#[derive(PartialEq, Eq)]
pub struct Identity {
    /// At least one.
    pub chain: Vec<CertificateDer<'static>>,
    /// The first one's.
    pub key: PrivateKeyDer<'static>,
}

/// Why TLS cannot be spoken with these settings.
#[derive(Debug, Error)]
pub enum TlsError {
    /// An authority, or the client's certificate, cannot be read.
    #[error("a certificate cannot be used: {0}")]
    Certificate(String),
    /// The key is not the certificate's, or of a kind that is not known.
    #[error("the key cannot be used with the certificate: {0}")]
    Key(rustls::Error),
    /// The name is no server name.
    #[error("'{0}' is no name that a certificate could have")]
    Name(Box<str>),
    /// The system's authorities cannot be read.
    #[error(
        "the system's trusted certificates cannot be used: {0}; mend the file that SSL_CERT_FILE or SSL_CERT_DIR names"
    )]
    System(String),
}

/// TLS towards a pool's servers, ready to be used.
pub(in crate::upstream) struct Tls {
    name: Option<ServerName<'static>>,
    /// For the version of HTTP that the pool speaks.
    configured: Arc<ClientConfig>,
    /// For HTTP/1.1 alone.
    http1: Arc<ClientConfig>,
}

impl TlsSettings {
    /// Whether TLS can be spoken with these settings: what they say is read as it will be.
    ///
    /// # Errors
    /// Says which of the authorities, the certificate, the key and the name cannot be used.
    pub fn check(&self) -> Result<(), TlsError> {
        let roots = self.authorities.as_deref().map_or_else(|| Ok(RootCertStore::empty()), given_roots)?;
        self.config(roots, &[]).map(drop)?;
        self.name.as_deref().map_or(Ok(()), |name| server_name(name).map(drop))
    }

    /// Whether a server with this host can have a certificate that is checked.
    #[must_use]
    pub fn fits(&self, host: &str) -> bool {
        self.name.is_some() || server_name(host).is_ok()
    }

    fn config(&self, roots: RootCertStore, protocols: &[&str]) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Key)?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                for certificate in &identity.chain {
                    readable(certificate)?;
                }
                builder
                    .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                    .map_err(TlsError::Key)?
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(config)
    }
}

impl Tls {
    pub(in crate::upstream) fn new(settings: &TlsSettings, http: HttpVersion) -> Result<Self, TlsError> {
        let roots = settings.authorities.as_deref().map_or_else(system_roots, given_roots)?;
        let http1 = settings.config(roots, &["http/1.1"])?;
        let mut configured = http1.clone();
        // Which sessions can be resumed is shared with the config that it is made from.
        configured.alpn_protocols = match http {
            HttpVersion::One => vec![b"http/1.1".to_vec()],
            HttpVersion::Two => vec![b"h2".to_vec()],
            HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        let name = settings.name.as_deref().map(server_name).transpose()?;
        Ok(Self { name, configured: Arc::new(configured), http1: Arc::new(http1) })
    }

    /// The name that a server's certificate must have. It is never empty.
    pub(in crate::upstream) fn name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        self.name.clone().map_or_else(|| server_name(host), Ok)
    }

    /// Shakes hands with a server that has this name.
    pub(in crate::upstream) async fn connect(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
        speak: Speak,
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = match speak {
            Speak::AsConfigured => &self.configured,
            Speak::Http1 => &self.http1,
        };
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await
    }
}

/// Makes aws-lc-rs what TLS is made of wherever nobody says otherwise.
pub fn install_provider() {
    // An error says that one is installed already.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// Whether the system's trusted certificates can be read.
///
/// # Errors
/// Fails when the file or the folder of the system's certificates cannot be read.
pub fn check_system() -> Result<(), TlsError> {
    system_roots().map(drop)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    trust::system_roots().map_err(|error| TlsError::System(error.to_string()))
}

fn given_roots(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        readable(certificate)?;
        roots.add(certificate.clone()).map_err(|error| TlsError::Certificate(error.to_string()))?;
    }
    Ok(roots)
}

/// What this parser cannot read is no certificate that a person could examine either.
fn readable(certificate: &CertificateDer<'_>) -> Result<(), TlsError> {
    let parsed = X509Certificate::from_der(certificate);
    parsed.map(drop).map_err(|error| TlsError::Certificate(error.to_string()))
}

/// A name with an underscore is no host name (RFC 1123 section 2.1).
fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    if name.contains('_') {
        return Err(TlsError::Name(name.into()));
    }
    ServerName::try_from(name).map(|name| name.to_owned()).map_err(|_| TlsError::Name(name.into()))
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}
