//! What must survive: accounts, keys, sessions, revocations. What a call returned `Ok` for is durable; nothing here is
//! ever called while a request is checked.
//!
//! One meaning, two engines. `sqlite` is one file beside the gateway, the default; `postgres` is one server for several
//! gateways. What the rooms above do with the store is said once, in statements that both engines understand (`query`),
//! in a `transaction` that names what serialises it (`turn`). No type of a driver leaves this folder.
//!
//! - `sqlite` · `postgres`: the engines: opening, connections under a deadline, following what others commit.
//! - `audit`: administrative changes, each with its row in the audit log.
//! - `change`: what the feed of a PostgreSQL store tells other gateways. `feed`: where they read it.
//! - `copy`: the same store at another place. `standing`: whether a store has moved, or is a copy in the making.
//! - `migrations`: the steps of the schema, built in. `meta`: facts about the store. `error`: what can go wrong.
//! - `private_file` · `access`: secrets in files, and what this process may do with a file.

pub mod access;
mod audit;
mod change;
pub mod copy;
mod error;
mod feed;
mod meta;
mod migrations;
mod postgres;
pub mod private_file;
mod query;
mod settings;
mod sqlite;
mod standing;
mod transaction;
mod turn;
mod watch;

use std::path::{Path, PathBuf};

use futures_util::future::Either;

use self::{
    postgres::{Making, PostgresStore},
    sqlite::SqliteStore,
    transaction::Inner,
};

use crate::domain::{RevocationId, Timestamp};

use self::sqlite::TAKES_OLD_TOKENS;
pub use self::{
    audit::{
        ANCHORS_KEPT, Action, Actor, ActorKind, Anchor, AnchorRow, AuditRow, AuditedStore, AuditedTransaction, Entry,
        anchors, forget_anchors, head, page, set_anchor,
    },
    change::Canary,
    error::{StoreError, Trouble},
    meta::EPOCH_FLOOR,
    postgres::{Address, Beat, Encryption, Peer, Position, PostgresSettings},
    settings::StoreSettings,
    sqlite::{Found, Looked, backup, examine, migration_steps, missing},
    transaction::Transaction,
    turn::{ChangeTurn, Turn},
    watch::{FEED_POLL, Watch},
};
pub(in crate::state) use self::{
    change::{Change, RevocationColumns, RevocationRow},
    feed::{Changes, Feed},
    meta::{epoch_floor_in, meta_in, set_meta_in},
    postgres::Page,
    query::{Column, KeptRow, Query, Row, Target, Value, composed, places, query, unnamed},
    sqlite::KEYS,
};

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
        standing::of(&store).await?.refuse()?;
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

/// An open store. Cloning is cheap: all clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
}

#[derive(Clone, Debug)]
enum Engine {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

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
        match Box::pin(standing::of(&store)).await.and_then(standing::Standing::refuse) {
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
        Box::pin(standing::of(self)).await?.refuse()
    }

    /// Lets everybody reach a store that was not opened: what a start does with its store is done.
    pub fn set_open(&self) {
        if let Engine::Postgres(postgres) = &self.engine {
            postgres.set_open();
        }
    }

    /// The same of a store that has moved, or is a copy in the making.
    async fn open_as_it_stands(settings: &StoreSettings) -> Result<Self, StoreError> {
        let engine = match settings {
            StoreSettings::Sqlite(path) => Engine::Sqlite(SqliteStore::open(path).await?),
            StoreSettings::Postgres(settings) => Engine::Postgres(PostgresStore::open(settings).await?),
        };
        Ok(Self { engine })
    }

    /// Makes a store where there is none, and opens it. One that another process made meanwhile is opened.
    ///
    /// The caller has looked, with [`examine`], that nothing is lost by it: every token that was given out
    /// before is void in a new store.
    ///
    /// # Errors
    /// Fails when the folder or the file cannot be used, when the server cannot be reached or does not let Portero make
    /// tables, or when a newer version wrote the store.
    pub async fn make(settings: &StoreSettings) -> Result<Self, StoreError> {
        Box::pin(Self::make_alone(settings)).await?;
        Box::pin(Self::open(settings)).await
    }

    /// The same, and does not open it.
    async fn make_alone(settings: &StoreSettings) -> Result<(), StoreError> {
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

    /// Whether several gateways may be on it, each on a machine of its own.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// What is said where a start would have to make something that is made only once.
    pub(in crate::state) fn unmade(&self) -> StoreError {
        let place = match &self.engine {
            Engine::Sqlite(_) => "of this gateway",
            Engine::Postgres(postgres) => postgres.place(),
        };
        StoreError::unusable(place, "it has no master key yet: run portero store init once".to_owned())
    }

    /// Begins a transaction that has its turn: what it reads cannot change before it writes. Dropping it rolls back.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn begin(&self, turn: Turn<'_>) -> Result<Transaction, StoreError> {
        Ok(Transaction::new(match &self.engine {
            Engine::Sqlite(sqlite) => Inner::Sqlite(Box::pin(sqlite.begin()).await?),
            Engine::Postgres(postgres) => Inner::Postgres(Box::pin(postgres.begin(turn.into())).await?),
        }))
    }

    /// Begins a transaction that reads what was there at one moment, and changes nothing.
    pub(in crate::state) async fn begin_reading(&self) -> Result<Transaction, StoreError> {
        Ok(Transaction::new(match &self.engine {
            Engine::Sqlite(sqlite) => Inner::Sqlite(Box::pin(sqlite.begin_reading()).await?),
            Engine::Postgres(postgres) => Inner::Postgres(Box::pin(postgres.begin_reading()).await?),
        }))
    }

