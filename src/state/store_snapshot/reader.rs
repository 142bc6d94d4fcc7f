//! Reading the file at a start. What is not as it was written is of no use, but for an end that is missing: what is
//! left is what was in force earlier, and as old as its last confirmation.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use super::{
    confirmed::{Confirmed, Instant},
    entry::Entry,
    frame::{self, HEADER_BYTES, Header, Next, PURPOSE, Sealer, store_of},
};
use crate::{
    domain::{RealmName, Timestamp},
    state::{
        account::{AccountId, KnownAccounts},
        clock::{self, Pruned},
        keys::{self, KeptKeys, MasterKeyError},
        revocation::Revocations,
    },
};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Why a snapshot is of no use.
#[derive(Debug, Error)]
pub enum StoreSnapshotError {
    /// There is none.
    #[error("the store's snapshot {} is missing: a gateway writes it while the store is there", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("the store's snapshot {} cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is another user's, or others may read or write it.
    #[error(
        "the store's snapshot {} must belong to portero's user, with mode 0600, and has mode {mode:o}: remove it; a gateway \
         writes a new one",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is another kind of file.
    #[error("{} is no snapshot of a store, or one of another version of portero", .0.display())]
    NotOne(PathBuf),
    /// It is of another store.
    #[error("the store's snapshot {} is of another store than {store}", path.display())]
    OtherStore {
        /// The file.
        path: PathBuf,
        /// Where the store is.
        store: String,
    },
    /// The master key is not there, or another one.
    #[error("the store's snapshot cannot be opened: {0}")]
    Master(#[from] MasterKeyError),
    /// Something in it is not as it was written.
    #[error("the store's snapshot {} is damaged, or was changed, at record {record}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which record, from 0 on.
        record: u64,
    },
    /// The base is not whole.
    #[error("the store's snapshot {} is not whole: its writing was cut short", .0.display())]
    Incomplete(PathBuf),
}

/// Which file, and of which store.
#[derive(Clone, Debug)]
pub struct SnapshotLocation {
    /// The file.
    pub path: PathBuf,
    /// Where the store is.
    pub store: String,
    /// Where its master key is.
    pub master_key_file: PathBuf,
}

/// What is in a snapshot, but for revocations and accounts.
#[derive(Clone, Debug)]
pub struct Found {
    /// What was confirmed last.
    pub confirmed: Confirmed,
    /// The latest civil time of any confirmation.
    latest: Timestamp,
    /// The keys that may have tokens.
    pub keys: KeptKeys,
    /// The row of the clock.
    pub clock: clock::Row,
    /// What memory had dropped.
    pub pruned: Pruned,
    /// Records of revocations: one that was revoked again counts again.
    pub revocations: u64,
    /// Whether its end was torn off.
    pub torn: bool,
}

impl Found {
    /// How old what is in it is. `None` where nobody can tell, because a clock is behind it: that is too old.
    #[must_use]
    pub fn age(&self, now: &Instant) -> Option<std::time::Duration> {
        now.since(&self.confirmed.at).filter(|_| now.civil >= self.latest)
    }
}

/// Looks through the whole file, and brings nothing into force.
///
/// # Errors
/// Why it is of no use.
pub fn examine(place: &SnapshotLocation) -> Result<Found, StoreSnapshotError> {
    read(place, |_| {})
}

/// Brings what a snapshot has of revocations and accounts into memory. It must be the one that was found.
///
/// # Errors
/// Why it is of no use by now. What came into memory until then stays there.
pub async fn load(
    place: &SnapshotLocation,
    found: &Found,
    revocations: &Revocations,
    accounts: &KnownAccounts,
) -> Result<(), StoreSnapshotError> {
    let mut realms = HashMap::<RealmName, Vec<AccountId>>::new();
    let mut is_base = true;
    let again = read(place, |entry| match entry {
        Entry::Revocations(records) => revocations.apply(&records),
        Entry::Accounts(realm, ids) if is_base => realms.entry(realm).or_default().extend(ids),
        // Of a realm that came later the journal has some only: the next base has all.
        Entry::Accounts(realm, ids) => {
            if let Some(known) = realms.get_mut(&realm) {
                known.extend(ids);
            }
        }
        Entry::EndOfBase => is_base = false,
        _ => {}
    })?;
    // Another process may have put another one there. One that was appended to is as good.
    if again.confirmed.position.seq < found.confirmed.position.seq || again.keys != found.keys {
        return Err(StoreSnapshotError::Incomplete(place.path.clone()));
    }
    revocations.note_pruned(found.pruned);
    revocations.note_pruned(found.clock.pruned);
    accounts.resume(realms, found.confirmed.accounts_seen).await;
    Ok(())
}

