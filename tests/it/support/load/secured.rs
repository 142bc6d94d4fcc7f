//! Clients behind TLS, of both versions of HTTP, that send a body with every other request.

use std::{
    error::Error,
    future::ready,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::yield_now,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{Counts, IDLE, Kept, Manner};
use crate::support::PATIENCE;

/// What is read of the upstream by who sends no body.
const ANSWER: &[u8] = b"upstream";

/// A body of 1 KiB that no other request has: the upstream sends it back.
fn new_body() -> Bytes {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Bytes::from(format!("{:01024}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// A listener with TLS.
#[derive(Clone)]
pub(crate) struct Secured {
    to: SocketAddr,
    host: &'static str,
    roots: RootCertStore,
}

impl Secured {
    /// The listener at `to` has a certificate for `host`, of this authority.
    pub(crate) fn new(to: SocketAddr, host: &'static str, authority: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        Self { to, host, roots }
    }

    /// A connection of HTTP/1.1 that stays open, or why the handshake failed.
    pub(crate) fn connect(&self) -> Result<SecuredConnection, String> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let opened = runtime.block_on(async { timeout(PATIENCE, self.open(Version::Http1)).await.unwrap() });
        let sender = opened.map_err(|error| error.to_string())?;
        Ok(SecuredConnection { host: self.host, sender, runtime })
    }

    async fn open(&self, version: Version) -> Result<Sender, Box<dyn Error>> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(self.roots.clone()).with_no_client_auth();
        let protocol: &[u8] = if version == Version::Http2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.to).await?;
        let name = ServerName::try_from(self.host)?;
        let stream = TokioIo::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?);
        Ok(match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                Sender::Http1(sender)
            }
            Version::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        })
    }
}

/// A connection of HTTP/1.1 through TLS.
pub(crate) struct SecuredConnection {
    host: &'static str,
    sender: Sender,
    runtime: Runtime,
}

impl SecuredConnection {
    /// The status of a GET.
    pub(crate) fn status(&mut self, path: &str) -> u16 {
        let request = Request::get(path).header(header::HOST, self.host).body(Full::default()).unwrap();
        let (sender, runtime) = (&mut self.sender, &self.runtime);
        let answered = runtime.block_on(async {
            let (answer, ()) = timeout(PATIENCE, sender.send(request, ready(()))).await.unwrap();
            let (parts, body) = answer.unwrap().into_parts();
            body.collect().await.map(|_| parts.status.as_u16())
        });
        answered.unwrap()
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

type Asked = Request<Full<Bytes>>;

type Answered = Result<Response<Incoming>, TrySendError<Asked>>;

impl Sender {
    /// Sends it, and does this as soon as it is on its way.
    async fn send<T>(&mut self, request: Asked, then: impl Future<Output = T>) -> (Answered, T) {
        match self {
            Self::Http1(sender) => {
                // What it says shows when it sends.
                let _ = sender.ready().await;
                tokio::join!(sender.try_send_request(request), then)
            }
            Self::Http2(sender) => {
                let _ = sender.ready().await;
                tokio::join!(sender.try_send_request(request), then)
            }
        }
    }
}

pub(super) fn client(secured: &Secured, version: Version, manner: Manner, token: &str, counts: &Counts) -> Vec<String> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut failures, mut kept, mut with_body) = (vec![], None, false);
        while counts.goes_on(&failures) {
            let reused = kept.is_some();
            let body = with_body.then(new_body);
            with_body = !with_body;
            let exchanged = timeout(PATIENCE, exchange(secured, version, kept.take(), token, body)).await;
            match exchanged.unwrap_or_else(|_| Err("no answer in time".into())) {
                Ok(sender) => kept = sender.filter(|_| manner != Manner::Fresh).map(Kept::new),
                Err(error) => {
                    let sent = if with_body { "GET" } else { "POST" };
                    failures.push(format!("{sent} of {version:?} through TLS, reused {reused}: {error:?}"));
                    continue;
                }
            }
            counts.exchanged(true);
            if manner == Manner::MostlyIdle {
                tokio::time::sleep(IDLE).await;
            }
        }
        failures
    })
}

/// One exchange; the connection, where it may be used again.
async fn exchange(
    secured: &Secured,
    version: Version,
    mut kept: Option<Kept<Sender>>,
    token: &str,
    body: Option<Bytes>,
) -> Result<Option<Sender>, Box<dyn Error>> {
    let (method, path) =
        if body.is_some() { (Method::POST, "/sws/secured?echo") } else { (Method::GET, "/sws/secured") };
    let target = match version {
        Version::Http1 => path.to_owned(),
        Version::Http2 => format!("https://{}{path}", secured.host),
    };
    let expected = body.clone().unwrap_or(Bytes::from_static(ANSWER));
    let mut request =
        Request::builder().method(method).uri(target).header(header::AUTHORIZATION, format!("Bearer {token}"));
    if version == Version::Http1 {
        request = request.header(header::HOST, secured.host);
    }
    let request = request.body(body.map(Full::new).unwrap_or_default())?;
    loop {
        let is_new = kept.is_none();
        let mut asked = match kept.take() {
            Some(kept) => kept,
            None => Kept::new(secured.open(version).await?),
        };
        let written = async {
            // The connection's task has its turn.
            yield_now().await;
            asked.rested.left().is_none()
        };
        let (answer, has_rested) = asked.connection.send(request.clone(), written).await;
        match answer {
            Ok(answer) => return read(answer, asked.connection, &expected).await,
            Err(mut refused) => {
                // It was closed before: nothing was sent.
                let is_unsent = !is_new && refused.take_message().is_some();
                let error = refused.into_error();
                if !is_unsent && (!has_rested || error.is_parse()) {
                    return Err(error.into());
                }
            }
        }
    }
}

async fn read(answer: Response<Incoming>, sender: Sender, expected: &Bytes) -> Result<Option<Sender>, Box<dyn Error>> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    if parts.status != 200 || body != expected {
        return Err(format!("{} {}", parts.status, String::from_utf8_lossy(&body)).into());
    }
    let closes = parts.headers.get(header::CONNECTION).is_some_and(|value| value == "close");
    Ok((!closes).then_some(sender))
}
