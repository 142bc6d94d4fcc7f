//! What the following of the store hands to the writer: it collects what came in, and never waits.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use aws_lc_rs::aead::LessSafeKey;

use super::{
    confirmed::Confirmed,
    frame::PURPOSE,
    writer::{InForce, Keys, Observer, Shared, Update, Writer},
};
use crate::{
    domain::RealmName,
    state::{
        account::AccountId,
        clock,
        keys::{KeptKeys, Vault, VaultError},
        revocation::log::Record,
    },
};

/// How long changes are collected before they are handed over together: a gateway may take hundreds of looks a second.
const LINGER: Duration = Duration::from_millis(100);

/// Between two bases, at least: with very many revocations one is hundreds of megabytes.
pub(super) const BASE_PAUSE: Duration = Duration::from_secs(30);

/// Updates that wait for the writer, at most.
const UPDATES_MAX: usize = 16;

/// Revocations, or accounts, of one update, at most. With more a new base is written.
const ITEMS_MAX: usize = 20_000;

/// Collects what came in since the last update.
pub struct Recorder {
    updates: SyncSender<Update>,
    confirm_every: Duration,
    shared: Arc<Shared>,
    records: Vec<Record>,
    accounts: Vec<(RealmName, Vec<AccountId>)>,
    accounts_len: usize,
    keys: Option<Keys>,
    present_keys: Option<KeptKeys>,
    /// The last row, and whether the writer has it.
    clock: Option<(clock::Row, bool)>,
    realms: Vec<RealmName>,
    /// Whether something is missing: nothing is collected before a new base begins.
    has_gap: bool,
    /// Whether a new base is wanted.
    wants_base: bool,
    /// When an update was handed over, and when a base was begun: by the clock of the boot.
    sent: Option<Duration>,
    began: Option<Duration>,
    /// Whether it was said that the writer is behind.
    is_behind: bool,
}

impl Recorder {
    /// Starts the writer of the file at `path`, of the store at `store`. It ends with this. Where nothing else is to be
    /// written, a confirmation is, every `confirm_every`: a start that is this much older is only stricter.
    ///
    /// # Errors
    /// Fails when the system gives no thread.
    pub fn start(
        path: PathBuf,
        store: String,
        confirm_every: Duration,
        in_force: Arc<dyn InForce>,
        observer: Observer,
    ) -> io::Result<Self> {
        let (updates, to_write) = sync_channel(UPDATES_MAX);
        let shared = Arc::<Shared>::default();
        let writer = Writer {
            path,
            store,
            in_force,
            observer,
            shared: Arc::clone(&shared),
            keys: None,
            clock: None,
            present: None,
            is_failing: false,
        };
        thread::Builder::new().name("snapshot".to_owned()).spawn(move || writer.run(&to_write))?;
        Ok(Self {
            updates,
            confirm_every,
            shared,
            records: vec![],
            accounts: vec![],
            accounts_len: 0,
            keys: None,
            present_keys: None,
            clock: None,
            realms: vec![],
            has_gap: true,
            wants_base: true,
            sent: None,
            began: None,
            is_behind: false,
        })
    }

    /// These are in force.
    pub fn note(&mut self, records: &[Record]) {
        if self.records.len() + records.len() > ITEMS_MAX {
            self.lose();
        }
        if !self.has_gap {
            self.records.extend_from_slice(records);
        }
    }

    /// These accounts are known.
    pub fn note_accounts(&mut self, realm: &RealmName, ids: &[AccountId]) {
        self.accounts_len += ids.len();
        if self.accounts_len > ITEMS_MAX {
            self.lose();
        }
        if !self.has_gap {
            self.accounts.push((realm.clone(), ids.to_vec()));
        }
    }

    /// The accounts of these realms are known; those of a new one are in the next base.
    pub fn note_realms(&mut self, realms: Vec<RealmName>) {
        self.wants_base |= realms != self.realms;
        self.realms = realms;
    }

    /// These are the keys.
    ///
    /// # Errors
    /// Fails when the master key's file does not hold their key any more.
    pub fn note_keys(&mut self, vault: &Vault, kept: KeptKeys) -> Result<(), VaultError> {
        let cipher: LessSafeKey = vault.derive(&kept, PURPOSE)?;
        if self.present_keys.replace(kept.clone()).is_some_and(|before| kept.lacks_some_of(&before)) {
            // What was revoked leaves the file at once, with all that was written before.
            (self.wants_base, self.began) = (true, None);
        }
        self.keys = Some(Keys { kept: Arc::new(kept), cipher: Arc::new(cipher) });
        Ok(())
    }

    /// This is the row of the clock.
    pub fn note_clock(&mut self, row: clock::Row) {
        if self.clock.is_none_or(|(present, _)| present != row) {
            self.clock = Some((row, false));
        }
    }

    /// All of that was confirmed. Hands it over where there is something, or where it is time; it waits for nothing.
    /// `now` is by the clock of the boot.
    pub fn confirm(&mut self, confirmed: Confirmed, now: Duration) {
        let is_past = |since: Option<Duration>, span| since.is_none_or(|since| now.saturating_sub(since) >= span);
        self.wants_base |= self.shared.wants_base.swap(false, Ordering::AcqRel);
        let begins = (self.wants_base || self.has_gap) && is_past(self.began, BASE_PAUSE);
        let row = self.clock.filter(|(_, sent)| !sent).map(|(row, _)| row);
        let has_some = !self.records.is_empty() || !self.accounts.is_empty() || self.keys.is_some() || row.is_some();
        let is_due = begins || (has_some && is_past(self.sent, LINGER)) || is_past(self.sent, self.confirm_every);
        if (self.has_gap && !begins) || !is_due {
            return;
        }
        let update = Update {
            records: std::mem::take(&mut self.records),
            accounts: std::mem::take(&mut self.accounts),
            keys: self.keys.take(),
            clock: row,
            confirmed,
            follows: !self.has_gap,
            begins,
        };
        self.accounts_len = 0;
        match self.updates.try_send(update) {
            Ok(()) => {
                self.clock = self.clock.map(|(row, _)| (row, true));
                self.sent = Some(now);
                self.has_gap = false;
                self.is_behind = false;
                if begins {
                    (self.wants_base, self.began) = (false, Some(now));
                }
            }
            Err(TrySendError::Full(update) | TrySendError::Disconnected(update)) => {
                self.keys = update.keys;
                self.lose();
                if !self.is_behind {
                    tracing::warn!("the disk of the store's snapshot is too slow; the snapshot ages meanwhile");
                }
                self.is_behind = true;
            }
        }
    }

    /// Gives up what was collected: a new base will have it.
    fn lose(&mut self) {
        self.records = vec![];
        self.accounts = vec![];
        self.accounts_len = 0;
        self.has_gap = true;
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("has_gap", &self.has_gap).finish_non_exhaustive()
    }
}
