//! An external issuer: a real server that publishes its keys, in clear or over TLS.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use hyper::{
    Request, Response, StatusCode, body::Incoming, header::LOCATION, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use tokio_rustls::TlsAcceptor;

use super::pen::Pen;

/// It is out of reach when it is dropped.
pub(crate) struct JwksServer {
    pub(crate) address: SocketAddr,
    /// The authority of its certificate, in PEM; empty without TLS.
    pub(crate) authority: String,
    published: Arc<Published>,
    runtime: Option<Runtime>,
}

/// Another answer than a set.
#[derive(Clone, Default)]
pub(crate) struct Document {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Where it sends to.
    pub(crate) location: Option<String>,
}

impl Document {
    /// 200 with this text.
    pub(crate) fn good(body: &impl ToString) -> Self {
        Self { status: 200, body: body.to_string(), location: None }
    }
}

#[derive(Default)]
struct Published {
    set: Mutex<String>,
    /// What other paths answer.
    documents: Mutex<HashMap<String, Document>>,
    fetches: AtomicUsize,
}

impl JwksServer {
    /// One that publishes the keys of these pens.
    pub(crate) fn start(pens: &[&Pen]) -> Self {
        Self::serving(pens, String::new(), None)
    }

    /// The same over TLS, with a certificate for `localhost`.
    pub(crate) fn over_tls(pens: &[&Pen]) -> Self {
        let (authority, acceptor) = certificate();
        Self::serving(pens, authority, Some(acceptor))
    }

    fn serving(pens: &[&Pen], authority: String, tls: Option<TlsAcceptor>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let published = Arc::new(Published::default());
        let serving = Arc::clone(&published);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (published, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else { return serve(stream, published).await };
                    // A client that does not trust the certificate hangs up.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, published).await;
                    }
                });
            }
        });
        let server = Self { address, authority, published, runtime: Some(runtime) };
        server.publish(pens);
        server
    }

    /// Where its set is.
    pub(crate) fn url(&self) -> String {
        let port = self.address.port();
        if self.authority.is_empty() {
            format!("http://127.0.0.1:{port}/jwks")
        } else {
            format!("https://localhost:{port}/jwks")
        }
    }

    /// Publishes these keys from now on.
    pub(crate) fn publish(&self, pens: &[&Pen]) {
        let keys: Vec<_> = pens.iter().map(|pen| pen.jwk()).collect();
        *self.published.set.lock().unwrap() = json!({ "keys": keys }).to_string();
    }

    /// Answers so at `path` from now on.
    pub(crate) fn document(&self, path: &str, document: Document) {
        self.published.documents.lock().unwrap().insert(path.to_owned(), document);
    }

    /// How often its set was fetched.
    pub(crate) fn fetches(&self) -> usize {
        self.published.fetches.load(Ordering::Relaxed)
    }
}

impl Drop for JwksServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, published: Arc<Published>) {
    let service = service_fn(|request: Request<Incoming>| {
        let document = published.documents.lock().unwrap().get(request.uri().path()).cloned();
        let is_set = request.uri().path().starts_with("/jwks");
        let answer = match document {
            Some(document) => {
                let mut answer = Response::new(document.body);
                *answer.status_mut() = StatusCode::from_u16(document.status).unwrap();
                answer.headers_mut().extend(document.location.map(|to| (LOCATION, to.parse().unwrap())));
                answer
            }
            None if is_set => {
                published.fetches.fetch_add(1, Ordering::Relaxed);
                Response::new(published.set.lock().unwrap().clone())
            }
            None => {
                let mut answer = Response::new(String::new());
                *answer.status_mut() = StatusCode::NOT_FOUND;
                answer
            }
        };
        async { Ok::<_, Infallible>(answer) }
    });
    // A gateway that was killed has gone in the middle.
    let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
}

/// An authority in PEM, and a server's certificate from it.
fn certificate() -> (String, TlsAcceptor) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}
