//! The store that is copied, and how it is ended.

use super::{
    super::{
        Store, StoreError, Transaction,
        error::MOVED,
        query::{Query, query},
        status::MOVED_TO,
    },
    tables::{FOLLOWERS, TABLES, names},
};

/// Begins a transaction beside which nobody changes anything.
pub(super) async fn hold(store: &Store) -> Result<Transaction, StoreError> {
    store.begin_alone(&names()).await
}

/// Has the store refuse every change from the commit of this transaction on, and say where it is now.
///
/// The triggers are made here, and not with the schema: they cost nothing as long as the store is one, and what refuses
/// is part of the change that ends it. So there is no time between the two. A transaction that began before waits for
/// the lock that this one holds, and has the triggers when it gets it, whatever it read before: on SQLite its snapshot
/// is too old to write; on PostgreSQL a table's triggers are looked up under the table's lock, whatever the
/// transaction's isolation. It holds for every process, one of an earlier version too, and for single statements.
pub(super) async fn end(transaction: &mut Transaction, to: &str) -> Result<(), StoreError> {
    query("INSERT INTO meta (name, value) VALUES ($1, $2)")
        .bind(MOVED_TO)
        .bind(to.as_bytes())
        .execute(&mut *transaction)
        .await?;
    for statement in refusals(to) {
        statement.execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Where one engine has nothing to do.
const NOTHING: &str = "SELECT 1";

fn refusals(to: &str) -> Vec<Query> {
    // A literal of SQL: both engines read one in the same way.
    let said = format!("{MOVED}{to}").replace('\'', "''");
    let function = "CREATE FUNCTION store_moved() RETURNS trigger LANGUAGE plpgsql AS \
                    $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'PM001', MESSAGE = TG_ARGV[0]; END $$";
    let mut statements = vec![Query::of(NOTHING, function)];
    for name in TABLES.each_ref().map(|table| table.name) {
        let refusing = ["INSERT", "UPDATE", "DELETE"].map(|change| {
            format!("CREATE TRIGGER {name}_moved_{change} BEFORE {change} ON {name} BEGIN SELECT RAISE(ABORT, '{said}'); END")
        });
        let on_server = [refusing_all(name, &said), NOTHING.to_owned(), NOTHING.to_owned()];
        let pairs = refusing.into_iter().zip(on_server);
        statements.extend(pairs.map(|(sqlite, postgres)| Query::composed_of(sqlite, postgres)));
    }
    // A gateway that can no longer write itself down here is stale in the end: it does not hear what is revoked there.
    statements.push(Query::composed_of(NOTHING.to_owned(), refusing_all(FOLLOWERS, &said)));
    statements
}

/// A statement of PostgreSQL after which a table refuses every change, one that finds no row too.
fn refusing_all(table: &str, said: &str) -> String {
    format!(
        "CREATE TRIGGER {table}_moved BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} \
         FOR EACH STATEMENT EXECUTE FUNCTION store_moved('{said}')"
    )
}

/// How many rows there are to copy.
pub(super) async fn rows(transaction: &mut Transaction) -> Result<u64, StoreError> {
    let mut rows = 0;
    for table in &TABLES {
        let number: i64 = table.count().one(&mut *transaction).await?.first()?;
        rows += number.unsigned_abs();
    }
    Ok(rows)
}
