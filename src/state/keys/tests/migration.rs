use sqlx::{ConnectOptions, Connection, migrate::Migrator, sqlite::SqliteConnectOptions};

use super::*;
use crate::state::keys::{Key, KeyState, MasterKey};

/// A store as the first version made it: with its schema, its bookkeeping, and keys of every state.
async fn store_of_the_first_version(folder: &TempDir) {
    let migrations = folder.path().join("migrations");
    std::fs::create_dir(&migrations).unwrap();
    std::fs::write(migrations.join("0001_init.sql"), include_str!("../../store/migrations/0001_init.sql")).unwrap();
    let file = folder.path().join("portero.db");
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    Migrator::new(migrations).await.unwrap().run(&mut connection).await.unwrap();
    let master = MasterKey::read_or_create(&master(folder).master_key_file).unwrap();
    let mut facts = vec![("master_key_fingerprint".to_owned(), master.fingerprint())];
    facts.extend([("longest_lifetime/short".to_owned(), "60".to_owned())]);
    facts.extend([("longest_lifetime/endless".to_owned(), "for ever".to_owned())]);
    for (name, value) in facts {
        let query = sqlx::query("INSERT INTO meta (name, value) VALUES (?, ?)").bind(name);
        query.bind(value.into_bytes()).execute(&mut connection).await.unwrap();
    }
    for (id, realm, state) in [
        ("00000000000000a1", "short", "active"),
        ("00000000000000a2", "short", "retiring"),
        ("00000000000000a3", "endless", "retiring"),
        ("00000000000000a4", "unknown", "retiring"),
        ("00000000000000a5", "short", "revoked"),
    ] {
        let material = Key::generate_material(Algorithm::Hs256).unwrap();
        let sealed = master.seal(&format!("portero token key {id}"), &material);
        sqlx::query(
            "INSERT INTO keys (id, realm, algorithm, state, sealed, created_at) VALUES (?, ?, 'HS256', ?, ?, 5)",
        )
        .bind(id)
        .bind(realm)
        .bind(state)
        .bind(sealed)
        .execute(&mut connection)
        .await
        .unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_store_of_the_first_version_keeps_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    store_of_the_first_version(&folder).await;
    let vault = open(&folder).await;
    vault.wipe_revoked().await.unwrap();
    let records = vault.records().await.unwrap();
    assert_eq!(records.len(), 5);
    let states: Vec<_> = records.iter().map(|record| record.state).collect();
    assert_eq!(&states[..2], [KeyState::Active, KeyState::Retiring]);
    assert_eq!(
        (records[0].activated_at, records[0].created_at),
        (Some(Timestamp::from_millis(5)), Timestamp::from_millis(5))
    );
    let since = records[1].retiring_since.unwrap();
    assert_eq!(records[1].retires_at, Some(since.plus(std::time::Duration::from_secs(60 + 7200))));
    assert_eq!((records[2].retires_at, records[3].retires_at), (None, None), "for ever, or unknown: never by itself");
    assert!(records[4].ended_at.is_some());
    let ring = vault.load().await.unwrap();
    assert_eq!(ring.own().count(), 5);
    assert!(ring.own().all(|key| key.profile.is_none() && key.can_sign() == key.state.verifies()));
    assert!(records[4].wiped, "a revoked key loses its material, though an earlier version kept it");

    let before = vault.revision().await.unwrap();
    let (short, id) = ("short".parse().unwrap(), &records[0].id);
    vault.replace(&short, Algorithm::Hs256, Some(id), until(9), at(1)).await.unwrap().unwrap();
    assert_ne!(vault.revision().await.unwrap(), before, "every change raises the revision");
    let second = sqlx::query("UPDATE keys SET state = 'active', retiring_since = NULL WHERE id = '00000000000000a1'");
    assert!(second.execute(vault.store.pool()).await.is_err(), "one key signs for a realm");
}
