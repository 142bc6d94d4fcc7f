//! Resumed sessions of clients that showed a certificate.
//!
//! A resumed handshake shows no certificate again: the session's ticket stands for it, and the library looks at no date
//! in it. So a ticket begins with the span in which its certificate is good. Outside of that span it is no ticket, and the
//! client shakes hands in full, with the certificate that it has now.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::{
        ProducesTickets,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    time_provider::TimeProvider,
};
use zeroize::Zeroizing;

use super::{
    ClientAuthority,
    validity::{VALIDITY_BYTES, Validity},
};
use crate::domain::Clock;

/// The library's time is the gateway's.
#[derive(Debug)]
pub(super) struct Time(pub(super) Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_secs()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// When the certificate of one connection's client is good: what its handshake finds out.
#[derive(Debug)]
pub(super) struct Found(Mutex<Validity>);

impl Found {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Validity::ALWAYS)))
    }

    /// The span; always, where no certificate was shown.
    pub(super) fn validity(&self) -> Validity {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, validity: Validity) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = validity;
    }
}

/// The tickets of one handshake.
#[derive(Debug)]
pub(super) struct DatedTickets {
    pub(super) tickets: Arc<dyn ProducesTickets>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) found: Arc<Found>,
}

impl ProducesTickets for DatedTickets {
    fn enabled(&self) -> bool {
        self.tickets.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.tickets.lifetime()
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let mut dated = Zeroizing::new(Vec::with_capacity(VALIDITY_BYTES + session.len()));
        dated.extend_from_slice(&self.found.validity().to_bytes());
        dated.extend_from_slice(session);
        self.tickets.encrypt(&dated)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let dated = Zeroizing::new(self.tickets.decrypt(ticket)?);
        let (validity, session) = dated.split_first_chunk()?;
        let validity = Validity::from_bytes(validity);
        if !validity.contains(self.clock.now()) {
            return None;
        }
        self.found.set(validity);
        Some(session.to_vec())
    }
}

/// Verifies the certificate of one handshake, and notes when it is good.
#[derive(Debug)]
pub(super) struct Noting {
    pub(super) clients: ClientAuthority,
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    pub(super) found: Arc<Found>,
}

impl ClientCertVerifier for Noting {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(end_entity, intermediates, now)?;
        // All that was shown counts, on the way to the authority or not: at worst a handshake is done in full.
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).collect();
        self.found.set(self.clients.good_as_long_as(&chain, now));
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
    use rustls::{
        ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
        pki_types::{PrivateKeyDer, ServerName, pem::PemObject},
        version::{TLS12, TLS13},
    };
    use tokio::{
        io::AsyncReadExt,
        net::{TcpListener, TcpStream},
    };
    use tokio_rustls::TlsConnector;

    use super::{
        super::{Chain, Settings, Terminator},
        *,
    };
    use crate::domain::{SystemClock, Timestamp};

    /// Midnight of the first of January of a year.
    fn year(year: i32) -> i64 {
        date_time_ymd(year, 1, 1).unix_timestamp()
    }

    #[derive(Debug)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(self.0.load(Ordering::Relaxed))
        }

        fn instant(&self) -> std::time::Instant {
            SystemClock.instant()
        }
    }

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority(name: &str, until: i32) -> Authority {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(until, 1, 1));
        Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// A listener for these authorities, and the time by which it goes.
    struct Listener {
        terminator: Terminator,
        clock: Arc<Hand>,
        roots: RootCertStore,
    }

    impl Listener {
        fn new(authorities: &[&Authority]) -> Self {
            let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
            let chain = Chain::from_pem(made.cert.pem().as_bytes()).unwrap();
            let certificate = chain.with_key(made.signing_key.serialize_pem().as_bytes()).unwrap();
            let pem: String = authorities.iter().map(|authority| authority.pem()).collect();
            let clients = ClientAuthority::from_pem(pem.as_bytes(), true).unwrap();
            let settings = Settings::new(vec![certificate], Some(clients)).unwrap();
            let clock = Arc::new(Hand(AtomicI64::new(year(2020))));
            let terminator = Terminator::new(&settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(made.cert.der().clone()).unwrap();
            Self { terminator, clock, roots }
        }

        /// A client with a certificate of this authority, good in these years.
        fn client(
            &self,
            authority: &Authority,
            (from, until): (i32, i32),
            version: &'static SupportedProtocolVersion,
        ) -> TlsConnector {
            let mut params = CertificateParams::new(vec![]).unwrap();
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, authority).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
            let config = builder.with_root_certificates(self.roots.clone());
            let mut config = config.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap();
            // The listener's certificate is good whatever the listener's clock says.
            config.time_provider = Arc::new(Time(Arc::new(Hand(AtomicI64::new(year(2020))))));
            TlsConnector::from(Arc::new(config))
        }

        /// What becomes of a handshake in this year; `None` where it is refused.
        async fn shake(&self, client: &TlsConnector, at: i32) -> Option<(HandshakeKind, Validity)> {
            self.clock.0.store(year(at), Ordering::Relaxed);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let name = ServerName::try_from("a.test").unwrap();
            let accepting = async {
                let accepted = self.terminator.accept(listener.accept().await.unwrap().0).await;
                // With the stream dropped the client reads what was sent to the end, tickets among it.
                accepted.ok().map(|(stream, validity)| (stream.get_ref().1.handshake_kind().unwrap(), validity))
            };
            let connecting = async {
                if let Ok(mut stream) = client.connect(name, stream).await {
                    let _ = stream.read(&mut [0]).await;
                }
            };
            tokio::join!(accepting, connecting).0
        }
    }

    #[tokio::test]
    async fn a_session_is_resumed_only_while_its_certificate_is_good() {
        let authority = authority("one", 2100);
        let listener = Listener::new(&[&authority]);
        for version in [&TLS13, &TLS12] {
            let client = listener.client(&authority, (2010, 2030), version);
            let good = Validity::of_years(2010, 2030);
            assert_eq!(listener.shake(&client, 2020).await, Some((HandshakeKind::Full, good)), "{version:?}");
            // What is resumed knows as well when it ends, and so does what is resumed from that.
            for _ in 0..2 {
                assert_eq!(listener.shake(&client, 2029).await, Some((HandshakeKind::Resumed, good)), "{version:?}");
            }
            assert_eq!(listener.shake(&client, 2031).await, None, "{version:?}");
            assert_eq!(listener.shake(&client, 2005).await, None, "{version:?}");
            assert!(listener.shake(&client, 2030).await.is_some(), "its last second: {version:?}");
        }
    }

    #[tokio::test]
    async fn an_authority_out_of_date_vouches_for_nobody_resumed_or_not() {
        let (short, long) = (authority("short", 2025), authority("long", 2100));
        let listener = Listener::new(&[&short, &long]);
        for version in [&TLS13, &TLS12] {
            let of_short = listener.client(&short, (2010, 2040), version);
            let of_long = listener.client(&long, (2010, 2040), version);
            for client in [&of_short, &of_long] {
                for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                    assert_eq!(listener.shake(client, 2020).await.map(|(kind, _)| kind), Some(kind), "{version:?}");
                }
            }
            assert_eq!(listener.shake(&of_short, 2026).await, None, "{version:?}");
            // The other one is looked at anew, and found good.
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                assert_eq!(listener.shake(&of_long, 2026).await.map(|(kind, _)| kind), Some(kind), "{version:?}");
            }
            assert!(listener.shake(&of_short, 2020).await.is_some(), "the clock went back: {version:?}");
        }
        assert_eq!(listener.shake(&listener.client(&long, (2010, 2200), &TLS13), 2150).await, None);
    }
}
