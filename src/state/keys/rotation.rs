//! A key's way through its life: next → active → retiring → retired, or revoked. Every step names what it
//! found before and is done only where that still stands (compare and set), under the store's write lock:
//! of several gateways and commands that do the same at once, one does it.

use sqlx::{Sqlite, Transaction};
use zeroize::Zeroizing;

use super::{Key, KeyError, KeyRecord, KeyState, MasterKey, Vault, VaultError, vault::context};
use crate::domain::{Algorithm, KeyId, RealmName, Timestamp};

/// Attempts to revoke a key that changes its state meanwhile.
const REVOKE_ATTEMPTS_MAX: u32 = 4;

/// What becomes of a key that stops signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its tokens stay good.
    Retiring {
        /// When the last of them has ended; `None` is never by itself, as it is for every imported key.
        retires_at: Option<Timestamp>,
    },
    /// Its tokens are refused.
    Revoked,
}

impl Vault {
    /// Lets another key sign for `realm` than `seen`, which signs now: the next key where there is one of this
    /// algorithm, else a new one. `None`, and nothing done, when another key signs by now.
    pub async fn replace(
        &self,
        realm: &RealmName,
        algorithm: Algorithm,
        seen: Option<&KeyId>,
        fate: Fate,
        now: Timestamp,
    ) -> Result<Option<KeyId>, VaultError> {
        let fits = |record: &KeyRecord| {
            record.realm == *realm && record.state == KeyState::Next && record.algorithm == algorithm
        };
        let has_next = self.records().await?.iter().any(fits);
        let material = if has_next { None } else { Some(generate(algorithm).await?) };
        let (mut transaction, master) = self.begin().await?;
        if id_in(&mut transaction, realm, KeyState::Active).await?.as_ref() != seen {
            return Ok(None);
        }
        let next = id_in(&mut transaction, realm, KeyState::Next).await?;
        dismiss(&mut transaction, realm, fate, now).await?;
        let id = match (material, next) {
            (None, Some(next)) => {
                activate(&mut transaction, &next, now).await?;
                next
            }
            // The next key that was seen has become another's.
            (None, None) => return Ok(None),
            (Some(material), next) => {
                if let Some(next) = next {
                    wipe(&mut transaction, &next, KeyState::Next, now).await?;
                }
                let made = Made { realm, algorithm, material: &material, state: KeyState::Active, asked: false };
                insert(&mut transaction, &master, &made, now).await?
            }
        };
        transaction.commit().await?;
        self.clear_traces().await;
        Ok(Some(id))
    }

    /// Makes the realm's next key, which is published and signs nothing yet; one of another algorithm is
    /// discarded for it. `None`, and nothing done, when there is one, or another key signs by now than `seen`.
    pub async fn prepare(
        &self,
        realm: &RealmName,
        algorithm: Algorithm,
        seen: Option<&KeyId>,
        asked: bool,
        now: Timestamp,
    ) -> Result<Option<KeyId>, VaultError> {
        let material = generate(algorithm).await?;
        let (mut transaction, master) = self.begin().await?;
        if id_in(&mut transaction, realm, KeyState::Active).await?.as_ref() != seen {
            return Ok(None);
        }
        let unfit = sqlx::query_scalar("SELECT id FROM keys WHERE realm = ? AND state = 'next' AND algorithm <> ?");
        let unfit: Option<String> =
            unfit.bind(realm.as_str()).bind(algorithm.name()).fetch_optional(&mut *transaction).await?;
        if let Some(unfit) = unfit {
            wipe(&mut transaction, &KeyId::from_text(&unfit), KeyState::Next, now).await?;
        } else if id_in(&mut transaction, realm, KeyState::Next).await?.is_some() {
            return Ok(None);
        }
        let made = Made { realm, algorithm, material: &material, state: KeyState::Next, asked };
        let id = insert(&mut transaction, &master, &made, now).await?;
        transaction.commit().await?;
        self.clear_traces().await;
        Ok(Some(id))
    }

