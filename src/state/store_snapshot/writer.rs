//! The thread that writes the file. Whatever the disk does, nobody waits for it.
//!
//! A new base is written to a file beside, mode 0600, while the present file is still appended to; then it takes the
//! place of that. What comes meanwhile stands behind it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
    time::Duration,
};

use aws_lc_rs::aead::LessSafeKey;

use super::{
    confirmed::Confirmed,
    entry::{Entry, ITEMS_MAX},
    frame::{Header, Sealer, is_snapshot, store_of},
};
use crate::{
    domain::{RealmName, Timestamp, id::hex, random},
    state::{
        account::{AccountId, KnownAccounts},
        clock,
        keys::KeptKeys,
        revocation::{Revocations, log::Record},
        store::{access::folder_of, private_file},
    },
};

/// Bytes of a journal from which on a new base is written, where half of the base is less.
const JOURNAL_BYTES_MIN: u64 = 4 << 20;

/// A journal that grows to so many times that although a new base was asked for is not appended to any more.
const JOURNAL_OVERDUE: u64 = 4;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Updates that may come while a base is written, at most: with more, it is given up.
const LATE_MAX: usize = 100_000;

/// How often the journal is on the disk for certain. A process that is killed loses nothing of what was written; a
/// machine that loses power loses this at most, and by that its snapshot is only older.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// What is in force in memory, for a base.
pub trait InForce: Send + Sync {
    /// What is revoked.
    fn revocations(&self) -> &Revocations;
    /// The accounts of realms that have imported keys.
    fn accounts(&self) -> &KnownAccounts;
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many bytes.
    pub bytes: u64,
    /// Up to when the snapshot is confirmed by now, by the civil clock.
    pub confirmed_at: Timestamp,
}

/// Hears of what was written.
pub type Observer = Arc<dyn Fn(Written) + Send + Sync>;

/// The keys of an update, and what the file is sealed with that has them.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) kept: Arc<KeptKeys>,
    pub(super) cipher: Arc<LessSafeKey>,
}

/// What came in since the update before, and was confirmed.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) records: Vec<Record>,
    pub(super) accounts: Vec<(RealmName, Vec<AccountId>)>,
    pub(super) keys: Option<Keys>,
    pub(super) clock: Option<clock::Row>,
    pub(super) confirmed: Confirmed,
    /// Whether nothing is missing between the update before and this one.
    pub(super) follows: bool,
    /// Whether a new base is to be written: all that is confirmed is in memory.
    pub(super) begins: bool,
}

/// What both threads know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Whether the writer needs a new base.
    pub(super) wants_base: AtomicBool,
}

pub(super) struct Writer {
    pub(super) path: PathBuf,
    /// Where the store is, for people.
    pub(super) store: String,
    pub(super) in_force: Arc<dyn InForce>,
    pub(super) observer: Observer,
    pub(super) shared: Arc<Shared>,
    pub(super) keys: Option<Keys>,
    pub(super) clock: Option<clock::Row>,
    pub(super) present: Option<Present>,
    /// Whether it was said that it cannot be written.
    pub(super) is_failing: bool,
}

/// The file that is appended to.
pub(super) struct Present {
    file: File,
    sealer: Sealer,
    keys: Keys,
    base_bytes: u64,
    journal_bytes: u64,
    /// When it was on the disk for certain, by the clock of the boot.
    synced: Duration,
}

impl Writer {
    /// Writes what comes until nothing comes any more.
    pub(super) fn run(mut self, updates: &Receiver<Update>) {
        while let Ok(first) = updates.recv() {
            let mut update = first;
            while let Ok(next) = updates.try_recv() {
                update = update.and(next);
            }
            let done = self.take(&update, updates);
            if done.is_err() {
                self.shared.wants_base.store(true, Ordering::Release);
            }
            self.say(&done, update.begins);
        }
    }

    /// Says once that it cannot be written, and once that it can: when a new base is there.
    fn say(&mut self, done: &io::Result<()>, begins: bool) {
        match done {
            Ok(()) if self.is_failing && begins && self.present.is_some() => {
                tracing::info!(path = %self.path.display(), "the store's snapshot is written again");
                self.is_failing = false;
            }
            Err(error) if !self.is_failing => {
                let hint = "it ages: a start without the store serves by it no longer than store.max_staleness";
                tracing::error!(path = %self.path.display(), %error, hint, "the store's snapshot cannot be written");
                self.is_failing = true;
            }
            _ => {}
        }
    }

