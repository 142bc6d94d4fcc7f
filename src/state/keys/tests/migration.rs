use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, migrate::Migrator, sqlite::SqliteConnectOptions};

use super::*;
use crate::{
    domain::{PrincipalId, RealmName, TokenSubject},
    state::{
        account::{KnownAccounts, Speaker},
        keys::{Key, KeyState, MasterKey, MaterialBytes},
        store::query,
    },
};

const FIRST: (&str, &str) = ("0001_init.sql", include_str!("../../store/sqlite/migrations/0001_init.sql"));
const KEYS: (&str, &str) = ("0002_keys.sql", include_str!("../../store/sqlite/migrations/0002_keys.sql"));
const OAUTH: (&str, &str) = ("0003_oauth.sql", include_str!("../../store/sqlite/migrations/0003_oauth.sql"));

/// A store as an earlier version made it: with its schema and its bookkeeping.
async fn earlier_store(folder: &TempDir, of: &[(&str, &str)]) -> (SqliteConnection, MasterKey) {
    let migrations = folder.path().join("migrations");
    std::fs::create_dir(&migrations).unwrap();
    for (name, text) in of {
        std::fs::write(migrations.join(name), text).unwrap();
    }
    let file = folder.path().join("portero.db");
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    Migrator::new(migrations).await.unwrap().run(&mut connection).await.unwrap();
    std::fs::set_permissions(folder.path().join("portero.db"), Permissions::from_mode(0o600)).unwrap();
    (connection, MasterKey::read_or_create(&master(folder).master_key_file).unwrap())
}

/// A store of the first version with keys of every state.
async fn store_of_the_first_version(folder: &TempDir) {
    let (mut connection, master) = earlier_store(folder, &[FIRST]).await;
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
    let folder = crate::memory::new_folder();
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
    let second = query("UPDATE keys SET state = 'active', retiring_since = NULL WHERE id = '00000000000000a1'");
    assert!(second.execute(&vault.store).await.is_err(), "one key signs for a realm");
}

