//! Reading a gateway's files: the present one, and those that were rotated away beside it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{chain::ChainId, line::ReadLine};

/// Files of one folder that are looked at, at most.
const FILES_MAX: usize = 100_000;

/// Bytes of a line that is read as one, at most; far more than one has.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What rotated files are packed as.
const PACKED: [&str; 5] = ["gz", "bz2", "xz", "zst", "zip"];

/// The files of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFiles {
    /// The oldest first.
    pub files: Vec<PathBuf>,
    /// Those that must be unpacked before anybody can read them.
    pub packed: Vec<PathBuf>,
}

impl LogFiles {
    /// The file at `path`, and those beside it whose names begin with its name and `.` or `-`.
    ///
    /// # Errors
    /// Fails when the folder cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut found = Self::default();
        for entry in fs::read_dir(folder)?.take(FILES_MAX) {
            let entry = entry?;
            let other = entry.file_name();
            let rest = other.as_encoded_bytes().strip_prefix(name);
            let is_ours = rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'.' | b'-')));
            if !is_ours || !entry.path().is_file() {
                continue;
            }
            let is_packed = Path::new(&other).extension().is_some_and(|end| PACKED.iter().any(|packed| end == *packed));
            let files = if is_packed { &mut found.packed } else { &mut found.files };
            files.push(folder.join(other));
        }
        found.files = in_order(found.files)?;
        found.packed.sort();
        Ok(found)
    }
}

/// Files in the order of their first lines, whatever they are called. Those of one chain stand in the order of its
/// lines: a clock that was set back says nothing about that.
///
/// # Errors
/// Fails when one cannot be read.
pub fn in_order(files: Vec<PathBuf>) -> io::Result<Vec<PathBuf>> {
    let mut timed = vec![];
    for file in files {
        let mut first = vec![];
        BufReader::new(File::open(&file)?.take(LINE_BYTES_MAX)).read_until(b'\n', &mut first)?;
        let line = ReadLine::read(first.strip_suffix(b"\n").unwrap_or(&first));
        // What says no time is looked at first, and found.
        let time = line.as_ref().and_then(|line| line.text("time").map(str::to_owned)).unwrap_or_default();
        timed.push((time, file, line.map(|line| (line.chain, line.line))));
    }
    timed.sort();
    let mut of_chain: BTreeMap<ChainId, Vec<usize>> = BTreeMap::new();
    for (place, (.., begin)) in timed.iter().enumerate() {
        if let Some((chain, _)) = begin {
            of_chain.entry(*chain).or_default().push(place);
        }
    }
    let mut ordered: Vec<_> = timed.iter().map(|(_, file, _)| file.clone()).collect();
    for places in of_chain.values() {
        let mut files: Vec<_> = places.iter().map(|place| (timed[*place].2, &timed[*place].1)).collect();
        files.sort();
        for (place, (_, file)) in places.iter().zip(files) {
            ordered[*place].clone_from(file);
        }
    }
    Ok(ordered)
}

/// The lines of one file, as it was at one moment.
#[derive(Debug)]
pub struct Lines {
    from: io::Take<BufReader<File>>,
    left: u64,
    number: u64,
    line: Vec<u8>,
}

impl Lines {
    /// Opens a file. What is written to it from here on is not read: nobody reads half a line.
    ///
    /// # Errors
    /// Fails when it cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        flock(&file, FlockOperation::LockShared)?;
        let length = file.metadata().map(|facts| facts.len());
        flock(&file, FlockOperation::Unlock)?;
        let left = length?;
        Ok(Self { from: BufReader::new(file).take(0), left, number: 0, line: vec![] })
    }

    /// The next line, without its newline, with its number and whether it is whole: a process that was killed while it
    /// wrote leaves an unfinished one at the end.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    #[expect(clippy::should_implement_trait, reason = "it lends the line")]
    pub fn next(&mut self) -> io::Result<Option<(u64, &[u8], bool)>> {
        self.line.clear();
        self.from.set_limit(self.left.min(LINE_BYTES_MAX));
        let read = self.from.read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.left -= read as u64;
        self.number += 1;
        let is_whole = self.line.last() == Some(&b'\n') || self.left > 0;
        Ok(Some((self.number, self.line.strip_suffix(b"\n").unwrap_or(&self.line), is_whole)))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            chain::{ChainKey, Mac},
            line::{Draft, Record, write},
        },
        *,
    };
    use crate::domain::Timestamp;

    #[test]
    fn files_of_one_chain_stand_in_the_order_of_its_lines_whatever_the_clock_said() {
        let folder = crate::memory::new_folder();
        let key = ChainKey::derive("k".to_owned(), b"master");
        let file = |name: &str, chain: u8, line: i64, at: i64| {
            let mut text = vec![];
            let draft = Draft { at: Timestamp::from_secs(at), line, count: 0, record: Record::Resume };
            write(&mut text, &key, ChainId::of([chain; 16]), &Mac::BEGINNING, &draft);
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        // The clock was set back by an hour before the second file.
        let (first, second, third) = (file("a", 1, 1, 9_000), file("b", 1, 50, 5_400), file("c", 1, 90, 9_900));
        let (other, none) = (file("d", 2, 1, 9_500), folder.path().join("e"));
        fs::write(&none, "no line").unwrap();
        let given = [&third, &other, &second, &none, &first].map(Clone::clone).to_vec();
        assert_eq!(in_order(given).unwrap(), [none, first, second, other, third]);
    }
}
