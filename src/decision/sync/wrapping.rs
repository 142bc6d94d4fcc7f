//! Wraps sealed hashes in argon2id, beside logins: one at a time, in the hasher's turns, with a pause after each. And
//! counts what is left of other systems' hashes.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    domain::{Clock, PrincipalId},
    observe::metrics::Metrics,
    rules::limit::ClientKey,
    state::{
        account::{
            Hasher, PasswordHash, PasswordKey,
            import::{foreign_formats, sealed_after, store_wrapped},
        },
        keys::{PasswordKeys, Vault, VaultError},
        store::{Store, StoreError},
    },
};

/// How often it is looked whether an import left something.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often what is left is counted.
const COUNT_EVERY: Duration = Duration::from_secs(300);

/// Hashes that are read and written at once.
const PAGE_ROWS: u32 = 8;

/// Times of a hash that pass after it: a quarter of one hashing thread works for this.
const PAUSE_HASHES: u32 = 3;

/// The least pause.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// Wraps what imports left.
pub struct Wrapping {
    store: Store,
    keys: PasswordKeys,
    hasher: Arc<Hasher>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Whether it was said that a hash does not open: each pass meets it again.
    told: AtomicBool,
}

/// Why a pass came to nothing.
enum Trouble {
    /// The store or the key.
    Vault(VaultError),
    /// Logins have every place.
    Busy,
}

impl Wrapping {
    /// What wraps in a vault's store, on the threads of `hasher`.
    #[must_use]
    pub fn new(vault: Vault, hasher: Arc<Hasher>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            store: vault.store().clone(),
            keys: PasswordKeys::new(vault),
            hasher,
            clock,
            metrics,
            told: AtomicBool::new(false),
        }
    }

    /// Wraps now and then, until `stop` says true. It may be dropped at any point: what is left is done the next time.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.work() => {}
        }
    }

    async fn work(&self) {
        let mut counted: Option<Instant> = None;
        loop {
            match self.pass().await {
                Ok(0) | Err(Trouble::Busy) => {}
                // The counts of before are old.
                Ok(_) => counted = None,
                Err(Trouble::Vault(error)) => {
                    tracing::warn!(%error, "sealed passwords could not be wrapped; it is tried again in ten seconds");
                }
            }
            if counted.is_none_or(|at| at.elapsed() >= COUNT_EVERY) && self.count().await.is_ok() {
                counted = Some(Instant::now());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Wraps all there is. It begins anywhere: several gateways on a store work on different accounts.
    async fn pass(&self) -> Result<u64, Trouble> {
        if sealed_after(&self.store, None, 1).await?.is_empty() {
            return Ok(0);
        }
        let key = self.keys.need().await?;
        let begin = PrincipalId::generate();
        let mut wrapped = 0;
        for (from, until) in [(Some(begin), None), (None, Some(begin))] {
            let mut after = from;
            loop {
                let page = sealed_after(&self.store, after, PAGE_ROWS).await?;
                let Some((last, _)) = page.last() else { break };
                let has_passed = until.is_some_and(|until| last.uuid() > until.uuid());
                after = Some(*last);
                wrapped += self.page(page, &key).await?;
                if has_passed {
                    break;
                }
            }
        }
        Ok(wrapped)
    }

    async fn page(&self, page: Vec<(PrincipalId, PasswordHash)>, key: &Arc<PasswordKey>) -> Result<u64, Trouble> {
        let mut wrapped = vec![];
        for (id, sealed) in page {
            let (key, old, clock) = (Arc::clone(key), sealed.clone(), Arc::clone(&self.clock));
            let work = move || {
                let began = clock.instant();
                let new = old.wrap(id, &key);
                (new, clock.instant().saturating_duration_since(began))
            };
            let (new, took) = self.hasher.work(ClientKey::OPERATOR, work).await.map_err(|_| Trouble::Busy)?;
            match new {
                Ok(new) => wrapped.extend(new.map(|new| (id, sealed, new))),
                Err(error) if !self.told.swap(true, Ordering::Relaxed) => {
                    tracing::warn!(account = %id, %error, "a sealed password could not be wrapped");
                }
                Err(_) => {}
            }
            sleep((took * PAUSE_HASHES).max(PAUSE_MIN)).await;
        }
        Ok(store_wrapped(&self.store, &wrapped).await?)
    }

    /// Tells the metrics what is left of other systems' hashes.
    async fn count(&self) -> Result<(), StoreError> {
        let counts = foreign_formats(&self.store).await?;
        let gauge = &self.metrics.passwords.foreign_hashes;
        gauge.reset();
        for count in &counts {
            let kept = match (count.sealed, count.wrapped) {
                (true, _) => "sealed",
                (_, true) => "wrapped",
                (false, false) => "plain",
            };
            let accounts = i64::try_from(count.accounts).unwrap_or(i64::MAX);
            gauge.with_label_values(&[count.realm.as_str(), count.format, kept]).add(accounts);
        }
        Ok(())
    }
}

impl fmt::Debug for Wrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wrapping(…)")
    }
}

impl From<VaultError> for Trouble {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Vault(error.into())
    }
}
