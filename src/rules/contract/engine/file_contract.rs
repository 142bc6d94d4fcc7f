//! A contract that a file describes.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value};

use super::{Replies, Requests};
use crate::{
    domain::{Holder, Reason, Timestamp},
    rules::contract::{
        Contract, ContractResponse, DialectSettings, Facts, Meaning, Operation, Outcome, Rejection, Schemas,
        TokenRequest,
        template::{Filled, Hole, Known, Subject, Text},
    },
};

/// SHA-256 of all that a contract's file says, with what it extends.
pub(in crate::rules::contract) type Fingerprint = [u8; 32];

/// A contract from a file.
pub struct FileContract {
    facts: Facts,
    pub(super) requests: Requests,
    claims: Vec<Claim>,
    pub(super) replies: Replies,
    /// Two contracts with the same fingerprint say the same.
    fingerprint: Fingerprint,
}

/// A claim of the contract's tokens.
pub(in crate::rules::contract) enum Claim {
    Constant(Box<str>, Value),
    Text(Box<str>, Text),
    Hole(Box<str>, Hole),
}

impl FileContract {
    pub(in crate::rules::contract) const fn new(
        facts: Facts,
        requests: Requests,
        claims: Vec<Claim>,
        replies: Replies,
        fingerprint: Fingerprint,
    ) -> Self {
        Self { facts, requests, claims, replies, fingerprint }
    }

    /// What stands for all that the file says, with what it extends.
    pub(in crate::rules::contract) const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

impl Contract for FileContract {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn identifying_members(&self, refresh: bool) -> &[Arc<str>] {
        if refresh { &self.requests.refresh } else { &self.requests.identified_by }
    }

    fn login_members(&self) -> &[(Arc<str>, Meaning)] {
        &self.requests.login.members
    }

    fn query_parameter(&self) -> Option<&str> {
        self.requests.login.validity.as_ref().map(|validity| &*validity.parameter)
    }

    fn methods(&self) -> &'static [Method] {
        if self.requests.verifies { &[Method::GET, Method::HEAD, Method::POST] } else { &[Method::POST] }
    }

    fn read(&self, request: &TokenRequest<'_>, settings: &DialectSettings) -> Result<Operation, Rejection> {
        self.requests.read(request, settings)
    }

    fn claims(
        &self,
        holder: &Holder,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
        settings: &DialectSettings,
    ) -> Map<String, Value> {
        let known = Known::of(Subject::NewToken { holder, issued_at, expires_at }, settings);
        let mut claims = Map::new();
        for claim in &self.claims {
            let (name, value) = match claim {
                Claim::Constant(name, value) => (name, Some(value.clone())),
                // A claim's holes say what stands for an absent value.
                Claim::Text(name, text) => (name, text.fill(&known).ok().map(Value::from)),
                Claim::Hole(name, hole) => (name, hole.fill(&known).ok().and_then(Filled::into_value)),
            };
            if let Some(value) = value {
                claims.insert(name.to_string(), value);
            }
        }
        claims
    }

    fn write(&self, outcome: &Outcome<'_>, settings: &DialectSettings) -> ContractResponse {
        self.replies.write(outcome, settings)
    }

    fn deny(&self, reason: Reason) -> ContractResponse {
        self.replies.deny(reason)
    }

    fn schemas(&self, refresh: bool) -> Option<&Schemas> {
        self.replies.schemas(refresh)
    }
}
