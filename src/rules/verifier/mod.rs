//! An old system that is asked about a login, as values: what it is asked, what its answer says, and what follows.
//!
//! ```text
//! question   the request that the realm's contract prescribes, made of a name and a secret alone
//! syntax     which names and secrets are worth a question
//! evidence   what an answer says: yes, no, or nothing that counts
//! token      the same for one of its tokens: the question, and what its answer says
//! facts      what a yes tells of the account
//! introspection   what an authorization server's answer says of a token of its own
//! takeover   what the client gets, what is learnt and what is marked, from both systems' words
//! compare    how two answers to one request differ, for `mode = "observe"`
//! ```

mod compare;
mod evidence;
mod facts;
mod introspection;
mod question;
mod syntax;
mod takeover;
mod token;

pub use compare::{Comparison, DIFFERENCES_MAX, compare};
pub use evidence::{Evidence, OldAnswer, Unclear, Verdict};
pub use facts::{Defaults, Facts, Missing, NewLegacyId, Profile};
pub use introspection::{Introspection, TokenRules, believed_until};
pub use question::{is_exact, question};
pub use syntax::{Alphabet, InvalidAlphabet, Syntax};
pub use takeover::{
    Authority, Heard, Known, Learn, Mode, Policy, Reply, Step, TRUST_DEFAULT, decide, is_deciding, is_trusted,
    next_step,
};
pub use token::{TokenEvidence, TokenFacts, TokenQuestion, TokenVerdict};

pub use crate::rules::contract::{InvalidPath, MemberPath, Refusal, TokenPlace};
