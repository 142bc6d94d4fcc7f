//! The wire contracts: bytes in, a neutral [`Operation`]; a neutral [`Outcome`], bytes out.
//!
//! ```text
//! builtin/   the contracts that ship, as files; `docs/contracts/` has the documents that they follow
//! file       a contract's file, from its text to a checked contract: every problem with its line and column
//! template   texts and JSON with holes, compiled: what may stand in a hole, and how it is written
//! engine     a compiled contract at work: reads requests, writes answers, names claims
//! oauth      OAuth 2.0 (RFC 6749): the one contract that is Rust, since it is a protocol of its own
//! dialect    which contract a realm speaks
//! facts      what the house asks of a contract: its accounts, tokens, settings, and what it tells
//! old_system what the answers of the API mean that a contract was
//! operation · outcome   the neutral words between contracts and what decides
//! language   the languages of a contract's texts, and which one a client reads
//! basic      a name and a secret in `Authorization: Basic`
//! learn      a draft of a contract's file, from recorded exchanges
//! select     whose request it is where several contracts share a path
//! ```
//!
//! A contract is pure and complete: every rejection and every denial has exactly one answer. Where a contract's
//! document is silent, the decisions of `docs/contracts.md` hold.

mod basic;
mod body;
mod dates;
mod dialect;
mod engine;
mod facts;
mod file;
#[cfg(test)]
mod fixture;
mod language;
mod learn;
pub mod oauth;
mod old_system;
mod operation;
mod outcome;
mod problem;
mod response;
mod schema;
mod select;
mod template;

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value};

use crate::domain::{Holder, Reason, Timestamp};

pub use body::is_json;
pub use dialect::{Dialect, UnknownDialect, Voice, names_with};
pub use engine::{Difference, Endpoint, FileContract, Meaning, Recorded, Translations, Verdict};
pub use facts::{
    AccountFacts, Bounded, DialectSettings, Facts, Lifetime, SecretPlace, SettingFacts, Tells, TokenFacts, Told, Zone,
};
pub use file::{FILE_BYTES_MAX, Fault, FellBack, Layer, Loaded, builtin_text, load, load_layers, schema};
pub use learn::{Learnt, Observed, learn};
pub use old_system::{
    AccountFact, ErrorRule, FactPlace, InvalidPath, Meant, MemberPath, OldSystem, OldToken, OldTokenCheck, Refusal,
    TokenPlace,
};
pub use operation::{Forms, Login, Operation, RequestBody, TokenRequest, Validity};
use outcome::MEDIA_TYPES;
pub use outcome::{
    ContractResponse, JSON, Lack, MissingMember, MissingMembers, Outcome, PROBLEM_JSON, Rejection, RejectionKind,
};
pub use problem::problem;
pub use schema::Schemas;
pub use select::{allow, covered, select};
pub use template::{Expected, Word, words};

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
