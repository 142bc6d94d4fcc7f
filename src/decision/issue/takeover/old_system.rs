//! The old system that has a part in a realm's logins, and its refusals.

use std::sync::Arc;

use crate::{
    decision::{decide::snapshot::Takeover, verifier::Verifier},
    rules::{
        contract::{Rejection, Told},
        realm::Realm,
        verifier::Refusal,
    },
};

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
