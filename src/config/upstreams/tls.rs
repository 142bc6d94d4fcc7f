//! `upstreams.NAME.tls`: how TLS is spoken with servers.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use toml::de::DeValue;

use crate::{
    config::reader::Item,
    upstream::{Identity, TlsSettings},
};

/// `true`, `false`, or a table; `None` where TLS is not spoken.
pub(super) fn read(item: &Item<'_>) -> Option<TlsSettings> {
    if let DeValue::Boolean(on) = item.value() {
        return on.then(TlsSettings::default);
    }
    let mut section = item.section()?;
    let name = section.optional("name", name);
    let authorities = section.optional("ca", certificates);
    let chain = section.optional("certificate", certificates);
    let key = section.optional("key", key);
    for (one, other) in [("certificate", "key"), ("key", "certificate")] {
        if section.has(one) && !section.has(other) {
            section.report(one, &format!("needs {other} beside it"));
        }
    }
    let settings = TlsSettings {
        name: name.map(Into::into),
        authorities,
        identity: chain.zip(key).map(|(chain, key)| Identity { chain, key }),
    };
    if let Err(error) = settings.check() {
        section.report_here(&error.to_string());
    }
    section.finish();
    Some(settings)
}

fn name(item: &Item<'_>) -> Option<String> {
    let name = item.word()?;
    let settings = TlsSettings { name: Some(name.as_str().into()), ..TlsSettings::default() };
    if settings.check().is_ok() {
        Some(name)
    } else {
        item.no("a host name or an address, for example \"crm.internal\"")
    }
}

/// The certificates of a PEM file.
fn certificates(item: &Item<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let (_, bytes) = item.file()?;
    match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Some(certificates),
        Ok(_) => item.wrong(&format!("{} has no certificate in PEM form", item.shown())),
        Err(error) => item.wrong(&format!("{} is no PEM file: {error}", item.shown())),
    }
}

/// The private key of a PEM file. A problem shows nothing of what is in it.
fn key(item: &Item<'_>) -> Option<PrivateKeyDer<'static>> {
    let (_, bytes) = item.file()?;
    let bytes = zeroize::Zeroizing::new(bytes);
    let key = PrivateKeyDer::from_pem_slice(&bytes).ok();
    key.or_else(|| item.wrong(&format!("{} has no private key in PEM form (PKCS #8, PKCS #1 or SEC 1)", item.shown())))
}
