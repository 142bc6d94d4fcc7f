//! Looking into a store that is there: what a start will find. Nothing is written: no schema is brought up to date, and
//! no file is left that was not there.

use std::{fs, path::Path};

use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, migrate::Migrator};

use super::{
    super::{
        error::{self, StoreError},
        row::Row as StoreRow,
        status,
    },
    open,
    place::files,
    presence,
};

/// The migration that tells for each key whether tokens of unknown accounts are taken under it.
const UNKNOWN_ACCOUNTS: i64 = 5;

/// The migration that brings tables of old tokens.
const OLD_TOKENS: i64 = 11;

/// Realms that take tokens which Portero did not give out.
pub(in crate::state::store) const TAKES_OLD_TOKENS: &str = "\
    SELECT realm FROM keys WHERE imported AND state IN ('active', 'next', 'retiring') \
    UNION SELECT realm FROM old_tokens";

/// Every key that may have tokens, with what is known of those that came from outside.
pub(in crate::state) const KEYS: &str = "SELECT known_keys.*, epochs FROM known_keys LEFT JOIN imported_keys ON key = id \
                                         WHERE state <> 'retired' ORDER BY created_at, id";

/// What was found.
#[derive(Default)]
pub struct Looked {
    /// Which master key its keys are sealed under; `None` where it has none yet.
    pub master_key: Option<Vec<u8>>,
    /// Imported keys that take tokens of unknown accounts, or will when the schema is up to date: id and realm.
    pub takes_strangers: Vec<(String, String)>,
    /// Realms that have an imported key which verifies, or a table of old tokens.
    pub takes_old_tokens: Vec<String>,
    /// What [`KEYS`] says; nothing where the schema is not up to date.
    pub(in crate::state) keys: Vec<StoreRow>,
}

/// Looks into the store at `path`, beside a running gateway or without one.
///
/// # Errors
/// Why [`Store::open`](super::Store::open) would not open it.
pub(in crate::state::store) async fn look(path: &Path) -> Result<Looked, StoreError> {
    // What an opening would refuse is not looked into: SQLite changes a journal that nobody uses.
    if !presence::has_unshared_database(path)? {
        return Err(presence::missing(path, presence::Found::Nothing));
    }
    let file = open::whole(path)?;
    let [_, journal, index] = files(&file);
    // Without a journal, or with an empty one alone, nobody has it open, or nothing was written yet: what is in the
    // file is all there is, and no lock is needed. Otherwise SQLite would make a journal to read, and leave it there.
    let alone = fs::metadata(&journal).map_or(true, |facts| facts.len() == 0 && fs::metadata(&index).is_err());
    let options = open::options(&file).read_only(true).immutable(alone);
    let looking = async {
        let failed = |error| error::open_failed(path.to_owned(), &error);
        let mut connection = options.connect().await.map_err(failed)?;
        // All of it as it was at one moment: somebody may be sealing the keys anew.
        let mut reading = connection.begin().await.map_err(failed)?;
        let looked = read(&mut reading, path).await;
        drop(reading);
        connection.close().await.map_err(failed)?;
        looked
    };
    open::in_time(path, looking).await
}

async fn read(connection: &mut SqliteConnection, path: &Path) -> Result<Looked, StoreError> {
    let failed = |error| error::open_failed(path.to_owned(), &error);
    if !open::is_store(connection).await.map_err(failed)? {
        let reason = "it holds no store of Portero".to_owned();
        return Err(StoreError::Unreadable { path: path.to_owned(), reason });
    }
    open::check_version(connection, path).await?;
    check_migrations(connection, path).await?;
    status::of_file(connection).await.map_err(failed)?.refuse()?;
    let master_key = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'master_key_fingerprint'");
    let master_key = master_key.fetch_optional(&mut *connection).await.map_err(failed)?;
    let version = open::version(connection).await.map_err(failed)?;
    let keys = match version {
        Some(UNKNOWN_ACCOUNTS..) => {
            "SELECT id, realm FROM known_keys WHERE unknown_accounts AND state IN ('active', 'next', 'retiring')"
        }
        // Before, all that are imported do; and the first release has none.
        Some(2..) => "SELECT id, realm FROM keys WHERE imported AND state IN ('active', 'next', 'retiring')",
        _ => "SELECT id, realm FROM keys WHERE 0",
    };
    let rows = sqlx::query(keys).fetch_all(&mut *connection).await.map_err(failed)?;
    let takes_strangers = rows
        .iter()
        .map(|row| Ok((row.try_get("id")?, row.try_get("realm")?)))
        .collect::<Result<_, sqlx::Error>>()
        .map_err(failed)?;
    let realms = match version {
        Some(OLD_TOKENS..) => TAKES_OLD_TOKENS,
        Some(2..) => "SELECT realm FROM keys WHERE imported AND state IN ('active', 'next', 'retiring')",
        _ => "SELECT realm FROM keys WHERE 0",
    };
    let takes_old_tokens = sqlx::query_scalar(realms).fetch_all(&mut *connection).await.map_err(failed)?;
    let keys = match version {
        Some(UNKNOWN_ACCOUNTS..) => {
            sqlx::query(KEYS).fetch_all(connection).await.map_err(failed)?.into_iter().map(StoreRow::Sqlite).collect()
        }
        _ => vec![],
    };
    Ok(Looked { master_key, takes_strangers, takes_old_tokens, keys })
}

/// Refuses a schema that is not as this version would have made it: a migration that is another one, or that was not
/// brought to its end. Those that are still to come are left out.
async fn check_migrations(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| error::open_failed(path.to_owned(), &error);
    let applied = sqlx::query_scalar("SELECT version FROM _sqlx_migrations").fetch_all(&mut *connection).await;
    let applied: Vec<i64> = applied.map_err(failed)?;
    let known = open::MIGRATIONS.iter().filter(|known| applied.contains(&known.version)).cloned().collect();
    let checked = Migrator::with_migrations(known).run_direct(None, connection, false).await;
    checked.map_err(|error| error::migration_failed(path.to_owned(), error))
}
