//! Opens the store that is there, or makes one; looks into it; and asks whether it may still be worked with.

use std::path::{Path, PathBuf};

use super::{
    engine::{Engine, Store},
    error::StoreError,
    meta::status_in,
    postgres::{Making, PostgresSettings, PostgresStore},
    query::query,
    settings::StoreSettings,
    sqlite::{self, KEYS, Looked, SqliteStore, TAKES_OLD_TOKENS},
    status::StoreStatus,
};

impl Store {
    /// Opens the store that is there, and brings its schema up to date. Several processes may do so at once. On
    /// PostgreSQL the schema is brought up to date only where `store.migrate` says so.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none: nothing is made. [`StoreError::Unreadable`],
    /// [`StoreError::Unusable`] or [`StoreError::TooNew`]; the store is then as it was. [`StoreError::Moved`] or
    /// [`StoreError::Copying`] where it must not be worked with.
    pub async fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        let store = Box::pin(Self::open_as_it_stands(settings)).await?;
        match Box::pin(status_in(&store)).await.and_then(StoreStatus::refuse) {
            Ok(()) => Ok(store),
            Err(refused) => {
                store.close().await;
                Err(refused)
            }
        }
    }

    /// A shared store whose server is away, without asking it: every call fails but those through [`Store::apart`],
    /// until it was [examined](Store::examine) and [opened](Store::set_open). `None` of a file.
    #[must_use]
    pub fn unopened(settings: &StoreSettings) -> Option<Self> {
        let StoreSettings::Postgres(settings) = settings else { return None };
        Some(Self { engine: Engine::Postgres(PostgresStore::unopened(settings)) })
    }

    /// Looks at a store that was not opened as [`Store::open`] does.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn examine(&self) -> Result<(), StoreError> {
        if let Engine::Postgres(postgres) = &self.engine {
            postgres.examine().await?;
        }
        Box::pin(status_in(self)).await?.refuse()
    }

    /// Lets everybody reach a store that was not opened: what a start does with its store is done.
    pub fn set_open(&self) {
        if let Engine::Postgres(postgres) = &self.engine {
            postgres.set_open();
        }
    }

    /// The same of a store that has moved, or is a copy in the making.
    pub(super) async fn open_as_it_stands(settings: &StoreSettings) -> Result<Self, StoreError> {
        let engine = match settings {
            StoreSettings::Sqlite(path) => Engine::Sqlite(SqliteStore::open(path).await?),
            StoreSettings::Postgres(settings) => Engine::Postgres(PostgresStore::open(settings).await?),
        };
        Ok(Self { engine })
    }

    /// Makes a store where there is none, and opens it. One that another process made meanwhile is opened.
    ///
    /// The caller has looked, with [`examine`](super::examine), that nothing is lost by it: every token that was given
    /// out before is void in a new store.
    ///
    /// # Errors
    /// Fails when the folder or the file cannot be used, when the server cannot be reached or does not let Portero make
    /// tables, or when a newer version wrote the store.
    pub async fn make(settings: &StoreSettings) -> Result<Self, StoreError> {
        Box::pin(Self::make_alone(settings)).await?;
        Box::pin(Self::open(settings)).await
    }

    /// The same, and does not open it.
    pub(super) async fn make_alone(settings: &StoreSettings) -> Result<(), StoreError> {
        match settings {
            StoreSettings::Sqlite(path) => SqliteStore::make(path).await,
            StoreSettings::Postgres(postgres) => PostgresStore::migrate(postgres, Making::Allowed).await.map(drop),
        }
    }

    /// Brings the schema of the store that is there up to date; makes none. Answers whether anything was done.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn migrate(settings: &StoreSettings) -> Result<bool, StoreError> {
        match settings {
            StoreSettings::Sqlite(_) => {
                Self::open(settings).await?.close().await;
                Ok(false)
            }
            StoreSettings::Postgres(postgres) => PostgresStore::migrate(postgres, Making::Refused).await,
        }
    }

    /// Asserts that what was written before this returned `Ok` is in the store that everybody reads: of a file, that
    /// the path still names it; and that the store has not moved. To be asked before a write is acknowledged, one that
    /// found nothing to change included: a moved store refuses only what changes a row.
    ///
    /// # Errors
    /// Fails when the path names other files by now, or none, and when the store has moved.
    pub async fn confirm(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.confirm().await?,
            // A commit that was answered is in the server that answered.
            Engine::Postgres(_) => {}
        }
        Box::pin(status_in(self)).await?.refuse()
    }
}

/// Looks into the store that is there, beside a running gateway or without one. Nothing is changed.
///
/// # Errors
/// Why [`Store::open`] would not open it.
pub async fn look(settings: &StoreSettings) -> Result<Looked, StoreError> {
    let StoreSettings::Postgres(postgres) = settings else {
        return sqlite::look(settings.file().map_or(Path::new(""), PathBuf::as_path)).await;
    };
    let only_looks = PostgresSettings { migrates: false, ..(**postgres).clone() };
    let store = Store { engine: Engine::Postgres(PostgresStore::open(&only_looks).await?) };
    let looking = async {
        status_in(&store).await?.refuse()?;
        let statement = "SELECT id, realm FROM known_keys \
                         WHERE unknown_accounts AND state IN ('active', 'next', 'retiring')";
        let strangers = query(statement).all(&store).await?;
        Ok(Looked {
            master_key: store.meta("master_key_fingerprint").await?,
            takes_strangers: strangers
                .iter()
                .map(|row| Ok((row.get("id")?, row.get("realm")?)))
                .collect::<Result<_, StoreError>>()?,
            // A schema that is to be brought up to date has no such table yet.
            takes_old_tokens: query(TAKES_OLD_TOKENS).values(&store).await.unwrap_or_default(),
            keys: query(KEYS).all(&store).await?,
        })
    };
    let looked = looking.await;
    store.close().await;
    looked
}
