//! The wire contracts: bytes in, a neutral [`Operation`]; a neutral [`Outcome`], bytes out.
//!
//! ```text
//! builtin/   the contracts that ship, as files; `docs/contracts/` has the documents that they follow
//! file       a contract's file, from its text to a checked contract: every problem with its line and column
//! template   texts and JSON with holes, compiled: what may stand in a hole, and how it is written
//! engine     a compiled contract at work: reads requests, writes answers, names claims
//! wire_contract  what each of them does
//! oauth      OAuth 2.0 (RFC 6749): the one contract that is Rust, since it is a protocol of its own
//! dialect    which contract a realm speaks
//! facts      what the house asks of a contract: its accounts, tokens, settings, and what it tells
//! old_system what the answers of the API mean that a contract was
//! operation · outcome · meaning   the neutral words between contracts and what decides; what members of a login are
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
mod meaning;
pub mod oauth;
mod old_system;
mod operation;
mod outcome;
mod problem;
mod response;
mod schema;
mod select;
mod template;
mod wire_contract;

pub use body::is_json;
pub use dialect::{Dialect, UnknownDialect, Voice, names_with};
pub use engine::{Difference, Endpoint, FileContract, Recorded, Translations, Verdict};
pub use facts::{
    AccountFacts, Bounded, DialectSettings, Facts, Lifetime, SecretPlace, SettingFacts, Tells, TokenFacts, Told, Zone,
};
pub use file::{FILE_BYTES_MAX, Fault, FellBack, Layer, Loaded, builtin_text, load, load_layers, schema};
pub use learn::{Learnt, Observed, learn};
pub use meaning::Meaning;
pub use old_system::{
    AccountFact, ErrorRule, FactPlace, InvalidPath, Meant, MemberPath, OldSystem, OldToken, OldTokenCheck, Refusal,
    TokenPlace,
};
pub use operation::{Forms, Login, Operation, RequestBody, TokenRequest, Validity};
pub use outcome::{
    ContractResponse, JSON, Lack, MissingMember, MissingMembers, Outcome, PROBLEM_JSON, Rejection, RejectionKind,
};
pub use problem::problem;
pub use schema::Schemas;
pub use select::{allow, covered, select};
pub use template::{Expected, Word, words};
pub use wire_contract::Contract;