#[tokio::test]
async fn keys_that_were_imported_before_take_unknown_accounts_as_they_did() {
    let folder = crate::memory::new_folder();
    let (mut connection, master) = earlier_store(&folder, &[FIRST, KEYS, OAUTH]).await;
    let fact = sqlx::query("INSERT INTO meta (name, value) VALUES ('master_key_fingerprint', ?)");
    fact.bind(master.fingerprint().into_bytes()).execute(&mut connection).await.unwrap();
    for (id, imported, profile) in
        [("own", false, None), ("plain", true, None), ("toc", true, Some(r#"{"unnamed":true,"name":"proyecto"}"#))]
    {
        let statement = "INSERT INTO keys (id, realm, algorithm, state, sealed, profile, imported, created_at) \
                         VALUES (?, 'r', 'HS256', 'retiring', ?, ?, ?, 5)";
        let sealed = master.seal(&format!("portero token key {id}"), &[7; 32]);
        let query = sqlx::query(statement).bind(id).bind(sealed).bind(profile).bind(imported);
        query.execute(&mut connection).await.unwrap();
    }
    let insert =
        "INSERT INTO principals (id, realm, kind, name, password_hash, created_at) VALUES (?, 'r', 'user', ?, '-', 0)";
    let ids = [(); 3].map(|()| PrincipalId::generate());
    for (id, name) in ids.iter().zip(["ana", "eva"]) {
        let query = sqlx::query(insert).bind(id.uuid().into_bytes().to_vec()).bind(name);
        query.execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let vault = open(&folder).await;
    let records = vault.records().await.unwrap();
    let unknown: Vec<_> = records.iter().map(|record| (record.id.as_str(), record.unknown_accounts)).collect();
    assert_eq!(unknown, [("own", false), ("plain", true), ("toc", true)]);
    let ring = vault.load().await.unwrap();
    assert!(ring.get("own").unwrap().imported.is_none());
    let toc = ring.get("toc").unwrap();
    assert!(toc.imported.as_ref().unwrap().unknown_accounts);
    assert_eq!(toc.profile.as_ref().unwrap().name.to_string(), "proyecto");
    assert!(vault.restrict(&toc.id).await.unwrap() && !vault.restrict(&records[0].id).await.unwrap());
    let restricted = vault.load().await.unwrap();
    let restricted = restricted.get("toc").unwrap();
    assert!(!restricted.imported.as_ref().unwrap().unknown_accounts && restricted.is(toc), "it is the same key");

    let realm: RealmName = "r".parse().unwrap();
    let accounts = KnownAccounts::default();
    accounts.want([realm.clone()].into());
    accounts.load(vault.store()).await.unwrap();
    let known = |accounts: &KnownAccounts| {
        ids.map(|id| accounts.account_of(&realm, &TokenSubject::Account(id)) == Speaker::Account)
    };
    assert_eq!(known(&accounts), [true, true, false]);
    let insert = "INSERT INTO principals (id, realm, kind, name, password_hash, created_at) \
                  VALUES ($1, 'r', 'user', $2, '-', 0)";
    query(insert).bind(ids[2].uuid().into_bytes()).bind("max").execute(&vault.store).await.unwrap();
    accounts.follow(vault.store(), |_, _| {}).await.unwrap();
    assert_eq!(known(&accounts), [true; 3], "their numbers go on");
}

/// Reads all keys as the version before this one does, with a statement that it has prepared once.
async fn read_as_before(connection: &mut SqliteConnection, master: &MasterKey) -> Vec<(String, String)> {
    let statement = "SELECT * FROM keys WHERE state <> 'retired' ORDER BY created_at, id";
    let rows = sqlx::query(statement).fetch_all(connection).await.unwrap();
    let read = |row: &sqlx::sqlite::SqliteRow| {
        let (id, state): (String, String) = (row.get("id"), row.get("state"));
        let sealed = master.open(&format!("portero token key {id}"), row.get("sealed")).unwrap();
        let public = row.get::<&str, _>("form") == "public";
        let material = if public { MaterialBytes::Public(&sealed) } else { MaterialBytes::Secret(&sealed) };
        let algorithm = row.get::<&str, _>("algorithm").parse().unwrap();
        let state_of = KeyState::from_name(&state).unwrap();
        let made_at = Timestamp::from_millis(row.get("created_at"));
        Key::new(KeyId::from_text(&id), realm(), algorithm, state_of, made_at, material).unwrap();
        row.get::<Option<&str>, _>("profile");
        for flag in ["imported", "pinned", "asked"] {
            row.get::<bool, _>(flag);
        }
        for instant in ["activated_at", "retiring_since", "retires_at", "ended_at"] {
            row.get::<Option<i64>, _>(instant);
        }
        (id, state)
    };
    rows.iter().map(read).collect()
}

#[tokio::test]
async fn a_process_of_the_version_before_reads_on_beside_this_one() {
    let folder = crate::memory::new_folder();
    let (mut before, master) = earlier_store(&folder, &[FIRST, KEYS, OAUTH]).await;
    let fact = sqlx::query("INSERT INTO meta (name, value) VALUES ('master_key_fingerprint', ?)");
    fact.bind(master.fingerprint().into_bytes()).execute(&mut before).await.unwrap();
    let algorithms = [Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Sealed];
    for (n, algorithm) in algorithms.into_iter().enumerate() {
        let material = Key::generate_material(algorithm).unwrap();
        let insert = "INSERT INTO keys (id, realm, algorithm, state, sealed, imported, created_at) \
                      VALUES (?, 'r', ?, 'retiring', ?, ?, 5)";
        let sealed = master.seal(&format!("portero token key {n}"), &material);
        let query = sqlx::query(insert).bind(n.to_string()).bind(algorithm.name()).bind(sealed).bind(n % 2 == 0);
        query.execute(&mut before).await.unwrap();
    }
    let public = MaterialBytes::Secret(&Key::generate_material(Algorithm::Es256).unwrap());
    let public = Key::new(KeyId::generate(), realm(), Algorithm::Es256, KeyState::Active, at(0), public).unwrap();
    let sealed = master.seal("portero token key public", &public.public_der().unwrap());
    let insert = "INSERT INTO keys (id, realm, algorithm, state, form, sealed, imported, created_at) \
                  VALUES ('public', 'r', 'ES256', 'retiring', 'public', ?, 1, 6)";
    sqlx::query(insert).bind(sealed).execute(&mut before).await.unwrap();
    // It wipes what retires, and keeps no thumbprint.
    let insert = "INSERT INTO keys (id, realm, algorithm, state, created_at, ended_at) \
                  VALUES ('gone', 'r', 'RS256', 'retired', 6, 6)";
    sqlx::query(insert).execute(&mut before).await.unwrap();
    let account = |name: &'static str| {
        let insert = "INSERT INTO principals (id, realm, kind, name, password_hash, created_at) \
                      VALUES (?, 'r', 'user', ?, '-', 0)";
        sqlx::query(insert).bind(PrincipalId::generate().uuid().into_bytes().to_vec()).bind(name)
    };
    account("ana").execute(&mut before).await.unwrap();
    assert_eq!(read_as_before(&mut before, &master).await.len(), 6);
    let accounts = "SELECT * FROM principals WHERE realm = ?";
    assert_eq!(sqlx::query(accounts).bind("r").fetch_all(&mut before).await.unwrap().len(), 1);

    // The successor opens the store, and keys end in every way.
    let vault = open(&folder).await;
    for (id, forced) in
        [("0", false), ("1", true), ("2", false), ("3", false), ("4", true), ("public", false), ("gone", false)]
    {
        let id = KeyId::from_text(id);
        if forced {
            assert!(vault.retire_at_once(&id, KeyState::Retiring, at(8)).await.unwrap().is_done());
        }
        let states = read_as_before(&mut before, &master).await;
        assert!(!states.iter().any(|(known, state)| known == id.as_str() && (forced || state == "revoked")));
        vault.revoke(&id, at(9)).await.unwrap().unwrap();
        let states = read_as_before(&mut before, &master).await;
        assert!(states.contains(&(id.as_str().to_owned(), "revoked".to_owned())), "{states:?}");
    }
    account("eva").execute(&mut before).await.unwrap();
    assert_eq!(sqlx::query(accounts).bind("r").fetch_all(&mut before).await.unwrap().len(), 2);

    // And the one before revokes as it does: it keeps the material.
    let material = Key::generate_material(Algorithm::Hs256).unwrap();
    let insert = "INSERT INTO keys (id, realm, algorithm, state, sealed, created_at, ended_at) \
                  VALUES ('late', 'r', 'HS256', 'revoked', ?, 7, 7)";
    let query = sqlx::query(insert).bind(master.seal("portero token key late", &material));
    query.execute(&mut before).await.unwrap();
    assert_eq!(vault.wipe_revoked().await.unwrap(), 1, "this one alone was kept");
    assert_eq!(vault.wipe_revoked().await.unwrap(), 0);
    assert!(vault.records().await.unwrap().iter().all(|key| key.state == KeyState::Revoked && key.wiped));
    assert_eq!(read_as_before(&mut before, &master).await.len(), 8);
    assert_eq!(vault.load().await.unwrap().own().filter(|key| key.can_sign() || key.public().is_some()).count(), 0);
}
