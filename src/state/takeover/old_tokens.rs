//! Tokens of an old system that Portero has no key of, by their hashes: a table that an operator imports, and that each
//! gateway has in memory. No request asks the store for one.

use std::{collections::HashMap, time::Duration};

use aws_lc_rs::digest;
use serde_json::json;

use crate::{
    domain::{
        AccountName, Claims, PrincipalKind, RealmName, RevocationId, Roles, Timestamp, TokenKind, TokenSubject,
        TrustedNow,
    },
    state::{
        account::{self, ACCOUNT, Account, BESIDE},
        store::{Action, AuditedStore, Entry, Row, Store, StoreError, Turn, composed, meta_in, query, set_meta_in},
    },
};

/// Bytes of a token's hash (SHA-256).
pub const HASH_BYTES: usize = 32;

/// Tokens that are kept in memory, at most. An import that would go over it is refused.
pub const TOKENS_MAX: u64 = 1_000_000;

/// Rows that are read at once.
const PAGE_ROWS: u32 = 10_000;

/// The row of `meta` that each import changes.
const REVISION: &str = "old_tokens_revision";

/// How long tokens that ended are kept: somebody's clock may be late.
const ENDED_KEPT: Duration = Duration::from_hours(24);

/// A row of a table that is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOldToken {
    /// SHA-256 of its text.
    pub hash: [u8; HASH_BYTES],
    /// The name of its account.
    pub name: AccountName,
    /// When it ends; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The places, in what was given, of tokens whose account there is not.
    pub strangers: Vec<usize>,
    /// Whether the table has no room for them; nothing was imported then.
    pub full: bool,
}

/// All tokens of all realms, by hash.
pub type OldTokens = HashMap<[u8; HASH_BYTES], Claims>;

/// The hash of a token.
#[must_use]
pub fn hash(token: &str) -> [u8; HASH_BYTES] {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}

/// How many tokens of a realm's table have not ended.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn count(store: &Store, realm: &RealmName, now: Timestamp) -> Result<u64, StoreError> {
    let statement = "SELECT count(*) FROM old_tokens WHERE realm = $1 AND (expires_at IS NULL OR expires_at > $2)";
    let count: i64 = query(statement).bind(realm.as_str()).bind(now.as_millis()).one(store).await?.first()?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Adds tokens in one transaction; those that are there already get the new account and the new end.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn import(store: &AuditedStore, realm: &RealmName, tokens: &[NewOldToken]) -> Result<Imported, StoreError> {
    let mut transaction = store.begin(Turn::Meta(REVISION)).await?;
    let present: i64 = query("SELECT count(*) FROM old_tokens").one(&mut transaction).await?.first()?;
    if u64::try_from(present).unwrap_or(0) + tokens.len() as u64 > TOKENS_MAX {
        transaction.rollback().await?;
        return Ok(Imported { full: true, ..Imported::default() });
    }
    let mut imported = Imported::default();
    for (at, token) in tokens.iter().enumerate() {
        // A new token, or one whose row is put right, has the account's present epoch.
        let statement = "INSERT INTO old_tokens (realm, hash, account, epoch, expires_at) \
                         SELECT realm, $1, id, epoch, $2 FROM principals WHERE realm = $3 AND business = $4 AND name = $5 \
                         ON CONFLICT (realm, hash) DO UPDATE SET account = excluded.account, epoch = excluded.epoch, \
                         expires_at = excluded.expires_at";
        let added = query(statement)
            .bind(&token.hash[..])
            .bind(token.expires_at.map(Timestamp::as_millis))
            .bind(realm.as_str())
            .bind(&token.name.business)
            .bind(&token.name.name)
            .execute(&mut transaction)
            .await?;
        if added == 0 {
            imported.strangers.push(at);
        }
    }
    let revision = meta_in(&mut transaction, REVISION).await?;
    let revision = revision.and_then(|revision| String::from_utf8(revision).ok()?.parse::<u64>().ok()).unwrap_or(0) + 1;
    set_meta_in(&mut transaction, REVISION, revision.to_string().as_bytes()).await?;
    let strangers = imported.strangers.len();
    let counted = json!({ "tokens": tokens.len() - strangers, "without_account": strangers });
    transaction.commit(Entry::of(Action::MigrationTokens).in_realm(realm).to(counted)).await?;
    Ok(imported)
}

