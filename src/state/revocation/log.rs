//! The durable side of revocation: a log in the store that every gateway on it reads in order.
//!
//! A subject stands in it once. Revoking it again moves it to the end, under a new sequence number,
//! and only ever makes it stricter: the longer expiry and the higher epoch stay.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::{
    domain::{PrincipalId, RevocationId, SessionId, Timestamp, TrustedNow, id::hex},
    state::{
        clock,
        store::{
            Action, AuditedStore, Change, Entry, Query, RevocationColumns, RevocationRow, Store, StoreError,
            Transaction, Turn, query,
        },
    },
};

/// How long a record stays in the store after its expiry: longer than any leeway (60 s) with which a token is still
/// accepted, and than a civil clock that is trusted can be wrong.
pub const EXPIRED_KEPT: Duration = Duration::from_hours(7 * 24);

/// What is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RevokedSubject {
    /// One token.
    Token(RevocationId),
    /// All tokens of one login.
    Session(SessionId),
    /// All tokens of a principal whose epoch is below this one.
    Principal(PrincipalId, u32),
}

/// One revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What is revoked.
    pub subject: RevokedSubject,
    /// From when on nothing of the subject could be valid anyway; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, the last time.
    pub created_at: Timestamp,
}

/// Revokes a token or a session by an administrator's word. It is on the disk when this returns.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn revoke(store: &AuditedStore, record: &Record) -> Result<(), StoreError> {
    let mut transaction = store.begin(Turn::Nothing).await?;
    append_in(&mut transaction, record).await?;
    let entry = match record.subject {
        RevokedSubject::Token(id) => Entry::on(Action::TokenRevoke, "token", hex(&id.to_bytes())),
        RevokedSubject::Session(id) => Entry::on(Action::SessionRevoke, "session", id.to_string()),
        RevokedSubject::Principal(id, _) => Entry::on(Action::AccountRevoke, "principal", id.to_string()),
    };
    transaction.commit(entry.to(json!({ "until": record.expires_at.map(Timestamp::as_millis) }))).await
}

/// Records a revocation that no administrator asked for: a client's own, of its token. It is on the disk when this
/// returns.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn append(store: &Store, record: &Record) -> Result<(), StoreError> {
    let mut transaction = store.begin(Turn::Nothing).await?;
    append_in(&mut transaction, record).await?;
    transaction.commit().await?;
    Ok(())
}

/// Records a revocation within a transaction, so that it becomes durable together with the change that caused it, and
/// every gateway hears of it.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn append_in(transaction: &mut Transaction, record: &Record) -> Result<(), StoreError> {
    let (kind, subject, epoch) = columns(record.subject);
    let statement = Query::of(
        // `INSERT OR REPLACE` deletes the old row and so takes a new `seq`. An old row without expiry
        // keeps having none; so does a new one.
        "INSERT OR REPLACE INTO revocations (kind, subject, epoch, expires_at, created_at) \
         SELECT $1, $2, max($3, coalesce(old.epoch, $3)), \
                CASE WHEN old.seq IS NULL THEN $4 ELSE max($4, old.expires_at) END, $5 \
         FROM (SELECT 1) LEFT JOIN revocations AS old ON old.kind = $1 AND old.subject = $2 \
         RETURNING epoch, expires_at",
        "INSERT INTO revocations AS old (kind, subject, epoch, expires_at, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (kind, subject) DO UPDATE SET \
             epoch = greatest(old.epoch, excluded.epoch), \
             expires_at = CASE WHEN old.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL \
                               ELSE greatest(old.expires_at, excluded.expires_at) END, \
             created_at = excluded.created_at \
         RETURNING epoch, expires_at",
    );
    let row = statement
        .bind(kind)
        .bind(subject)
        .bind(epoch)
        .bind(record.expires_at.map(Timestamp::as_millis))
        .bind(record.created_at.as_millis())
        .one(&mut *transaction)
        .await?;
    transaction.tell(Change::Revocation(RevocationRow {
        kind: kind.to_owned(),
        subject: subject.to_vec(),
        epoch: row.get("epoch")?,
        expires_at: row.get("expires_at")?,
        created_at: record.created_at.as_millis(),
    }));
    Ok(())
}

