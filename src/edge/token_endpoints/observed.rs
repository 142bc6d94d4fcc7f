//! Requests that an old system still answers (`mode = "observe"`): its response goes to the client as it is, and is
//! compared afterwards. The client never waits for that.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};

use super::{Happened, RETRY_FAILED, Speaker, TokenBody, TokenEndpoints, TokenMessage, counted, note};
use crate::{
    decision::{
        Caller, Endpoint,
        issue::takeover::{Lead, Observed, rejection},
        verifier::Verifier,
    },
    domain::Reason,
    observe::audit::Act,
    rules::{
        contract::{Operation, Rejection},
        realm::Realm,
        verifier::Verdict,
    },
    verifier::{ExchangeError, Relayed},
};

/// The word in metrics and logs where an old system answered.
const OBSERVED: &str = "observed";

/// The word in the audit log where an old system's response says nothing.
const UNCLEAR: &str = "unclear";

impl TokenEndpoints {
    /// Has the old system answer for the endpoint's realm at this place.
    pub(super) async fn relay(
        &self,
        (endpoint, index): (&Arc<Endpoint>, usize),
        operation: Result<Operation, Rejection>,
        exact: bool,
        message: TokenMessage,
    ) -> (Response<Bytes>, &'static str) {
        let speaker = Speaker::to(&endpoint.realms[index], &message.headers);
        let realm = speaker.realm;
        let unavailable = Rejection::Unavailable { retry_after: RETRY_FAILED };
        let takeover = endpoint.takeover.as_ref().and_then(|takeover| takeover.verifier(index));
        let TokenMessage { method, query, headers, body, client, request_id } = message;
        let (Some(verifier), Some(caller), TokenBody::Complete(body)) = (takeover, client, body) else {
            return speaker.reject(&unavailable);
        };
        let exact = exact && has_known_query(realm, query.as_deref());
        let is_head = method == Method::HEAD;
        let relayed = Relayed { method, query, headers, body };
        let relaying = caller.unless_left(verifier.relay(relayed, caller.address())).await;
        let mut asked = Asked { operation, exact, response: None, refused: None, client: caller.address(), request_id };
        let (response, outcome) = match relaying {
            None => speaker.reject(&unavailable),
            Some(Err(error)) => {
                let reason =
                    if error == ExchangeError::Timeout { Reason::UpstreamTimeout } else { Reason::UpstreamFailed };
                tracing::warn!(realm = %realm.name, verifier = &*verifier.settings.name, reason = error.name(), "an old system did not answer a client");
                asked.refused = Some(reason.name());
                self.look_on((endpoint, index), asked);
                speaker.deny(reason)
            }
            Some(Ok(response)) => {
                asked.refused = refused(realm, verifier, &asked.operation, &response);
                asked.response = Some(response.clone());
                self.look_on((endpoint, index), asked);
                (with_length(response, is_head), OBSERVED)
            }
        };
        let outcome = counted(outcome, outcome == unavailable.name(), Some(&caller));
        endpoint.metrics.token_request(realm.name.as_str(), outcome);
        (response, outcome)
    }

    /// Compares when nobody else is at it, unless too many wait, or others wait for a password; then tells the audit
    /// log. Nobody waits for either.
    fn look_on(&self, (endpoint, index): (&Arc<Endpoint>, usize), asked: Asked) {
        // The old system has answered already.
        let room = self.audit.room();
        let (service, turn, endpoint) =
            (Arc::clone(&self.token_service), Arc::clone(&self.comparison), Arc::clone(endpoint));
        let (audit, clock) = (self.audit.clone(), Arc::clone(&self.clock));
        let waiting = Arc::clone(&self.comparing).try_acquire_owned();
        tokio::spawn(async move {
            let Asked { operation, exact, response, refused, client, request_id } = asked;
            let realm = &endpoint.realms[index];
            let (act, login) = match operation {
                Ok(Operation::Login(login)) => (Act::Login, Some(Ok(login))),
                Err(rejection) => (Act::Login, Some(Err(rejection))),
                Ok(Operation::Refresh(_) | Operation::Verify) => (Act::Refresh, None),
            };
            let typed = login.as_ref().and_then(|login| Some(login.as_ref().ok()?.name.clone()));
            // The client has its response; this goes on without it.
            let (caller, _presence) = Caller::new(client);
            let takeover = endpoint.takeover.as_ref();
            if let (Some(login), Some(response), Some(takeover)) = (login, response, takeover)
                && let Some(verifier) = takeover.verifier(index)
            {
                let observed = Observed { login, exact, response };
                let compared = async {
                    let _waiting = waiting.ok()?;
                    let _turn = turn.acquire().await.ok()?;
                    service.has_time().then_some(())?;
                    Box::pin(service.observe(realm, observed, &caller, Lead { takeover, verifier })).await;
                    Some(())
                };
                if compared.await.is_none() {
                    verifier.metrics.compared("dropped");
                }
            }
            let happened = Happened {
                act,
                observed: true,
                refused,
                realm,
                caller: &caller,
                typed: typed.as_ref(),
                request_id: &request_id,
            };
            note(&audit, &*clock, room, happened).await;
        });
    }
}

/// What an old system was asked.
struct Asked {
    operation: Result<Operation, Rejection>,
    exact: bool,
    /// What it answered, if it did.
    response: Option<Response<Bytes>>,
    /// Why it let nobody in, as far as that can be said.
    refused: Option<&'static str>,
    client: IpAddr,
    request_id: String,
}

/// Why an old system's response lets nobody in, for the audit log; `None` where it does, and of a refresh token, whose
/// responses are not read.
fn refused(
    realm: &Realm,
    verifier: &Verifier,
    operation: &Result<Operation, Rejection>,
    response: &Response<Bytes>,
) -> Option<&'static str> {
    match operation {
        Ok(Operation::Login(login)) => match verifier.judge(&realm.dialect, &login.name, response) {
            Verdict::Yes(_) => None,
            Verdict::No(refusal) => Some(rejection(realm, refusal).name()),
            Verdict::Unclear(_) => Some(UNCLEAR),
        },
        Ok(Operation::Refresh(_) | Operation::Verify) => None,
        Err(_) => Some(UNCLEAR),
    }
}

/// Whether nothing but the contract's own parameter stands in the query: another one could be read in the body's place.
fn has_known_query(realm: &Realm, query: Option<&str>) -> bool {
    let known = realm.dialect.contract().query_parameter();
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).all(|(name, _)| known == Some(&*name))
}

/// The response with the length that it has now: the old system may have sent it in chunks. A `HEAD`'s is not its own.
fn with_length(mut response: Response<Bytes>, is_head: bool) -> Response<Bytes> {
    if !is_head {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    response
}
