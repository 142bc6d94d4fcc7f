//! What every contract does, whether it is a file or Rust.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value};

use super::{
    facts::{DialectSettings, Facts},
    meaning::Meaning,
    operation::{Operation, TokenRequest},
    outcome::{ContractResponse, Outcome, Rejection},
    schema::Schemas,
};
use crate::domain::{Holder, Reason, Timestamp};

/// A wire contract: how it reads requests and writes answers.
pub trait Contract: Send + Sync {
    /// What the rest of the house asks of it.
    fn facts(&self) -> &Facts;

    /// The members of a JSON body that say it is meant for this contract, where two share a path.
    fn identifying_members(&self, refresh: bool) -> &[Arc<str>];

    /// The methods of its token endpoint, in the order of `Allow`.
    fn methods(&self) -> &'static [Method] {
        &[Method::POST]
    }

    /// The members of its logins and what each is, in their order; empty where its logins are no such object.
    fn login_members(&self) -> &[(Arc<str>, Meaning)] {
        &[]
    }

    /// The parameter that the query of its logins may have.
    fn query_parameter(&self) -> Option<&str> {
        None
    }

    /// Reads a request whose method is one of [`Contract::methods`].
    ///
    /// # Errors
    /// The rejection that the contract prescribes for a request it cannot read.
    fn read(&self, request: &TokenRequest<'_>, settings: &DialectSettings) -> Result<Operation, Rejection>;

    /// The claims that the contract's tokens carry beside the common ones.
    fn claims(
        &self,
        holder: &Holder,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
        settings: &DialectSettings,
    ) -> Map<String, Value>;

    /// Writes what came of a token request.
    fn write(&self, outcome: &Outcome<'_>, settings: &DialectSettings) -> ContractResponse;

    /// Writes a denial on one of the contract's routes.
    fn deny(&self, reason: Reason) -> ContractResponse;

    /// What its logins take and answer, or its refreshes. `None` where it has none.
    fn schemas(&self, refresh: bool) -> Option<&Schemas>;
}