    /// Has the next key `id` sign as soon as it was published long enough, whatever the schedule says.
    pub async fn ask(&self, id: &KeyId) -> Result<(), VaultError> {
        let statement = "UPDATE keys SET asked = 1 WHERE id = ? AND state = 'next' AND asked = 0";
        sqlx::query(statement).bind(id.as_str()).execute(self.store.pool()).await?;
        Ok(())
    }

    /// Lets the next key `next` sign instead of `seen`. False, and nothing done, when either is another by now.
    pub async fn promote(
        &self,
        realm: &RealmName,
        next: &KeyId,
        seen: Option<&KeyId>,
        fate: Fate,
        now: Timestamp,
    ) -> Result<bool, VaultError> {
        let (mut transaction, _) = self.begin().await?;
        if id_in(&mut transaction, realm, KeyState::Active).await?.as_ref() != seen
            || id_in(&mut transaction, realm, KeyState::Next).await?.as_ref() != Some(next)
        {
            return Ok(false);
        }
        dismiss(&mut transaction, realm, fate, now).await?;
        activate(&mut transaction, next, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Retires every key whose last token has ended, and wipes its material. Answers which.
    pub async fn retire_due(&self, now: Timestamp) -> Result<Vec<KeyId>, VaultError> {
        let statement = "UPDATE keys SET state = 'retired', sealed = NULL, ended_at = ? \
                         WHERE state = 'retiring' AND retires_at <= ? RETURNING id";
        let now = now.as_millis();
        let retired: Vec<String> =
            sqlx::query_scalar(statement).bind(now).bind(now).fetch_all(self.store.pool()).await?;
        if !retired.is_empty() {
            self.clear_traces().await;
        }
        Ok(retired.iter().map(|id| KeyId::from_text(id)).collect())
    }

    /// Retires one key that was seen in this state. False, and nothing done, when it is in another by now.
    pub async fn retire(&self, id: &KeyId, seen: KeyState, now: Timestamp) -> Result<bool, VaultError> {
        let (mut transaction, _) = self.begin().await?;
        let retired = wipe(&mut transaction, id, seen, now).await?;
        transaction.commit().await?;
        self.clear_traces().await;
        Ok(retired)
    }

    /// Revokes a key: its tokens are refused. A signing key is replaced in the same transaction.
    /// False when there is no such key; one that has ended already stays as it is.
    pub async fn revoke(&self, id: &KeyId, now: Timestamp) -> Result<bool, VaultError> {
        let mut attempts = 0;
        loop {
            let records = self.records().await?;
            let Some(key) = records.iter().find(|key| key.id == *id) else { return Ok(false) };
            let revoked = match key.state {
                KeyState::Retired | KeyState::Revoked => true,
                KeyState::Active => {
                    self.replace(&key.realm, key.algorithm, Some(id), Fate::Revoked, now).await?.is_some()
                }
                KeyState::Next | KeyState::Retiring => {
                    let statement = "UPDATE keys SET state = 'revoked', ended_at = ? WHERE id = ? AND state = ?";
                    let query = sqlx::query(statement).bind(now.as_millis()).bind(id.as_str()).bind(key.state.name());
                    query.execute(self.store.pool()).await?.rows_affected() == 1
                }
            };
            attempts += 1;
            if revoked {
                return Ok(true);
            }
            if attempts == REVOKE_ATTEMPTS_MAX {
                return Err(crate::state::store::StoreError::Conflict.into());
            }
        }
    }

    /// Forgets keys that have ended before this. Their tokens stay refused: nobody knows their key.
    pub async fn forget(&self, ended_before: Timestamp) -> Result<(), VaultError> {
        let statement = "DELETE FROM keys WHERE state IN ('retired', 'revoked') AND ended_at < ?";
        sqlx::query(statement).bind(ended_before.as_millis()).execute(self.store.pool()).await?;
        self.clear_traces().await;
        Ok(())
    }
}

/// New material, made where nobody waits for it: an RSA key takes its time.
async fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let made = tokio::task::spawn_blocking(move || Key::generate_material(algorithm)).await;
    made.unwrap_or(Err(KeyError::Rejected(algorithm)))
}

/// The key of a realm that is in this state, of which there is one at most.
pub(super) async fn id_in(
    transaction: &mut Transaction<'static, Sqlite>,
    realm: &RealmName,
    state: KeyState,
) -> Result<Option<KeyId>, VaultError> {
    let query = sqlx::query_scalar("SELECT id FROM keys WHERE realm = ? AND state = ?");
    let id: Option<String> = query.bind(realm.as_str()).bind(state.name()).fetch_optional(&mut **transaction).await?;
    Ok(id.as_deref().map(KeyId::from_text))
}

/// The realm's signing key, if there is one, signs no more.
pub(super) async fn dismiss(
    transaction: &mut Transaction<'static, Sqlite>,
    realm: &RealmName,
    fate: Fate,
    now: Timestamp,
) -> Result<(), VaultError> {
    let now = now.as_millis();
    let query = match fate {
        Fate::Retiring { retires_at } => {
            // What an imported key signed before it came here nobody knows: it never retires by itself.
            let statement = "UPDATE keys SET state = 'retiring', retiring_since = ?, \
                             retires_at = CASE WHEN imported THEN NULL ELSE ? END \
                             WHERE realm = ? AND state = 'active'";
            sqlx::query(statement).bind(now).bind(retires_at.map(Timestamp::as_millis))
        }
        Fate::Revoked => {
            let statement = "UPDATE keys SET state = 'revoked', retiring_since = ?, ended_at = ? \
                             WHERE realm = ? AND state = 'active'";
            sqlx::query(statement).bind(now).bind(now)
        }
    };
    query.bind(realm.as_str()).execute(&mut **transaction).await?;
    Ok(())
}

async fn activate(
    transaction: &mut Transaction<'static, Sqlite>,
    id: &KeyId,
    now: Timestamp,
) -> Result<(), VaultError> {
    let query = sqlx::query("UPDATE keys SET state = 'active', asked = 0, activated_at = ? WHERE id = ?");
    query.bind(now.as_millis()).bind(id.as_str()).execute(&mut **transaction).await?;
    Ok(())
}

async fn wipe(
    transaction: &mut Transaction<'static, Sqlite>,
    id: &KeyId,
    seen: KeyState,
    now: Timestamp,
) -> Result<bool, VaultError> {
    let statement =
        "UPDATE keys SET state = 'retired', asked = 0, sealed = NULL, ended_at = ? WHERE id = ? AND state = ?";
    let query = sqlx::query(statement).bind(now.as_millis()).bind(id.as_str()).bind(seen.name());
    Ok(query.execute(&mut **transaction).await?.rows_affected() == 1)
}

/// A key that was made here.
struct Made<'a> {
    realm: &'a RealmName,
    algorithm: Algorithm,
    material: &'a [u8],
    state: KeyState,
    asked: bool,
}

async fn insert(
    transaction: &mut Transaction<'static, Sqlite>,
    master: &MasterKey,
    made: &Made<'_>,
    now: Timestamp,
) -> Result<KeyId, VaultError> {
    let id = KeyId::generate();
    let statement = "INSERT INTO keys (id, realm, algorithm, state, sealed, asked, created_at, activated_at) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let now = now.as_millis();
    sqlx::query(statement)
        .bind(id.as_str())
        .bind(made.realm.as_str())
        .bind(made.algorithm.name())
        .bind(made.state.name())
        .bind(master.seal(&context(&id), made.material))
        .bind(made.asked)
        .bind(now)
        .bind((made.state == KeyState::Active).then_some(now))
        .execute(&mut **transaction)
        .await?;
    Ok(id)
}
