//! A throttle's batches: what this process has counted goes to the store, and what others have counted comes from
//! there. Nobody who logs in waits for it.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::{
    key::ThrottleKey,
    rows::{self, Cursor, Offset},
    throttle::Throttle,
};
use crate::{
    domain::{Clock, Timestamp, random},
    rules::limit::Origin,
    state::{
        keys::{Vault, VaultError},
        store::{Store, StoreError},
    },
};

/// How often a batch is written. A crash forgets what was counted since.
pub const WRITTEN_EVERY: Duration = Duration::from_secs(5);

/// How often where gateways add up what each has counted: what one has written, the others know after this.
pub const SHARED_EVERY: Duration = Duration::from_secs(1);

/// Shares of each table that a batch has, at most. The rest goes with the next one.
const SHARES_MAX: usize = 1_024;

/// Logins that a batch has, at most.
const KNOWN_MAX: usize = 256;

/// Rows of others that one statement reads.
const PAGE_ROWS: u32 = 4_096;

/// Pages that are read in one go, at most, once the gateway runs. The rest is read the next time.
const PAGES_MAX: u32 = 16;

/// How long after its time a row may become visible: a transaction takes no longer. So much is read again each time; a
/// row that is read twice counts once.
const OVERLAP: Duration = Duration::from_secs(15);

/// The exchange of one process with its store. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Exchange {
    store: Store,
    throttle: Arc<Throttle>,
    clock: Arc<dyn Clock>,
    /// Where reading goes on. Held during an exchange.
    position: Arc<Mutex<Position>>,
    origin: Origin,
}

#[derive(Debug)]
struct Position {
    cursor: Cursor,
    /// The store's time when it was read last.
    read_at: Timestamp,
    /// Whether the store's key is known, and what it had counted.
    begun: bool,
}

impl Exchange {
    /// One that has exchanged nothing yet.
    #[must_use]
    pub fn new(store: Store, throttle: Arc<Throttle>, clock: Arc<dyn Clock>) -> Self {
        let beginning = Timestamp::from_millis(0);
        let position = Position { cursor: Cursor::at(beginning), read_at: beginning, begun: false };
        Self { store, throttle, clock, position: Arc::new(Mutex::new(position)), origin: random::bytes() }
    }

    /// Begins with the store's key, and with what was counted before this process started, here and elsewhere.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when the master key is missing or another one.
    pub async fn begin(&self, vault: &Vault) -> Result<(), VaultError> {
        let key = vault.throttle_key().await?;
        Ok(self.begin_under(ThrottleKey::new(&key)).await?)
    }

    /// The same with a key that is known.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn begin_under(&self, key: ThrottleKey) -> Result<(), StoreError> {
        self.throttle.begin_under(key);
        self.read(u32::MAX).await?;
        self.position.lock().await.begun = true;
        Ok(())
    }

    /// Whether it has begun: before that nothing is written.
    pub async fn has_begun(&self) -> bool {
        self.position.lock().await.begun
    }

    /// How often [`run_once`](Self::run_once) is due.
    #[must_use]
    pub fn every(&self) -> Duration {
        if self.is_shared() { SHARED_EVERY } else { WRITTEN_EVERY }
    }

    /// Whether several gateways add up what each has counted.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.throttle.settings.shared && self.store.is_shared()
    }

    /// The throttle that is exchanged.
    #[must_use]
    pub const fn throttle(&self) -> &Arc<Throttle> {
        &self.throttle
    }

    /// Writes what was counted here since the last time, and reads what was counted elsewhere. What could not be
    /// written goes with the next batch.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn run_once(&self) -> Result<(), StoreError> {
        self.write().await?;
        // All processes on a file are one gateway, which is being upgraded.
        if self.is_shared() || !self.store.is_shared() { self.read(PAGES_MAX).await } else { Ok(()) }
    }

    async fn write(&self) -> Result<(), StoreError> {
        // One batch at a time: an older one must not come after a newer one.
        let position = self.position.lock().await;
        if !position.begun {
            return Ok(());
        }
        let batch = self.throttle.take_batch(SHARES_MAX, KNOWN_MAX);
        if batch.is_empty() {
            return Ok(());
        }
        // A caller that is dropped meanwhile leaves nothing behind that is never written.
        let unwritten = Unwritten { throttle: &self.throttle, batch: Some(batch) };
        let Some(batch) = &unwritten.batch else { return Ok(()) };
        let writing = async {
            let local = self.clock.now();
            let now = rows::time(&self.store, local).await?;
            let time = (now, Offset::between(local, now));
            rows::write(&self.store, self.origin, batch, &self.throttle.settings, time).await
        };
        self.store.within(writing).await?;
        unwritten.arrived();
        Ok(())
    }

    async fn read(&self, pages_max: u32) -> Result<(), StoreError> {
        let mut position = self.position.lock().await;
        let local = self.clock.now();
        let now = rows::time(&self.store, local).await?;
        let time = (now, Offset::between(local, now));
        if now < position.read_at {
            // The store's clock was set back: new rows may have any time.
            position.cursor = Cursor::at(Timestamp::from_millis(0));
        }
        position.read_at = now;
        for _ in 0..pages_max {
            let page = rows::read_others(&self.store, self.origin, &position.cursor, PAGE_ROWS, time);
            let (foreign, next) = page.await?;
            self.throttle.merge(&foreign, self.clock.now());
            let Some(next) = next else {
                position.cursor = Cursor::at(now.minus(OVERLAP));
                break;
            };
            position.cursor = next;
        }
        Ok(())
    }
}

/// A batch that is on its way. Whatever becomes of that, what did not arrive for certain is written again.
struct Unwritten<'t> {
    throttle: &'t Throttle,
    batch: Option<super::batch::Batch>,
}

impl Unwritten<'_> {
    fn arrived(mut self) {
        if let Some(batch) = self.batch.take() {
            self.throttle.written(&batch);
        }
    }
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        if let Some(batch) = &self.batch {
            self.throttle.give_back(batch);
        }
    }
}