    /// Begins a transaction that holds off every other one that changes something, for as long as it lasts: it alone
    /// may end the store here. Others read beside it, and wait.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] also where others change something all the time: it is to be tried again.
    async fn begin_alone(&self, tables: &str) -> Result<Transaction, StoreError> {
        Ok(Transaction::new(match &self.engine {
            Engine::Sqlite(sqlite) => Inner::Sqlite(sqlite.begin().await?),
            Engine::Postgres(postgres) => Inner::Postgres(postgres.begin_alone(tables).await?),
        }))
    }

    /// Opens the connections now: of a file, so that none has to be opened by path later.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn open_all(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.open_all().await,
            Engine::Postgres(postgres) => postgres.probe().await,
        }
    }

    /// The same store through a connection of its own, for who must not wait behind logins. It is asked even while
    /// the store is known not to answer: somebody must find out when it does again.
    #[must_use]
    pub fn apart(&self) -> Self {
        let engine = match &self.engine {
            Engine::Sqlite(sqlite) => Engine::Sqlite(sqlite.apart()),
            Engine::Postgres(postgres) => Engine::Postgres(postgres.apart()),
        };
        Self { engine }
    }

    /// Another handle in the place of one that was got from [`Store::apart`] and hangs. `None` when too many that
    /// hang were given up already: then the same one is to be asked again.
    #[must_use]
    pub fn instead(&self) -> Option<Self> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.instead().map(|sqlite| Self { engine: Engine::Sqlite(sqlite) }),
            // A connection that hangs is closed, and the pool opens another one.
            Engine::Postgres(_) => None,
        }
    }

    /// What stands in the way of every call, as far as it is known.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.trouble(),
            Engine::Postgres(postgres) => postgres.trouble(),
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
        Box::pin(standing::of(self)).await?.refuse()
    }

    /// Runs several calls as one, which may take as long as one.
    ///
    /// # Errors
    /// The error of `work`; or [`StoreError::Unavailable`] when it does not end in time.
    pub async fn within<T, E: From<StoreError>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let within = match &self.engine {
            Engine::Sqlite(sqlite) => Either::Left(sqlite.within(work)),
            Engine::Postgres(postgres) => Either::Right(postgres.within(work)),
        };
        within.await
    }

    /// Finds out whether a store that did not answer does again, a writer too. For a handle of its own
    /// ([`Store::apart`]).
    ///
    /// # Errors
    /// Fails while the store is still out of reach.
    pub async fn recheck(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.recheck().await,
            Engine::Postgres(postgres) if postgres.trouble().is_some() => postgres.probe().await,
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Calls that came back since the store was opened: as long as the number grows, the store does not hang.
    #[must_use]
    pub fn calls(&self) -> u64 {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.calls(),
            Engine::Postgres(postgres) => postgres.calls(),
        }
    }

    /// Empties the journal of a file, so that nothing of what was deleted or replaced before is found in it. False when
    /// somebody reads it all the time: it is to be tried again later.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn empty_journal(&self) -> Result<bool, StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.empty_journal().await,
            // Its write-ahead log is the server's, and of use when it is restored.
            Engine::Postgres(_) => Ok(true),
        }
    }

    /// Where others' changes are seen.
    pub(in crate::state) fn changes(&self) -> Changes {
        match &self.engine {
            Engine::Sqlite(_) => Changes::InFile,
            Engine::Postgres(postgres) => Changes::InFeed(Feed(postgres.apart())),
        }
    }

    /// Writes a gateway down that follows a shared store; answers the server's time. A server in recovery refuses.
    ///
    /// # Errors
    /// Fails when the store is out of reach, damaged, or takes no changes.
    pub async fn beat(&self, beat: &Beat) -> Result<Option<Timestamp>, StoreError> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(postgres) => Ok(Some(Timestamp::from_millis(postgres.beat(beat).await?))),
        }
    }

    /// Revokes something that nobody has, so that every gateway sees how long that takes.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn release_canary(&self, id: RevocationId) -> Result<(), StoreError> {
        let mut transaction = self.begin(Turn::Nothing).await?;
        // The server says when.
        transaction.tell(Change::Canary(Canary { id, appended_at: Timestamp::from_millis(0) }));
        transaction.commit().await
    }

    /// How far the feed has come: who has read this far knows of everything that was acknowledged before. `None` where
    /// there is no feed.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn feed_end(&self) -> Result<Option<Position>, StoreError> {
        let Changes::InFeed(feed) = self.changes() else { return Ok(None) };
        let mut reading = self.begin_reading().await?;
        let end = feed.head(&mut reading).await?;
        reading.commit().await?;
        Ok(Some(end))
    }

    /// Takes a gateway's row away that ends by itself.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn leave(&self, id: [u8; 16]) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(postgres) => postgres.leave(id).await,
        }
    }

    /// The gateways that follow this store; none of a file.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn peers(&self) -> Result<Vec<Peer>, StoreError> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(vec![]),
            Engine::Postgres(postgres) => postgres.peers().await,
        }
    }

    /// Drops what of the feed nobody needs any more, and gateways that ended without a word. Answers whether more is
    /// left.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn tidy_feed(&self) -> Result<bool, StoreError> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(false),
            Engine::Postgres(postgres) => postgres.tidy().await,
        }
    }

    /// A watch that tells when anyone, in this process or another, committed a change.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn watch(&self) -> Result<Watch, StoreError> {
        Watch::open(&self.engine).await
    }

    /// Closes all connections. The last process to do so leaves one file, without `-wal` and `-shm`. What hangs
    /// is not waited for longer than 5 seconds. Where the files are not those that were opened, nothing is touched.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close().await,
            Engine::Postgres(postgres) => postgres.close().await,
        }
    }

    /// Runs a statement by itself.
    #[cfg(test)]
    pub(crate) async fn run(&self, statement: &'static str) {
        query(statement).execute(self).await.unwrap();
    }
}
