//! The contracts' endpoints: login, refresh, and `toc`'s verification, in the dialect of the realm that
//! the request is for.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};

use super::{GRANTED, Happened, RETRY_FAILED, Speaker, TokenBody, TokenEndpoints, TokenMessage, counted};
use crate::{
    decision::{Caller, Endpoint, Service, check_account_status, issue::takeover::Lead},
    domain::{Reason, Secret, TokenKind, form::is_form, json::SecretObject},
    observe::audit::Act,
    rules::{
        contract::{Forms, Operation, Outcome, Rejection, RequestBody, TokenRequest, allow, is_json, select},
        policy::{Source, find_credential},
        verifier::{Mode, is_exact},
    },
};

impl TokenEndpoints {
    pub(super) async fn answer_contract(
        &self,
        endpoint: &Arc<Endpoint>,
        message: TokenMessage,
    ) -> (Response<Bytes>, &'static str) {
        let refresh = endpoint.serves == Service::Refresh;
        let body = match &message.body {
            TokenBody::Complete(bytes) => SecretObject::parse(bytes.expose()),
            TokenBody::TooLarge | TokenBody::TimedOut => SecretObject::parse(b""),
        };
        let form = form(endpoint, &message);
        let sent = RequestBody { json: body.members(), form: form.as_ref().map(SecretObject::members) };
        let index = select(&endpoint.dialects, refresh, &message.method, sent);
        let speaker = Speaker::to(&endpoint.realms[index], &message.headers).of(endpoint.serves);
        let realm = speaker.realm;
        let request = TokenRequest {
            method: &message.method,
            query: message.query.as_deref(),
            content_type: message.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes),
            authorization: only(&message.headers, &header::AUTHORIZATION),
            body: sent,
            refresh,
        };
        let operation = operation(&speaker, &request, &message);
        let lead = lead(endpoint, index);
        if let Some(lead) = lead
            && lead.takeover.settings.mode == Mode::Observe
            && matches!(message.body, TokenBody::Complete(_))
        {
            let exact = has_one_reading(&message.headers)
                && body.members().as_ref().is_ok_and(|body| is_exact(realm.dialect.contract(), body));
            drop((body, form));
            return self.relay((endpoint, index), operation, exact, message).await;
        }
        // Before the wait: of the password there is one copy left, that of the operation.
        drop((body, form));
        let (mut response, outcome) = match operation {
            Ok(Operation::Verify) => {
                self.verify(&speaker, &message.headers, message.client.as_ref().map(Caller::address)).await
            }
            Ok(operation) => self.grant(&speaker, operation, message.client.as_ref(), &message.request_id, lead).await,
            Err(rejection) => speaker.reject(&rejection),
        };
        if response.status() == http::StatusCode::METHOD_NOT_ALLOWED
            && let Ok(methods) = HeaderValue::from_str(&allow(&endpoint.dialects))
        {
            let methods = if refresh { HeaderValue::from_static("POST") } else { methods };
            response.headers_mut().insert(header::ALLOW, methods);
        }
        let unavailable = response.status() == http::StatusCode::SERVICE_UNAVAILABLE;
        let outcome = counted(outcome, unavailable, message.client.as_ref());
        endpoint.metrics.token_request(realm.name.as_str(), outcome);
        (response, outcome)
    }

    async fn grant(
        &self,
        speaker: &Speaker<'_>,
        operation: Operation,
        caller: Option<&Caller>,
        request_id: &str,
        lead: Option<Lead<'_>>,
    ) -> (Response<Bytes>, &'static str) {
        let realm = speaker.realm;
        let unavailable = || speaker.reject(&Rejection::Unavailable { retry_after: RETRY_FAILED });
        // Without an address nobody could be throttled, so nobody gets in. Nor where a login must have its line in the
        // audit log, and cannot have one.
        let (Some(caller), Ok(room)) = (caller, self.audit.admit()) else { return unavailable() };
        let client = caller.address();
        let (act, typed) = match &operation {
            Operation::Login(login) => (Act::Login, self.audit.is_on().then(|| login.name.clone())),
            Operation::Refresh(_) | Operation::Verify => (Act::Refresh, None),
        };
        let (granted, refreshed) = match operation {
            Operation::Login(login) => {
                let leads = lead.filter(|lead| lead.takeover.settings.mode == Mode::Lead);
                let granted = match leads {
                    // Boxed: it is larger than all that the others need.
                    Some(lead) => Box::pin(self.token_service.lead(realm, login, caller, lead)).await,
                    None => self.token_service.login(realm, login, caller).await,
                };
                (granted, false)
            }
            Operation::Refresh(token) => (self.token_service.refresh(realm, &token, caller).await, true),
            Operation::Verify => return speaker.reject(&Rejection::MethodNotAllowed { method: Method::GET }),
        };
        let refused = granted.as_ref().err().map(Rejection::name);
        // A client that left before anything was found out was not refused: it just did not wait. One that left while
        // it was kept waiting for its refusal was.
        let did_not_wait = caller.has_left() && matches!(granted, Err(Rejection::Unavailable { .. }));
        if !did_not_wait {
            let happened = Happened { act, observed: false, refused, realm, caller, typed: typed.as_ref(), request_id };
            if !self.note(room, happened).await {
                return unavailable();
            }
        }
        let grant = match granted {
            Ok(grant) => grant,
            Err(rejection) => {
                if !did_not_wait {
                    tracing::info!(realm = %realm.name, %client, reason = rejection.name(), "a login was refused");
                }
                return speaker.reject(&rejection);
            }
        };
        let subject = grant.holder.id;
        tracing::info!(realm = %realm.name, %client, %subject, refreshed, "tokens were granted");
        let outcome = if refreshed { Outcome::Refreshed(&grant) } else { Outcome::Granted(&grant) };
        let response = speaker.write(&outcome);
        // An account that lacks what the contract shows (an sws user without a number) has no response.
        let word = if response.status().is_success() { GRANTED } else { Reason::Internal.name() };
        (response, word)
    }

    /// A verification: what the token says, if it is one of this realm, or its old system vouches for it, and holds.
    async fn verify(
        &self,
        speaker: &Speaker<'_>,
        headers: &HeaderMap,
        client: Option<std::net::IpAddr>,
    ) -> (Response<Bytes>, &'static str) {
        let sources = [Source::Authorization {
            bare: speaker.contract().facts().bare_authorization,
            schemes: speaker.contract().facts().token_scheme.iter().cloned().collect(),
        }];
        let presented = find_credential(&sources, headers, None)
            .and_then(|token| token.ok_or(Reason::MissingToken)?.text().map(Secret::from));
        let verified = async {
            let presented = presented?;
            let opened = self.live_state.view().open(presented.expose(), client, self.clock.now());
            let opened = match opened {
                Ok(opened) => Arc::new(opened),
                Err(refused) => {
                    let realm = std::slice::from_ref(&speaker.realm.name);
                    self.token_service.asker().find(realm, presented.expose(), refused, client).await?
                }
            };
            check_account_status(&self.live_state, &opened, &*self.clock).await?;
            let own = opened.claims.realm == speaker.realm.name && opened.claims.kind == TokenKind::Access;
            if own { Ok(opened) } else { Err(Reason::RealmNotAccepted) }
        };
        match verified.await {
            Ok(opened) => (speaker.write(&Outcome::Verified(&opened.claims)), "verified"),
            Err(reason) => speaker.bad_token(reason),
        }
    }
}

