use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

use super::*;
use crate::state::keys::{MasterKey, MasterKeyError, VaultError, throttle_key::THROTTLE_KEY};

/// The folder as a crash at this moment leaves it.
fn crash(folder: &Path) -> TempDir {
    let copy = crate::memory::new_folder();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("master")).collect();
    names.sort();
    names
}

async fn opens(folder: &TempDir, id: &KeyId) {
    let vault = open(folder).await;
    assert!(vault.load().await.unwrap().get(id.as_str()).is_some());
    assert_eq!(names(folder.path()), ["master.key"], "one file is left");
}

#[tokio::test]
async fn a_crash_at_any_step_loses_no_key() {
    let (place, id) = Place::with_key(Algorithm::Hs256).await;
    let folder = place.folder.path();
    let before = MasterKey::read(&master(&place.folder).master_key_file).unwrap().fingerprint();
    let mut after_writing = None;
    let sealed = place.vault.reseal_under(|vault, fingerprint| {
        vault.master.settle(fingerprint)?;
        let new = vault.master.write_beside();
        after_writing = Some(crash(folder));
        new
    });
    assert_eq!(sealed.await.unwrap(), 1);
    let after_commit = crash(folder);
    for folder in [&after_writing.unwrap(), &after_commit] {
        assert_eq!(names(folder.path()), ["master.key", "master.key.new"]);
        opens(folder, &id).await;
    }
    // A process whose turn it is not to put the files in order reads on all the same.
    assert!(place.vault.load().await.unwrap().get(id.as_str()).is_some());
    opens(&place.folder, &id).await;
    assert_ne!(MasterKey::read(&master(&place.folder).master_key_file).unwrap().fingerprint(), before);
}

#[tokio::test]
async fn who_runs_meanwhile_goes_on() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let running = place.beside().await;
    let revision = running.revision().await.unwrap();
    for _ in 0..2 {
        assert_eq!(place.beside().await.reseal().await.unwrap(), 1);
    }
    assert_ne!(running.revision().await.unwrap(), revision, "gateways look again");
    assert!(running.load().await.unwrap().get(first.as_str()).is_some());
    place.beside().await.reseal().await.unwrap();
    let made = running.replace(&realm(), Algorithm::Hs256, Some(&first), KEPT, at(1)).await.unwrap().unwrap();
    assert!(place.beside().await.load().await.unwrap().get(made.as_str()).is_some(), "new keys too");
    assert_eq!(names(place.folder.path()), ["master.key"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reseals_at_once_leave_the_last_ones_file() {
    let (place, id) = Place::with_key(Algorithm::Hs256).await;
    let mut running = vec![];
    for _ in 0..8 {
        let vault = place.beside().await;
        running.push(tokio::spawn(async move { vault.reseal().await.map(|_| ()) }));
    }
    for reseal in running {
        reseal.await.unwrap().unwrap();
    }
    opens(&place.folder, &id).await;
}

#[tokio::test]
async fn another_file_takes_over_where_it_is_told_to() {
    let (place, id) = Place::with_key(Algorithm::Hs256).await;
    let elsewhere = place.folder.path().join("elsewhere.key");
    assert_eq!(place.vault.reseal_to(&elsewhere).await.unwrap(), 1);
    let refused = place.vault.load().await.unwrap_err();
    assert!(matches!(refused, VaultError::Master(MasterKeyError::Other(_))), "{refused}");
    fs::rename(&elsewhere, master(&place.folder).master_key_file).unwrap();
    assert!(place.vault.load().await.unwrap().get(id.as_str()).is_some(), "put in place, it is read again");
    opens(&place.folder, &id).await;
}

#[tokio::test]
async fn all_gateways_have_the_same_throttle_key_and_a_reseal_leaves_it() {
    let (place, _) = Place::with_key(Algorithm::Hs256).await;
    let key = place.vault.throttle_key().await.unwrap();
    let other = open(&place.folder).await;
    assert_eq!(other.throttle_key().await.unwrap(), key);
    place.vault.reseal().await.unwrap();
    for vault in [&place.vault, &other, &open(&place.folder).await] {
        assert_eq!(vault.throttle_key().await.unwrap(), key);
    }
    let store = place.vault.store();
    let sealed = store.meta(THROTTLE_KEY).await.unwrap().unwrap();
    assert!(!sealed.windows(key.len()).any(|bytes| bytes == key.as_slice()));

    // As an older release leaves it, which seals what it knows of under a new master key.
    store.set_meta(THROTTLE_KEY, &[7; 60]).await.unwrap();
    let new = place.vault.throttle_key().await.unwrap();
    assert_ne!(new, key);
    assert_eq!(other.throttle_key().await.unwrap(), new);
}

#[tokio::test]
async fn a_new_master_key_belongs_to_whom_the_old_one_did() {
    let (place, _) = Place::with_key(Algorithm::Hs256).await;
    let path = master(&place.folder).master_key_file;
    if rustix::process::geteuid().is_root() {
        // The user of a service, whoever it is.
        chown(&path, Some(12_345), Some(12_346)).unwrap();
    }
    let owner = || fs::metadata(&path).map(|file| (file.uid(), file.gid(), file.mode())).unwrap();
    let before = owner();
    assert_eq!(place.vault.reseal().await.unwrap(), 1);
    assert_eq!(owner(), before);
}