/// Records several revocations within a transaction, in the order of their subjects: two transactions that revoke the
/// same ones do not wait for each other.
///
/// # Errors
/// As [`append_in`].
pub async fn append_all_in(transaction: &mut Transaction, records: &[Record]) -> Result<(), StoreError> {
    let mut ordered: Vec<_> = records.iter().collect();
    ordered.sort_by_key(|record| columns(record.subject));
    for record in ordered {
        append_in(transaction, record).await?;
    }
    Ok(())
}

/// At most `limit` records after the sequence number `seq`, oldest first, with the number to go on
/// from: `seq` itself when there are none. Zero is before the first. Of a file: those of a server are in its feed.
///
/// # Errors
/// Fails when the store is out of reach or damaged, or holds a record that cannot be read: none is skipped.
pub async fn since(store: &Store, seq: i64, limit: u32) -> Result<(Vec<Record>, i64), StoreError> {
    let page = page_after(store, seq, limit).await?;
    let records: Option<Vec<_>> = page.lines().map(read).collect();
    let mut records = records.ok_or(StoreError::corrupt("a revocation does not have the shape it should have"))?;
    // SQLite does not promise to keep the order; where it did, this only looks.
    records.sort_by_key(|(seq, _)| *seq);
    let last = records.last().map_or(seq, |(seq, _)| *seq);
    Ok((records.into_iter().map(|(_, record)| record).collect(), last))
}

/// The records of a page as one text, a line a record ([`read`]). The driver takes longer to hand over a row than
/// SQLite to read twenty, and a gateway is not ready before it has read all of them.
async fn page_after(store: &Store, seq: i64, limit: u32) -> Result<String, StoreError> {
    let statement = "\
        SELECT group_concat(concat_ws(' ', seq, kind, hex(subject), coalesce(epoch, '-'), \
                                      coalesce(expires_at, '-'), created_at), char(10)) \
        FROM (SELECT * FROM revocations WHERE seq > $1 ORDER BY seq LIMIT $2)";
    let page: Option<String> = query(statement).bind(seq).bind(limit).one(store).await?.first()?;
    // SQL makes NULL of no records.
    Ok(page.unwrap_or_default())
}

/// Which of these records a PostgreSQL store does not have, or has with a lower epoch.
pub(super) async fn missing(store: &Store, records: &[Record]) -> Result<Vec<Record>, StoreError> {
    let statement = "\
        SELECT place FROM unnest(string_to_array($1, ' ')) WITH ORDINALITY AS held (record, place) \
        WHERE NOT EXISTS (SELECT 1 FROM revocations \
                          WHERE kind = split_part(record, ':', 1) \
                          AND subject = decode(split_part(record, ':', 2), 'hex') \
                          AND coalesce(epoch, 0) >= split_part(record, ':', 3)::bigint)";
    let held = records.iter().map(|record| {
        let (kind, subject, epoch) = columns(record.subject);
        format!("{kind}:{}:{}", hex(&subject), epoch.unwrap_or(0))
    });
    let places: Vec<i64> = query(statement).bind(held.collect::<Vec<_>>().join(" ")).values(store).await?;
    let record = |place: i64| usize::try_from(place - 1).ok().and_then(|place| records.get(place)).copied();
    Ok(places.into_iter().filter_map(record).collect())
}

/// Raises the epoch of a record's account, where it has one, to that of the record: what it mints then is good.
pub(super) async fn raise_epoch_in(transaction: &mut Transaction, record: &Record) -> Result<(), StoreError> {
    let RevokedSubject::Principal(id, epoch) = record.subject else { return Ok(()) };
    let statement = query("UPDATE principals SET epoch = $1 WHERE id = $2 AND epoch < $1");
    statement.bind(epoch).bind(id.uuid().into_bytes()).execute(transaction).await?;
    Ok(())
}

