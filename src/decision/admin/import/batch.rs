//! One batch: what becomes of each row, decided first and then written, in one transaction.

use std::collections::{HashMap, HashSet};

use super::{
    super::accounts::{check, check_needs},
    column::{BadRow, Column},
    importer::{Importer, OnConflict, Stopped},
    row::{AccountRow, Row, Says},
};
use crate::{
    domain::{AccountName, PrincipalId, Timestamp},
    state::account::{
        AccountError, LegacyId, NewAccount,
        import::{Batch, Counts, Existing, ImportError, ImportKind, Imported, Taken, Update, Updated, changed},
        password::{Foreign, PasswordKey, to_stored},
    },
};

/// A row of the file: judged, or bad; with the bytes of the file up to its end.
#[derive(Debug)]
pub struct Item {
    /// Where it ends.
    pub end: u64,
    /// The row.
    pub row: Result<Row, BadRow>,
}

/// What is there already, of what a batch speaks of.
struct Present {
    accounts: HashMap<AccountName, Existing>,
    taken: Taken,
    companies: HashMap<String, bool>,
}

/// What is to be written.
#[derive(Default)]
struct Writes {
    made: Vec<Imported>,
    updates: Vec<(AccountName, Update)>,
    companies: Vec<(String, bool, Timestamp)>,
    changed_company: Option<(String, bool)>,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Rows that are behind it.
    pub(super) rows: usize,
    pub(super) counts: Counts,
    pub(super) bad: Vec<BadRow>,
    /// Why the next row is not.
    pub(super) stopped: Option<Stopped>,
}

