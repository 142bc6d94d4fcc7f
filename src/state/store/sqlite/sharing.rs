//! Whether the processes that have a store's journal open have its database open too.
//!
//! SQLite finds the journal by the database's name. Where another file has taken that name, two databases share one
//! journal: each process writes what it finds there into its own, and takes it for done in both.

use std::{fs::File, path::Path, thread::sleep, time::Duration};

use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

use super::place::files;

/// The locks that SQLite holds as long as a file in WAL mode is open, as `os_unix.c` has them: first octet and number.
const DATABASE_LOCK: (u64, u64) = (0x4000_0002, 510);
const INDEX_LOCK: (u64, u64) = (128, 1);

/// Looks at the locks, at most: a process that is just opening or closing the store holds one of them for a moment.
const LOOKS_MAX: u32 = 20;

/// Between two of them.
const PAUSE: Duration = Duration::from_millis(10);

/// Whether the database at `path` and the index beside it are locked together, or neither is. To be asked before this
/// process opens the store: it opens the files and closes them, which ends the locks that the process itself has on
/// them (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
///
/// Two databases that are both open are not told apart, and a file system without locks says nothing.
pub(super) fn is_of_one_store(path: &Path) -> bool {
    let [database, _, index] = files(path);
    for look in 1..=LOOKS_MAX {
        if is_locked(&database, DATABASE_LOCK) == is_locked(&index, INDEX_LOCK) {
            return true;
        }
        if look < LOOKS_MAX {
            sleep(PAUSE);
        }
    }
    false
}

/// Whether another process has a lock on these octets of the file.
fn is_locked(file: &Path, (start, length): (u64, u64)) -> bool {
    let Ok(file) = File::open(file) else { return false };
    let any = Flock { start, length, pid: None, typ: FlockType::WriteLock, offset_type: FlockOffsetType::Set };
    fcntl_getlk(file, &any).is_ok_and(|lock| lock.is_some())
}