/// The records that the feed tells of.
pub(super) fn of_changes(changes: &[Change]) -> Result<Vec<Record>, StoreError> {
    let revocations = changes.iter().filter_map(|change| match change {
        Change::Revocation(row) => Some(of_columns(row.columns())),
        Change::Keys | Change::Accounts | Change::Canary(_) => None,
    });
    revocations
        .collect::<Option<_>>()
        .ok_or(StoreError::corrupt("a row of the feed does not have the shape it should have"))
}

/// The record in these columns; `None` where they hold none.
pub(super) fn of_columns(columns: RevocationColumns<'_>) -> Option<Record> {
    let bytes: [u8; 16] = columns.subject.try_into().ok()?;
    let subject = match columns.kind {
        "token" => RevokedSubject::Token(RevocationId::from_bytes(bytes)),
        "session" => RevokedSubject::Session(SessionId::from_uuid(Uuid::from_bytes(bytes))),
        "principal" => {
            RevokedSubject::Principal(PrincipalId::from_uuid(Uuid::from_bytes(bytes)), columns.epoch?.try_into().ok()?)
        }
        _ => return None,
    };
    let expires_at = columns.expires_at.map(Timestamp::from_millis);
    Some(Record { subject, expires_at, created_at: Timestamp::from_millis(columns.created_at) })
}

/// Drops at most `limit` records that expired more than [`EXPIRED_KEPT`] ago; answers how many.
/// Those without expiry are never dropped.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn prune(store: &Store, now: TrustedNow, limit: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM revocations WHERE (kind, subject) IN \
                     (SELECT kind, subject FROM revocations WHERE expires_at < $1 ORDER BY expires_at LIMIT $2) \
                     RETURNING expires_at";
    clock::prune(store, statement, now.cutoff(EXPIRED_KEPT), limit).await
}

fn columns(subject: RevokedSubject) -> (&'static str, [u8; 16], Option<u32>) {
    match subject {
        RevokedSubject::Token(id) => ("token", id.to_bytes(), None),
        RevokedSubject::Session(id) => ("session", id.uuid().into_bytes(), None),
        RevokedSubject::Principal(id, epoch) => ("principal", id.uuid().into_bytes(), Some(epoch)),
    }
}

