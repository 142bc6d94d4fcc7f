//! A store on a file: what lies on the disk, and what becomes of it when it hangs, moves or is damaged.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use sqlx::{Connection as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{
    EPOCH_FLOOR, Store, StoreSettings, Turn,
    engine::Engine,
    error::{StoreError, Trouble},
    sqlite::{SqliteStore, backup, keep_ours, look, migration_steps},
};
use crate::domain::Timestamp;

/// A query that never ends: a store that hangs.
const ENDLESS: &str =
    "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) SELECT count(*) FROM number";

async fn made(folder: &TempDir) -> Store {
    Store::make(&settings(folder)).await.unwrap()
}

fn settings(folder: &TempDir) -> StoreSettings {
    StoreSettings::Sqlite(store_file(folder))
}

fn store_file(folder: &TempDir) -> PathBuf {
    folder.path().join("portero.db")
}

/// The engine below it.
fn engine(store: &Store) -> &SqliteStore {
    match &store.engine {
        Engine::Sqlite(sqlite) => sqlite,
        Engine::Postgres(_) => panic!("it is a file"),
    }
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn its_files_are_private_and_in_wal_with_full_sync() {
    let folder = crate::memory::new_folder();
    let store = made(&folder).await;
    store.set_meta("a", b"1").await.unwrap();
    for name in ["portero.db", "portero.db-wal", "portero.db-shm"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let pragma = async |statement| {
        sqlx::query_scalar::<_, String>(statement).fetch_one(engine(&store).connections()).await.unwrap()
    };
    assert_eq!(pragma("SELECT journal_mode FROM pragma_journal_mode").await, "wal");
    assert_eq!(pragma("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous").await, "2");
    assert_eq!(pragma("SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys").await, "1");
    assert_eq!(pragma("SELECT CAST(timeout AS TEXT) FROM pragma_busy_timeout").await, "4000");
    assert_eq!(pragma("SELECT CAST(secure_delete AS TEXT) FROM pragma_secure_delete").await, "1");
    assert_eq!(pragma("SELECT CAST(journal_size_limit AS TEXT) FROM pragma_journal_size_limit").await, "16777216");
}

#[tokio::test]
async fn facts_survive_and_the_first_of_two_wins() {
    let folder = crate::memory::new_folder();
    let store = made(&folder).await;
    assert_eq!(store.meta("fingerprint").await.unwrap(), None);
    assert_eq!(store.meta_or_insert("fingerprint", b"one").await.unwrap(), b"one");
    assert_eq!(store.meta_or_insert("fingerprint", b"two").await.unwrap(), b"one");
    store.set_meta("fingerprint", b"three").await.unwrap();
    store.close().await;
    assert_eq!(names(&folder), ["portero.db"], "one whole file is left");
    let store = Store::open(&settings(&folder)).await.unwrap();
    assert_eq!(store.meta("fingerprint").await.unwrap().unwrap(), b"three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_make_a_store_at_once_and_have_the_same() {
    let folder = crate::memory::new_folder();
    let openings: Vec<_> = (0..8)
        .map(|number| {
            let settings = settings(&folder);
            tokio::spawn(async move {
                let store = Store::make(&settings).await.unwrap();
                store.meta_or_insert("first", &[number]).await.unwrap()
            })
        })
        .collect();
    let mut seen = vec![];
    for opening in openings {
        seen.push(opening.await.unwrap());
    }
    assert!(seen.iter().all(|first| *first == seen[0]), "{seen:?}");
    assert!(names(&folder).iter().all(|name| !name.contains("new")), "{:?}", names(&folder));
}

#[tokio::test]
async fn what_is_missing_is_never_made_by_opening_it() {
    let folder = crate::memory::new_folder();
    assert!(matches!(Store::open(&settings(&folder)).await, Err(StoreError::Missing { .. })));
    assert!(names(&folder).is_empty());
    // A journal alone is what is left of a store.
    for left in ["portero.db-wal", "portero.db-shm"] {
        let left = folder.path().join(left);
        fs::write(&left, "x").unwrap();
        for refused in [Store::open(&settings(&folder)).await, Store::make(&settings(&folder)).await] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(left.to_str().unwrap()), "{error}");
        }
        fs::remove_file(left).unwrap();
    }
    fs::write(folder.path().join("portero.db"), "").unwrap();
    for refused in [Store::open(&settings(&folder)).await, Store::make(&settings(&folder)).await] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("it is empty"), "{error}");
    }
    assert_eq!(names(&folder), ["portero.db"]);
}

