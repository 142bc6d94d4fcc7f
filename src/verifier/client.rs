//! One exchange with an old system, under bounds: one deadline for all of it, no redirects, no more octets than an
//! answer may have, and over TLS whatever the certificate says wrong ends it.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use thiserror::Error;

use super::settings::VerifierSettings;
use crate::{
    domain::secret::SecretBytes,
    rules::rewrite::remove_hop_by_hop,
    trust::{self, TrustError},
};

/// Octets of an answer to a question, at most.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// Octets of an answer that is passed on, at most.
pub const RELAYED_BYTES_MAX: usize = 1 << 20;

/// Octets of an answer's head, at most.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How long a connection is kept for the next question: shorter than servers keep theirs.
const IDLE_MAX: std::time::Duration = std::time::Duration::from_secs(4);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExchangeError {
    /// Not within the timeout.
    #[error("no whole answer in time")]
    Timeout,
    /// No connection.
    #[error("no connection")]
    Connect,
    /// It broke off.
    #[error("the exchange broke off")]
    Broken,
    /// The answer is larger than is read.
    #[error("the answer is too large")]
    TooLarge,
}

impl ExchangeError {
    /// The word for metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Broken => "broken",
            Self::TooLarge => "too_large",
        }
    }
}

/// A client's request that is passed on.
#[derive(Debug)]
pub struct Relayed {
    /// Its method.
    pub method: Method,
    /// Its raw query.
    pub query: Option<String>,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: SecretBytes,
}

/// Asks one old system.
#[derive(Debug)]
pub struct Client {
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    settings: VerifierSettings,
}

/// A body that is wiped when the last part of it was sent.
struct Wiped(SecretBytes);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Client {
    /// Reads the certificates to trust.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(settings: &VerifierSettings) -> Result<Self, TrustError> {
        let speaks_tls = settings.url.scheme() == Some(&Scheme::HTTPS);
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(settings.connect_timeout));
        http.set_nodelay(true);
        let schemes = HttpsConnectorBuilder::new().with_tls_config(trust::client(settings.ca.as_deref(), speaks_tls)?);
        // The config lets `http` pass for loopback addresses only.
        let schemes = if speaks_tls { schemes.https_only() } else { schemes.https_or_http() };
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(settings.bounds.concurrency)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(schemes.enable_http1().wrap_connector(http));
        Ok(Self { client, settings: settings.clone() })
    }

    /// Asks about a login: `body` is the contract's request.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&self, body: SecretBytes, client: IpAddr) -> Result<http::Response<Bytes>, ExchangeError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.put(Relayed { method: Method::POST, query: None, headers, body }, client).await
    }

    /// Puts a question of ours to its login endpoint.
    ///
    /// # Errors
    /// Why there is no answer.
    async fn put(&self, question: Relayed, client: IpAddr) -> Result<http::Response<Bytes>, ExchangeError> {
        self.put_to(&self.settings.url, question, client).await
    }

    /// Puts a question of ours to another endpoint.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn put_to(
        &self,
        url: &Uri,
        question: Relayed,
        client: IpAddr,
    ) -> Result<http::Response<Bytes>, ExchangeError> {
        self.exchange(url, question, client, ANSWER_BYTES_MAX).await
    }

    /// Passes a client's request on: its method, query, fields and bytes as they are, but for what speaks about its
    /// connection, and for the field with its address. The answer is as the old system gave it.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn relay(&self, mut request: Relayed, client: IpAddr) -> Result<http::Response<Bytes>, ExchangeError> {
        remove_hop_by_hop(&mut request.headers);
        for name in [header::HOST, header::CONTENT_LENGTH] {
            request.headers.remove(name);
        }
        let mut answer = self.exchange(&self.settings.url, request, client, RELAYED_BYTES_MAX).await?;
        remove_hop_by_hop(answer.headers_mut());
        Ok(answer)
    }

    async fn exchange(
        &self,
        url: &Uri,
        request: Relayed,
        client: IpAddr,
        bytes_max: usize,
    ) -> Result<http::Response<Bytes>, ExchangeError> {
        let exchanged = tokio::time::timeout(self.settings.timeout, self.send(url, request, client, bytes_max)).await;
        exchanged.unwrap_or(Err(ExchangeError::Timeout))
    }

    async fn send(
        &self,
        url: &Uri,
        relayed: Relayed,
        client: IpAddr,
        bytes_max: usize,
    ) -> Result<http::Response<Bytes>, ExchangeError> {
        let mut request = Request::new(Full::new(Bytes::from_owner(Wiped(relayed.body))));
        *request.method_mut() = relayed.method;
        *request.uri_mut() = target(url, relayed.query.as_deref()).ok_or(ExchangeError::Broken)?;
        *request.headers_mut() = relayed.headers;
        if let Some(name) = &self.settings.client_header
            && let Ok(address) = HeaderValue::from_str(&client.to_canonical().to_string())
        {
            // In the place of what the client itself said there.
            request.headers_mut().insert(name, address);
        }
        let answer = self.client.request(request).await;
        let answer =
            answer.map_err(|error| if error.is_connect() { ExchangeError::Connect } else { ExchangeError::Broken })?;
        let (head, body) = answer.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ExchangeError::Broken);
        }
        let body = Limited::new(body, bytes_max).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { ExchangeError::TooLarge } else { ExchangeError::Broken }
        })?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }
}

/// An endpoint with a client's query.
fn target(url: &Uri, query: Option<&str>) -> Option<Uri> {
    let Some(query) = query else { return Some(url.clone()) };
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{query}", url.path()).parse().ok()?);
    Uri::from_parts(parts).ok()
}
