//! An import on its way: how it is to go, and why it may come to nothing.

use std::{collections::HashSet, io};

use aws_lc_rs::digest::{SHA256, digest};
use thiserror::Error;

use super::{
    super::{AdminError, AdminService, accounts::check_kind, companies::check_realm},
    column::BadRow,
};
use crate::{
    domain::RealmName,
    rules::realm::Realm,
    state::account::{
        PasswordKey,
        import::{Claim, ImportError, ImportKind, Point, Progress},
        password::Reading,
    },
};

/// Names that a trial remembers, at most, to find those that stand twice.
const SEEN_MAX: usize = 8_000_000;

/// What becomes of a row whose name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The import stops before it.
    #[default]
    Stop,
    /// The account stays as it is.
    Skip,
    /// The account becomes what the row says.
    Update,
}

/// How an import is to go.
#[derive(Clone)]
pub struct Options {
    /// What becomes of a row whose name is taken.
    pub on_conflict: OnConflict,
    /// Whether bad rows are left out, rather than the import stopped before them.
    pub skips_bad: bool,
    /// What the accounts are said to come from.
    pub source: String,
    /// How hashes are to be read.
    pub reading: Reading,
}

/// Why an import stopped before a row. Everything before that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The row is bad.
    Bad(BadRow),
    /// Its name is taken.
    Conflict(BadRow),
}

/// Why an import came to nothing, or not to its end.
#[derive(Debug, Error)]
pub enum ImportFailure {
    /// The file's fault.
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    /// Another file, or one that has changed.
    #[error(
        "an import into realm '{realm}' was cut short after {rows} rows, and this file does not begin with these: give \
         the same file, or say --restart to begin anew with this one. Nothing was changed"
    )]
    OtherFile {
        /// The realm.
        realm: RealmName,
        /// The rows that were imported.
        rows: u64,
    },
    /// It cannot be done.
    #[error(transparent)]
    Refused(#[from] AdminError),
    /// The store's fault, or somebody else's.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// An import on its way.
pub struct Importer<'a> {
    pub(super) admin: &'a AdminService,
    pub(super) realm: &'a Realm,
    pub(super) kind: ImportKind,
    pub(super) options: Options,
    /// What seals; a trial may be without.
    pub(super) key: Option<PasswordKey>,
    /// The right to write; `None` for a trial.
    pub(super) claim: Option<Claim>,
    /// Digests of the names that a trial has seen: it writes nothing that would tell.
    seen: HashSet<u64>,
}

impl AdminService {
    /// An import that goes on at `point`; `seen` is how far it was when that was decided. Another process that works
    /// on the same one ends.
    ///
    /// # Errors
    /// Fails when somebody else began meanwhile, or when the store is out of reach or damaged.
    pub async fn import<'a>(
        &'a self,
        (realm, kind): (&'a Realm, ImportKind),
        options: Options,
        (seen, point): (Option<&Progress>, &Point),
    ) -> Result<Importer<'a>, ImportFailure> {
        let key = self.vault.make_password_key().await.map_err(AdminError::from)?;
        let now = self.clock.now();
        let claim = Claim::take(&self.store, (&realm.name, kind), seen, point, now).await?;
        let (key, claim, seen) = (Some(key), Some(claim), HashSet::new());
        Ok(Importer { admin: self, realm, kind, options, key, claim, seen })
    }

    /// An import that writes nothing, and says what would become of each row.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn try_import<'a>(
        &'a self,
        (realm, kind): (&'a Realm, ImportKind),
        options: Options,
    ) -> Result<Importer<'a>, ImportFailure> {
        let key = self.vault.password_key().await.map_err(AdminError::from)?;
        Ok(Importer { admin: self, realm, kind, options, key, claim: None, seen: HashSet::new() })
    }
}

/// Refuses a kind that the realm's contract does not have.
///
/// # Errors
/// Says what the realm has.
pub fn check_import(realm: &Realm, kind: ImportKind) -> Result<(), AdminError> {
    match kind {
        ImportKind::Accounts(kind) => check_kind(realm, kind),
        ImportKind::Companies => check_realm(realm),
    }
}

impl Importer<'_> {
    /// Whether a trial has seen the name, which it now has.
    pub(super) fn seen_before(&mut self, name: &str) -> bool {
        if self.claim.is_some() || self.seen.len() == SEEN_MAX {
            return false;
        }
        let digest = digest(&SHA256, name.as_bytes());
        let bytes = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        !self.seen.insert(u64::from_be_bytes(*bytes))
    }
}
