//! The store on a server of PostgreSQL.

use std::{sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, PgConnection, Postgres, Row,
    postgres::{PgArguments, PgConnectOptions, PgRow},
    query::Query,
};
use tokio::time::timeout;

use super::{
    Beat, Page, Peer, Position, PostgresSettings, Transaction,
    connections::{CALL_DEADLINE, Connections, Reach, is_away},
    feed, gateways,
    listener::Listener,
    notices::Notices,
    pooler,
    schema::{self, Schema},
};
use crate::state::store::{
    error::{StoreError, Trouble, is_untrusted},
    turn::ChangeTurn,
};

/// How long the opening of a store may take.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);

/// How long its schema may take to be brought up to date: an index on a large table takes minutes.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(3600);

/// Connections for single calls that must not wait behind logins.
const APART_CONNECTIONS: u32 = 2;

/// Rows of the feed that one statement drops, at most.
const PRUNED_AT_ONCE: u32 = 1_000;

/// Whether tables may be made where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state::store) enum Making {
    /// By `store init` alone.
    Allowed,
    /// By everything else.
    Refused,
}

/// An open store. Cloning is cheap: all clones share the connections.
#[derive(Clone, Debug)]
pub(in crate::state::store) struct PostgresStore {
    connections: Connections,
    /// To `store.direct_url`.
    direct: Connections,
    notices: Notices,
    shared: Arc<Shared>,
}

/// What all handles of one open store share.
#[derive(Debug)]
struct Shared {
    reach: Arc<Reach>,
    options: PgConnectOptions,
    place: String,
    settings: PostgresSettings,
}

impl PostgresStore {
    /// Opens the store that is there. Its schema is brought up to date where the config says so, and never made.
    pub(in crate::state::store) async fn open(settings: &PostgresSettings) -> Result<Self, StoreError> {
        examine(settings, OPEN_DEADLINE).await?;
        Ok(Self::assemble(settings, Reach::default()))
    }

    /// The store that may be there, without asking its server. Only who insists reaches it before it is
    /// [opened](Self::set_open).
    pub(in crate::state::store) fn unopened(settings: &PostgresSettings) -> Self {
        Self::assemble(settings, Reach::unopened())
    }

    fn assemble(settings: &PostgresSettings, reach: Reach) -> Self {
        let reach = Arc::new(reach);
        let options = settings.options(&settings.direct);
        let direct = Connections::new(options.clone(), APART_CONNECTIONS, &reach, true);
        let short = settings.options(&settings.address);
        let connections = Connections::new(short, settings.connections_max, &reach, false);
        let shared =
            Arc::new(Shared { reach, options, place: settings.address.to_string(), settings: settings.clone() });
        Self { connections, notices: Notices::new(direct.clone()), direct, shared }
    }

    /// Looks at the store as an opening does.
    pub(in crate::state::store) async fn examine(&self) -> Result<(), StoreError> {
        examine(&self.shared.settings, CALL_DEADLINE).await
    }

    /// Lets everybody reach it.
    pub(in crate::state::store) fn set_open(&self) {
        self.shared.reach.open();
    }

    /// Brings the schema up to date, and makes it where there is none, if that is allowed. Answers whether anything was
    /// done.
    pub(in crate::state::store) async fn migrate(
        settings: &PostgresSettings,
        making: Making,
    ) -> Result<bool, StoreError> {
        let place = settings.direct.to_string();
        let mut connection = in_time(&place, OPEN_DEADLINE, connect(settings)).await?;
        if making == Making::Refused
            && in_time(&place, OPEN_DEADLINE, schema::look(&mut connection)).await? == Schema::Missing
        {
            return Err(unmade(&place));
        }
        migrate(&mut connection, &place).await
    }

    pub(in crate::state::store) async fn begin(&self, turn: ChangeTurn<'_>) -> Result<Transaction, StoreError> {
        Transaction::begin(&self.connections, &self.notices, turn).await
    }

    pub(in crate::state::store) async fn begin_reading(&self) -> Result<Transaction, StoreError> {
        Transaction::begin_reading(&self.connections, &self.notices).await
    }