fn read(place: &SnapshotLocation, mut visit: impl FnMut(Entry)) -> Result<Found, StoreSnapshotError> {
    let SnapshotLocation { path, store, master_key_file } = place;
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => StoreSnapshotError::Missing(path.clone()),
        _ => StoreSnapshotError::Io { path: path.clone(), source },
    };
    let mut file = BufReader::with_capacity(BUFFER_BYTES, open(path)?);
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StoreSnapshotError::NotOne(path.clone()),
        _ => failed(error),
    })?;
    let header = Header::decode(&header).ok_or_else(|| StoreSnapshotError::NotOne(path.clone()))?;
    if header.store != store_of(store) {
        return Err(StoreSnapshotError::OtherStore { path: path.clone(), store: store.clone() });
    }
    let cipher = keys::derive(master_key_file, &header.fingerprint, PURPOSE)?;
    let mut sealer = Sealer::new(Arc::new(cipher), &header);
    let mut reading = Reading::default();
    let mut record = 0;
    let torn = loop {
        let damaged = || StoreSnapshotError::Damaged { path: path.clone(), record };
        match frame::next(&mut file, &mut sealer).map_err(failed)?.map_err(|_| damaged())? {
            Next::End { torn } => break torn,
            Next::Record(bytes) => {
                let entry = Entry::decode(&bytes).ok_or_else(damaged)?;
                reading.note(&entry);
                visit(entry);
            }
        }
        record += 1;
    };
    let incomplete = || StoreSnapshotError::Incomplete(path.clone());
    let Reading { is_whole: true, confirmed, keys, latest, clock, pruned, revocations } = reading else {
        return Err(incomplete());
    };
    let ((confirmed, keys), clock) = confirmed.zip(keys).zip(clock).ok_or_else(incomplete)?;
    Ok(Found { confirmed, latest, keys, clock, pruned, revocations, torn })
}

/// A file of this user's that nobody else may read or write.
fn open(path: &Path) -> Result<File, StoreSnapshotError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => StoreSnapshotError::Missing(path.to_owned()),
        _ => StoreSnapshotError::Io { path: path.to_owned(), source },
    };
    // A pipe would be waited for.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o077 != 0 || facts.uid() != rustix::process::geteuid().as_raw() {
        return Err(StoreSnapshotError::Exposed { path: path.to_owned(), mode });
    }
    Ok(file)
}

/// What was read so far.
struct Reading {
    is_whole: bool,
    confirmed: Option<Confirmed>,
    latest: Timestamp,
    keys: Option<KeptKeys>,
    clock: Option<clock::Row>,
    pruned: Pruned,
    revocations: u64,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            is_whole: false,
            confirmed: None,
            latest: Timestamp::from_millis(i64::MIN),
            keys: None,
            clock: None,
            pruned: Pruned::default(),
            revocations: 0,
        }
    }
}

impl Reading {
    fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Revocations(records) => self.revocations += records.len() as u64,
            Entry::Keys(keys) => self.keys = Some(keys.clone()),
            Entry::Accounts(..) => {}
            Entry::Clock(row) => self.clock = Some(*row),
            Entry::Pruned(pruned) => self.pruned = *pruned,
            Entry::Confirmed(confirmed) => {
                self.confirmed = Some(*confirmed);
                self.latest = self.latest.max(confirmed.at.civil);
            }
            Entry::EndOfBase => self.is_whole = true,
        }
    }
}
