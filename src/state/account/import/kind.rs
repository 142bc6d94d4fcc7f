//! What an import brings into a realm.

use crate::domain::PrincipalKind;

/// What an import brings into a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// Users, clients or projects: what the realm's contract has.
    Accounts(PrincipalKind),
    /// Companies of `become`.
    Companies,
}

impl ImportKind {
    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts(kind) => kind.name(),
            Self::Companies => "company",
        }
    }
}
