//! OAuth's endpoints: a form from a client that proves itself (RFC 6749 section 3.2, RFC 7009, RFC 7662).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::{GRANTED, Happened, RETRY_FAILED, TokenBody, TokenEndpoints, TokenMessage, counted};
use crate::{
    decision::{Endpoint, OauthSettings, Service, issue::oauth::Client},
    domain::{Grant, GrantType, Reason, Secret},
    edge::respond,
    observe::audit::Act,
    rules::{
        contract::{
            ContractResponse, JSON, Outcome,
            oauth::{self, OAuthError, client, form::Form},
        },
        realm::Realm,
    },
};

/// A response, and in one word what came of it.
type ResponseAndOutcome = (ContractResponse, &'static str);

impl TokenEndpoints {
    pub(super) async fn answer_oauth(
        &self,
        endpoint: &Endpoint,
        message: TokenMessage,
    ) -> (Response<Bytes>, &'static str) {
        let (Some(realm), Some(settings)) = (endpoint.realms.first(), self.live_state.snapshot().oauth.clone()) else {
            return (respond::into_response(respond::plain(Reason::Internal), None), Reason::Internal.name());
        };
        let answered = self.serve_noted(endpoint.serves, realm, &settings, &message).await;
        let (mut response, outcome) = match answered {
            Ok((response, outcome)) => (respond::into_response(response, None), outcome),
            Err(refusal) => {
                tracing::info!(realm = %realm.name, client = message.client.as_ref().map(|client| tracing::field::display(client.address())), reason = refusal.name(), "a client was refused");
                (respond::into_response(refusal.response(), refusal.retry_after()), refusal.name())
            }
        };
        let headers = response.headers_mut();
        // RFC 6749 section 5.1 asks for it beside `no-store`.
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            // RFC 9110 section 15.5.2 asks for a challenge however the client tried.
            StatusCode::UNAUTHORIZED => {
                if let Ok(challenge) = HeaderValue::from_str(&format!("Basic realm=\"{}\"", realm.name)) {
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                }
            }
            _ => {}
        }
        let unavailable = response.status() == StatusCode::SERVICE_UNAVAILABLE;
        let outcome = counted(outcome, unavailable, message.client.as_ref());
        endpoint.metrics.token_request(realm.name.as_str(), outcome);
        (response, outcome)
    }

    /// Serves, and puts what came of it into the audit log.
    async fn serve_noted(
        &self,
        service: Service,
        realm: &Arc<Realm>,
        settings: &OauthSettings,
        message: &TokenMessage,
    ) -> Result<ResponseAndOutcome, OAuthError> {
        let unwritable = || OAuthError::Unavailable { retry_after: RETRY_FAILED };
        let room = self.audit.admit().map_err(|_| unwritable())?;
        let answered = self.serve(service, realm, settings, message).await;
        let Some(caller) = &message.client else { return answered };
        let act = match service {
            Service::OauthRevocation => Act::Revoke,
            Service::OauthIntrospection => Act::Introspect,
            // A refresh token is exchanged by a client that logs in with it.
            _ => Act::Login,
        };
        let refused = answered.as_ref().err().map(OAuthError::name);
        // A client that left before anything was found out was not refused: it just did not wait.
        let did_not_wait = caller.has_left() && matches!(answered, Err(OAuthError::Unavailable { .. }));
        // Introspection is as frequent as requests, and changes nothing: the log tells of refused clients only.
        let is_told = if refused.is_some() { !did_not_wait } else { act != Act::Introspect };
        let happened =
            Happened { act, observed: false, refused, realm, caller, typed: None, request_id: &message.request_id };
        if is_told && !self.note(room, happened).await {
            return Err(unwritable());
        }
        answered
    }

    async fn serve(
        &self,
        service: Service,
        realm: &Arc<Realm>,
        settings: &OauthSettings,
        message: &TokenMessage,
    ) -> Result<ResponseAndOutcome, OAuthError> {
        let form = read(message)?;
        // What is missing from the form costs no hash.
        let asked = match service {
            Service::OauthToken => form.required("grant_type", "grant_type is missing")?,
            _ => form.required("token", "token is missing")?,
        };
        let login = client::find(&message.headers, &form)?;
        // Without an address nobody could be throttled, so nobody gets in.
        let caller = message.client.as_ref().ok_or(OAuthError::Unavailable { retry_after: RETRY_FAILED })?;
        let client = self.token_service.authenticate_client(realm, login, caller).await?;
        match service {
            Service::OauthToken => {
                let grant = asked.parse().map_err(|_| OAuthError::UnsupportedGrantType)?;
                self.grant_oauth(realm, settings, &client, grant, &form).await
            }
            Service::OauthRevocation => {
                self.token_service.revoke(&client, &Secret::from(asked), Some(caller.address())).await?;
                // Whatever the token was: the client cannot do anything about it (RFC 7009 section 2.2).
                Ok((
                    ContractResponse { status: StatusCode::OK, content_type: JSON, body: Bytes::from_static(b"{}") },
                    "revoked",
                ))
            }
            _ => {
                Ok(match self.token_service.introspect(&client, &Secret::from(asked), Some(caller.address())).await? {
                    Some(active) => (active.response(), "active"),
                    None => (oauth::inactive(), "inactive"),
                })
            }
        }
    }

    async fn grant_oauth(
        &self,
        realm: &Realm,
        settings: &OauthSettings,
        client: &Client,
        grant_type: GrantType,
        form: &Form,
    ) -> Result<ResponseAndOutcome, OAuthError> {
        let scope = form.get("scope");
        let grant = match grant_type {
            GrantType::ClientCredentials => self.token_service.grant_client_credentials(realm, client, scope).await?,
            GrantType::RefreshToken => {
                let token = Secret::from(form.required("refresh_token", "refresh_token is missing")?);
                self.token_service.exchange(settings, client, &token, scope).await?
            }
        };
        let subject = grant.holder.id;
        tracing::info!(realm = %realm.name, client_id = client.name(), %subject, grant = %grant_type, "tokens were granted");
        Ok((written(realm, &grant), GRANTED))
    }
}

fn written(realm: &Realm, grant: &Grant) -> ContractResponse {
    realm.dialect.contract().write(&Outcome::Granted(grant), &realm.wire)
}

fn read(message: &TokenMessage) -> Result<Form, OAuthError> {
    if message.method != Method::POST {
        return Err(OAuthError::MethodNotAllowed);
    }
    let body = match &message.body {
        TokenBody::Complete(body) => body.expose(),
        TokenBody::TooLarge => return Err(OAuthError::BodyTooLarge),
        TokenBody::TimedOut => return Err(OAuthError::BodyTimeout),
    };
    Form::read(message.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes), body)
}
