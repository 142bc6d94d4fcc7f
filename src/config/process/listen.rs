//! `server.listen`: where clients connect, with which certificates.

use std::net::SocketAddr;

use toml::de::DeValue;
use zeroize::Zeroizing;

use crate::{
    config::{
        matching::hosts,
        reader::{Item, Placed, Section},
    },
    edge::listen::{
        Listen,
        tls::{self, Certificate, Chain, ClientAuthority},
    },
};

/// Whether clients must show a certificate, by the words for it.
const CLIENT_CERTIFICATE: [(&str, bool); 2] = [("required", true), ("optional", false)];

/// Each an address, or a table with one.
pub(super) fn listeners(item: &Item<'_>) -> Option<Vec<Placed<Listen>>> {
    let items = item.items()?;
    if items.is_empty() {
        return item.wrong("must name at least one address to listen on");
    }
    let placed = |item: &Item<'_>| Some(Placed { value: listener(item)?, spot: item.spot().clone() });
    Some(items.iter().filter_map(placed).collect())
}

/// An address to listen on.
pub(super) fn socket(item: &Item<'_>) -> Option<SocketAddr> {
    item.note_place();
    item.parse("an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"")
}

fn listener(item: &Item<'_>) -> Option<Listen> {
    if !matches!(item.value(), DeValue::Table(_)) {
        return socket(item).map(Listen::in_the_clear);
    }
    let mut section = item.section()?;
    let address = section.required("address", "\"0.0.0.0:8443\"", socket);
    let proxy_protocol = section.or("proxy_protocol", false, Item::boolean);
    let has_tls = section.has("tls");
    let certificates = section.optional("tls", certificates);
    let looks_at_files = item.looks_at_files();
    let tls = if has_tls {
        let asks = section.has("client_ca");
        let clients = clients(&mut section);
        let certificates = certificates.filter(|_| clients.is_some() == asks);
        certificates.and_then(|certificates| together(&section, certificates, clients))
    } else {
        let why = "stands beside 'tls', which this listener does not have";
        section.refuse("client_ca", why);
        section.refuse("client_certificate", why);
        None
    };
    section.finish();
    // Without its files nothing is known of its TLS but that it has some: such settings are never run.
    (tls.is_some() == has_tls || !looks_at_files).then_some(Listen { address: address?, tls, proxy_protocol })
}

/// A listener's TLS as a whole.
fn together(
    section: &Section<'_>,
    certificates: Vec<Certificate>,
    clients: Option<ClientAuthority>,
) -> Option<tls::ListenTlsSettings> {
    match tls::ListenTlsSettings::new(certificates, clients) {
        Ok(settings) => Some(settings),
        Err(Some(name)) => {
            section.report("tls", &format!("'{name}' has two certificates; give each its own 'names'"));
            None
        }
        // One that cannot be read was reported; an empty array too.
        Err(None) => None,
    }
}

fn certificates(item: &Item<'_>) -> Option<Vec<Certificate>> {
    let items = item.items()?;
    if items.is_empty() {
        return item.wrong("must name at least one certificate; leave it out to listen without TLS");
    }
    let certificates: Vec<_> = items.iter().filter_map(|item| certificate(item.section()?)).collect();
    (certificates.len() == items.len()).then_some(certificates)
}

fn certificate(mut section: Section<'_>) -> Option<Certificate> {
    let chain = section.required("certificate", "\"tls/api.crt\"", |item| {
        let (_, pem) = item.file()?;
        Chain::from_pem(&pem).map_err(|error| item.wrong::<()>(&format!("{} {error}", item.shown()))).ok()
    });
    let certificate = section.required("key", "\"tls/api.key\"", |item| {
        let (path, pem) = item.file()?;
        let pem = Zeroizing::new(pem);
        item.note_if_readable(path);
        let certificate = chain?.with_key(&pem);
        certificate.map_err(|error| item.wrong::<()>(&format!("{} {error}", item.shown()))).ok()
    });
    let renamed = section.has("names");
    let names = section.optional("names", hosts);
    section.finish();
    match (certificate?, names) {
        (certificate, Some(names)) => Some(certificate.for_names(names)),
        (certificate, None) => (!renamed).then_some(certificate),
    }
}

/// Whose certificates clients show; `None` too when that is wrong, which is reported then.
fn clients(section: &mut Section<'_>) -> Option<ClientAuthority> {
    if !section.has("client_ca") {
        section.refuse("client_certificate", "stands beside 'client_ca', which says whose certificates are good");
        return None;
    }
    let required = section.checked("client_certificate", true, |item| item.one_of(&CLIENT_CERTIFICATE));
    let authority = section.optional("client_ca", |item| {
        let (_, pem) = item.file()?;
        let authority = ClientAuthority::from_pem(&pem, required.unwrap_or(true));
        authority.map_err(|error| item.wrong::<()>(&format!("{} {error}", item.shown()))).ok()
    });
    required.and(authority)
}
