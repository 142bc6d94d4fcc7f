//! Logins that an old system has a part in.
//!
//! ```text
//! lead       a login that Portero answers, and the old system confirms
//! learn      what is kept of an old system's yes and no
//! observe    a login that the old system answered: it is compared, and learnt from
//! confirm    the task that asks about logins which were decided while the old system was away
//! ```
//!
//! What follows from both systems' words is decided in [`rules::verifier`](crate::rules::verifier).

pub mod confirm;
mod lead;
mod learn;
mod observe;

use std::sync::Arc;

use crate::{
    decision::{decide::snapshot::Takeover, verifier::Verifier},
    rules::{
        contract::{Rejection, Told},
        realm::Realm,
        verifier::Refusal,
    },
};

pub use observe::Observed;

/// The old system that has a part in a realm's logins.
#[derive(Clone, Copy, Debug)]
pub struct Lead<'a> {
    /// How the endpoint takes over.
    pub takeover: &'a Takeover,
    /// From whom.
    pub verifier: &'a Arc<Verifier>,
}

/// A refusal of the old system in the words that the realm's contract has for it.
#[must_use]
pub fn rejection(realm: &Realm, refusal: Refusal) -> Rejection {
    let tells = &realm.dialect.facts().tells;
    match refusal {
        Refusal::Locked if tells.locked != Told::Never => Rejection::Locked,
        Refusal::Inactive if tells.inactive != Told::Never => Rejection::Inactive,
        Refusal::CompanyMissing if tells.company_missing != Told::Never => Rejection::CompanyMissing,
        _ => Rejection::InvalidCredentials,
    }
}
