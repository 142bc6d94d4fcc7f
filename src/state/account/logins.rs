//! When accounts logged in, and how often that failed since. Logins say it in memory; a task writes it down, so that no
//! login waits for it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::repository::bytes;
use crate::{
    domain::{PrincipalId, Timestamp},
    state::store::{Query, Store, StoreError, Turn},
};

/// Accounts that are remembered between two writings, at most. Logins of others are not counted until the next one.
pub const LOGINS_ACCOUNTS_MAX: usize = 65_536;

/// Accounts that one transaction writes, at most, so that no writer waits long for it.
const WRITE_ROWS_MAX: usize = 250;

/// What happened to accounts since the last writing. Shared between threads as it is.
#[derive(Debug, Default)]
pub struct Logins {
    seen: Mutex<BTreeMap<PrincipalId, Seen>>,
}

/// What happened to one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// The last login.
    login_at: Option<Timestamp>,
    /// Failed ones since then; where there was none, those that come on top of what the store has.
    failed: u32,
}

impl Seen {
    /// As it is after what came later.
    const fn then(self, later: Self) -> Self {
        match later.login_at {
            Some(_) => later,
            None => Self { login_at: self.login_at, failed: self.failed.saturating_add(later.failed) },
        }
    }
}

impl Logins {
    /// An account proved its secret.
    pub fn succeeded(&self, account: PrincipalId, now: Timestamp) {
        self.note(account, Seen { login_at: Some(now), failed: 0 });
    }

    /// Somebody gave a wrong secret for an account that exists.
    pub fn failed(&self, account: PrincipalId) {
        self.note(account, Seen { login_at: None, failed: 1 });
    }

    fn note(&self, account: PrincipalId, later: Seen) {
        let mut seen = self.seen();
        let is_full = seen.len() >= LOGINS_ACCOUNTS_MAX;
        match seen.entry(account) {
            Entry::Occupied(mut entry) => *entry.get_mut() = entry.get().then(later),
            Entry::Vacant(entry) if !is_full => drop(entry.insert(later)),
            Entry::Vacant(_) => {}
        }
    }

    fn take(&self) -> BTreeMap<PrincipalId, Seen> {
        mem::take(&mut *self.seen())
    }

    /// Takes back what could not be written. What came meanwhile is later.
    fn put_back(&self, earlier: impl IntoIterator<Item = (PrincipalId, Seen)>) {
        let mut seen = self.seen();
        for (account, earlier) in earlier {
            match seen.entry(account) {
                Entry::Occupied(mut entry) => *entry.get_mut() = earlier.then(*entry.get()),
                Entry::Vacant(entry) => drop(entry.insert(earlier)),
            }
        }
        while seen.len() > LOGINS_ACCOUNTS_MAX {
            seen.pop_last();
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<PrincipalId, Seen>> {
        // Every change of it is one assignment.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is being written down. What is left of it when it is dropped is taken back.
struct Taken<'l> {
    logins: &'l Logins,
    left: BTreeMap<PrincipalId, Seen>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.logins.put_back(mem::take(&mut self.left));
    }
}

/// Writes down what happened since the last time, a batch a transaction; between two of them it waits for `pause`. What
/// cannot be written is kept for the next time, and so is the rest when this is dropped. Accounts that were deleted
/// meanwhile get no row.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn write_logins<F: Future<Output = ()>>(
    store: &Store,
    logins: &Logins,
    pause: impl Fn() -> F,
) -> Result<(), StoreError> {
    let mut taken = Taken { logins, left: logins.take() };
    while !taken.left.is_empty() {
        let batch: Vec<_> = taken.left.iter().take(WRITE_ROWS_MAX).map(|(account, seen)| (*account, *seen)).collect();
        write_batch(store, &batch).await?;
        for (account, _) in &batch {
            taken.left.remove(account);
        }
        if !taken.left.is_empty() {
            pause().await;
        }
    }
    Ok(())
}

/// In the order of the ids, as every other gateway does: no two wait for each other.
async fn write_batch(store: &Store, batch: &[(PrincipalId, Seen)]) -> Result<(), StoreError> {
    let mut transaction = store.begin(Turn::Nothing).await?;
    for (account, seen) in batch {
        insertion()
            .bind(bytes(account))
            .bind(seen.login_at.map(Timestamp::as_millis))
            .bind(seen.failed)
            .execute(&mut transaction)
            .await?;
    }
    transaction.commit().await
}

fn insertion() -> Query {
    // On a server the account's row is held until the end: who deletes it meanwhile removes the new row too.
    Query::of(
        "INSERT INTO account_logins (account, last_login_at, failed_logins) \
         SELECT id, $2, $3 FROM principals WHERE id = $1 \
         ON CONFLICT (account) DO UPDATE SET \
             failed_logins = CASE WHEN excluded.last_login_at IS NULL THEN account_logins.failed_logins ELSE 0 END \
                             + excluded.failed_logins, \
             last_login_at = coalesce(excluded.last_login_at, account_logins.last_login_at)",
        "INSERT INTO account_logins (account, last_login_at, failed_logins) \
         SELECT id, $2, $3 FROM principals WHERE id = $1 FOR KEY SHARE \
         ON CONFLICT (account) DO UPDATE SET \
             failed_logins = CASE WHEN excluded.last_login_at IS NULL THEN account_logins.failed_logins ELSE 0 END \
                             + excluded.failed_logins, \
             last_login_at = coalesce(excluded.last_login_at, account_logins.last_login_at)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn a_login_forgets_the_failures_before_it() {
        let (logins, ana) = (Logins::default(), PrincipalId::generate());
        logins.failed(ana);
        logins.failed(ana);
        assert_eq!(logins.take()[&ana], Seen { login_at: None, failed: 2 });
        logins.failed(ana);
        logins.succeeded(ana, at(7));
        logins.failed(ana);
        assert_eq!(logins.take()[&ana], Seen { login_at: Some(at(7)), failed: 1 });
        assert!(logins.take().is_empty());
    }

    #[test]
    fn what_could_not_be_written_counts_before_what_came_meanwhile() {
        let logins = Logins::default();
        let [ana, eva, leo] = [(); 3].map(|()| PrincipalId::generate());
        for account in [ana, eva, leo] {
            logins.succeeded(account, at(1));
            logins.failed(account);
        }
        let taken = logins.take();
        logins.failed(ana);
        logins.succeeded(eva, at(2));
        logins.put_back(taken);
        let seen = logins.take();
        assert_eq!(seen[&ana], Seen { login_at: Some(at(1)), failed: 2 });
        assert_eq!(seen[&eva], Seen { login_at: Some(at(2)), failed: 0 });
        assert_eq!(seen[&leo], Seen { login_at: Some(at(1)), failed: 1 });
    }

    #[test]
    fn it_takes_no_more_than_its_bound() {
        let logins = Logins::default();
        let first = PrincipalId::generate();
        logins.failed(first);
        for _ in 1..LOGINS_ACCOUNTS_MAX + 10 {
            logins.failed(PrincipalId::generate());
        }
        logins.failed(first);
        let taken = logins.take();
        assert_eq!((taken.len(), taken[&first].failed), (LOGINS_ACCOUNTS_MAX, 2));
        logins.failed(PrincipalId::generate());
        logins.put_back(taken);
        assert_eq!(logins.take().len(), LOGINS_ACCOUNTS_MAX);
    }
}
