//! Where a client's TLS ends: the handshake, with the certificates that are in force when it begins.

use std::{collections::HashMap, fmt, io, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{Ticketer, default_provider},
    },
    server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    ClientAuthority, ListenTlsSettings, Validity,
    resumption::{DatedTickets, Found, Noting, Time},
};
use crate::{domain::Clock, rules::route::HostPattern};

/// What is spoken behind TLS, the preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a handshake came to nothing: a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum HandshakeFailure {
    /// No certificate of the client's, or none of ours to trust.
    ClientCertificate,
    /// The client went away.
    Closed,
    /// It is no TLS, an old version of it, or shares nothing with us.
    Protocol,
}

impl HandshakeFailure {
    /// The label.
    pub(in crate::edge) const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCertificate => "client_certificate",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                Self::ClientCertificate
            }
            Some(_) => Self::Protocol,
            None => Self::Closed,
        }
    }
}

/// A listener's end of TLS.
pub(in crate::edge) struct Terminator {
    present: ArcSwap<Present>,
    clock: Arc<dyn Clock>,
}

/// What the next handshake is done with.
pub(in crate::edge) struct Present {
    /// For a client that is asked for no certificate.
    config: Arc<ServerConfig>,
    clients: Option<ClientAuthority>,
    /// What a client's own config is made of, where it is asked for a certificate.
    parts: Parts,
}

/// What configs are made of.
struct Parts {
    provider: Arc<CryptoProvider>,
    certificates: Arc<ByName>,
    tickets: Arc<dyn ProducesTickets>,
    time: Arc<Time>,
}

impl Terminator {
    pub(in crate::edge) fn new(settings: &ListenTlsSettings, clock: Arc<dyn Clock>) -> Result<Self, rustls::Error> {
        let present = Present::new(settings, Ticketer::new()?, &clock)?;
        Ok(Self { present: ArcSwap::from_pointee(present), clock })
    }

    /// What [`take_over`](Self::take_over) needs for other certificates. A session that was opened under other
    /// authorities is never resumed.
    pub(in crate::edge) fn prepare(&self, settings: &ListenTlsSettings) -> Result<Arc<Present>, rustls::Error> {
        let present = self.present.load();
        let same_clients = present.clients == settings.clients;
        let tickets = if same_clients { Arc::clone(&present.parts.tickets) } else { Ticketer::new()? };
        Present::new(settings, tickets, &self.clock).map(Arc::new)
    }

    /// Takes over what was prepared: for the next handshake, whatever connections there are.
    pub(in crate::edge) fn take_over(&self, next: Arc<Present>) {
        self.present.store(next);
    }

    /// Shakes hands; with the stream comes when the client's certificate is good. There is no deadline here: the
    /// caller has one.
    pub(in crate::edge) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Validity), HandshakeFailure> {
        let (config, found) = self.present.load().in_handshake(&self.clock).map_err(|_| HandshakeFailure::Protocol)?;
        let accepted = TlsAcceptor::from(config).accept(stream).await;
        let stream = accepted.map_err(|error| HandshakeFailure::of(&error))?;
        Ok((stream, found.map_or(Validity::ALWAYS, |found| found.validity())))
    }
}

impl fmt::Debug for Terminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Terminator(…)")
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Present(…)")
    }
}

impl Present {
    fn new(
        settings: &ListenTlsSettings,
        tickets: Arc<dyn ProducesTickets>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, rustls::Error> {
        let parts = Parts {
            // Not whatever the process installed as its default.
            provider: Arc::new(default_provider()),
            certificates: Arc::new(ByName::new(settings)),
            tickets,
            time: Arc::new(Time(Arc::clone(clock))),
        };
        let config = parts.config(None, Arc::clone(&parts.tickets))?;
        Ok(Self { config, clients: settings.clients.clone(), parts })
    }

    /// The config of one handshake, and what it finds out of the client's certificate, where it asks for one.
    fn in_handshake(&self, clock: &Arc<dyn Clock>) -> Result<(Arc<ServerConfig>, Option<Arc<Found>>), rustls::Error> {
        let Some(clients) = &self.clients else { return Ok((Arc::clone(&self.config), None)) };
        let found = Found::new();
        let verifier = Noting { clients: clients.clone(), found: Arc::clone(&found) };
        let tickets = DatedTickets {
            tickets: Arc::clone(&self.parts.tickets),
            clock: Arc::clone(clock),
            found: Arc::clone(&found),
        };
        let config = self.parts.config(Some(Arc::new(verifier)), Arc::new(tickets))?;
        Ok((config, Some(found)))
    }
}

impl Parts {
    fn config(
        &self,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
        tickets: Arc<dyn ProducesTickets>,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let time = Arc::clone(&self.time);
        let builder = ServerConfig::builder_with_details(Arc::clone(&self.provider), time);
        // Those are TLS 1.2 and 1.3.
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&self.certificates) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
        // Sessions are resumed from tickets: nothing is remembered for a client here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = tickets;
        Ok(Arc::new(config))
    }
}

/// The certificate for the name that a client asks for.
#[derive(Debug)]
struct ByName {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// By the part behind the star (`.example.com`), for one more label before it (RFC 6125 section 6.4.3).
    below: HashMap<Box<str>, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl ByName {
    fn new(settings: &ListenTlsSettings) -> Self {
        let (mut exact, mut below) = (HashMap::new(), HashMap::new());
        for certificate in settings.certificates() {
            for name in certificate.names() {
                let (names, name) = match name {
                    HostPattern::Exact(name) => (&mut exact, name),
                    HostPattern::Below(parent) => (&mut below, parent),
                };
                names.insert(name.clone(), Arc::clone(certificate.certified()));
            }
        }
        let default = settings.certificates().first().map(|certificate| Arc::clone(certificate.certified()));
        Self { exact, below, default }
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wild = || self.below.get(&name[name.find('.')?..]);
        self.exact.get(name).or_else(wild)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        name.and_then(|name| self.find(&name)).or(self.default.as_ref()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::listen::tls::Chain;

    #[test]
    fn an_exact_name_goes_before_a_wildcard_of_one_label() {
        let certificates: Vec<_> = ["default.test", "*.a.test", "x.a.test"]
            .map(|name| {
                let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
                let chain = Chain::from_pem(made.cert.pem().as_bytes()).unwrap();
                chain.with_key(made.signing_key.serialize_pem().as_bytes()).unwrap()
            })
            .into();
        let settings = ListenTlsSettings::new(certificates.clone(), None).unwrap();
        let by_name = ByName::new(&settings);
        let found = |name| {
            by_name.find(name).map(|found| {
                certificates.iter().position(|certificate| Arc::ptr_eq(certificate.certified(), found)).unwrap()
            })
        };
        assert_eq!(
            ["default.test", "y.a.test", "x.a.test", "y.x.a.test", "a.test", "test"].map(found),
            [Some(0), Some(1), Some(2), None, None, None]
        );
        let twice = ListenTlsSettings::new([certificates.clone(), certificates].concat(), None).unwrap_err();
        assert_eq!(twice.unwrap().to_string(), "default.test");
        assert_eq!(ListenTlsSettings::new(vec![], None).unwrap_err(), None);
    }
}
