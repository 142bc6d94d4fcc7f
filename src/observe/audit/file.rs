//! The file of a gateway's chain. Whole lines are appended, or nothing. Several processes may write to it, one after
//! the other under its lock: an upgrade has two for a while, each with a chain of its own.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use rustix::fs::{FlockOperation, flock};

use crate::domain::Timestamp;

/// Bytes of the file's end in which its last line is looked for: far more than a line has.
const TAIL_BYTES: u64 = 64 << 10;

/// How every line begins.
const LINE_BEGINS: &[u8] = b"{\"kind\":\"audit\"";

/// Names that are tried for a file that is rotated away.
const ROTATED_NAMES_MAX: u32 = 1000;

/// When a file makes way for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// At this many bytes; 0 for never.
    pub bytes: u64,
    /// At each whole multiple of this time; zero for never.
    pub every: Duration,
}

/// What stood at the end of the file when it was opened.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The last whole line.
    pub(super) last_line: Option<Vec<u8>>,
    /// Bytes of an unfinished line, which was removed.
    pub(super) torn: u64,
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    file: File,
    rotation: Rotation,
    /// Since when it is written to.
    since: Timestamp,
    /// Whether it was said that it cannot be moved away.
    is_stuck: bool,
}

impl AuditFile {
    /// Opens it, or makes it with mode 0600. An unfinished line at its end is what a process left that was killed, or
    /// lost its power, while it wrote: it is removed.
    pub(super) fn open(path: &Path, rotation: Rotation, now: Timestamp) -> io::Result<(Self, Found)> {
        let (file, since) = open(path, now)?;
        let opened = Self { path: path.to_owned(), file, rotation, since, is_stuck: false };
        let found = opened.locked(repair)?;
        Ok((opened, found))
    }

    /// Sees to it that what is appended next goes where the path leads: to another file where somebody moved the
    /// present one away, or where it is time for another. True where it is another file. One that cannot make way is
    /// written on: it is better too large than without what happens.
    pub(super) fn prepare(&mut self, now: Timestamp) -> io::Result<bool> {
        let is_due = self.is_due(now)?;
        if !is_due && self.is_in_place() {
            return Ok(false);
        }
        if is_due {
            // Under the lock: of two processes that find it due one moves it.
            let away = |_: &File| if self.is_in_place() { self.move_away(now) } else { Ok(()) };
            if let Err(error) = self.locked(away) {
                if !self.is_stuck {
                    tracing::error!(%error, "the audit file cannot be rotated; it is written on");
                }
                self.is_stuck = true;
                return Ok(false);
            }
            self.is_stuck = false;
        }
        self.reopen(now)?;
        Ok(true)
    }

    /// Opens what the path leads to now.
    pub(super) fn reopen(&mut self, now: Timestamp) -> io::Result<()> {
        (self.file, self.since) = open(&self.path, now)?;
        Ok(())
    }

    /// Appends whole lines, or nothing. An unfinished line of another process, which was killed while it wrote, is
    /// removed: else what is appended would be part of it.
    pub(super) fn append(&self, lines: &[u8]) -> io::Result<()> {
        self.locked(|mut file| {
            if !ends_whole(file)? {
                let torn = repair(file)?.torn;
                tracing::warn!(torn, "an unfinished line at the end of the audit file was removed");
            }
            let before = file.metadata()?.len();
            let written = file.write_all(lines);
            if written.is_err() {
                // Half a line would be taken for one that somebody changed.
                file.set_len(before)?;
            }
            written
        })
    }

    /// Waits until everything is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn is_due(&self, now: Timestamp) -> io::Result<bool> {
        let Rotation { bytes, every } = self.rotation;
        let length = self.file.metadata()?.len();
        let is_large = bytes > 0 && length >= bytes;
        let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        let period = |at: Timestamp| at.as_millis().checked_div_euclid(every);
        Ok(is_large || (length > 0 && every > 0 && period(now) != period(self.since)))
    }

    fn is_in_place(&self) -> bool {
        let same = |there: fs::Metadata, ours: fs::Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
        fs::metadata(&self.path).and_then(|there| Ok(same(there, self.file.metadata()?))).unwrap_or(false)
    }

    fn move_away(&self, now: Timestamp) -> io::Result<()> {
        let time = jiff::Timestamp::from_millisecond(now.as_millis()).unwrap_or_default();
        let stamp = time.strftime("%Y%m%dT%H%M%SZ").to_string();
        for attempt in 0..ROTATED_NAMES_MAX {
            let name = self.path.with_added_extension(format!("{stamp}.{attempt:03}"));
            if !name.exists() {
                return fs::rename(&self.path, name);
            }
        }
        Err(io::Error::other("there are too many rotated files of this second"))
    }

    fn locked<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        flock(&self.file, FlockOperation::LockExclusive)?;
        let done = work(&self.file);
        let unlocked = flock(&self.file, FlockOperation::Unlock);
        let done = done?;
        unlocked?;
        Ok(done)
    }
}