    fn take(&mut self, update: &Update, updates: &Receiver<Update>) -> io::Result<()> {
        if !update.follows {
            self.present = None;
        }
        self.remember(update);
        self.append(update)?;
        if update.begins { self.begin(&update.confirmed, updates) } else { Ok(()) }
    }

    fn remember(&mut self, update: &Update) {
        self.clock = update.clock.or(self.clock);
        self.keys = update.keys.clone().or_else(|| self.keys.take());
    }

    /// Appends to the present file, where that goes on.
    fn append(&mut self, update: &Update) -> io::Result<()> {
        let Some(present) = &mut self.present else { return Ok(()) };
        // Another process may have put its own in the same place, or somebody removed it.
        let is_there = fs::symlink_metadata(&self.path).is_ok_and(|there| present.is(&there));
        let is_resealed = update.keys.as_ref().is_some_and(|keys| !present.fits(keys));
        let limit = JOURNAL_BYTES_MIN.max(present.base_bytes / 2);
        if present.journal_bytes > limit {
            self.shared.wants_base.store(true, Ordering::Release);
        }
        if !is_there || is_resealed || present.journal_bytes > JOURNAL_OVERDUE * limit {
            self.shared.wants_base.store(true, Ordering::Release);
            self.present = None;
            return Ok(());
        }
        let bytes = match present.append(update) {
            Ok(bytes) => bytes,
            Err(error) => {
                // What was written of it is a torn end: nothing may stand behind it.
                self.present = None;
                return Err(error);
            }
        };
        (self.observer)(Written { bytes, confirmed_at: update.confirmed.at.civil });
        Ok(())
    }

    /// Writes a new base of what is in memory, which has all that is confirmed.
    fn begin(&mut self, confirmed: &Confirmed, updates: &Receiver<Update>) -> io::Result<()> {
        let Some((keys, row)) = self.keys.clone().zip(self.clock) else {
            // They come with the next look at the store.
            self.shared.wants_base.store(true, Ordering::Release);
            return Ok(());
        };
        self.examine_place()?;
        let unfinished = self.path.with_added_extension(format!("{}.new", hex(&random::bytes::<8>())));
        let made = self.write_base(&unfinished, &keys, row, confirmed, updates);
        let (present, confirmed_at) = match made {
            Ok(Some(made)) => made,
            other => {
                // It is of no use, and may be gone already.
                let _ = fs::remove_file(&unfinished);
                self.shared.wants_base.store(true, Ordering::Release);
                return other.map(drop);
            }
        };
        fs::rename(&unfinished, &self.path)?;
        File::open(folder_of(&self.path))?.sync_all()?;
        (self.observer)(Written { bytes: present.base_bytes, confirmed_at });
        self.present = Some(present);
        private_file::clear_unfinished(&self.path);
        Ok(())
    }

    /// Refuses to take the place of anything else: a path is easily one of another key's.
    fn examine_place(&self) -> io::Result<()> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(facts) if facts.is_file() && is_snapshot(File::open(&self.path)?) => Ok(()),
            Ok(_) => Err(io::Error::other("another kind of file stands there: name another path, or remove it")),
        }
    }

    /// The new file, with what came while it was written, and when that is confirmed; `None` where too much came.
    fn write_base(
        &mut self,
        unfinished: &PathBuf,
        keys: &Keys,
        row: clock::Row,
        confirmed: &Confirmed,
        updates: &Receiver<Update>,
    ) -> io::Result<Option<(Present, Timestamp)>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished)?;
        let header = Header::new(keys.kept.fingerprint(), store_of(&self.store));
        let header = header.ok_or_else(|| io::Error::other("the master key has no fingerprint"))?;
        let mut base = Base { sealer: Sealer::new(Arc::clone(&keys.cipher), &header), file, buffer: vec![], bytes: 0 };
        base.buffer.extend(header.encode());
        base.put(&Entry::Keys(KeptKeys::clone(&keys.kept)))?;
        let in_force = Arc::clone(&self.in_force);
        let mut late = vec![];
        for part in 0..Revocations::PARTS {
            for records in in_force.revocations().held(part, confirmed.at.civil).chunks(ITEMS_MAX) {
                base.put(&Entry::Revocations(records.to_vec()))?;
            }
            // The present file goes on: who is killed now has that.
            while let Ok(update) = updates.try_recv() {
                self.remember(&update);
                if !update.follows || late.len() == LATE_MAX {
                    self.present = None;
                    return Ok(None);
                }
                self.append(&update)?;
                late.push(update);
            }
        }
        for realm in in_force.accounts().realms() {
            base.put(&Entry::Accounts(realm.clone(), vec![]))?;
            for part in 0..KnownAccounts::PARTS {
                for ids in in_force.accounts().held(&realm, part).chunks(ITEMS_MAX) {
                    base.put(&Entry::Accounts(realm.clone(), ids.to_vec()))?;
                }
            }
        }
        base.put(&Entry::Clock(row))?;
        // After what is revoked: what memory drops meanwhile is said here.
        base.put(&Entry::Pruned(in_force.revocations().pruned()))?;
        base.put(&Entry::Confirmed(*confirmed))?;
        base.put(&Entry::EndOfBase)?;
        let mut present = base.finish(keys.clone(), confirmed)?;
        let mut confirmed_at = confirmed.at.civil;
        for update in late {
            if update.keys.as_ref().is_some_and(|keys| !present.fits(keys)) {
                return Ok(None);
            }
            present.append(&update)?;
            confirmed_at = update.confirmed.at.civil;
            if update.begins {
                self.shared.wants_base.store(true, Ordering::Release);
            }
        }
        present.file.sync_all()?;
        Ok(Some((present, confirmed_at)))
    }
}

