//! Where the store's files are, and whether they are still the ones that were opened.
//!
//! SQLite opens its files by path and then goes on with what it has open. A file that is deleted, renamed or
//! covered by a mount therefore takes writes that nobody can read any more. So the device and the inode of each
//! file are remembered at the opening and compared again and again.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};

use super::super::error::Trouble;

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

/// What changes when somebody writes into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Figures {
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Figures {
    fn of(path: &Path) -> Option<Self> {
        let facts = fs::metadata(path).ok()?;
        Some(Self { bytes: facts.len(), modified: (facts.mtime(), facts.mtime_nsec()) })
    }
}

/// What a journal begins with, in both orders of its checksums (<https://www.sqlite.org/fileformat2.html>, section
/// 4.1).
const JOURNAL_MAGIC: [[u8; 4]; 2] = [0x377f_0682_u32.to_be_bytes(), 0x377f_0683_u32.to_be_bytes()];

/// Whether the file is a journal, or an empty one. SQLite goes on where it was in a journal that somebody emptied: the
/// file has a hole in front then, and nobody can read it any more.
///
/// SQLite takes no locks on this file. To open the database or the index would cost it the locks that it has there.
pub(super) fn is_journal(path: &Path) -> io::Result<bool> {
    let mut first = vec![];
    File::open(path)?.take(4).read_to_end(&mut first)?;
    Ok(first.is_empty() || JOURNAL_MAGIC.iter().any(|magic| magic == first.as_slice()))
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

/// The database when all was well. Somebody who writes into it while it has another name, or fills it after it was
/// emptied, does so without the journal, which does not fit it any more.
#[derive(Debug)]
struct LastGood {
    figures: Option<Figures>,
    /// Whether it was missing or empty since then.
    away: bool,
}

/// The files of an open store, shared by everything that uses it.
#[derive(Debug)]
pub(in crate::state::store) struct StoreFiles {
    files: [(PathBuf, Option<FileId>); 3],
    /// What the last look found: [`SAME`], [`MISSING`] or [`REPLACED`].
    found: AtomicU8,
    last_good: Mutex<LastGood>,
    /// Whether another file was ever seen in a place. A process that opened that one may have shared the journal or its
    /// index with it: what is in them does not fit the database any more, even when that one is back. Only an opening
    /// reads it anew.
    replaced: AtomicBool,
    /// Even while it answers, odd while it hangs; each change adds one.
    answering: AtomicU64,
    /// Calls that came back.
    calls: AtomicU64,
    looks: Arc<Semaphore>,
    pub(super) abandoned: Arc<Semaphore>,
}

/// A call that may hang: how often the store had begun to hang, and to answer again, when it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call(u64);

const SAME: u8 = 0;
const MISSING: u8 = 1;
const REPLACED: u8 = 2;

impl StoreFiles {
    /// The place of the files that `path` names now. To be called while a connection holds them open.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let [database, journal, index] = files(path);
        let known = |path: PathBuf| FileId::of(&path).map(|id| (path, id));
        Ok(Self {
            files: [known(database)?, known(journal)?, known(index)?],
            found: AtomicU8::new(SAME),
            last_good: Mutex::new(LastGood { figures: Figures::of(path), away: false }),
            replaced: AtomicBool::new(false),
            answering: AtomicU64::new(0),
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
        let call = self.begin();
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
            Ok(Err(_)) | Err(_) => Err(self.hang(call).into()),
        }
    }

    fn look(&self) -> u8 {
        if self.replaced.load(Ordering::Acquire) {
            return REPLACED;
        }
        let found = self.compare();
        if found == REPLACED {
            self.replaced.store(true, Ordering::Release);
        }
        found
    }

    fn compare(&self) -> u8 {
        let mut missing = false;
        for (path, known) in &self.files {
            match (FileId::of(path), known) {
                (Ok(Some(found)), Some(known)) if found != *known => return REPLACED,
                (Ok(None) | Err(_), Some(_)) => missing = true,
                _ => {}
            }
        }
        // A store has a page at least.
        let now = Figures::of(&self.files[0].0).filter(|figures| figures.bytes > 0);
        let mut last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(now) = now else {
            last_good.away = true;
            return MISSING;
        };
        if last_good.away && last_good.figures != Some(now) {
            return REPLACED;
        }
        *last_good = LastGood { figures: Some(now), away: false };
        drop(last_good);
        match self.files[1].1.map_or(Ok(true), |_| is_journal(&self.files[1].0)) {
            Ok(false) => REPLACED,
            Ok(true) if !missing => SAME,
            _ => MISSING,
        }
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
        is_odd(self.answering.load(Ordering::Acquire))
    }

    /// A call begins.
    pub(super) fn begin(&self) -> Call {
        Call(self.answering.load(Ordering::Acquire))
    }

    /// Notes that a call did not come back in time: the next ones need not try. One that began before the store was
    /// found to answer again says nothing of the store as it is now.
    pub(super) fn hang(&self, call: Call) -> Trouble {
        if !is_odd(call.0) {
            // It fails where the store is known to hang, or answered meanwhile.
            let _ = self.answering.compare_exchange(call.0, call.0 + 1, Ordering::AcqRel, Ordering::Acquire);
        }
        Trouble::Unresponsive
    }

    /// Notes that the store answers again.
    pub(super) fn answers(&self) {
        let again = |count: u64| is_odd(count).then(|| count + 1);
        // It fails where the store is known to answer.
        let _ = self.answering.fetch_update(Ordering::AcqRel, Ordering::Acquire, again);
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

const fn is_odd(count: u64) -> bool {
    count & 1 == 1
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
        let folder = crate::memory::new_folder();
        let path = folder.path().join("portero.db");
        fs::write(&path, "one").unwrap();
        let place = StoreFiles::of(&path).unwrap();
        assert_eq!(place.look(), SAME);
        let away = folder.path().join("away");
        fs::rename(&path, &away).unwrap();
        assert_eq!(place.look(), MISSING);
        fs::rename(&away, &path).unwrap();
        assert_eq!(place.look(), SAME);
        fs::rename(&path, &away).unwrap();
        fs::copy(&away, &path).unwrap();
        assert_eq!(place.look(), REPLACED);
        fs::rename(&away, &path).unwrap();
        assert_eq!(place.look(), REPLACED, "who opened the copy may have used the journal");
    }

    #[test]
    fn a_call_of_before_the_store_answered_again_says_nothing_of_it_now() {
        let folder = crate::memory::new_folder();
        let path = folder.path().join("portero.db");
        fs::write(&path, "one").unwrap();
        let place = StoreFiles::of(&path).unwrap();
        let (first, second) = (place.begin(), place.begin());
        place.answers();
        assert!(!place.is_hanging());
        place.hang(first);
        place.hang(second);
        assert_eq!(place.trouble(), Some(Trouble::Unresponsive));
        // Who insists calls while it hangs.
        let insisting = place.begin();
        place.answers();
        for of_before in [first, second, insisting] {
            place.hang(of_before);
            assert_eq!(place.trouble(), None);
        }
        let afterwards = place.begin();
        place.hang(afterwards);
        assert!(place.is_hanging());
        place.hang(place.begin());
        assert!(place.is_hanging());
    }

    #[test]
    fn a_database_that_changed_while_it_was_away_is_another_one() {
        let folder = crate::memory::new_folder();
        let (path, away) = (folder.path().join("portero.db"), folder.path().join("away"));
        for emptied in [false, true] {
            fs::write(&path, "one").unwrap();
            let place = StoreFiles::of(&path).unwrap();
            if emptied {
                fs::write(&path, "").unwrap();
                assert_eq!(place.look(), MISSING);
            } else {
                fs::rename(&path, &away).unwrap();
                assert_eq!(place.look(), MISSING);
                fs::rename(&away, &path).unwrap();
            }
            fs::write(&path, "another one in the same file").unwrap();
            assert_eq!(place.look(), REPLACED);
        }
    }

    #[test]
    fn the_journal_counts_too() {
        let folder = crate::memory::new_folder();
        let path = folder.path().join("portero.db");
        let [database, journal, index] = files(&path);
        for file in [&database, &journal, &index] {
            fs::write(file, "x").unwrap();
        }
        let place = StoreFiles::of(&path).unwrap();
        for magic in JOURNAL_MAGIC {
            fs::write(&journal, magic).unwrap();
            assert_eq!(place.look(), SAME);
        }
        // A checkpoint may empty it.
        fs::write(&journal, "").unwrap();
        assert_eq!(place.look(), SAME);
        fs::remove_file(&journal).unwrap();
        assert_eq!(place.look(), MISSING);
    }

    #[test]
    fn a_journal_with_a_hole_in_front_is_none() {
        let folder = crate::memory::new_folder();
        let path = folder.path().join("portero.db");
        let [database, journal, _] = files(&path);
        for hole in [[0_u8; 100].as_slice(), &[0], &JOURNAL_MAGIC[0][..3]] {
            for file in [&database, &journal] {
                fs::write(file, "").unwrap();
            }
            fs::write(&database, "x").unwrap();
            let place = StoreFiles::of(&path).unwrap();
            fs::write(&journal, hole).unwrap();
            assert_eq!(place.look(), REPLACED);
        }
    }
}