/// Refuses a file in the place of a log that is not a log: a path is easily one of another key's, and the end of a key
/// or of a database would be taken for an unfinished line.
///
/// # Errors
/// Says what it is, or that it cannot be read.
pub fn examine(path: &Path) -> io::Result<()> {
    // A pipe has no end that could be looked at.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut begins = vec![];
    File::open(path)?.take(LINE_BEGINS.len() as u64).read_to_end(&mut begins)?;
    if LINE_BEGINS.starts_with(&begins) {
        return Ok(());
    }
    Err(io::Error::other("another kind of file stands there: name another path, or remove it"))
}

fn open(path: &Path, now: Timestamp) -> io::Result<(File, Timestamp)> {
    match examine(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        examined => examined?,
    }
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let facts = file.metadata()?;
    let written = facts.modified().ok().filter(|_| facts.len() > 0);
    let written = written.and_then(|at| i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok());
    Ok((file, written.map_or(now, Timestamp::from_millis)))
}

/// Whether nothing follows the last newline.
fn ends_whole(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == *b"\n")
}

fn repair(mut file: &File) -> io::Result<Found> {
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(begin))?;
    let mut tail = vec![];
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let torn = (tail.len() - whole) as u64;
    if torn > 0 && (whole > 0 || begin == 0) {
        file.set_len(length - torn)?;
    }
    let lines = tail[..whole].strip_suffix(b"\n").unwrap_or_default();
    let last = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    Ok(Found { last_line: Some(lines[last..].to_vec()).filter(|line| !line.is_empty()), torn })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Rotation = Rotation { bytes: 0, every: Duration::ZERO };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn an_unfinished_line_is_removed_and_the_last_whole_one_is_found() {
        let folder = crate::memory::new_folder();
        let path = folder.path().join("audit.log");
        let whole = "{\"kind\":\"audit\",one\ntwo\n";
        let torn = format!("{whole}thr");
        for (text, last, torn, left) in [
            ("", None, 0, ""),
            (whole, Some("two"), 0, whole),
            (&torn, Some("two"), 3, whole),
            ("{\"kind", None, 6, ""),
        ] {
            fs::write(&path, text).unwrap();
            let (_, found) = AuditFile::open(&path, NEVER, at(0)).unwrap();
            assert_eq!(found.last_line.as_deref(), last.map(str::as_bytes), "{text}");
            assert_eq!((found.torn, fs::read_to_string(&path).unwrap()), (torn, left.to_owned()));
        }
    }

    #[test]
    fn another_kind_of_file_is_left_as_it_is() {
        let folder = crate::memory::new_folder();
        let path = folder.path().join("master.key");
        fs::write(&path, "a key without a newline").unwrap();
        let refused = AuditFile::open(&path, NEVER, at(0)).unwrap_err();
        assert!(refused.to_string().contains("another kind of file"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a key without a newline");
    }

    #[test]
    fn a_file_that_cannot_make_way_is_written_on() {
        let folder = crate::memory::new_folder();
        let path = folder.path().join("audit.log");
        for attempt in 0..ROTATED_NAMES_MAX {
            fs::write(folder.path().join(format!("audit.log.19700101T000001Z.{attempt:03}")), "").unwrap();
        }
        let (mut file, _) = AuditFile::open(&path, Rotation { bytes: 4, ..NEVER }, at(0)).unwrap();
        file.append(b"one\n").unwrap();
        assert!(!file.prepare(at(1)).unwrap());
        file.append(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert!(file.prepare(at(2)).unwrap(), "another second");
    }

    #[test]
    fn what_another_process_left_unfinished_is_no_part_of_the_next_line() {
        let folder = crate::memory::new_folder();
        let path = folder.path().join("audit.log");
        let (file, _) = AuditFile::open(&path, NEVER, at(0)).unwrap();
        file.append(b"one\n").unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"tw").unwrap();
        file.append(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nthree\n");
    }

    #[test]
    fn a_file_makes_way_by_size_and_by_time_and_when_it_was_moved() {
        let folder = crate::memory::new_folder();
        let path = folder.path().join("audit.log");
        let names = || {
            let mut names: Vec<_> = fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let rotation = Rotation { bytes: 8, every: Duration::from_secs(3600) };
        let (mut file, _) = AuditFile::open(&path, rotation, at(7200)).unwrap();
        assert!(!file.prepare(at(7200)).unwrap());
        file.append(b"12345678\n").unwrap();
        assert!(file.prepare(at(7201)).unwrap() && !file.prepare(at(7202)).unwrap());
        file.append(b"1\n").unwrap();
        assert!(!file.prepare(at(10_799)).unwrap() && file.prepare(at(10_800)).unwrap());
        assert_eq!(names(), ["audit.log", "audit.log.19700101T020001Z.000", "audit.log.19700101T030000Z.000"]);
        // An empty one stays.
        assert!(!file.prepare(at(20_000)).unwrap());
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        assert!(file.prepare(at(20_000)).unwrap());
        file.append(b"2\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
    }
}
