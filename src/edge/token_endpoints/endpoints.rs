//! What the endpoints have, a request to one, and what all of their responses need.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use tokio::sync::Semaphore;

use super::speaker::Speaker;
use crate::{
    decision::{Caller, Endpoint, LiveState, TokenService},
    domain::{AccountName, Clock, Reason, secret::SecretBytes},
    edge::respond,
    observe::audit::{Act, AuditLog, Event, Room},
    rules::{contract::Rejection, realm::Realm},
};

/// A body over this is answered 413, and never parsed.
pub const BODY_BYTES_MAX: usize = 16 << 10;

/// Comparisons of an old system's responses that wait, at most; what is over it is not compared.
const COMPARISONS_MAX: usize = 64;

/// A request to a token endpoint.
#[derive(Debug)]
pub struct TokenMessage {
    /// Its method.
    pub method: Method,
    /// Its raw query.
    pub query: Option<String>,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: TokenBody,
    /// The client that sent it, where that is known.
    pub client: Option<Caller>,
    /// What it is called in the logs.
    pub request_id: String,
}

/// What came of reading a body of at most [`BODY_BYTES_MAX`].
#[derive(Debug)]
pub enum TokenBody {
    /// All of it. It may hold a password, and is wiped when this is dropped.
    Complete(SecretBytes),
    /// It is over the bound.
    TooLarge,
    /// It did not come in time.
    TimedOut,
}

/// Answers requests to token endpoints.
#[derive(Debug)]
pub struct TokenEndpoints {
    pub(super) live_state: Arc<LiveState>,
    pub(super) token_service: Arc<TokenService>,
    pub(super) audit: AuditLog,
    pub(super) clock: Arc<dyn Clock>,
    /// Comparisons that wait or are under way.
    pub(super) comparing: Arc<Semaphore>,
    /// The one that is under way.
    pub(super) comparison: Arc<Semaphore>,
}

/// What came of a request, for the audit log.
pub(super) struct Happened<'a> {
    pub(super) act: Act,
    /// Whether an old system answered it.
    pub(super) observed: bool,
    /// Why not.
    pub(super) refused: Option<&'static str>,
    pub(super) realm: &'a Realm,
    pub(super) caller: &'a Caller,
    /// The name that was given: of no use but where no account has it.
    pub(super) typed: Option<&'a AccountName>,
    pub(super) request_id: &'a str,
}

/// What a client should wait after a defect of ours.
pub(super) const RETRY_FAILED: Duration = Duration::from_secs(1);

/// The one word of a success in metrics and logs.
pub(super) const GRANTED: &str = "granted";

/// The word where a client left before it was answered.
pub const CLIENT_LEFT: &str = "client_left";

impl TokenEndpoints {
    /// Endpoints of a live state, with a token service that checks credentials.
    #[must_use]
    pub fn new(
        live_state: Arc<LiveState>,
        token_service: Arc<TokenService>,
        audit: AuditLog,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let comparing = Arc::new(Semaphore::new(COMPARISONS_MAX));
        let comparison = Arc::new(Semaphore::new(1));
        Self { live_state, token_service, audit, clock, comparing, comparison }
    }

    /// Puts what came of a request into the audit log. False where it must have its line, and has none.
    pub(super) async fn note(&self, room: Room, happened: Happened<'_>) -> bool {
        note(&self.audit, &*self.clock, room, happened).await
    }
}

pub(super) async fn note(audit: &AuditLog, clock: &dyn Clock, room: Room, happened: Happened<'_>) -> bool {
    if !audit.is_on() {
        return true;
    }
    let Happened { act, observed, refused, realm, caller, typed, request_id } = happened;
    let account = audit.account(caller.account(), &realm.name, typed);
    let event = Event {
        at: clock.now(),
        act,
        observed,
        refused,
        realm: realm.name.clone(),
        account,
        client: caller.address(),
        request: request_id.to_owned(),
    };
    room.write(event).await
}

/// What is counted: a client that left was not refused, it just did not wait.
pub(super) fn counted(outcome: &'static str, unavailable: bool, client: Option<&Caller>) -> &'static str {
    if unavailable && client.is_some_and(Caller::has_left) { CLIENT_LEFT } else { outcome }
}

/// The response of an endpoint whose task did not end well, in the shape of its first realm.
#[must_use]
pub fn failed(endpoint: &Endpoint, headers: &HeaderMap) -> (Response<Bytes>, &'static str) {
    let rejection = Rejection::Unavailable { retry_after: RETRY_FAILED };
    let response = endpoint.realms.first().map_or_else(
        || respond::into_response(respond::plain(Reason::Internal), Some(RETRY_FAILED)),
        |realm| Speaker::to(realm, headers).reject(&rejection).0,
    );
    (response, Reason::Internal.name())
}
