//! A certificate authority of a test's own.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::support::Folder;

/// An authority and its certificate.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Writes its own certificate.
    pub(super) fn write(&self, folder: &Folder, name: &str) -> PathBuf {
        fs::write(folder.file(name), &self.certificate).unwrap();
        folder.file(name)
    }

    /// Writes `NAME.crt` and `NAME.key` for these host names, of a subject with this name.
    pub(super) fn issue(&self, folder: &Folder, name: &str, subject: &str, hosts: &[&str]) {
        let mut params = CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.file(&format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(folder.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
