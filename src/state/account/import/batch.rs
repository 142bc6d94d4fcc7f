//! One transaction of an import: some hundred rows, the point behind them, and nothing else. It has the turn of
//! the one that makes accounts, so that names, ids and numbers are what they were when it looked.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::{
    super::{
        AccountError, LEGACY_ID_MAX, LegacyId, NewAccount, PasswordHash, Raised, company,
        insert::{last_legacy_id, set_last_legacy_id},
        record::joined_grants,
        repository::{ACCOUNT, BESIDE, bytes, read, read_id},
    },
    Claim, Counts, ImportError, ImportKind, Point,
    update::{Existing, Status, Update, Updated, update},
};
use crate::{
    domain::{AccountName, PrincipalId, RealmName, Timestamp},
    state::store::{
        Action, AuditedStore, AuditedTransaction, Change, ChangeTurn, Entry, Query, Store, StoreError, Transaction,
        Turn, places, query, unnamed,
    },
};

/// Rows of one statement, at most. SQLite takes 32,766 values in one, and PostgreSQL twice as many.
const ROWS_A_STATEMENT: usize = 500;

/// An account that a row makes.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What it is.
    pub new: NewAccount,
    /// Its hash, as the store may have it.
    pub hash: PasswordHash,
    /// What tells the old system's hash from another.
    pub mark: Vec<u8>,
    /// Whether it may log in.
    pub status: Status,
    /// When it was made, here or there.
    pub created_at: Timestamp,
}

/// What new accounts cannot have.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Ids of accounts that are there.
    pub ids: HashSet<PrincipalId>,
    /// Ids of accounts that were deleted.
    pub retired: HashSet<PrincipalId>,
    /// Numbers of accounts of the realm, each with its account.
    pub legacy_ids: HashMap<i64, PrincipalId>,
}

/// A transaction of an import, or one that only looks.
#[derive(Debug)]
pub struct Batch {
    work: Work,
    realm: RealmName,
    raised: Raised,
}

#[derive(Debug)]
enum Work {
    /// It writes, with the right to do so, behind a point.
    Change(Box<AuditedTransaction>, Claim, Point),
    Look(Box<Transaction>),
}

impl Work {
    fn transaction(&mut self) -> &mut Transaction {
        match self {
            Self::Change(transaction, ..) => transaction,
            Self::Look(transaction) => transaction,
        }
    }

    async fn wait_for(&mut self, turn: impl Into<ChangeTurn<'_>>) -> Result<(), StoreError> {
        match self {
            Self::Change(transaction, ..) => transaction.wait_for(turn).await,
            // A batch that changes nothing waits for nobody.
            Self::Look(_) => Ok(()),
        }
    }
}

