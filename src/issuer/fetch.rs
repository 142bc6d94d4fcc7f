//! One GET of a JWK set, under bounds: one deadline for all of it, no redirects, no more octets than a
//! set may have, and over TLS whatever the certificate says wrong ends it.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use thiserror::Error;

use super::{freshness::Freshness, settings::Jwks};
use crate::{
    state::keys::jwk::{JwksError, SET_BYTES_MAX},
    trust,
};

pub use crate::trust::TrustError as FetcherError;

/// Octets of an answer's head, at most.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Characters of a reason in the log, at most: parts of it come from the other side.
const REASON_CHARS_MAX: usize = 300;

/// Octets of an `ETag` that is remembered, at most.
const ETAG_BYTES_MAX: usize = 1024;

/// What an answer may be in.
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
    #[error("the answer has more than {SET_BYTES_MAX} octets")]
    TooLarge,
    #[error(transparent)]
    Set(#[from] JwksError),
}

/// An answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// 200: a set, not looked into yet.
    Set { body: Bytes, etag: Option<HeaderValue>, freshness: Freshness },
    /// 304: the set that was named by its `ETag` is the present one.
    Unchanged { freshness: Freshness },
}

/// Fetches one address.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: Uri,
    timeout: Duration,
}

impl FetchError {
    /// Every outcome of a fetch in metrics, those of [`FetchError::outcome`] among them.
    pub(super) const OUTCOMES: [&str; 9] =
        ["success", "unchanged", "timeout", "connect", "broken", "status", "too_large", "invalid", "empty"];

    /// The word in metrics.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Connect(_) => "connect",
            Self::Broken(_) => "broken",
            Self::Status(_) => "status",
            Self::TooLarge | Self::Set(JwksError::TooLarge) => "too_large",
            Self::Set(JwksError::Empty) => "empty",
            Self::Set(_) => "invalid",
        }
    }
}

impl Fetcher {
    /// Reads the certificates to trust.
    pub(super) fn new(settings: &Jwks) -> Result<Self, FetcherError> {
        let speaks_tls = settings.url.scheme() == Some(&Scheme::HTTPS);
        let schemes = HttpsConnectorBuilder::new().with_tls_config(trust::client(settings.ca.as_deref(), speaks_tls)?);
        // The config lets `http` pass for loopback addresses only.
        let schemes = if speaks_tls { schemes.https_only() } else { schemes.https_or_http() };
        // A fetch is rare: each has a connection of its own, so that none meets one that has gone stale.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(schemes.enable_http1().build());
        Ok(Self { client, url: settings.url.clone(), timeout: settings.timeout })
    }

    /// Fetches the set; with `etag`, only if it is another one than that.
    pub(super) async fn fetch(&self, etag: Option<HeaderValue>) -> Result<Answer, FetchError> {
        let answer = tokio::time::timeout(self.timeout, self.exchange(etag)).await;
        answer.unwrap_or(Err(FetchError::Timeout(self.timeout)))
    }

    async fn exchange(&self, etag: Option<HeaderValue>) -> Result<Answer, FetchError> {
        let conditional = etag.is_some();
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(header::ACCEPT, ACCEPT);
        if let Some(etag) = etag {
            request.headers_mut().insert(header::IF_NONE_MATCH, etag);
        }
        let answer = self.client.request(request).await.map_err(|error| unanswered(&error))?;
        let freshness = Freshness::of(answer.headers());
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if conditional => return Ok(Answer::Unchanged { freshness }),
            other => return Err(FetchError::Status(other)),
        }
        let etag = answer.headers().get(header::ETAG).filter(|etag| etag.len() <= ETAG_BYTES_MAX).cloned();
        let body = Limited::new(answer.into_body(), SET_BYTES_MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { FetchError::TooLarge } else { FetchError::Broken(reason(&*error)) }
        })?;
        Ok(Answer::Set { body: body.to_bytes(), etag, freshness })
    }
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
