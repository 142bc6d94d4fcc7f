//! The operations that are served.

use std::sync::Arc;

use super::{
    super::context::Admin,
    accounts, companies, explain, limits, openapi,
    operations::{Operation, Operations},
    process, revocations,
};

/// All operations, by what stands around them.
pub(in crate::edge::admin) struct Served {
    /// They write to the store, or ask it.
    pub(in crate::edge::admin) over_store: Operations,
    /// They are answered while the store is away.
    pub(in crate::edge::admin) others: Operations,
    /// What the API is, for programs.
    pub(in crate::edge::admin) document: Operations,
}

impl Served {
    pub(in crate::edge::admin) fn by(admin: &Arc<Admin>) -> Self {
        let none = || Operations::new(admin);
        Self {
            over_store: limits::clearing(companies::operations(accounts::operations(revocations::operations(none())))),
            others: limits::looking(process::operations(explain::operations(none()))),
            document: openapi::operations(none(), listed),
        }
    }
}

/// Every operation of this listener that asks for a role, with what stands before its path.
fn listed(admin: &Arc<Admin>) -> Vec<(&'static str, Operation)> {
    let Served { over_store, others, document } = Served::by(admin);
    let below =
        |prefix, operations: Operations| operations.finish().1.into_iter().map(move |operation| (prefix, operation));
    below(openapi::API, over_store).chain(below(openapi::API, others)).chain(below("", document)).collect()
}