    pub(in crate::state::store) async fn begin_alone(&self, tables: &str) -> Result<Transaction, StoreError> {
        Transaction::begin_alone(&self.connections, &self.notices, tables).await
    }

    pub(in crate::state::store) async fn execute(
        &self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<u64, StoreError> {
        Ok(self.connections.execute(query).await?)
    }

    pub(in crate::state::store) async fn fetch_all(
        &self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        Ok(self.connections.fetch_all(query).await?)
    }

    /// Connects once: that it works is known then.
    pub(in crate::state::store) async fn probe(&self) -> Result<(), StoreError> {
        self.connections.acquire().await?.give_back();
        Ok(())
    }

    /// The same store through connections of their own, which try even while the server is known to be away.
    pub(in crate::state::store) fn apart(&self) -> Self {
        Self { connections: self.direct.clone(), ..self.clone() }
    }

    pub(in crate::state::store) fn trouble(&self) -> Option<Trouble> {
        self.shared.reach.trouble()
    }

    pub(in crate::state::store) fn calls(&self) -> u64 {
        self.shared.reach.calls()
    }

    /// Runs several calls as one, which may take as long as one.
    pub(in crate::state::store) async fn within<T, E: From<StoreError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        timeout(CALL_DEADLINE, work).await.map_err(|_| StoreError::unresponsive())?
    }

    pub(in crate::state::store) async fn close(&self) {
        self.connections.close().await;
        self.direct.close().await;
    }

    /// Where the feed ends, in the snapshot of this transaction.
    pub(in crate::state::store) async fn head(&self, transaction: &mut Transaction) -> Result<Position, StoreError> {
        let rows = transaction.fetch_all(feed::head()).await?;
        rows.first().map_or(Err(StoreError::corrupt("its feed has no row")), feed::position_of)
    }

    /// The feed behind a position.
    pub(in crate::state::store) async fn after(&self, position: Position, limit: u32) -> Result<Page, StoreError> {
        if let Some(row) = self.notices.last_committed() {
            // What was acknowledged here may never have come to the server that answers now.
            let is_there = !self.direct.fetch_all(feed::at(row)).await?.is_empty();
            self.notices.looked_for(row);
            if !is_there {
                return Ok(Page::OtherHistory);
            }
        }
        feed::read(position, &self.direct.fetch_all(feed::after(position, limit)).await?)
    }

    /// Writes this gateway down; answers the server's time in milliseconds since the Unix epoch.
    pub(in crate::state::store) async fn beat(&self, beat: &Beat) -> Result<i64, StoreError> {
        let rows = self.direct.fetch_all(gateways::beat(beat)).await?;
        let row = rows.first().ok_or(StoreError::corrupt("a gateway's row was not written"))?;
        Ok(row.try_get("beat_at")?)
    }

    /// The gateways that follow this store.
    pub(in crate::state::store) async fn peers(&self) -> Result<Vec<Peer>, StoreError> {
        gateways::read(&self.direct.fetch_all(gateways::peers()).await?)
    }

    /// Takes a gateway's row away that ends by itself.
    pub(in crate::state::store) async fn leave(&self, id: [u8; 16]) -> Result<(), StoreError> {
        self.direct.execute(gateways::leave(id)).await?;
        Ok(())
    }

    /// Drops rows of the feed that nobody needs, and gateways that ended without a word. Answers whether more are left.
    pub(in crate::state::store) async fn tidy(&self) -> Result<bool, StoreError> {
        self.direct.execute(gateways::forget()).await?;
        Ok(self.direct.execute(feed::prune(PRUNED_AT_ONCE)).await? == u64::from(PRUNED_AT_ONCE))
    }

    /// What wakes those that follow the feed.
    pub(in crate::state::store) async fn listen(&self) -> Result<Listener, StoreError> {
        Listener::connect(self.shared.options.clone(), self.notices.clone(), self.direct.clone()).await
    }

