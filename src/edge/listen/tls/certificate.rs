//! A certificate with its key, as PEM files have them.

use std::{fmt, sync::Arc};

use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use thiserror::Error;
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use crate::{domain::Timestamp, rules::route::HostPattern};

/// Certificates of one chain, at most.
const CHAIN_MAX: usize = 16;

/// Why a certificate or its key was not taken. It never shows any of either.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CertificateError {
    /// The file has no certificate.
    #[error("has no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// The file has a certificate that cannot be read, or far too many of them.
    #[error("has a certificate that cannot be read, or more than {CHAIN_MAX} of them")]
    BadCertificate,
    /// The file has no private key.
    #[error("has no private key in PEM (-----BEGIN PRIVATE KEY-----), or an encrypted one")]
    NoKey,
    /// A key of a kind that TLS has no use for.
    #[error("has a private key that cannot be used: RSA from 2048 bits, ECDSA P-256, P-384 or P-521, or Ed25519")]
    BadKey,
    /// The key is another certificate's.
    #[error("has a key that does not fit the certificate")]
    OtherKey,
}

/// A certificate and those that lead to its authority, its own first.
#[derive(Clone, Debug)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    names: Vec<HostPattern>,
    expires: Timestamp,
}

impl Chain {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// [`CertificateError::NoCertificate`] and [`CertificateError::BadCertificate`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(CHAIN_MAX + 1).collect();
        let certificates = certificates.map_err(|_| CertificateError::BadCertificate)?;
        let own = certificates.first().ok_or(CertificateError::NoCertificate)?;
        if certificates.len() > CHAIN_MAX {
            return Err(CertificateError::BadCertificate);
        }
        let (_, parsed) = x509_parser::parse_x509_certificate(own).map_err(|_| CertificateError::BadCertificate)?;
        let (names, expires) = (names(&parsed), Timestamp::from_secs(parsed.validity().not_after.timestamp()));
        Ok(Self { certificates, names, expires })
    }

    /// With its key, from a PEM file.
    ///
    /// # Errors
    /// [`CertificateError::NoKey`], [`CertificateError::BadKey`] and [`CertificateError::OtherKey`].
    pub fn with_key(self, pem: &[u8]) -> Result<Certificate, CertificateError> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| CertificateError::NoKey)?;
        let provider = aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(self.certificates, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::OtherKey,
            _ => CertificateError::BadKey,
        })?;
        Ok(Certificate { certified: Arc::new(certified), names: self.names, expires: self.expires })
    }
}

/// The names of the certificate's own that a client can ask for (RFC 6125: `dNSName`s).
fn names(certificate: &X509Certificate<'_>) -> Vec<HostPattern> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return vec![] };
    let mut names = vec![];
    for name in &extension.value.general_names {
        let GeneralName::DNSName(name) = name else { continue };
        if let Ok(name) = name.parse::<HostPattern>()
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// A certificate with the key that fits it.
#[derive(Clone)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    names: Vec<HostPattern>,
    expires: Timestamp,
}

impl Certificate {
    /// For these names instead of the certificate's own.
    #[must_use]
    pub fn for_names(self, names: Vec<HostPattern>) -> Self {
        Self { names, ..self }
    }

    /// The names that it answers for.
    #[must_use]
    pub fn names(&self) -> &[HostPattern] {
        &self.names
    }

    /// Until when it is good.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    pub(super) const fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

/// Two are the same when they show the same certificates for the same names.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert && self.names == other.names
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("names", &self.names)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> (String, String) {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_certificate_answers_for_its_own_names() {
        let (certificate, key) = made(&["API.test", "*.api.test", "127.0.0.1"]);
        let read = Chain::from_pem(certificate.as_bytes()).unwrap().with_key(key.as_bytes()).unwrap();
        assert_eq!(read.names().iter().map(ToString::to_string).collect::<Vec<_>>(), ["api.test", "*.api.test"]);
        assert!(read.expires() > Timestamp::from_secs(1_800_000_000), "{read:?}");
        assert!(!format!("{read:?}").contains("key"), "{read:?}");
    }

    #[test]
    fn what_is_no_certificate_with_its_key_is_refused() {
        let (certificate, key) = made(&["a.test"]);
        let (_, other) = made(&["a.test"]);
        let chain = || Chain::from_pem(certificate.as_bytes()).unwrap();
        assert_eq!(Chain::from_pem(key.as_bytes()).unwrap_err(), CertificateError::NoCertificate);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(Chain::from_pem(broken.as_bytes()).unwrap_err(), CertificateError::BadCertificate);
        assert_eq!(chain().with_key(certificate.as_bytes()).unwrap_err(), CertificateError::NoKey);
        assert_eq!(chain().with_key(other.as_bytes()).unwrap_err(), CertificateError::OtherKey);
        let bad = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(chain().with_key(bad.as_bytes()).unwrap_err(), CertificateError::BadKey);
    }
}
