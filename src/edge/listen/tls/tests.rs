//! Handshakes, in full and resumed, at every time.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

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

use super::{Chain, ClientAuthority, ListenTlsSettings, Terminator, Validity, resumption::Time};
use crate::domain::{Clock, SystemClock, Timestamp};

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

    fn since_boot(&self) -> std::time::Duration {
        SystemClock.since_boot()
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
        let settings = ListenTlsSettings::new(vec![certificate], Some(clients)).unwrap();
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
        // Some clients show more than the way to their authority, such as what was replaced long ago.
        let surplus = self::authority("old", 2001);
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let config = builder.with_root_certificates(self.roots.clone());
        let mut config =
            config.with_client_auth_cert(vec![certificate.der().clone(), surplus.der().clone()], key).unwrap();
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