#[tokio::test]
async fn what_others_can_read_is_refused() {
    let folder = crate::memory::new_folder();
    made(&folder).await.close().await;
    for mode in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(folder.path().join("portero.db"), fs::Permissions::from_mode(mode)).unwrap();
        let error = Store::open(&settings(&folder)).await.unwrap_err().to_string();
        assert!(error.contains("chmod 600") && error.contains(&format!("{mode:o}")), "{error}");
    }
}

#[tokio::test]
async fn a_watch_sees_each_commit_once() {
    let folder = crate::memory::new_folder();
    let (store, other) = (made(&folder).await, made(&folder).await);
    let mut watch = store.watch().await.unwrap();
    assert!(!watch.changed().await.unwrap());
    for (writer, value) in [(&store, b"1"), (&other, b"2")] {
        writer.set_meta("a", value).await.unwrap();
        assert!(watch.changed().await.unwrap());
        assert!(!watch.changed().await.unwrap());
    }
    let transaction = other.begin(Turn::Nothing).await.unwrap();
    drop(transaction);
    assert!(!watch.changed().await.unwrap());
}

#[tokio::test]
async fn another_file_in_its_place_is_never_used_and_the_same_one_is_only_where_there_was_no_other() {
    let folder = crate::memory::new_folder();
    let (path, away) = (folder.path().join("portero.db"), folder.path().join("away.db"));
    let store = made(&folder).await;
    store.set_meta("a", b"1").await.unwrap();
    let mut watch = store.watch().await.unwrap();
    for replace in [false, true] {
        fs::rename(&path, &away).unwrap();
        let impostor = folder.path().join("impostor.db");
        if replace {
            fs::copy(&away, &path).unwrap();
            fs::copy(&path, &impostor).unwrap();
        }
        assert!(watch.changed().await.unwrap_err().is_transient());
        assert_eq!(store.trouble(), Some(if replace { Trouble::Replaced } else { Trouble::Missing }));
        // Neither by a connection that is open, nor by a new one.
        for handle in [&store, &store.apart()] {
            assert!(handle.set_meta("a", b"2").await.is_err());
            assert!(handle.begin(Turn::Nothing).await.is_err());
        }
        assert!(store.watch().await.is_err() && store.confirm().await.is_err());
        if replace {
            assert_eq!(fs::read(&path).unwrap(), fs::read(&impostor).unwrap(), "nobody wrote into it");
        }
        fs::rename(&away, &path).unwrap();
        assert_eq!(watch.changed().await.ok(), (!replace).then_some(true), "nobody looked meanwhile");
        assert_eq!(store.trouble(), replace.then_some(Trouble::Replaced));
        assert_eq!(store.meta("a").await.ok().flatten(), (!replace).then(|| b"1".to_vec()));
    }
    watch.close().await;
    store.close().await;
}

#[tokio::test]
async fn what_is_written_while_the_file_is_away_is_not_confirmed_and_its_end_leaves_the_files_alone() {
    let folder = crate::memory::new_folder();
    let (path, away) = (folder.path().join("portero.db"), folder.path().join("away.db"));
    let store = made(&folder).await;
    store.set_meta("a", b"1").await.unwrap();
    fs::rename(&path, &away).unwrap();
    // One that finds a connection open succeeds, where no watch has looked.
    let _ = store.set_meta("a", b"2").await;
    assert!(store.confirm().await.is_err());
    let journal = || fs::read(folder.path().join("portero.db-wal")).unwrap();
    let before = (names(&folder), journal(), fs::read(&away).unwrap());
    store.close().await;
    drop(store);
    assert_eq!((names(&folder), journal(), fs::read(&away).unwrap()), before);
}

#[tokio::test]
async fn what_is_written_into_a_journal_that_was_emptied_is_not_confirmed() {
    let folder = crate::memory::new_folder();
    let store = made(&folder).await;
    store.set_meta("a", b"1").await.unwrap();
    let journal = fs::OpenOptions::new().write(true).open(folder.path().join("portero.db-wal")).unwrap();
    journal.set_len(0).unwrap();
    // A connection that reads the journal fails; one that has in memory what it needs writes.
    let acknowledged = store.set_meta("a", b"2").await.is_ok() && store.confirm().await.is_ok();
    assert!(!acknowledged);
    let database = fs::read(folder.path().join("portero.db")).unwrap();
    store.close().await;
    assert_eq!(fs::read(folder.path().join("portero.db")).unwrap(), database, "no hole went into it");
}