impl Batch {
    /// Begins one that writes the rows behind `from`. A process that has lost the import finds out at its end.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn begin(store: &AuditedStore, claim: &Claim, from: &Point) -> Result<Self, StoreError> {
        let transaction = store.begin(ChangeTurn::Accounts).await?;
        let work = Work::Change(Box::new(transaction), claim.clone(), *from);
        Ok(Self { work, realm: claim.realm.clone(), raised: Raised::new() })
    }

    /// Begins one that only looks.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn look(store: &Store, realm: &RealmName) -> Result<Self, StoreError> {
        let transaction = store.begin_reading().await?;
        Ok(Self { work: Work::Look(Box::new(transaction)), realm: realm.clone(), raised: Raised::new() })
    }

    /// Those of these accounts that are there.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn existing(&mut self, names: &[&AccountName]) -> Result<HashMap<AccountName, Existing>, StoreError> {
        let mut found = HashMap::new();
        for names in names.chunks(ROWS_A_STATEMENT) {
            let statement = format!(
                "WITH named (business, name) AS (VALUES {}) SELECT {ACCOUNT}, account_sources.mark AS mark \
                 FROM named, principals {BESIDE} LEFT JOIN account_sources ON account_sources.account = principals.id \
                 WHERE principals.realm = ? AND principals.business = named.business AND principals.name = named.name",
                places(names.len(), 2)
            );
            let asked =
                names.iter().fold(unnamed(statement), |query, name| query.bind(&name.business).bind(&name.name));
            for row in asked.bind(self.realm.as_str()).all(self.work.transaction()).await? {
                let existing = Existing { account: read(&row)?, mark: row.get("mark")? };
                found.insert(existing.account.name.clone(), existing);
            }
        }
        Ok(found)
    }

    /// What of these ids and numbers new accounts cannot have.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn taken(&mut self, ids: &[PrincipalId], legacy_ids: &[i64]) -> Result<Taken, StoreError> {
        let mut taken = Taken::default();
        for ids in ids.chunks(ROWS_A_STATEMENT) {
            let listed = places(1, ids.len());
            let of = |text: String| ids.iter().fold(unnamed(text), |query, id| query.bind(bytes(id)));
            let present = of(format!("SELECT id FROM principals WHERE id IN {listed}"));
            for row in present.all(self.work.transaction()).await? {
                taken.ids.insert(read_id(&row)?);
            }
            let retired =
                of(format!("SELECT subject AS id FROM revocations WHERE kind = 'principal' AND subject IN {listed}"));
            for row in retired.all(self.work.transaction()).await? {
                taken.retired.insert(read_id(&row)?);
            }
        }
        for numbers in legacy_ids.chunks(ROWS_A_STATEMENT) {
            let statement = format!(
                "SELECT id, legacy_id FROM principals WHERE realm = ? AND legacy_id IS NOT NULL AND legacy_id IN {}",
                places(1, numbers.len())
            );
            let asked = unnamed(statement).bind(self.realm.as_str());
            let asked = numbers.iter().fold(asked, |query, number| query.bind(*number));
            for row in asked.all(self.work.transaction()).await? {
                taken.legacy_ids.insert(row.get("legacy_id")?, read_id(&row)?);
            }
        }
        Ok(taken)
    }

    /// Those of these companies that are there, and whether each is disabled.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn companies(&mut self, names: &[&str]) -> Result<HashMap<String, bool>, StoreError> {
        let mut found = HashMap::new();
        for names in names.chunks(ROWS_A_STATEMENT) {
            let statement =
                format!("SELECT name, disabled FROM companies WHERE realm = ? AND name IN {}", places(1, names.len()));
            let asked = unnamed(statement).bind(self.realm.as_str());
            let asked = names.iter().fold(asked, |query, name| query.bind(*name));
            for row in asked.all(self.work.transaction()).await? {
                found.insert(row.get("name")?, row.get("disabled")?);
            }
        }
        Ok(found)
    }

    /// Makes accounts that are not there, all of `source`.
    ///
    /// # Errors
    /// Fails when the realm has no number left, or when the store is out of reach or damaged.
    pub async fn insert(&mut self, accounts: &[Imported], source: &str) -> Result<(), AccountError> {
        if accounts.is_empty() {
            return Ok(());
        }
        let numbers = self.numbers(accounts).await?;
        let rows: Vec<_> = accounts.iter().zip(numbers).collect();
        for rows in rows.chunks(ROWS_A_STATEMENT) {
            insertion(&self.realm, rows).execute(self.work.transaction()).await?;
            origins(source, rows).execute(self.work.transaction()).await?;
        }
        self.work.transaction().tell(Change::Accounts);
        Ok(())
    }

    /// The number of each account, by the rule for a single one.
    async fn numbers(&mut self, accounts: &[Imported]) -> Result<Vec<Option<i64>>, AccountError> {
        if accounts.iter().all(|account| account.new.legacy_id == LegacyId::None) {
            return Ok(vec![None; accounts.len()]);
        }
        let mut last = last_legacy_id(self.work.transaction(), &self.realm).await?;
        let mut numbers = Vec::with_capacity(accounts.len());
        // Given ones first: the next one is never one that a later row brings.
        let given = accounts.iter().filter_map(|account| match account.new.legacy_id {
            LegacyId::Given(id) => Some(id),
            LegacyId::None | LegacyId::Next => None,
        });
        last = last.max(given.max().unwrap_or(0));
        for account in accounts {
            numbers.push(match account.new.legacy_id {
                LegacyId::None => None,
                LegacyId::Given(id) => Some(id),
                LegacyId::Next if last >= LEGACY_ID_MAX => {
                    return Err(AccountError::Invalid(
                        "the legacy id",
                        "must be given: the realm has used the highest",
                    ));
                }
                LegacyId::Next => {
                    last += 1;
                    Some(last)
                }
            });
        }
        set_last_legacy_id(self.work.transaction(), &self.realm, last).await?;
        Ok(numbers)
    }

    /// Notes the numbers that updates of the batch give, before its accounts are made: none of these gets one of them,
    /// and none comes back after its account was deleted.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn note_legacy_ids(&mut self, given: impl IntoIterator<Item = i64>) -> Result<(), StoreError> {
        let Some(highest) = given.into_iter().max() else { return Ok(()) };
        let last = last_legacy_id(self.work.transaction(), &self.realm).await?;
        if highest > last {
            set_last_legacy_id(self.work.transaction(), &self.realm, highest).await?;
        }
        Ok(())
    }

    /// Changes accounts that are there; what became of each, in their order. It takes the turn of each one that may
    /// change, and looks again then.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn update(
        &mut self,
        updates: &[(AccountName, Update)],
        source: &str,
        now: Timestamp,
    ) -> Result<Vec<Updated>, AccountError> {
        if updates.is_empty() {
            return Ok(vec![]);
        }
        self.work.wait_for(Turn::Epochs).await?;
        let mut names: Vec<_> = updates.iter().map(|(name, _)| name).collect();
        names.sort();
        for name in &names {
            self.work.wait_for(ChangeTurn::Account(&self.realm, name)).await?;
        }
        let existing = self.existing(&names).await?;
        let mut done = vec![];
        for (name, wanted) in updates {
            let Some(existing) = existing.get(name) else {
                // Somebody deleted it, and the file still has it.
                return Err(AccountError::not_found(&self.realm, name));
            };
            let (outcome, raised) = update(self.work.transaction(), existing, wanted, source, now).await?;
            self.raised.extend(raised);
            done.push(outcome);
        }
        Ok(done)
    }

    /// Makes companies that are not there.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn insert_companies(&mut self, companies: &[(String, bool, Timestamp)]) -> Result<(), StoreError> {
        for (name, disabled, created_at) in companies {
            query("INSERT INTO companies (realm, name, disabled, created_at) VALUES ($1, $2, $3, $4)")
                .bind(self.realm.as_str())
                .bind(name)
                .bind(*disabled)
                .bind(created_at.as_millis())
                .execute(self.work.transaction())
                .await?;
        }
        Ok(())
    }

    /// Disables or enables a company that is there, with all that follows. One of a transaction: it has a turn of its
    /// own.
    ///
    /// # Errors
    /// Fails when there is no such company, or when the store is out of reach or damaged.
    pub async fn set_company_disabled(
        &mut self,
        name: &str,
        disabled: bool,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        self.work.wait_for(ChangeTurn::Company(&self.realm, name)).await?;
        let raised = company::set_disabled_in(self.work.transaction(), &self.realm, name, disabled, now).await?;
        self.raised.extend(raised);
        Ok(())
    }

    /// Moves the point, and makes all of it durable, with its row in the audit log. Answers which epochs were raised.
    /// One that only looked ends.
    ///
    /// # Errors
    /// [`ImportError::TakenOver`] when somebody else goes on with the import: nothing of this batch holds. Fails when
    /// the store is out of reach or damaged.
    pub async fn finish(self, point: &Point, finished_at: Option<Timestamp>) -> Result<Raised, ImportError> {
        let (mut transaction, claim, from) = match self.work {
            Work::Change(transaction, claim, from) => (transaction, claim, from),
            Work::Look(transaction) => return Ok(transaction.rollback().await.map(|()| Raised::new())?),
        };
        claim.advance(&mut transaction, point, finished_at).await?;
        // One that stopped before its first row did nothing.
        let did_nothing = *point == from && finished_at.is_none();
        let row = (!did_nothing).then(|| entry(&claim, (&from, point), finished_at.is_some(), &self.raised));
        transaction.commit_all(row.into_iter().collect()).await?;
        Ok(self.raised)
    }
}

