//! What there is to know about a migration.

use super::{
    super::{AdminError, AdminService},
    importer::check_import,
};
use crate::{
    rules::realm::Realm,
    state::account::import::{FormatCount, ImportKind, Progress, find, formats, sealed_count, unfinished},
};

/// What there is to know about a migration.
#[derive(Debug)]
pub struct MigrationStatus {
    /// Accounts by realm, source and format.
    pub formats: Vec<FormatCount>,
    /// Imports that did not reach the end of their file: realm, kind and how far they are.
    pub unfinished: Vec<(String, String, Progress)>,
}

impl AdminService {
    /// Accounts by realm, source and format, and imports that are not finished.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn migration_status(&self) -> Result<MigrationStatus, AdminError> {
        Ok(MigrationStatus { formats: formats(&self.store).await?, unfinished: unfinished(&self.store).await? })
    }

    /// Accounts whose hash is sealed, and waits to be wrapped.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn sealed_accounts(&self) -> Result<u64, AdminError> {
        Ok(sealed_count(&self.store).await?)
    }

    /// How far the import of a kind into a realm is, if there ever was one.
    ///
    /// # Errors
    /// Fails when the realm has no accounts of the kind, or when the store is out of reach or damaged.
    pub async fn import_progress(&self, realm: &Realm, kind: ImportKind) -> Result<Option<Progress>, AdminError> {
        check_import(realm, kind)?;
        Ok(find(&self.store, &realm.name, kind).await?)
    }
}