#[tokio::test]
async fn a_journal_that_nobody_can_read_is_begun_anew() {
    let folder = crate::memory::new_folder();
    made(&folder).await.close().await;
    let journal = folder.path().join("portero.db-wal");
    fs::write(&journal, [0; 8_192]).unwrap();
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o600)).unwrap();
    let store = Store::open(&settings(&folder)).await.unwrap();
    store.confirm().await.unwrap();
    store.set_meta("a", b"1").await.unwrap();
    store.confirm().await.unwrap();
    store.close().await;
    assert_eq!(names(&folder), ["portero.db"]);
}

#[tokio::test]
async fn a_connection_that_met_another_file_is_not_closed_on_it() {
    let folder = crate::memory::new_folder();
    let (path, away) = (folder.path().join("portero.db"), folder.path().join("away.db"));
    let store = made(&folder).await;
    store.set_meta("a", b"1").await.unwrap();
    fs::rename(&path, &away).unwrap();
    let other = crate::memory::new_folder();
    made(&other).await.close().await;
    fs::copy(other.path().join("portero.db"), &path).unwrap();
    let before = fs::read(&path).unwrap();
    // As if the file was exchanged right after the look: it is open, and reads our journal.
    let mut connection = sqlx::ConnectOptions::connect(&engine(&store).shared.options).await.unwrap();
    assert!(keep_ours(&mut connection, &engine(&store).shared.place).await.is_err());
    connection.close().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), before, "our journal was not written into it");
    assert!(folder.path().join("portero.db-wal").exists());
    fs::remove_file(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    assert_eq!(store.trouble(), Some(Trouble::Replaced));
    let mut connection = sqlx::ConnectOptions::connect(&engine(&store).shared.options).await.unwrap();
    let value: Vec<u8> =
        sqlx::query_scalar("SELECT value FROM meta WHERE name = 'a'").fetch_one(&mut connection).await.unwrap();
    assert_eq!(value, b"1");
}

#[tokio::test]
async fn a_call_that_hangs_ends_and_the_next_does_not_try_until_somebody_finds_out() {
    let folder = crate::memory::new_folder();
    let store = made(&folder).await;
    let apart = store.apart();
    let hung = sqlx::query(ENDLESS).fetch_one(engine(&store).connections()).await.map(drop);
    assert!(StoreError::from(hung.unwrap_err()).hangs());
    assert_eq!(store.trouble(), Some(Trouble::Unresponsive));
    // Other connections are free, and are not tried.
    assert!(store.meta("a").await.unwrap_err().hangs());
    // But by a handle that is there to find out.
    apart.meta("a").await.unwrap();
    apart.recheck().await.unwrap();
    assert_eq!(store.trouble(), None);
    store.meta("a").await.unwrap();
}

#[tokio::test]
async fn who_waits_for_the_write_lock_of_another_process_gets_it_in_turn() {
    let folder = crate::memory::new_folder();
    let (store, other) = (made(&folder).await, made(&folder).await);
    let held = engine(&other).begin().await.unwrap();
    // Both kinds of writes wait, and reads go on beside them.
    let mut waiting = Box::pin(async {
        tokio::join!(store.set_meta("a", b"1"), async {
            let transaction = engine(&store).begin().await?;
            transaction.commit().await.map_err(StoreError::from)
        })
    });
    tokio::select! {
        biased;
        done = &mut waiting => panic!("the lock is held: {done:?}"),
        read = store.meta("a") => assert_eq!(read.unwrap(), None),
    }
    held.rollback().await.unwrap();
    let (written, begun) = waiting.await;
    written.unwrap();
    begun.unwrap();
    assert_eq!(other.meta("a").await.unwrap().unwrap(), b"1");
}