impl Update {
    /// Both as one.
    fn and(mut self, next: Self) -> Self {
        if !next.follows {
            // What came before the gap is in the base that begins with the next one.
            return Self { keys: next.keys.or(self.keys), clock: next.clock.or(self.clock), ..next };
        }
        self.records.extend(next.records);
        self.accounts.extend(next.accounts);
        Self {
            keys: next.keys.or(self.keys),
            clock: next.clock.or(self.clock),
            confirmed: next.confirmed,
            begins: self.begins || next.begins,
            ..self
        }
    }

    /// Its records, the confirmation last: what is torn off before that counts as not confirmed.
    fn entries(&self) -> impl Iterator<Item = Entry> {
        let keys = self.keys.iter().map(|keys| Entry::Keys(KeptKeys::clone(&keys.kept)));
        let revocations = self.records.chunks(ITEMS_MAX).map(|records| Entry::Revocations(records.to_vec()));
        let accounts = self
            .accounts
            .iter()
            .flat_map(|(realm, ids)| ids.chunks(ITEMS_MAX).map(|ids| Entry::Accounts(realm.clone(), ids.to_vec())));
        let clock = self.clock.map(Entry::Clock);
        keys.chain(revocations).chain(accounts).chain(clock).chain([Entry::Confirmed(self.confirmed)])
    }
}

/// A base in the making.
struct Base {
    file: File,
    sealer: Sealer,
    buffer: Vec<u8>,
    bytes: u64,
}

impl Base {
    fn put(&mut self, entry: &Entry) -> io::Result<()> {
        seal(&mut self.sealer, entry, &mut self.buffer)?;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self, keys: Keys, confirmed: &Confirmed) -> io::Result<Present> {
        self.flush()?;
        let Self { file, sealer, bytes, .. } = self;
        Ok(Present { file, sealer, keys, base_bytes: bytes, journal_bytes: 0, synced: confirmed.at.since_boot })
    }
}

impl Present {
    /// Appends all of an update; answers how many bytes it took.
    fn append(&mut self, update: &Update) -> io::Result<u64> {
        let mut bytes = vec![];
        for entry in update.entries() {
            seal(&mut self.sealer, &entry, &mut bytes)?;
        }
        self.file.write_all(&bytes)?;
        self.journal_bytes += bytes.len() as u64;
        let now = update.confirmed.at.since_boot;
        if now.saturating_sub(self.synced) >= SYNC_EVERY {
            self.file.sync_data()?;
            self.synced = now;
        }
        Ok(bytes.len() as u64)
    }

    /// Whether this is what stands there.
    fn is(&self, there: &fs::Metadata) -> bool {
        self.file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
    }

    /// Whether it is sealed under the same master key.
    fn fits(&self, keys: &Keys) -> bool {
        self.keys.kept.fingerprint() == keys.kept.fingerprint()
    }
}

fn seal(sealer: &mut Sealer, entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    if sealer.seal(entry.encode(), out) { Ok(()) } else { Err(io::Error::other("a record of it would be too long")) }
}
