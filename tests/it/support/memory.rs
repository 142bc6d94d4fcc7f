//! Where the files of tests are: in memory, where the system has a file system there. What most tests are about is not
//! the disk, and one that stands still for seconds, because something else writes to it, would fail them.

use std::{env, path::PathBuf};

use tempfile::TempDir;

const MEMORY: &str = "/dev/shm";

/// What it must have free: several tests run at once, and a server of PostgreSQL takes 21 MiB and what the test writes.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// A new folder that is gone with its test.
pub(crate) fn new_folder() -> TempDir {
    TempDir::new_in(folder().unwrap_or_else(env::temp_dir)).unwrap()
}

/// The folder for folders in memory, where there is enough of it.
pub(crate) fn folder() -> Option<PathBuf> {
    let free = rustix::fs::statvfs(MEMORY).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    (free >= FREE_BYTES_MIN).then(|| PathBuf::from(MEMORY))
}
