//! Stores that hundreds of tests begin with: made once a build by its own commands, then copied.

use std::{
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use super::Folder;

/// The files of a store that nobody has open.
const FILES: [&str; 2] = ["portero.db", "master.key"];

/// Puts the store of this name into a folder that has none. `make` makes it in another folder, where nobody did before.
#[track_caller]
pub(crate) fn copy_store(name: &str, to: &Folder, make: impl FnOnce(&Folder)) {
    let template = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{:016x}", build()));
    fs::create_dir_all(template.parent().unwrap()).unwrap();
    // Tests start side by side, each in a process of its own: one of them makes it.
    let lock = File::create(template.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !template.exists() {
        let folder = Folder::new();
        make(&folder);
        // A process that is killed in the middle leaves no half template.
        let beside = template.with_extension("new");
        let _ = fs::remove_dir_all(&beside);
        fs::create_dir(&beside).unwrap();
        copy(folder.path(), &beside);
        fs::rename(&beside, &template).unwrap();
    }
    drop(lock);
    copy(&template, to.path());
}

/// The permissions go along: both are their owner's alone.
fn copy(from: &Path, to: &Path) {
    for file in FILES {
        assert!(!to.join(file).exists(), "{file} is there");
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// What tells this build from another: its stores may differ.
fn build() -> u64 {
    let program = fs::metadata(env!("CARGO_BIN_EXE_portero")).unwrap();
    let mut hasher = DefaultHasher::new();
    (program.len(), program.modified().unwrap()).hash(&mut hasher);
    hasher.finish()
}
