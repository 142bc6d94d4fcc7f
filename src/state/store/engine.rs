//! One store on either engine: what is asked of it goes to the file or to the server.

use futures_util::future::Either;

use super::{
    change::{Canary, Change},
    error::{StoreError, Trouble},
    feed::{Changes, Feed},
    postgres::{Beat, Peer, Position, PostgresStore},
    sqlite::SqliteStore,
    transaction::{Inner, Transaction},
    turn::Turn,
};
use crate::domain::{RevocationId, Timestamp};

/// An open store. Cloning is cheap: all clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) engine: Engine,
}

/// Which of the two it is on.
#[derive(Clone, Debug)]
pub(super) enum Engine {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Store {
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
    pub(super) async fn begin_alone(&self, tables: &str) -> Result<Transaction, StoreError> {
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

    /// Closes all connections. The last process to do so leaves one file, without `-wal` and `-shm`. What hangs
    /// is not waited for longer than 5 seconds. Where the files are not those that were opened, nothing is touched.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close().await,
            Engine::Postgres(postgres) => postgres.close().await,
        }
    }
}