/// The row of a batch. It says where the accounts are in the file, and never who they are.
fn entry(claim: &Claim, (from, to): (&Point, &Point), is_last: bool, raised: &Raised) -> Entry {
    let action = match claim.kind {
        ImportKind::Accounts(_) => Action::AccountImport,
        ImportKind::Companies => Action::CompanyImport,
    };
    let Counts { made, updated, unchanged, skipped, bad } = to.counts.since(from.counts);
    Entry::of(action).in_realm(&claim.realm).to(json!({
        "kind": claim.kind.name(),
        "after_row": from.rows,
        "to_row": to.rows,
        "bytes": to.bytes,
        "sha256": to.sha256_text(),
        "made": made,
        "updated": updated,
        "unchanged": unchanged,
        "skipped": skipped,
        "bad": bad,
        // Each account stands under its id and under its name.
        "tokens_ended": raised.len() / 2,
        "finished": is_last,
    }))
}

fn insertion(realm: &RealmName, rows: &[(&Imported, Option<i64>)]) -> Query {
    let statement = format!(
        "INSERT INTO principals (realm, id, kind, business, name, display_name, legacy_id, role, scopes, company, grants, \
         password_hash, disabled, locked, created_at) VALUES {}",
        places(rows.len(), 15)
    );
    rows.iter().fold(unnamed(statement), |query, (account, number)| {
        let new = &account.new;
        query
            .bind(realm.as_str())
            .bind(bytes(&new.id))
            .bind(new.kind.name())
            .bind(&new.name.business)
            .bind(&new.name.name)
            .bind(&new.display_name)
            .bind(*number)
            .bind(&new.role)
            .bind(new.scopes.join(" "))
            .bind(&new.company)
            .bind(joined_grants(new.grants.as_deref()))
            .bind(account.hash.text())
            .bind(account.status == Status::Disabled)
            .bind(account.status == Status::Locked)
            .bind(account.created_at.as_millis())
    })
}

fn origins(source: &str, rows: &[(&Imported, Option<i64>)]) -> Query {
    let statement = format!("INSERT INTO account_sources (source, account, mark) VALUES {}", places(rows.len(), 3));
    rows.iter().fold(unnamed(statement), |query, (account, _)| {
        query.bind(source).bind(bytes(&account.new.id)).bind(&account.mark)
    })
}