/// What changes with each import; `None` before the first one.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn revision(store: &Store) -> Result<Option<Vec<u8>>, StoreError> {
    store.meta(REVISION).await
}

/// Reads all tokens with what their accounts say.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn load(store: &Store) -> Result<OldTokens, StoreError> {
    let mut tokens = OldTokens::new();
    let mut after: (String, Vec<u8>) = (String::new(), vec![]);
    loop {
        let statement = format!(
            "SELECT old_tokens.realm AS of, old_tokens.hash AS token, old_tokens.epoch AS issued_in, \
                    old_tokens.expires_at AS ends_at, {ACCOUNT} \
             FROM old_tokens JOIN principals ON principals.id = old_tokens.account {BESIDE} \
             WHERE (old_tokens.realm, old_tokens.hash) > ($1, $2) \
             ORDER BY old_tokens.realm, old_tokens.hash LIMIT $3"
        );
        let rows = composed(statement).bind(&after.0).bind(&after.1).bind(PAGE_ROWS).all(store).await?;
        let Some(last) = rows.last() else { return Ok(tokens) };
        after = (last.get("of")?, last.get("token")?);
        for row in &rows {
            let account = account::of_row(row)?;
            let (hash, claims) = read(row, &account)?;
            tokens.entry(hash).or_insert(claims);
        }
    }
}

/// Drops at most `limit` tokens that ended more than a day ago; answers how many.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn prune(store: &Store, now: TrustedNow, limit: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM old_tokens WHERE (realm, hash) IN \
                     (SELECT realm, hash FROM old_tokens WHERE expires_at < $1 LIMIT $2)";
    query(statement).bind(now.cutoff(ENDED_KEPT).as_millis()).bind(limit).execute(store).await
}

fn read(row: &Row, account: &Account) -> Result<([u8; HASH_BYTES], Claims), StoreError> {
    let hash: &[u8] = row.get("token")?;
    let hash: [u8; HASH_BYTES] =
        hash.try_into().map_err(|_| StoreError::corrupt("an old token's hash is not 32 bytes"))?;
    let expires_at = row.get::<Option<i64>>("ends_at")?.map(Timestamp::from_millis);
    Ok((hash, claims(account, row.get("issued_in")?, &hash, expires_at)))
}

/// What revokes the token with this hash.
#[must_use]
pub fn revocation_id(hash: &[u8; HASH_BYTES]) -> RevocationId {
    let mut head = [0; 16];
    head.copy_from_slice(&hash[..16]);
    RevocationId::from_bytes(head)
}

/// What an old token of an account says here: what the account says, in an epoch.
#[must_use]
pub fn claims(account: &Account, epoch: u32, hash: &[u8; HASH_BYTES], expires_at: Option<Timestamp>) -> Claims {
    let organization = match account.kind {
        PrincipalKind::Project => Some(account.name.business.as_str()),
        _ => account.company.as_deref(),
    };
    Claims {
        realm: account.realm.clone(),
        kind: TokenKind::Access,
        subject: TokenSubject::Account(account.id),
        principal: Some(account.kind),
        session: None,
        revocation_id: revocation_id(hash),
        epoch,
        issued_at: Timestamp::from_millis(0),
        not_before: Timestamp::from_millis(0),
        expires_at,
        name: account.name.name.as_str().into(),
        legacy_id: account.legacy_id,
        roles: account.role.as_deref().map(Roles::one).unwrap_or_default(),
        scopes: account.scopes.iter().map(|scope| scope.as_str().into()).collect(),
        organization: organization.map(Into::into),
        extra: serde_json::Map::new(),
    }
}
