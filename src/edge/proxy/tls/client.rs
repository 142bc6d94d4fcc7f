//! Certificates that clients show: whose are taken, and what an upstream is told of one.

use std::{fmt, fmt::Write, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderValue;
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use thiserror::Error;
use x509_parser::x509::X509Name;

/// Authorities of one file, at most.
const AUTHORITIES_MAX: usize = 1024;

/// Octets of a subject as it is forwarded, at most; a longer one is left out.
const SUBJECT_BYTES_MAX: usize = 2048;

/// Why a file of authorities was not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("has no usable authority in PEM (-----BEGIN CERTIFICATE-----), or more than {AUTHORITIES_MAX}")]
pub struct ClientAuthorityError;

/// Whose certificates clients show.
#[derive(Clone)]
pub struct ClientAuthority {
    authorities: Vec<CertificateDer<'static>>,
    required: bool,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientAuthority {
    /// The authorities of a PEM file; `required` when a client without a certificate is turned away.
    ///
    /// # Errors
    /// When the file has none.
    pub fn from_pem(pem: &[u8], required: bool) -> Result<Self, ClientAuthorityError> {
        let authorities: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(AUTHORITIES_MAX + 1).collect();
        let authorities = authorities.map_err(|_| ClientAuthorityError)?;
        if authorities.is_empty() || authorities.len() > AUTHORITIES_MAX {
            return Err(ClientAuthorityError);
        }
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|_| ClientAuthorityError)?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|_| ClientAuthorityError)?;
        Ok(Self { authorities, required, verifier })
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }
}

impl PartialEq for ClientAuthority {
    fn eq(&self, other: &Self) -> bool {
        self.authorities == other.authorities && self.required == other.required
    }
}

impl fmt::Debug for ClientAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authorities, required, .. } = self;
        write!(f, "ClientAuthority({} authorities, required: {required})", authorities.len())
    }
}

/// What upstreams are told of a client's certificate, which was verified: its SHA-256 and its subject, in the form of
/// Envoy's `X-Forwarded-Client-Cert`. `None` when it cannot be read, which its verification rules out.
pub(in super::super) fn forwarded_certificate(certificate: &[u8]) -> Option<HeaderValue> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut value = "Hash=".to_owned();
    push_hex(&mut value, digest(&SHA256, certificate).as_ref());
    let subject = subject(parsed.subject());
    if subject.len() <= SUBJECT_BYTES_MAX {
        let _ = write!(value, ";Subject=\"{subject}\"");
    }
    HeaderValue::try_from(value).ok()
}

/// RFC 4514: the last name first, and every octet escaped that could end the value it stands in.
fn subject(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let names: Vec<_> = name.iter_rdn().collect();
    for (at, relative) in names.into_iter().rev().enumerate() {
        for (part, attribute) in relative.iter().enumerate() {
            if part > 0 {
                text.push('+');
            } else if at > 0 {
                text.push(',');
            }
            let oid = attribute.attr_type().to_id_string();
            if let (Some(short), Ok(value)) = (short_name(&oid), attribute.as_str()) {
                text.push_str(short);
                text.push('=');
                push_escaped(&mut text, value);
            } else {
                // Section 2.4: what has no short name stands as its encoding's octets.
                let _ = write!(text, "{oid}=#");
                push_hex(&mut text, attribute.attr_value().data);
            }
        }
    }
    text
}

/// RFC 4514 section 3.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => return None,
    })
}

/// All that is special stands as `\` and two digits, so that a quote or a backslash of the value is
/// never one of the header's.
fn push_escaped(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let edge = (at == 0 || at == last) && byte == b' ';
        if edge || matches!(byte, b'"' | b'\\' | b',' | b';' | b'+' | b'<' | b'>' | b'=' | b'#') || !is_plain(byte) {
            let _ = write!(text, "\\{byte:02X}");
        } else {
            text.push(char::from(byte));
        }
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn shown(name: &str) -> String {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Portero");
        params.distinguished_name.push(DnType::CommonName, name);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        forwarded_certificate(made.der()).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_subject_cannot_break_out_of_its_quotes() {
        for (name, expected) in [
            ("ana", "CN=ana,O=Portero"),
            ("a\",Hash=0;\\", "CN=a\\22\\2CHash\\3D0\\3B\\5C,O=Portero"),
            ("ñ\r\n", "CN=\\C3\\B1\\0D\\0A,O=Portero"),
            (" a b ", "CN=\\20a b\\20,O=Portero"),
        ] {
            let value = shown(name);
            let (hash, subject) = value.split_once(';').unwrap();
            assert_eq!(hash.len(), "Hash=".len() + 64, "{value}");
            assert_eq!(subject, format!("Subject=\"{expected}\""));
        }
    }

    #[test]
    fn a_long_subject_is_left_out() {
        assert!(!shown(&"a".repeat(SUBJECT_BYTES_MAX)).contains("Subject"));
    }

    #[test]
    fn a_file_without_authorities_is_refused() {
        assert_eq!(ClientAuthority::from_pem(b"", true).unwrap_err(), ClientAuthorityError);
    }
}
