//! How far an import is. The point moves in the transaction that writes the rows before it, so that an import which was
//! cut short goes on behind the last row that is there. The process that works on it leaves a mark: of two that do, the
//! later one goes on, and the earlier one writes nothing any more.

use serde_json::json;
use thiserror::Error;

use super::{super::AccountError, ImportKind};
use crate::{
    domain::{RealmName, Timestamp, id::hex, random},
    state::store::{Action, AuditedStore, ChangeTurn, Entry, Row, Store, StoreError, Transaction, query},
};

/// What became of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Made.
    pub made: u64,
    /// Changed.
    pub updated: u64,
    /// There already, as the row says.
    pub unchanged: u64,
    /// There already, and left alone.
    pub skipped: u64,
    /// Not understood, or not possible.
    pub bad: u64,
}

impl Counts {
    /// What became of the rows since `before`.
    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            made: self.made - before.made,
            updated: self.updated - before.updated,
            unchanged: self.unchanged - before.unchanged,
            skipped: self.skipped - before.skipped,
            bad: self.bad - before.bad,
        }
    }
}

/// Behind which row an import goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// SHA-256 of the file's bytes up to there.
    pub sha256: [u8; 32],
    /// Those bytes.
    pub bytes: u64,
    /// The rows in them, without a heading.
    pub rows: u64,
    /// What became of these.
    pub counts: Counts,
}

impl Point {
    /// The checksum in hexadecimal digits.
    pub(super) fn sha256_text(&self) -> String {
        hex(&self.sha256)
    }
}

/// An import as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How far it is.
    pub point: Point,
    /// When it began.
    pub begun_at: Timestamp,
    /// When the end of its file was reached.
    pub finished_at: Option<Timestamp>,
    mark: Vec<u8>,
}

/// The right to go on with an import, as long as nobody else takes it.
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) realm: RealmName,
    pub(super) kind: ImportKind,
    mark: [u8; 16],
}

/// Why an import cannot go on.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The process that works on it has gone on since that was looked at.
    #[error("the import into realm '{0}' has gone on meanwhile: give the same command again")]
    WentOn(RealmName),
    /// Somebody began later to work on it.
    #[error("another portero import has taken over realm '{0}': this one ends. What it imported stays")]
    TakenOver(RealmName),
    /// An account's fault.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far the import of a kind into a realm is, if there ever was one.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find(store: &Store, realm: &RealmName, kind: ImportKind) -> Result<Option<Progress>, StoreError> {
    let row = query("SELECT * FROM imports WHERE realm = $1 AND kind = $2").bind(realm.as_str()).bind(kind.name());
    row.optional(store).await?.as_ref().map(Progress::read).transpose()
}

impl Progress {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        let number = |name| row.get::<i64>(name).map(i64::unsigned_abs);
        let sha256 = row.get::<&[u8]>("sha256")?.try_into();
        Ok(Self {
            point: Point {
                sha256: sha256.map_err(|_| StoreError::corrupt("an import's checksum is not 32 bytes"))?,
                bytes: number("bytes")?,
                rows: number("records")?,
                counts: Counts {
                    made: number("made")?,
                    updated: number("updated")?,
                    unchanged: number("unchanged")?,
                    skipped: number("skipped")?,
                    bad: number("bad")?,
                },
            },
            begun_at: Timestamp::from_millis(row.get("begun_at")?),
            finished_at: row.get::<Option<i64>>("finished_at")?.map(Timestamp::from_millis),
            mark: row.get("mark")?,
        })
    }
}

impl Claim {
    /// Takes the import of a kind into a realm over at `point`; `seen` is how far it was when that was decided.
    ///
    /// # Errors
    /// [`ImportError::TakenOver`] when somebody else did meanwhile; [`ImportError::WentOn`] when it is to go on where
    /// it was seen, and is further by now. Fails when the store is out of reach or damaged.
    pub async fn take(
        store: &AuditedStore,
        (realm, kind): (&RealmName, ImportKind),
        seen: Option<&Progress>,
        point: &Point,
        now: Timestamp,
    ) -> Result<Self, ImportError> {
        let mut transaction = store.begin(ChangeTurn::Accounts).await?;
        let present = query("SELECT * FROM imports WHERE realm = $1 AND kind = $2");
        let present = present.bind(realm.as_str()).bind(kind.name()).optional(&mut transaction).await?;
        let present = present.as_ref().map(Progress::read).transpose()?;
        let mark = |progress: Option<&Progress>| progress.map(|progress| progress.mark.clone());
        if mark(present.as_ref()) != mark(seen) {
            return Err(ImportError::TakenOver(realm.clone()));
        }
        let goes_on = seen.is_some_and(|seen| seen.point == *point);
        if goes_on && present.as_ref() != seen {
            // Its rows since then are in the store: they must not be imported once more.
            return Err(ImportError::WentOn(realm.clone()));
        }
        let mark = random::bytes::<16>();
        let statement = "\
            INSERT INTO imports (realm, kind, mark, sha256, bytes, records, made, updated, unchanged, skipped, bad, begun_at) \
            VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0, 0, 0, $5) \
            ON CONFLICT (realm, kind) DO UPDATE SET mark = excluded.mark, begun_at = excluded.begun_at";
        query(statement)
            .bind(realm.as_str())
            .bind(kind.name())
            .bind(mark)
            .bind(&point.sha256[..])
            .bind(now.as_millis())
            .execute(&mut transaction)
            .await?;
        let claim = Self { realm: realm.clone(), kind, mark };
        claim.advance(&mut transaction, point, None).await?;
        let begun =
            json!({ "kind": kind.name(), "rows": point.rows, "bytes": point.bytes, "sha256": point.sha256_text() });
        transaction.commit(Entry::of(Action::ImportBegin).in_realm(realm).to(begun)).await?;
        Ok(claim)
    }

    /// Moves the point, in the transaction that writes the rows before it.
    pub(super) async fn advance(
        &self,
        transaction: &mut Transaction,
        point: &Point,
        finished_at: Option<Timestamp>,
    ) -> Result<(), ImportError> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let Counts { made, updated, unchanged, skipped, bad } = point.counts;
        let statement = "\
            UPDATE imports SET sha256 = $1, bytes = $2, records = $3, made = $4, updated = $5, unchanged = $6, \
            skipped = $7, bad = $8, finished_at = $9 WHERE realm = $10 AND kind = $11 AND mark = $12";
        let changed = query(statement)
            .bind(&point.sha256[..])
            .bind(number(point.bytes))
            .bind(number(point.rows))
            .bind(number(made))
            .bind(number(updated))
            .bind(number(unchanged))
            .bind(number(skipped))
            .bind(number(bad))
            .bind(finished_at.map(Timestamp::as_millis))
            .bind(self.realm.as_str())
            .bind(self.kind.name())
            .bind(self.mark)
            .execute(transaction)
            .await?;
        if changed == 1 { Ok(()) } else { Err(ImportError::TakenOver(self.realm.clone())) }
    }
}
