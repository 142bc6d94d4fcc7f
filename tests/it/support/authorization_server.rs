//! An authorization server that is asked about tokens: a real HTTP server with an introspection endpoint.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, LOCATION},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::watch,
};

/// What it says of a token.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) media_type: String,
    pub(crate) body: String,
    /// Where it sends to.
    pub(crate) location: Option<String>,
}

impl Said {
    /// 200 with this object.
    pub(crate) fn json(body: &Value) -> Self {
        Self { status: 200, media_type: "application/json".to_owned(), body: body.to_string(), location: None }
    }

    fn answer(self) -> Response<String> {
        let mut answer = Response::new(self.body);
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap();
        answer.headers_mut().insert(CONTENT_TYPE, self.media_type.parse().unwrap());
        answer.headers_mut().extend(self.location.map(|to| (LOCATION, to.parse().unwrap())));
        answer
    }
}

/// A question that it got.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) body: String,
    authorization: String,
}

impl Asked {
    /// The client that asked, and with which secret.
    pub(crate) fn basic(&self) -> String {
        let encoded = self.authorization.strip_prefix("Basic ").unwrap();
        String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
    }
}

/// It is out of reach when it is dropped.
pub(crate) struct AuthorizationServer {
    pub(crate) address: SocketAddr,
    known: Arc<Known>,
    runtime: Option<Runtime>,
}

struct Known {
    /// What it answers a GET of a path.
    published: Mutex<HashMap<String, Said>>,
    tokens: Mutex<HashMap<String, Said>>,
    to_all: Mutex<Option<Said>>,
    asked: Mutex<Vec<Asked>>,
    held: watch::Sender<bool>,
}

impl AuthorizationServer {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let known = Arc::new(Known {
            published: Mutex::default(),
            tokens: Mutex::default(),
            to_all: Mutex::default(),
            asked: Mutex::default(),
            held: watch::Sender::new(false),
        });
        let serving = Arc::clone(&known);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let known = Arc::clone(&serving);
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let known = Arc::clone(&known);
                        async move { Ok::<_, Infallible>(known.answer(request).await) }
                    });
                    // A gateway that was killed has gone in the middle.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, known, runtime: Some(runtime) }
    }

    /// Says this of a token from now on; `{"active":false}` of all others.
    pub(crate) fn knows(&self, token: &str, said: Said) {
        self.known.tokens.lock().unwrap().insert(token.to_owned(), said);
    }

    /// Answers a GET of this path so from now on; 404 of all others.
    pub(crate) fn publishes(&self, path: &str, said: Said) {
        self.known.published.lock().unwrap().insert(path.to_owned(), said);
    }

    /// Says this of every token.
    pub(crate) fn says_to_all(&self, said: Option<Said>) {
        *self.known.to_all.lock().unwrap() = said;
    }

    /// Answers nobody until it is released.
    pub(crate) fn hold(&self) {
        self.known.held.send_replace(true);
    }

    pub(crate) fn release(&self) {
        self.known.held.send_replace(false);
    }

    /// What it was asked so far.
    pub(crate) fn questions(&self) -> Vec<Asked> {
        self.known.asked.lock().unwrap().clone()
    }
}

impl Known {
    async fn answer(&self, request: Request<Incoming>) -> Response<String> {
        let path = request.uri().path().to_owned();
        if request.method() == Method::GET {
            let published = self.published.lock().unwrap().get(&path).cloned();
            return published.unwrap_or_else(|| Said { status: 404, ..Said::json(&json!({})) }).answer();
        }
        let authorization = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let token = body.strip_prefix("token=").and_then(|rest| rest.split('&').next()).unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push(Asked { path, body, authorization: authorization.unwrap_or_default() });
        let mut held = self.held.subscribe();
        // The sender lives as long as this does.
        let _ = held.wait_for(|held| !held).await;
        let known = self.to_all.lock().unwrap().clone().or_else(|| self.tokens.lock().unwrap().get(&token).cloned());
        known.unwrap_or_else(|| Said::json(&json!({ "active": false }))).answer()
    }
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
