use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;

async fn open(folder: &TempDir) -> Store {
    Store::open(&settings(folder)).await.unwrap()
}

fn settings(folder: &TempDir) -> Settings {
    Settings { path: folder.path().join("portero.db") }
}

#[tokio::test]
async fn its_files_are_private_and_in_wal_with_full_sync() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.set_meta("a", b"1").await.unwrap();
    for name in ["portero.db", "portero.db-wal", "portero.db-shm"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let pragma = async |statement| sqlx::query_scalar::<_, String>(statement).fetch_one(store.pool()).await.unwrap();
    assert_eq!(pragma("SELECT journal_mode FROM pragma_journal_mode").await, "wal");
    assert_eq!(pragma("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous").await, "2");
    assert_eq!(pragma("SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys").await, "1");
    assert_eq!(pragma("SELECT CAST(timeout AS TEXT) FROM pragma_busy_timeout").await, "5000");
}

#[tokio::test]
async fn facts_survive_and_the_first_of_two_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    assert_eq!(store.meta("fingerprint").await.unwrap(), None);
    assert_eq!(store.meta_or_insert("fingerprint", b"one").await.unwrap(), b"one");
    assert_eq!(store.meta_or_insert("fingerprint", b"two").await.unwrap(), b"one");
    store.set_meta("fingerprint", b"three").await.unwrap();
    store.close().await;
    assert_eq!(open(&folder).await.meta("fingerprint").await.unwrap().unwrap(), b"three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_a_new_store_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let openings: Vec<_> = (0..8)
        .map(|_| {
            let settings = settings(&folder);
            tokio::spawn(async move { Store::open(&settings).await.map(|_| ()) })
        })
        .collect();
    for opening in openings {
        opening.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_watch_sees_each_commit_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = (open(&folder).await, open(&folder).await);
    let mut watch = store.watch().await.unwrap();
    assert!(!watch.changed().await.unwrap());
    for (writer, value) in [(&store, b"1"), (&other, b"2")] {
        writer.set_meta("a", value).await.unwrap();
        assert!(watch.changed().await.unwrap());
        assert!(!watch.changed().await.unwrap());
    }
    let transaction = other.begin().await.unwrap();
    drop(transaction);
    assert!(!watch.changed().await.unwrap());
}

#[tokio::test]
async fn a_newer_store_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let row = "INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 0)";
    sqlx::query(row).execute(store.pool()).await.unwrap();
    let error = Store::open(&settings(&folder)).await.unwrap_err();
    assert!(matches!(error, StoreError::TooNew { version: 9999, .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_store_is_named_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "Lorem ipsum dolor sit amet. ".repeat(100)).unwrap();
    for (path, reason) in [
        (text.clone(), "no SQLite database"),
        (folder.path().join("missing/portero.db"), "its folder does not exist"),
        (folder.path().to_owned(), "cannot be opened"),
        (PathBuf::new(), "cannot be opened"),
    ] {
        let error = Store::open(&Settings { path: path.clone() }).await.unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains(path.to_str().unwrap()), "{error}");
    }
    assert!(fs::read_to_string(text).unwrap().starts_with("Lorem"));
}
