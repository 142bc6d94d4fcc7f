//! The vault against a real store.

mod import;
mod migration;
mod reseal;
mod rotation;

use tempfile::TempDir;

use super::{KeyRecord, OldKeyPlan, Vault, VaultSettings};
use crate::{
    domain::{Algorithm, KeyId, RealmName, Timestamp},
    state::store::{self, Store},
};

/// A store in a folder, and a vault on it.
struct Place {
    folder: TempDir,
    vault: Vault,
}

impl Place {
    async fn new() -> Self {
        let folder = crate::memory::new_folder();
        let vault = open(&folder).await;
        Self { folder, vault }
    }

    /// Another process on the same store.
    async fn beside(&self) -> Vault {
        open(&self.folder).await
    }

    /// A realm with a key that signs since the epoch.
    async fn with_key(algorithm: Algorithm) -> (Self, KeyId) {
        let place = Self::new().await;
        let id = place.vault.replace(&realm(), algorithm, None, KEPT, at(0)).await.unwrap().unwrap();
        (place, id)
    }

    async fn record(&self, id: &KeyId) -> KeyRecord {
        let records = self.vault.records().await.unwrap();
        records.into_iter().find(|record| record.id == *id).unwrap()
    }

    async fn states(&self) -> Vec<&'static str> {
        self.vault.records().await.unwrap().iter().map(|record| record.state.name()).collect()
    }
}

/// A fate that nothing here depends on.
const KEPT: OldKeyPlan = OldKeyPlan::Retiring { retires_at: None };

async fn open(folder: &TempDir) -> Vault {
    let store = Store::make(&store::StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
    Vault::open(store, &master(folder)).await.unwrap()
}

fn master(folder: &TempDir) -> VaultSettings {
    VaultSettings { master_key_file: folder.path().join("master.key") }
}

fn realm() -> RealmName {
    "r".parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

/// A retirement at this second.
fn until(seconds: i64) -> OldKeyPlan {
    OldKeyPlan::Retiring { retires_at: Some(at(seconds)) }
}
