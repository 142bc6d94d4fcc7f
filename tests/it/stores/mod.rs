//! What a store promises, asked of both: a file (SQLite) and a server (PostgreSQL).
//!
//! Each test is written once and runs against each store in turn. It has two handles of the store, as two gateways
//! have. An operation that reads before it writes is called by [`CALLERS`] at once, half of them through each handle.

mod accounts;
mod audit;
mod clock;
mod companies;
mod endless;
mod imports;
mod keys;
mod lines;
mod listing;
mod meta;
mod mixed;
mod refresh;
mod revocations;
mod secrets;
mod sessions;
mod takeovers;
mod throttles;

use std::sync::Arc;

use portero::{
    domain::{
        AccountName, Clock, PrincipalId, PrincipalKind, RealmName, SessionId, SystemClock, Timestamp, TrustedNow,
        TrustedTime, trusted_time::Reading,
    },
    observe::audit::ChainKey,
    state::{
        account::{
            self, Account, AccountError, LegacyId, NewAccount, OldTokens, PasswordHash, Raised, Revised, Revision,
        },
        revocation::{RevocationReader, log::Record},
        session::Session,
        store::{Actor, Address, AuditedStore, Encryption, PostgresSettings, Store, StoreSettings},
    },
};
use sqlx::{
    ConnectOptions, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tempfile::TempDir;
use tokio::{runtime::Builder, sync::Barrier, task::JoinSet};

use crate::support::{Postgres, memory};

/// Callers of one operation at once.
const CALLERS: usize = 64;

/// Connections of a gateway to a server: fewer than callers, so that some wait for one.
const CONNECTIONS: u32 = 4;

/// The time, where it does not matter.
const NOW: Timestamp = Timestamp::from_secs(1_000_000);

/// A store that a test changes as an administrator.
fn by(store: &Store) -> AuditedStore {
    let key = Arc::new(ChainKey::derive("test".to_owned(), b"test"));
    AuditedStore::new(store.clone(), key, Actor::command("tester", "no terminal"))
}

/// One store, as two gateways have it open.
struct Gateways {
    stores: [Store; 2],
    settings: StoreSettings,
    /// For files beside the store.
    folder: TempDir,
}

/// Runs a test against each store.
#[expect(clippy::needless_pass_by_value, reason = "each test is written where it is given")]
fn on_both_stores(test: impl AsyncFn(&Gateways)) {
    let folder = memory::new_folder();
    let file = StoreSettings::Sqlite(folder.path().join("portero.db"));
    on("SQLite", file, folder, &test);
    let postgres = Postgres::start();
    let address = Address {
        host: "127.0.0.1".to_owned(),
        port: postgres.port(),
        user: "portero".to_owned(),
        database: "portero".to_owned(),
    };
    let server = PostgresSettings {
        direct: address.clone(),
        address,
        password: Some(Postgres::password().into()),
        encryption: Encryption::Off,
        ca: None,
        connections_max: CONNECTIONS,
        migrates: true,
    };
    on("PostgreSQL", StoreSettings::Postgres(Box::new(server)), memory::new_folder(), &test);
}

fn on(engine: &str, settings: StoreSettings, folder: TempDir, test: &impl AsyncFn(&Gateways)) {
    // What a test that fails has said is shown.
    println!("on {engine}");
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let stores = [Store::make(&settings).await.unwrap(), Store::open(&settings).await.unwrap()];
        let gateways = Gateways { stores, settings, folder };
        test(&gateways).await;
        for store in gateways.stores {
            store.close().await;
        }
    });
}

impl Gateways {
    /// The handle of the first gateway.
    fn store(&self) -> &Store {
        &self.stores[0]
    }

    /// The handle of the second.
    fn other(&self) -> &Store {
        &self.stores[1]
    }

    /// What [`CALLERS`] that call at once are answered. Each is given a handle and its number.
    async fn at_once<T, F>(&self, call: impl Fn(Store, usize) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let start = Arc::new(Barrier::new(CALLERS));
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let (called, start) = (call(self.stores[number % 2].clone(), number), Arc::clone(&start));
            callers.spawn(async move {
                start.wait().await;
                (number, called.await)
            });
        }
        let mut answers = callers.join_all().await;
        answers.sort_unstable_by_key(|(number, _)| *number);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// A connection of another program to a server.
    async fn connect(&self) -> PgConnection {
        let StoreSettings::Postgres(server) = &self.settings else { panic!("it is a file") };
        let options = PgConnectOptions::new_without_pgpass().host(&server.address.host).port(server.address.port);
        let options = options.username(&server.address.user).database(&server.address.database);
        options.password(Postgres::password()).ssl_mode(PgSslMode::Disable).connect().await.unwrap()
    }

    /// Makes a user that is named so.
    async fn user(&self, name: &str) -> Account {
        account::insert(&by(self.store()), &new_user(name), &hash("h"), NOW).await.unwrap()
    }

    /// All that a gateway hears which starts now.
    async fn revoked(&self) -> Vec<Record> {
        let mut records = vec![];
        RevocationReader::new(self.other().apart()).catch_up(|some| records.extend_from_slice(some)).await.unwrap();
        records
    }
}

fn realm() -> RealmName {
    "apis".parse().unwrap()
}

fn named(name: &str) -> AccountName {
    AccountName { business: String::new(), name: name.to_owned() }
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_stored(text.to_owned())
}

fn new_user(name: &str) -> NewAccount {
    NewAccount {
        id: PrincipalId::generate(),
        realm: realm(),
        kind: PrincipalKind::User,
        name: named(name),
        display_name: None,
        legacy_id: LegacyId::None,
        role: None,
        scopes: vec![],
        company: None,
        grants: None,
    }
}

/// Gives an account another role, or none; its tokens end where it is another.
async fn set_role(
    store: &Store,
    realm: &RealmName,
    name: &AccountName,
    role: Option<&str>,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let judge = |before: &Account, after: &Account| {
        Ok(if before.role == after.role { OldTokens::Keep } else { OldTokens::End })
    };
    let revision = Revision { role: Revised::To(role.map(str::to_owned)), ..Revision::default() };
    account::revise(&by(store), realm, name, revision, judge, now).await
}

/// A login at this second.
fn login(principal: PrincipalId, created_at: i64, expires_at: Option<i64>) -> Session {
    Session {
        id: SessionId::generate(),
        realm: realm(),
        principal,
        created_at: at(created_at),
        expires_at: expires_at.map(at),
    }
}

const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

/// The trusted time of a store that is new at this civil time.
fn trusted(civil: Timestamp) -> TrustedNow {
    let reading = Reading { civil, monotonic: SystemClock.instant() };
    TrustedTime::start(None, reading).observe(reading).unwrap()
}

/// How many of these there are.
fn count<T>(all: &[T], which: impl Fn(&T) -> bool) -> usize {
    all.iter().filter(|one| which(one)).count()
}
