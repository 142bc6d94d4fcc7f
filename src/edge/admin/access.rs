//! Which clients may ask the admin listener anything.

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::{sync::Semaphore, time::timeout};

use super::Admin;
use crate::{
    domain::{Secret, made_secret},
    rules::route::Host,
    state::store::{
        Trouble, access,
        private_file::{self, PrivateFileError},
    },
};

/// The token of `admin.token_file`: an administrator of the machine gets in with it, whatever becomes of the store.
#[derive(Debug)]
pub struct AdminToken(Secret);

impl AdminToken {
    /// Reads the token's file, or makes it, mode 0600, with a new token.
    ///
    /// # Errors
    /// Fails when the file cannot be read or made, is empty, or can be read by others.
    pub fn read_or_create(path: &Path) -> Result<Self, PrivateFileError> {
        let text = private_file::read_or_create(path, made_secret::make().expose())?;
        if text.is_empty() {
            return Err(PrivateFileError::Empty(path.to_owned()));
        }
        Ok(Self(Secret::from(text.as_str())))
    }

    /// Looks at the token's file, or at where it would be made.
    ///
    /// # Errors
    /// Why [`read_or_create`](Self::read_or_create) would fail.
    pub fn examine(path: &Path) -> Result<(), PrivateFileError> {
        match private_file::read(path) {
            Ok(text) if text.is_empty() => Err(PrivateFileError::Empty(path.to_owned())),
            Ok(_) => Ok(()),
            Err(PrivateFileError::Missing(_)) => access::may_make(path).map_err(|reason| PrivateFileError::Io {
                path: path.to_owned(),
                source: std::io::Error::other(reason),
            }),
            Err(error) => Err(error),
        }
    }

    /// Whether this is the token.
    pub(super) fn is(&self, token: &[u8]) -> bool {
        // An empty file must not let an empty token in.
        !self.0.expose().is_empty() && verify_slices_are_equal(token, self.0.expose().as_bytes()).is_ok()
    }
}

/// The token that a request brings.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// The host names under which the admin listener answers: any literal address, `localhost`, and
/// these. A page that rebinds its own name to this address is turned away.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Vec<Box<str>>);

impl AllowedHosts {
    /// The names that the operator adds.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = Box<str>>) -> Self {
        Self(names.into_iter().collect())
    }

    fn allow(&self, headers: &HeaderMap) -> bool {
        let Ok(host) = Host::of(headers, None) else { return false };
        let host = host.to_lower_case();
        let name = host.as_str();
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || literal.parse::<IpAddr>().is_ok() || self.0.iter().any(|allowed| &**allowed == name)
    }
}

pub(super) async fn check_host(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    if admin.hosts.allow(request.headers()) {
        return next.run(request).await;
    }
    failure(StatusCode::MISDIRECTED_REQUEST, "this listener does not answer under that Host; see admin.hosts")
}

/// Turns a request away when as many are in work as leave slots for health and metrics.
pub(super) async fn leave_slots(State(slots): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_slot) = slots.try_acquire() else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "too many requests to the admin API are in work; ask again");
    };
    next.run(request).await
}

/// Runs what comes next where store I/O belongs: on the control runtime.
pub(super) async fn on_control(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let answered = admin.control.spawn(next.run(request)).await;
    answered.unwrap_or_else(|error| {
        tracing::error!(%error, "a request to the admin API failed");
        failure(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; the gateway's log says more")
    })
}

/// How long what is asked of the store may take: several calls, none of which hangs.
const STORE_DEADLINE: Duration = Duration::from_secs(10);

/// Answers in time what asks the store, and acknowledges nothing that was written to a file which is no longer
/// the store.
pub(super) async fn over_store(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let services = &admin.services;
    let unavailable = |why: &str| {
        failure(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("the store is out of reach: {why}; it may or may not be done"),
        )
    };
    // A wait for every gateway lasts for as long as one of them may be silent.
    let waits = request.uri().query().is_some_and(|query| query.split('&').any(|parameter| parameter == "wait=all"));
    let bound = admin.live_state.freshness().max().filter(|_| waits).unwrap_or_default();
    let Ok(response) = timeout(STORE_DEADLINE + bound, next.run(request)).await else {
        return unavailable(Trouble::Unresponsive.reason());
    };
    match services.confirm_store().await {
        Err(_) if response.status().is_success() => {
            unavailable(services.store_trouble().unwrap_or(Trouble::Unresponsive).reason())
        }
        _ => response,
    }
}

pub(super) async fn not_found() -> Response {
    failure(
        StatusCode::NOT_FOUND,
        "no such path; there are /health/alive, /health/ready, /health/serving and /metrics, and the API below /api/v1/",
    )
}

pub(super) async fn method_not_allowed() -> Response {
    failure(StatusCode::METHOD_NOT_ALLOWED, "the path has other methods")
}

/// An error of the admin listener: `{"error": text}`.
pub(super) fn failure(status: StatusCode, text: &str) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (status, headers, Json(json!({ "error": text }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::HeaderName::from_static(name), header::HeaderValue::from_static(value))])
    }

    #[test]
    fn only_the_whole_token_opens() {
        let token = AdminToken(Secret::from("abc"));
        let opens = |given| bearer(&headers("authorization", given)).is_some_and(|given| token.is(given));
        for good in ["Bearer abc", "bearer abc"] {
            assert!(opens(good), "{good}");
        }
        for bad in ["Bearer ab", "Bearer abcd", "Bearer ", "abc", "", "Basic abc"] {
            assert!(!opens(bad), "{bad}");
        }
        assert!(!AdminToken(Secret::from("")).is(b""));
    }

    #[test]
    fn a_rebound_name_is_turned_away() {
        let hosts = AllowedHosts::new(["gateway.internal".into()]);
        for good in ["127.0.0.1:9901", "localhost:9901", "[::1]:9901", "gateway.internal"] {
            assert!(hosts.allow(&headers("host", good)), "{good}");
        }
        for bad in ["evil.example:9901", "localhost.evil.example", ""] {
            assert!(!hosts.allow(&headers("host", bad)), "{bad}");
        }
        assert!(!hosts.allow(&HeaderMap::new()));
    }
}