    /// Waits until this process changed something.
    pub(in crate::state::store) async fn woken(&self) {
        self.notices.woken().await;
    }

    /// Where it is, for people; without a password.
    pub(in crate::state::store) fn place(&self) -> &str {
        &self.shared.place
    }
}

fn unmade(place: &str) -> StoreError {
    let why = "it holds no store of Portero: run portero store init once; it makes the tables and the master key";
    StoreError::unusable(place, why.to_owned())
}

/// Looks whether the store that is there is one to work with. Its schema is brought up to date where the config says
/// so.
async fn examine(settings: &PostgresSettings, deadline: Duration) -> Result<(), StoreError> {
    let place = settings.address.to_string();
    let mut connection = in_time(&place, deadline, connect(settings)).await?;
    match in_time(&place, deadline, schema::look(&mut connection)).await? {
        Schema::Present | Schema::Newer(_) => {}
        Schema::TooNew(version) => return Err(StoreError::too_new(&place, version)),
        Schema::Old(_) if settings.migrates => {
            migrate(&mut connection, &place).await?;
        }
        Schema::Old(version) => {
            let why =
                format!("it has schema version {version}, older than this portero needs: run portero store migrate");
            return Err(StoreError::unusable(&place, why));
        }
        Schema::Missing => return Err(unmade(&place)),
    }
    in_time(&place, deadline, examine_durability(&mut connection, &place)).await?;
    if settings.address == settings.direct {
        return Ok(());
    }
    let pooled = Connections::new(settings.options(&settings.address), pooler::CONNECTIONS, &Arc::default(), true);
    let examined = in_time(&place, deadline, pooler::examine(&pooled, &mut connection, &place)).await;
    pooled.close().await;
    examined
}

async fn connect(settings: &PostgresSettings) -> Result<PgConnection, StoreError> {
    Ok(settings.options(&settings.direct).connect().await?)
}

async fn migrate(connection: &mut PgConnection, place: &str) -> Result<bool, StoreError> {
    timeout(MIGRATION_DEADLINE, schema::migrate(connection, place)).await.map_err(|_| hangs(place))?
}

/// Refuses a server that acknowledges what a crash would undo; warns where one disk alone has what is acknowledged.
async fn examine_durability(connection: &mut PgConnection, place: &str) -> Result<(), StoreError> {
    let statement = "SELECT current_setting('synchronous_commit') AS commit, current_setting('fsync') AS fsync, \
                     current_setting('synchronous_standby_names') AS standbys";
    let row = sqlx::query(statement).fetch_one(connection).await?;
    if row.try_get::<&str, _>("commit")? == "off" {
        let why = "its synchronous_commit is off, so that a crash would undo what was acknowledged: set it to on, for \
                   Portero's role at least";
        return Err(StoreError::unusable(place, why.to_owned()));
    }
    if row.try_get::<&str, _>("fsync")? == "off" {
        tracing::warn!("the store's server has fsync off: a power cut would undo what was acknowledged");
    }
    if row.try_get::<&str, _>("standbys")?.is_empty() {
        tracing::warn!(
            "the store's server has no synchronous standby: what was acknowledged last can be lost with its machine"
        );
    } else if row.try_get::<&str, _>("commit")? == "local" {
        tracing::warn!(
            "the store's server has a synchronous standby and does not wait for it (synchronous_commit is local): what \
             was acknowledged last can be lost with its machine"
        );
    }
    Ok(())
}

async fn in_time<T>(
    place: &str,
    deadline: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let done = timeout(deadline, work).await.map_err(|_| hangs(place))?;
    // At the start an operator must hear which store it is.
    done.map_err(|error| match error {
        StoreError::Unavailable { reason, source } if is_away(&source) && !is_untrusted(&source) => {
            StoreError::unreachable(place, reason)
        }
        StoreError::Unavailable { reason, .. } => StoreError::unusable(place, reason.to_owned()),
        other => other,
    })
}

fn hangs(place: &str) -> StoreError {
    StoreError::unreachable(place, Trouble::Unresponsive.reason())
}
