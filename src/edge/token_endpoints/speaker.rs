//! What answers a request to a contract's endpoint: a realm, in the language that the client reads.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use crate::{
    decision::Service,
    domain::Reason,
    edge::respond,
    rules::{
        contract::{Contract, ContractResponse, Outcome, Rejection, SecretPlace, Voice},
        realm::Realm,
    },
};

/// A realm and its contract, in one language.
pub(super) struct Speaker<'r> {
    pub(super) realm: &'r Realm,
    voice: Voice<'r>,
    /// Whether a 401 asks for Basic.
    asks_basic: bool,
}

impl<'r> Speaker<'r> {
    /// The one that answers a request with these header fields.
    pub(super) fn to(realm: &'r Realm, headers: &HeaderMap) -> Self {
        Self { realm, voice: realm.dialect.for_client(headers), asks_basic: false }
    }

    /// The same at an endpoint that serves this.
    pub(super) fn of(self, service: Service) -> Self {
        let asks_basic = service == Service::Login && self.contract().facts().place == SecretPlace::Basic;
        Self { asks_basic, ..self }
    }

    /// The contract.
    pub(super) fn contract(&self) -> &'r dyn Contract {
        self.voice.contract
    }

    /// What came of a token request.
    pub(super) fn write(&self, outcome: &Outcome<'_>) -> Response<Bytes> {
        self.answer(outcome, None)
    }

    /// A refused token request, and the word for it.
    pub(super) fn reject(&self, rejection: &Rejection) -> (Response<Bytes>, &'static str) {
        (self.answer(&Outcome::Rejected(rejection), Some(rejection)), rejection.name())
    }

    /// A denial, and the word for it.
    pub(super) fn deny(&self, reason: Reason) -> (Response<Bytes>, &'static str) {
        (respond::spoken(&self.voice, self.contract().deny(reason), None), reason.name())
    }

    /// A bad token, where the contract verifies one.
    pub(super) fn bad_token(&self, reason: Reason) -> (Response<Bytes>, &'static str) {
        (respond::bad_token(&self.realm.name, &self.voice, reason), reason.name())
    }

    fn answer(&self, outcome: &Outcome<'_>, refused: Option<&Rejection>) -> Response<Bytes> {
        let response: ContractResponse = self.contract().write(outcome, &self.realm.wire);
        let mut response = respond::spoken(&self.voice, response, refused.and_then(Rejection::retry_after));
        if self.asks_basic && response.status() == StatusCode::UNAUTHORIZED {
            respond::ask_basic(&self.realm.name, response.headers_mut());
        }
        response
    }
}
