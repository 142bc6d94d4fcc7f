//! Requests that an old system still answers (`mode = "observe"`): its answer goes to the client as it is, and is compared
//! afterwards. The client never waits for that.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};

use super::{RETRY_FAILED, TokenBody, TokenEndpoints, TokenMessage, counted};
use crate::{
    decision::{
        Caller, Endpoint,
        issue::takeover::{Lead, Observed},
    },
    domain::Reason,
    edge::respond,
    rules::dialect::{Login, Operation, Outcome, Rejection},
    verifier::{ExchangeError, Relayed},
};

/// The word in metrics and logs where an old system answered.
const OBSERVED: &str = "observed";

/// The only query that a contract's login has (`toc`). Another one could be read in the body's place.
const KNOWN_QUERY: &str = "withoutExpiration";

impl TokenEndpoints {
    /// Has the old system answer for the endpoint's realm at this place.
    pub(super) async fn relay(
        &self,
        (endpoint, index): (&Arc<Endpoint>, usize),
        operation: Result<Operation, Rejection>,
        exact: bool,
        message: TokenMessage,
    ) -> (Response<Bytes>, &'static str) {
        let realm = &endpoint.realms[index];
        let rejected = |rejection: &Rejection| {
            let answer = realm.dialect.contract().write(&Outcome::Rejected(rejection), &realm.wire);
            (respond::answer(answer, rejection.retry_after()), rejection.name())
        };
        let unavailable = Rejection::Unavailable { retry_after: RETRY_FAILED };
        let takeover = endpoint.takeover.as_ref().and_then(|takeover| takeover.verifier(index));
        let (Some(verifier), Some(caller), TokenBody::Complete(body)) = (takeover, message.client, message.body) else {
            return rejected(&unavailable);
        };
        let exact = exact && has_known_query(message.query.as_deref());
        let is_head = message.method == Method::HEAD;
        let relayed = Relayed { method: message.method, query: message.query, headers: message.headers, body };
        let relaying = caller.unless_left(verifier.relay(relayed, caller.address())).await;
        let (response, outcome) = match relaying {
            None => rejected(&unavailable),
            Some(Err(error)) => {
                let reason =
                    if error == ExchangeError::Timeout { Reason::UpstreamTimeout } else { Reason::UpstreamFailed };
                tracing::warn!(realm = %realm.name, verifier = &*verifier.settings.name, reason = error.name(), "an old system did not answer a client");
                (respond::answer(realm.dialect.contract().deny(reason), None), reason.name())
            }
            Some(Ok(answer)) => {
                let login = match operation {
                    Ok(Operation::Login(login)) => Some(Ok(login)),
                    Err(rejection) => Some(Err(rejection)),
                    Ok(Operation::Refresh(_) | Operation::Verify) => None,
                };
                if let Some(login) = login {
                    self.compare_later((endpoint, index), login, exact, answer.clone(), caller.address());
                }
                (with_length(answer, is_head), OBSERVED)
            }
        };
        let outcome = counted(outcome, outcome == unavailable.name(), Some(&caller));
        endpoint.metrics.token_request(realm.name.as_str(), outcome);
        (response, outcome)
    }

    /// Compares when nobody else is at it, unless too many wait, or others wait for a password.
    fn compare_later(
        &self,
        (endpoint, index): (&Arc<Endpoint>, usize),
        login: Result<Login, Rejection>,
        exact: bool,
        answer: Response<Bytes>,
        client: IpAddr,
    ) {
        let dropped = move |endpoint: &Endpoint| {
            if let Some(verifier) = endpoint.takeover.as_ref().and_then(|takeover| takeover.verifier(index)) {
                verifier.metrics.compared("dropped");
            }
        };
        let Ok(waiting) = Arc::clone(&self.comparing).try_acquire_owned() else { return dropped(endpoint) };
        let (service, turn, endpoint) =
            (Arc::clone(&self.token_service), Arc::clone(&self.comparison), Arc::clone(endpoint));
        tokio::spawn(async move {
            let _waiting = waiting;
            let Ok(_turn) = turn.acquire().await else { return };
            if !service.has_time() {
                return dropped(&endpoint);
            }
            let Some(takeover) = endpoint.takeover.as_ref() else { return };
            let Some(verifier) = takeover.verifier(index) else { return };
            let lead = Lead { takeover, verifier };
            // Who asked has the answer; this goes on without them.
            let (caller, _presence) = Caller::new(client);
            service.observe(&endpoint.realms[index], Observed { login, exact, answer }, &caller, lead).await;
        });
    }
}

/// Whether nothing but the contract's own parameter stands in the query.
fn has_known_query(query: Option<&str>) -> bool {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).all(|(name, _)| name == KNOWN_QUERY)
}

/// The answer with the length that it has now: the old system may have sent it in chunks. A `HEAD`'s is not its own.
fn with_length(mut answer: Response<Bytes>, is_head: bool) -> Response<Bytes> {
    if !is_head {
        let length = HeaderValue::from(answer.body().len());
        answer.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    answer
}