#[tokio::test]
async fn a_queue_of_writers_that_is_long_is_no_store_that_hangs() {
    let folder = crate::memory::new_folder();
    let store = made(&folder).await;
    let held = engine(&store).begin().await.unwrap();
    let (one, other, begun) =
        tokio::join!(store.set_meta("a", b"1"), store.set_meta("b", b"2"), engine(&store).begin());
    for error in [one.unwrap_err(), other.unwrap_err(), begun.map(drop).unwrap_err()] {
        assert!(!error.hangs(), "{error}");
    }
    assert_eq!(store.trouble(), None);
    assert_eq!(store.meta("a").await.unwrap(), None, "reads go on");
    held.rollback().await.unwrap();
    store.set_meta("a", b"1").await.unwrap();
}

#[tokio::test]
async fn a_handle_that_hangs_is_replaced_only_so_often() {
    let folder = crate::memory::new_folder();
    let store = made(&folder).await;
    let mut hung = vec![];
    let mut apart = store.apart();
    loop {
        let pool = engine(&apart).connections().pool.clone();
        let connection = pool.acquire().await.unwrap();
        hung.push(connection);
        let Some(next) = apart.instead() else { break };
        next.meta("a").await.unwrap();
        apart = next;
    }
    assert_eq!(hung.len(), 5, "four were given up, and the fifth is kept");
    drop(hung);
}

#[tokio::test]
async fn the_journal_is_emptied_beside_others_but_not_under_a_reader() {
    let folder = crate::memory::new_folder();
    let (store, other) = (made(&folder).await, made(&folder).await);
    let journal = || fs::metadata(folder.path().join("portero.db-wal")).unwrap().len();
    store.set_meta("a", b"1").await.unwrap();
    let mut reading = engine(&other).begin_reading().await.unwrap();
    sqlx::query("SELECT * FROM meta").fetch_all(&mut *reading).await.unwrap();
    store.set_meta("a", b"2").await.unwrap();
    assert!(!store.empty_journal().await.unwrap() && journal() > 0);
    reading.rollback().await.unwrap();
    assert!(store.empty_journal().await.unwrap());
    assert_eq!(journal(), 0);
    assert_eq!(other.meta("a").await.unwrap().unwrap(), b"2");
}

