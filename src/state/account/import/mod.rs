//! Accounts of another system, many at a time.
//!
//! ```text
//! point    how far an import is, in the transaction of its last batch
//! batch    one transaction: what is there already, what is made
//! update   what a row changes of an account that is there
//! formats  how many accounts have which hash
//! sealed   those whose hash waits to be wrapped
//! ```

mod batch;
mod formats;
mod point;
mod sealed;
mod update;

pub use batch::{Batch, Imported, Taken};
pub use formats::{FormatCount, foreign_formats, formats, unfinished};
pub use point::{Claim, Counts, ImportError, Point, Progress, find};
pub use sealed::{SEALED_AT_ONCE, sealed_after, sealed_count, store_wrapped};
pub use update::{Existing, Status, Update, Updated, changes};

/// What an import brings into a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// Users, clients or projects: what the realm's contract has.
    Accounts(crate::domain::PrincipalKind),
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
