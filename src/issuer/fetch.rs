//! A GET of a JWK set, and one before it where discovery says where that is, under bounds: one deadline for all of it,
//! no redirects, no more octets than a set may have, and over TLS whatever the certificate says wrong ends it.

use std::{
    fmt::Write as _,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use thiserror::Error;

use super::{
    discovery::{self, DOCUMENT_BYTES_MAX, DiscoveryError},
    freshness::Freshness,
    settings::Jwks,
};
use crate::{
    state::keys::jwk::{JwksError, SET_BYTES_MAX},
    trust,
};

pub use crate::trust::TrustError as FetcherError;

/// Octets of a response's head, at most.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Characters of a reason in the log, at most: parts of it come from the other side.
const REASON_CHARS_MAX: usize = 300;

/// Octets of an `ETag` that is remembered, at most.
const ETAG_BYTES_MAX: usize = 1024;

/// What a response may be in.
const ACCEPT: HeaderValue = HeaderValue::from_static("application/jwk-set+json, application/json");

/// Why a fetch gave no set.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    #[error("no connection: {0}")]
    Connect(String),
    #[error("the exchange broke off: {0}")]
    Broken(String),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("the answer has more than {0} octets")]
    TooLarge(usize),
    #[error("{0}")]
    Discovery(#[from] DiscoveryError),
    #[error(transparent)]
    Set(#[from] JwksError),
}

/// A response.
#[derive(Debug)]
pub(super) enum FetchResponse {
    /// 200: a set, not looked into yet.
    Set { body: Bytes, etag: Option<HeaderValue>, freshness: Freshness },
    /// 304: the set that was named by its `ETag` is the present one.
    Unchanged { freshness: Freshness },
}

/// Gets documents of an issuer.
#[derive(Debug)]
pub(super) struct Getter(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

/// Fetches one address.
#[derive(Debug)]
pub(super) struct Fetcher {
    getter: Getter,
    url: Uri,
    /// Whose metadata `url` leads to; `None` where the set is there itself.
    discovered: Option<String>,
    /// Where the last set came from: an `ETag` says something there alone.
    fetched: Mutex<Option<Uri>>,
    timeout: Duration,
}

impl FetchError {
    /// Every outcome of a fetch in metrics, those of [`FetchError::outcome`] among them.
    pub(super) const OUTCOMES: [&str; 10] = [
        "success",
        "unchanged",
        "timeout",
        "connect",
        "broken",
        "status",
        "too_large",
        "invalid",
        "empty",
        "discovery",
    ];

    /// The word in metrics.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Connect(_) => "connect",
            Self::Broken(_) => "broken",
            Self::Status(_) => "status",
            Self::TooLarge(_) | Self::Set(JwksError::TooLarge) => "too_large",
            Self::Discovery(_) => "discovery",
            Self::Set(JwksError::Empty) => "empty",
            Self::Set(_) => "invalid",
        }
    }
}

impl Getter {
    /// One for what `url` leads to. Reads the certificates to trust.
    pub(super) fn new(url: &Uri, ca: Option<&Path>) -> Result<Self, FetcherError> {
        let speaks_tls = url.scheme() == Some(&Scheme::HTTPS);
        let schemes = HttpsConnectorBuilder::new().with_tls_config(trust::client(ca, speaks_tls)?);
        // The config lets `http` pass for loopback addresses only.
        let schemes = if speaks_tls { schemes.https_only() } else { schemes.https_or_http() };
        // A fetch is rare: each has a connection of its own, so that none meets one that has gone stale.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(schemes.enable_http1().build());
        Ok(Self(client))
    }

    /// The address at `member` of the metadata of `issuer`, whose documents `url` says. A document that is not there
    /// leads to the next one; any other response is the last word.
    pub(super) async fn discover(&self, url: &Uri, issuer: &str, member: &'static str) -> Result<Uri, FetchError> {
        let mut documents = discovery::documents(url).into_iter().peekable();
        while let Some(url) = documents.next() {
            let response = self.get(url.clone(), None).await?;
            match response.status() {
                StatusCode::OK => {
                    let document = body(response, DOCUMENT_BYTES_MAX).await?;
                    return Ok(discovery::address(&document, issuer, member, &url)?);
                }
                StatusCode::NOT_FOUND if documents.peek().is_some() => {}
                other => return Err(FetchError::Status(other)),
            }
        }
        Err(FetchError::Status(StatusCode::NOT_FOUND))
    }

    async fn get(&self, url: Uri, etag: Option<HeaderValue>) -> Result<Response<Incoming>, FetchError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = url;
        request.headers_mut().insert(header::ACCEPT, ACCEPT);
        if let Some(etag) = etag {
            request.headers_mut().insert(header::IF_NONE_MATCH, etag);
        }
        self.0.request(request).await.map_err(|error| unanswered(&error))
    }
}

impl Fetcher {
    /// Reads the certificates to trust.
    pub(super) fn new(settings: &Jwks, issuer: &str) -> Result<Self, FetcherError> {
        let getter = Getter::new(&settings.url, settings.ca.as_deref())?;
        let discovered = settings.discovery.then(|| issuer.to_owned());
        Ok(Self { getter, url: settings.url.clone(), discovered, fetched: Mutex::default(), timeout: settings.timeout })
    }

    /// Fetches the set; with `etag`, only if it is another one than that.
    pub(super) async fn fetch(&self, etag: Option<HeaderValue>) -> Result<FetchResponse, FetchError> {
        let response = tokio::time::timeout(self.timeout, self.exchange(etag)).await;
        response.unwrap_or(Err(FetchError::Timeout(self.timeout)))
    }

    async fn exchange(&self, etag: Option<HeaderValue>) -> Result<FetchResponse, FetchError> {
        let url = match &self.discovered {
            Some(issuer) => self.getter.discover(&self.url, issuer, "jwks_uri").await?,
            None => self.url.clone(),
        };
        let etag = etag.filter(|_| self.is_the_last(&url));
        let conditional = etag.is_some();
        let response = self.getter.get(url, etag).await?;
        let freshness = Freshness::of(response.headers());
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if conditional => return Ok(FetchResponse::Unchanged { freshness }),
            other => return Err(FetchError::Status(other)),
        }
        let etag = response.headers().get(header::ETAG).filter(|etag| etag.len() <= ETAG_BYTES_MAX).cloned();
        let body = body(response, SET_BYTES_MAX).await?;
        Ok(FetchResponse::Set { body, etag, freshness })
    }

    /// Whether the last set came from `url`, or none did: a snapshot's is of the address that the config has. From now
    /// on it does.
    fn is_the_last(&self, url: &Uri) -> bool {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let is_the_last = fetched.as_ref().map_or(self.discovered.is_none(), |fetched| fetched == url);
        *fetched = Some(url.clone());
        is_the_last
    }
}

async fn body(response: Response<Incoming>, bytes_max: usize) -> Result<Bytes, FetchError> {
    let body = Limited::new(response.into_body(), bytes_max).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            FetchError::TooLarge(bytes_max)
        } else {
            FetchError::Broken(reason(&*error))
        }
    })?;
    Ok(body.to_bytes())
}

fn unanswered(error: &legacy::Error) -> FetchError {
    if error.is_connect() { FetchError::Connect(reason(error)) } else { FetchError::Broken(reason(error)) }
}

/// An error with what caused it, in one line.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing into a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_CHARS_MAX).collect()
}
