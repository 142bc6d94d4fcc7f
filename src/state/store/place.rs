//! Where the store's files are, and whether they are still the ones that were opened.
//!
//! SQLite opens its files by path and then goes on with what it has open. A file that is deleted, renamed or
//! covered by a mount therefore takes writes that nobody can read any more. So the device and the inode of each
//! file are remembered at the opening and compared again and again.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};

use super::error::Trouble;

/// How long one call to the store may take before it counts as hanging. A login makes few calls, and none after the
/// first that hangs, so that it is answered within 5 seconds.
pub(super) const CALL_DEADLINE: Duration = Duration::from_millis(4_500);

/// Looks at the files that may hang at the same time.
const LOOKS_MAX: usize = 4;

/// Connections that hang and were given up, at most; more than that are waited for.
const ABANDONED_MAX: usize = 4;

/// Which file a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file at `path`; `None` when there is none.
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(facts) => Ok(Some(Self { device: facts.dev(), inode: facts.ino() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The database file, its journal (`-wal`) and the index of that (`-shm`).
pub(super) fn files(path: &Path) -> [PathBuf; 3] {
    let beside = |end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    [path.to_owned(), beside("-wal"), beside("-shm")]
}

/// The files of an open store, shared by everything that uses it.
#[derive(Debug)]
pub(super) struct Place {
    files: [(PathBuf, Option<FileId>); 3],
    /// What the last look found: [`SAME`], [`MISSING`] or [`REPLACED`].
    found: AtomicU8,
    /// Whether the database was ever seen empty.
    emptied: AtomicBool,
    /// Whether a call did not come back in time, and none has since.
    hangs: AtomicBool,
    /// Calls that came back.
    calls: AtomicU64,
    looks: Arc<Semaphore>,
    pub(super) abandoned: Arc<Semaphore>,
}

const SAME: u8 = 0;
const MISSING: u8 = 1;
const REPLACED: u8 = 2;

impl Place {
    /// The place of the files that `path` names now. To be called while a connection holds them open.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let [database, journal, index] = files(path);
        let known = |path: PathBuf| FileId::of(&path).map(|id| (path, id));
        Ok(Self {
            files: [known(database)?, known(journal)?, known(index)?],
            found: AtomicU8::new(SAME),
            emptied: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            looks: Arc::new(Semaphore::new(LOOKS_MAX)),
            abandoned: Arc::new(Semaphore::new(ABANDONED_MAX)),
        })
    }

    /// The database file.
    pub(super) fn database(&self) -> Option<FileId> {
        self.files[0].1
    }

    /// Looks whether the paths name the same files still. It may be called at any time, and never opens one: that
    /// would cost SQLite its locks (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
    pub(super) async fn verify(self: &Arc<Self>) -> Result<(), sqlx::Error> {
        let looking = async {
            let permit = Arc::clone(&self.looks).acquire_owned().await;
            let place = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                place.look()
            })
            .await
        };
        match timeout(CALL_DEADLINE, looking).await {
            Ok(Ok(found)) => {
                self.found.store(found, Ordering::Release);
                // What this look found, whatever another one that runs beside it has.
                trouble_of(found).map_or(Ok(()), |trouble| Err(trouble.into()))
            }
            // Only a runtime that ends gives up such a look.
            Ok(Err(_)) | Err(_) => Err(self.hang().into()),
        }
    }

    fn look(&self) -> u8 {
        for (path, known) in &self.files {
            match (FileId::of(path), known) {
                (Ok(Some(found)), Some(known)) if found != *known => return REPLACED,
                (Ok(None) | Err(_), Some(_)) => return MISSING,
                _ => {}
            }
        }
        // A store has a page at least. A file that was emptied has the same inode; whatever it is filled with later is
        // another store.
        let emptied = fs::metadata(&self.files[0].0).map_or(true, |facts| facts.len() == 0);
        if emptied {
            self.emptied.store(true, Ordering::Release);
            return MISSING;
        }
        if self.emptied.load(Ordering::Acquire) { REPLACED } else { SAME }
    }

    /// What stands in the way of every call, as far as it is known.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble_found().or_else(|| self.is_hanging().then_some(Trouble::Unresponsive))
    }

    /// What the last look found.
    pub(super) fn trouble_found(&self) -> Option<Trouble> {
        trouble_of(self.found.load(Ordering::Acquire))
    }

    pub(super) fn is_hanging(&self) -> bool {
        self.hangs.load(Ordering::Acquire)
    }

    /// Notes that a call did not come back in time: the next ones need not try.
    pub(super) fn hang(&self) -> Trouble {
        self.hangs.store(true, Ordering::Release);
        Trouble::Unresponsive
    }

    /// Notes that the store answers again.
    pub(super) fn answers(&self) {
        self.hangs.store(false, Ordering::Release);
    }

    /// Notes that a call came back.
    pub(super) fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that came back since the store was opened.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

fn trouble_of(found: u8) -> Option<Trouble> {
    match found {
        MISSING => Some(Trouble::Missing),
        REPLACED => Some(Trouble::Replaced),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_only_under_the_same_inode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portero.db");
        fs::write(&path, "one").unwrap();
        let place = Place::of(&path).unwrap();
        assert_eq!(place.look(), SAME);
        let away = folder.path().join("away");
        fs::rename(&path, &away).unwrap();
        assert_eq!(place.look(), MISSING);
        fs::copy(&away, &path).unwrap();
        assert_eq!(place.look(), REPLACED);
        fs::rename(&away, &path).unwrap();
        assert_eq!(place.look(), SAME);
        fs::write(&path, "").unwrap();
        assert_eq!(place.look(), MISSING, "emptied");
        fs::write(&path, "another one in the same file").unwrap();
        assert_eq!(place.look(), REPLACED);
    }

    #[test]
    fn the_journal_counts_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portero.db");
        let [database, journal, index] = files(&path);
        for file in [&database, &journal, &index] {
            fs::write(file, "x").unwrap();
        }
        let place = Place::of(&path).unwrap();
        fs::remove_file(&journal).unwrap();
        assert_eq!(place.look(), MISSING);
    }
}