/// A record and its sequence number, from the line that [`page_after`] makes of it.
fn read(line: &str) -> Option<(i64, Record)> {
    let mut fields = line.split(' ');
    let mut next = || fields.next();
    let seq = next()?.parse().ok()?;
    let (kind, subject, epoch, expires_at) = (next()?, next()?, next()?, next()?);
    let created_at = Timestamp::from_millis(next()?.parse().ok()?);
    let bits = u128::from_str_radix(subject, 16).ok().filter(|_| subject.len() == 32)?;
    let subject = match kind {
        "token" => RevokedSubject::Token(RevocationId::from_bytes(bits.to_be_bytes())),
        "session" => RevokedSubject::Session(SessionId::from_uuid(Uuid::from_u128(bits))),
        "principal" => RevokedSubject::Principal(PrincipalId::from_uuid(Uuid::from_u128(bits)), epoch.parse().ok()?),
        _ => return None,
    };
    let expires_at = match expires_at {
        "-" => None,
        millis => Some(Timestamp::from_millis(millis.parse().ok()?)),
    };
    Some((seq, Record { subject, expires_at, created_at }))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{domain::trusted_time::trusted, state::store::StoreSettings};

    async fn store() -> (TempDir, Store) {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        (folder, store)
    }

    fn record(subject: RevokedSubject, expires_at: Option<i64>) -> Record {
        Record { subject, expires_at: expires_at.map(Timestamp::from_secs), created_at: Timestamp::from_secs(1) }
    }

    fn token(n: u8) -> RevokedSubject {
        RevokedSubject::Token(RevocationId::from_bytes([n; 16]))
    }

    #[tokio::test]
    async fn records_come_back_in_order_and_in_pages() {
        let (_folder, store) = store().await;
        let session = RevokedSubject::Session(SessionId::generate());
        let principal = RevokedSubject::Principal(PrincipalId::generate(), u32::MAX);
        let all = [record(token(1), Some(10)), record(session, Some(20)), record(principal, None)];
        for record in &all {
            append(&store, record).await.unwrap();
        }
        let (first, seq) = since(&store, 0, 2).await.unwrap();
        assert_eq!(first, all[..2]);
        let (rest, seq) = since(&store, seq, 2).await.unwrap();
        assert_eq!(rest, all[2..]);
        assert_eq!(since(&store, seq, 2).await.unwrap(), (vec![], seq));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_said_and_never_skipped() {
        let (_folder, store) = store().await;
        append(&store, &record(token(1), None)).await.unwrap();
        let broken = "INSERT INTO revocations (kind, subject, created_at) VALUES ('token', x'00', 1)";
        store.run(broken).await;
        assert!(since(&store, 0, 1).await.is_ok());
        assert!(matches!(since(&store, 0, 2).await, Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_line_is_read_whole_or_not_at_all() {
        let subject = "000102030405060708090A0B0C0D0E0F";
        let (seq, read_back) = read(&format!("7 token {subject} - -5 9")).unwrap();
        assert_eq!((seq, read_back.expires_at), (7, Some(Timestamp::from_millis(-5))));
        for bad in [
            String::new(),
            "7 token".to_owned(),
            format!("x token {subject} - - 9"),
            format!("7 tokens {subject} - - 9"),
            format!("7 token {subject}0 - - 9"),
            format!("7 principal {subject} - - 9"),
            format!("7 principal {subject} 4294967296 - 9"),
            format!("7 token {subject} - soon 9"),
            format!("7 token {subject} - - "),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn the_longer_expiry_stays_under_a_new_number() {
        let (_folder, store) = store().await;
        let mut seen = 0;
        for (asked, kept) in [(10, Some(10)), (5, Some(10)), (20, Some(20)), (0, None), (30, None)] {
            append(&store, &record(token(1), (asked > 0).then_some(asked))).await.unwrap();
            let (records, seq) = since(&store, seen, 10).await.unwrap();
            assert_eq!(records, [record(token(1), kept)], "{asked}");
            assert!(seq > seen);
            seen = seq;
        }
        assert_eq!(since(&store, 0, 10).await.unwrap().0.len(), 1);
    }

    #[tokio::test]
    async fn the_higher_epoch_stays() {
        let (_folder, store) = store().await;
        let id = PrincipalId::generate();
        for (asked, kept) in [(3, 3), (2, 3), (7, 7)] {
            append(&store, &record(RevokedSubject::Principal(id, asked), None)).await.unwrap();
            assert_eq!(since(&store, 0, 10).await.unwrap().0[0].subject, RevokedSubject::Principal(id, kept));
        }
    }

    #[tokio::test]
    async fn only_what_is_long_past_is_pruned_and_numbers_are_never_used_again() {
        let (_folder, store) = store().await;
        for (n, expires_at) in [(1, None), (2, Some(100)), (3, Some(101)), (4, Some(102)), (5, Some(1000))] {
            append(&store, &record(token(n), expires_at)).await.unwrap();
        }
        let now = trusted(Timestamp::from_secs(102).plus(EXPIRED_KEPT));
        assert_eq!(prune(&store, now, 1).await.unwrap(), 1);
        assert_eq!(prune(&store, now, 10).await.unwrap(), 1);
        assert_eq!(prune(&store, now, 10).await.unwrap(), 0);
        let (left, last) = since(&store, 0, 10).await.unwrap();
        assert_eq!(left.iter().map(|record| record.subject).collect::<Vec<_>>(), [token(1), token(4), token(5)]);
        let later = trusted(Timestamp::from_secs(1_001).plus(EXPIRED_KEPT));
        assert_eq!(prune(&store, later, 10).await.unwrap(), 2);
        append(&store, &record(token(6), None)).await.unwrap();
        assert!(since(&store, 0, 10).await.unwrap().1 > last);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_gateways_that_append_at_once_lose_nothing() {
        let (folder, one) = store().await;
        let two = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let writers: Vec<_> = [(one.clone(), 0), (two, 100)]
            .into_iter()
            .map(|(store, from)| {
                tokio::spawn(async move {
                    for n in from..from + 20 {
                        append(&store, &record(token(n), None)).await.unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(since(&one, 0, 100).await.unwrap().0.len(), 40);
    }
}