#[tokio::test]
async fn a_newer_store_is_left_alone() {
    let folder = crate::memory::new_folder();
    let store = made(&folder).await;
    let row = "INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 0)";
    sqlx::query(row).execute(engine(&store).connections()).await.unwrap();
    let error = Store::open(&settings(&folder)).await.unwrap_err();
    assert!(matches!(error, StoreError::TooNew { version: 9999, .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_store_is_named_and_explained() {
    let folder = crate::memory::new_folder();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "Lorem ipsum dolor sit amet. ".repeat(100)).unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).unwrap();
    let external = folder.path().join("foreign.db");
    let options = SqliteConnectOptions::new().filename(&external).create_if_missing(true);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("CREATE TABLE theirs (a)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    fs::set_permissions(&external, fs::Permissions::from_mode(0o600)).unwrap();
    for (path, reason) in [
        (text.clone(), "no SQLite database"),
        (external.clone(), "no store of Portero"),
        (folder.path().join("missing/portero.db"), "its folder does not exist"),
        (folder.path().to_owned(), "no regular file"),
        (PathBuf::new(), "cannot be opened"),
    ] {
        for refused in [
            Store::open(&StoreSettings::Sqlite(path.clone())).await,
            Store::make(&StoreSettings::Sqlite(path.clone())).await,
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(path.to_str().unwrap()), "{error}");
        }
    }
    assert!(fs::read_to_string(text).unwrap().starts_with("Lorem"));
}

#[tokio::test]
async fn an_emptying_that_is_given_up_leaves_no_impatient_connection() {
    let folder = crate::memory::new_folder();
    let store = made(&folder).await;
    // One connection: the next call has the same.
    let apart = store.apart();
    for polls in 1..40 {
        apart.set_meta("a", b"1").await.unwrap();
        let mut emptying = Box::pin(apart.empty_journal());
        let mut polled = 0;
        let done = std::future::poll_fn(|context| {
            polled += 1;
            match emptying.as_mut().poll(context) {
                std::task::Poll::Pending if polled < polls => std::task::Poll::Pending,
                other => std::task::Poll::Ready(other.is_ready()),
            }
        })
        .await;
        drop(emptying);
        let timeout = sqlx::query_scalar::<_, i64>("SELECT timeout FROM pragma_busy_timeout");
        assert_eq!(timeout.fetch_one(engine(&apart).connections()).await.unwrap(), 4_000, "given up at step {polls}");
        if done {
            return;
        }
    }
    panic!("it never came to its end");
}

#[tokio::test]
async fn a_store_that_is_brought_up_to_date_shows_that_it_goes_on() {
    let folder = crate::memory::new_folder();
    let store = made(&folder).await;
    let undone = "\
        DROP TRIGGER takeover_forgotten; DROP TABLE takeovers; DROP TABLE trusted_logins; DROP TABLE old_tokens; \
        DROP TABLE migration_counts; DROP TABLE migration_steps; \
        DROP TABLE audit; DROP TABLE audit_anchors; DROP TABLE audit_keys; DROP TABLE admin_tokens; \
        DROP TRIGGER password_key_follows; DROP TABLE imports; DROP INDEX principals_sealed; \
        DROP INDEX principals_foreign_hashes; DROP TRIGGER account_sources_forgotten; DROP TABLE account_sources; \
        DROP TABLE throttles; DROP TABLE known_addresses; \
        DROP TABLE ending_lines; DROP TABLE deletions; DROP INDEX sessions_endless; \
        ALTER TABLE sessions DROP COLUMN epoch; DELETE FROM _sqlx_migrations WHERE version >= 6; \
        DROP TABLE account_secrets; DROP TABLE account_logins; DROP TRIGGER account_forgotten; \
        WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 20000) \
        INSERT INTO sessions (id, realm, principal, created_at) SELECT randomblob(16), 'toc', x'00', n FROM number";
    sqlx::raw_sql(undone).execute(&mut *engine(&store).connections().acquire().await.unwrap()).await.unwrap();
    store.close().await;
    let before = migration_steps();
    let store = Store::open(&settings(&folder)).await.unwrap();
    let after = migration_steps();
    assert!(after > before, "a waiting process sees it");
    store.set_meta("a", b"1").await.unwrap();
    store.close().await;
    // Nothing is counted where there is nothing to do.
    Store::open(&settings(&folder)).await.unwrap().close().await;
    assert_eq!(migration_steps(), after);
}

#[tokio::test]
async fn a_look_into_a_store_changes_nothing() {
    let folder = crate::memory::new_folder();
    let path = store_file(&folder);
    let store = made(&folder).await;
    store.set_meta("master_key_fingerprint", b"one").await.unwrap();
    let looked = look(&path).await.unwrap();
    assert_eq!(looked.master_key.as_deref(), Some(&b"one"[..]), "what is in the journal counts");
    store.close().await;
    let before = fs::read(&path).unwrap();
    assert_eq!(look(&path).await.unwrap().master_key, looked.master_key);
    assert_eq!((names(&folder), fs::read(&path).unwrap()), (vec!["portero.db".to_owned()], before));
}

#[tokio::test]
async fn each_restore_raises_epochs_above_those_of_the_one_before() {
    let folder = crate::memory::new_folder();
    let file = folder.path().join("backup.db");
    made(&folder).await.close().await;
    backup::write(&store_file(&folder), &file).await.unwrap();
    let (begins, now) = (1_735_689_600, 1_800_000_000);
    let mut floors = vec![];
    for at in [now, now + 60, 0] {
        fs::remove_file(store_file(&folder)).unwrap();
        backup::read(&store_file(&folder), &file, Timestamp::from_secs(at)).await.unwrap().restore().unwrap();
        let store = Store::open(&settings(&folder)).await.unwrap();
        let floor = store.meta(EPOCH_FLOOR).await.unwrap().unwrap();
        floors.push(String::from_utf8(floor).unwrap().parse::<i64>().unwrap());
        store.close().await;
    }
    assert_eq!(
        floors,
        [now - begins, now + 60 - begins, 1 << 20],
        "whatever the clock says, far above the backup's own"
    );
    // A backup of a restored store knows its floor.
    fs::remove_file(&file).unwrap();
    backup::write(&store_file(&folder), &file).await.unwrap();
    fs::remove_file(store_file(&folder)).unwrap();
    backup::read(&store_file(&folder), &file, Timestamp::from_secs(0)).await.unwrap().restore().unwrap();
    let store = Store::open(&settings(&folder)).await.unwrap();
    assert_eq!(store.meta(EPOCH_FLOOR).await.unwrap().unwrap(), b"2097152");
}