impl Importer<'_> {
    /// Decides about the rows of a batch, and writes in its transaction what is to be written.
    pub(super) async fn batch(
        &mut self,
        batch: &mut Batch,
        items: &[Item],
        now: Timestamp,
        writes: bool,
    ) -> Result<Outcome, ImportError> {
        let present = self.present(batch, items).await?;
        let mut outcome = Outcome::default();
        let mut found = Writes::default();
        for item in items {
            match self.decide(item, &present, now, &mut found, &mut outcome.counts) {
                Ok(()) => {}
                Err(Stopped::Bad(bad)) if self.options.skips_bad => {
                    outcome.counts.bad += 1;
                    outcome.bad.push(bad);
                }
                Err(stopped) => {
                    outcome.stopped = Some(stopped);
                    break;
                }
            }
            outcome.rows += 1;
        }
        if writes {
            self.write(batch, found, now, &mut outcome.counts).await?;
        }
        Ok(outcome)
    }

    async fn present(&self, batch: &mut Batch, items: &[Item]) -> Result<Present, ImportError> {
        let rows = || items.iter().filter_map(|item| item.row.as_ref().ok());
        let accounts = || {
            rows().filter_map(|row| match &row.says {
                Says::Account(account) => Some(&**account),
                Says::Company(..) => None,
            })
        };
        let mut names = vec![];
        let mut companies: HashSet<&str> = accounts().filter_map(|row| row.new.company.as_deref()).collect();
        let (mut ids, mut legacy_ids) = (vec![], vec![]);
        for row in rows() {
            match &row.says {
                Says::Company(name, ..) => drop(companies.insert(name)),
                Says::Account(row) => {
                    names.push(&row.new.name);
                    if row.has_id {
                        ids.push(row.new.id);
                    }
                    if let LegacyId::Given(id) = row.new.legacy_id {
                        legacy_ids.push(id);
                    }
                }
            }
        }
        Ok(Present {
            accounts: batch.existing(&names).await?,
            taken: batch.taken(&ids, &legacy_ids).await?,
            companies: batch.companies(&companies.into_iter().collect::<Vec<_>>()).await?,
        })
    }

    fn decide(
        &mut self,
        item: &Item,
        present: &Present,
        now: Timestamp,
        writes: &mut Writes,
        counts: &mut Counts,
    ) -> Result<(), Stopped> {
        let row = item.row.as_ref().map_err(|bad| Stopped::Bad(bad.clone()))?;
        match &row.says {
            Says::Account(account) => self.account(row.line, account, present, now, writes, counts),
            Says::Company(name, disabled, created_at) => {
                let Some(is_disabled) = present.companies.get(name) else {
                    if self.seen_before(&format!("company {name}")) {
                        return self.conflict(row.line, counts, name, None, |counts| counts.unchanged += 1);
                    }
                    counts.made += 1;
                    writes.companies.push((name.clone(), disabled.unwrap_or(false), created_at.unwrap_or(now)));
                    return Ok(());
                };
                let change = disabled.filter(|disabled| disabled != is_disabled);
                self.conflict(row.line, counts, name, Some(true), |counts| match change {
                    Some(disabled) => {
                        counts.updated += 1;
                        writes.changed_company = Some((name.clone(), disabled));
                    }
                    None => counts.unchanged += 1,
                })
            }
        }
    }

    fn account(
        &mut self,
        line: u64,
        row: &AccountRow,
        present: &Present,
        now: Timestamp,
        writes: &mut Writes,
        counts: &mut Counts,
    ) -> Result<(), Stopped> {
        let new = &row.new;
        if let Some(company) = &new.company
            && !present.companies.contains_key(company)
        {
            return Err(bad(line, Some(Column::Company), &AccountError::company_missing(&new.realm, company)));
        }
        let existing = present.accounts.get(&new.name);
        let owner = existing.map(|existing| existing.account.id);
        if let LegacyId::Given(number) = new.legacy_id
            && present.taken.legacy_ids.get(&number).is_some_and(|of| Some(*of) != owner)
        {
            let why = format!("another account of realm '{}' has it", new.realm);
            return Err(bad(line, Some(Column::LegacyId), &why));
        }
        match existing {
            Some(existing) => self.existing_account(line, row, existing, writes, counts),
            None => self.new_account(line, row, &present.taken, now, writes, counts),
        }
    }

    fn new_account(
        &mut self,
        line: u64,
        row: &AccountRow,
        taken: &Taken,
        now: Timestamp,
        writes: &mut Writes,
        counts: &mut Counts,
    ) -> Result<(), Stopped> {
        let new = &row.new;
        if taken.ids.contains(&new.id) {
            return Err(bad(line, Some(Column::Id), "another account has it"));
        }
        if taken.retired.contains(&new.id) {
            return Err(bad(line, Some(Column::Id), &AccountError::Retired(new.id)));
        }
        check_needs(self.realm, new).map_err(|error| bad(line, None, &error))?;
        let Some(secret) = &row.secret else {
            return Err(bad(line, Some(Column::Hash), "a new account needs a hash or a password"));
        };
        if self.seen_before(&format!("{}\0{}", new.name.business, new.name.name)) {
            return self.conflict(line, counts, &new.name.name, None, |counts| counts.updated += 1);
        }
        counts.made += 1;
        if let Some(key) = &self.key {
            let (hash, mark) = kept(secret, new.id, key);
            let created_at = row.created_at.unwrap_or(now);
            let status = row.status.unwrap_or_default();
            writes.made.push(Imported { new: new.clone(), hash, mark, status, created_at });
        }
        Ok(())
    }

    fn existing_account(
        &self,
        line: u64,
        row: &AccountRow,
        existing: &Existing,
        writes: &mut Writes,
        counts: &mut Counts,
    ) -> Result<(), Stopped> {
        let new = &row.new;
        if row.has_id && existing.account.id != new.id {
            return Err(bad(line, Some(Column::Id), "the account is there with another id, which cannot change"));
        }
        let mut update = row.update.clone();
        if let (Some(secret), Some(key)) = (&row.secret, &self.key) {
            update.hash = Some(kept(secret, existing.account.id, key));
        }
        let changed = changed(existing, &update);
        if let Some(after) = changed.as_ref().filter(|_| self.options.on_conflict == OnConflict::Update) {
            // What the row leaves as it is counts too.
            check(self.realm, &NewAccount::from(after)).map_err(|error| bad(line, None, &error))?;
        }
        self.conflict(line, counts, &new.name.name, Some(true), |counts| {
            if changed.is_some() {
                counts.updated += 1;
                writes.updates.push((new.name.clone(), update));
            } else {
                counts.unchanged += 1;
            }
        })
    }

    /// What becomes of a row whose name is taken: in the store, or by an earlier row of a file that is only tried.
    fn conflict(
        &self,
        line: u64,
        counts: &mut Counts,
        name: &str,
        in_store: Option<bool>,
        update: impl FnOnce(&mut Counts),
    ) -> Result<(), Stopped> {
        match self.options.on_conflict {
            OnConflict::Stop => {
                let name = name.escape_debug();
                let why = if in_store.is_some() {
                    format!("'{name}' exists in realm '{}' already", self.realm.name)
                } else {
                    format!("'{name}' stands in an earlier row already")
                };
                let of = Some(Column::Name);
                return Err(Stopped::Conflict(BadRow { line, column: None, of, why }));
            }
            OnConflict::Skip => counts.skipped += 1,
            OnConflict::Update => update(counts),
        }
        Ok(())
    }

    async fn write(
        &mut self,
        batch: &mut Batch,
        writes: Writes,
        now: Timestamp,
        counts: &mut Counts,
    ) -> Result<(), ImportError> {
        let source = &self.options.source;
        batch.note_legacy_ids(writes.updates.iter().filter_map(|(_, update)| update.legacy_id)).await?;
        batch.insert(&writes.made, source).await?;
        batch.insert_companies(&writes.companies).await?;
        if let Some((name, disabled)) = &writes.changed_company {
            batch.set_company_disabled(name, *disabled, now).await?;
        }
        for updated in batch.update(&writes.updates, source, now).await? {
            // Somebody else changed it to the same meanwhile.
            if updated == Updated::Unchanged {
                counts.updated -= 1;
                counts.unchanged += 1;
            }
        }
        Ok(())
    }
}

fn bad(line: u64, of: Option<Column>, why: &(impl ToString + ?Sized)) -> Stopped {
    Stopped::Bad(BadRow { line, column: None, of, why: why.to_string() })
}

fn kept(secret: &Foreign, account: PrincipalId, key: &PasswordKey) -> (crate::state::account::PasswordHash, Vec<u8>) {
    (to_stored(secret, account, key), key.mark(account, secret).to_vec())
}

/// Whether rows of this kind may stand in one batch: a company's change has a turn of its own.
pub(super) const fn rows_max(kind: ImportKind, on_conflict: OnConflict) -> usize {
    match (kind, on_conflict) {
        (ImportKind::Companies, OnConflict::Update) => 1,
        (_, OnConflict::Update) => 100,
        _ => 1_000,
    }
}
