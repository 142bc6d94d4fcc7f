//! A certificate authority, made anew for each test.

use std::{fs, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::Folder;

/// An authority whose certificates are in files.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut authority = CertificateParams::new(vec![]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes its own certificate to `NAME.pem`.
    pub(crate) fn write(&self, folder: &Folder, name: &str) {
        fs::write(folder.file(&format!("{name}.pem")), self.0.pem()).unwrap();
    }

    /// Writes a certificate for `host`, whose subject is that too, to `NAME.pem` and its key to `NAME.key`.
    pub(crate) fn issue(&self, folder: &Folder, name: &str, host: &str) {
        self.issue_to(folder, name, host, &[host]);
    }

    /// The same for a subject with a name of its own, and these hosts.
    pub(crate) fn issue_to(&self, folder: &Folder, name: &str, subject: &str, hosts: &[&str]) {
        self.issue_with(folder, name, subject, hosts, |_| {});
    }

    /// The same for one that was good for the last time in the year 2000.
    pub(crate) fn issue_expired(&self, folder: &Folder, name: &str, host: &str) {
        self.issue_with(folder, name, host, &[host], |certificate| {
            certificate.not_before = rcgen::date_time_ymd(1999, 1, 1);
            certificate.not_after = rcgen::date_time_ymd(2000, 1, 1);
        });
    }

    /// The same for a subject with a name of its own, good until this second of the Unix epoch.
    pub(crate) fn issue_until(&self, folder: &Folder, name: &str, subject: &str, until: i64) {
        let since_epoch = Duration::from_secs(until.try_into().unwrap());
        self.issue_with(folder, name, subject, &[], |certificate| {
            certificate.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch;
        });
    }

    fn issue_with(
        &self,
        folder: &Folder,
        name: &str,
        subject: &str,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let key = KeyPair::generate().unwrap();
        let mut certificate =
            CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap();
        certificate.distinguished_name.push(DnType::CommonName, subject);
        change(&mut certificate);
        let certificate = certificate.signed_by(&key, &self.0).unwrap();
        fs::write(folder.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