/// Whether a reader that looks at the type can read the body as JSON only.
fn has_one_reading(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    types.next().is_none_or(|first| is_json(first.as_bytes())) && types.next().is_none()
}

/// The body as a form, where it says that it is one and a contract of the endpoint reads those.
fn form(endpoint: &Endpoint, message: &TokenMessage) -> Option<SecretObject> {
    let TokenBody::Complete(bytes) = &message.body else { return None };
    let is_read = endpoint.dialects.iter().any(|dialect| dialect.facts().forms != Forms::Refused);
    let content_type = message.headers.get(header::CONTENT_TYPE)?;
    (is_read && is_form(content_type.as_bytes())).then(|| SecretObject::of_form(bytes.expose()))
}

/// The old system that has a part in the logins of the endpoint's realm at this place.
fn lead(endpoint: &Endpoint, realm: usize) -> Option<Lead<'_>> {
    let takeover = endpoint.takeover.as_ref()?;
    Some(Lead { takeover, verifier: takeover.verifier(realm)? })
}

/// The value of a field that stands once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none()).map(HeaderValue::as_bytes)
}

fn operation(
    speaker: &Speaker<'_>,
    request: &TokenRequest<'_>,
    message: &TokenMessage,
) -> Result<Operation, Rejection> {
    let methods = if request.refresh { &[Method::POST] } else { speaker.contract().methods() };
    if !methods.contains(request.method) {
        return Err(Rejection::MethodNotAllowed { method: request.method.clone() });
    }
    match message.body {
        TokenBody::TooLarge => Err(Rejection::BodyTooLarge),
        TokenBody::TimedOut => Err(Rejection::BodyTimeout),
        TokenBody::Complete(_) => speaker.contract().read(request, &speaker.realm.wire),
    }
}
