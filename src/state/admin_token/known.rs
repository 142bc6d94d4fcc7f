//! The admin tokens in a gateway's memory.

use std::{collections::HashSet, sync::Arc};

use arc_swap::ArcSwap;

use super::{
    repository::{self, AdminToken},
    token::TokenDigest,
};
use crate::{
    domain::Timestamp,
    state::store::{Store, StoreError},
};

/// Revoked tokens that a gateway remembers, at most: the store's newest ones first.
const REVOKED_MAX: u32 = 1_024;

/// What a gateway knows of admin tokens. They are as they were when the store was heard of last. One that was revoked
/// opens nothing here any more, even where an older state takes the store's place that has it as one that stands.
#[derive(Debug, Default)]
pub struct KnownAdminTokens(ArcSwap<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The revision that they were read at; `None` before the first reading.
    revision: Option<Vec<u8>>,
    tokens: Vec<Arc<AdminToken>>,
    /// Those that were revoked, by what this process has read at any time.
    revoked: HashSet<TokenDigest>,
}

impl KnownAdminTokens {
    /// The token of this text, if it opens anything.
    #[must_use]
    pub fn find(&self, text: &str, now: Timestamp) -> Option<Arc<AdminToken>> {
        let digest = TokenDigest::of(text)?;
        let known = self.0.load();
        // Digests of random texts: what comparing them takes says nothing about a text.
        let found = known.tokens.iter().find(|token| token.digest == digest && token.stands(now))?;
        (!known.revoked.contains(&digest)).then(|| Arc::clone(found))
    }

    /// The names of tokens that the store has as ones that stand, and that were revoked.
    #[must_use]
    pub fn revived(&self) -> Vec<String> {
        let known = self.0.load();
        let revived = known.tokens.iter().filter(|token| known.revoked.contains(&token.digest));
        revived.map(|token| token.name.clone()).collect()
    }

    /// Reads them, where they have changed since the last time.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged; what is known stays.
    pub async fn follow(&self, store: &Store) -> Result<(), StoreError> {
        let revision = Some(repository::revision(store).await?);
        if self.0.load().revision == revision {
            return Ok(());
        }
        // Read after the revision: what is newer is read once more.
        let tokens: Vec<_> = repository::active(store).await?.into_iter().map(Arc::new).collect();
        let revoked = repository::revoked(store, REVOKED_MAX).await?;
        self.0.rcu(|before| Known {
            revision: revision.clone(),
            tokens: tokens.clone(),
            revoked: remembered(&before.revoked, &tokens, &revoked),
        });
        Ok(())
    }

    /// Reads them anew the next time: the same revision may stand for something else.
    pub fn begin_anew(&self) {
        self.0.rcu(|known| Known { revision: None, tokens: known.tokens.clone(), revoked: known.revoked.clone() });
    }
}

/// The revoked tokens that are remembered: first those that this store has as active, then those that it has as
/// revoked, then others.
fn remembered(
    before: &HashSet<TokenDigest>,
    active: &[Arc<AdminToken>],
    revoked: &[TokenDigest],
) -> HashSet<TokenDigest> {
    let revived = active.iter().map(|token| token.digest).filter(|digest| before.contains(digest));
    let mut remembered: HashSet<_> = revived.chain(revoked.iter().copied()).collect();
    for digest in before {
        if remembered.len() < 2 * REVOKED_MAX as usize {
            remembered.insert(*digest);
        }
    }
    remembered
}

#[cfg(test)]
mod tests {
    use super::{
        super::{AdminRole, insert, make, revoke},
        *,
    };
    use crate::{
        observe::audit::ChainKey,
        state::store::{Actor, AuditedStore, StoreSettings, query},
    };

    #[tokio::test]
    async fn what_is_made_opens_until_it_ends_or_is_revoked() {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let key = Arc::new(ChainKey::derive("k".to_owned(), b"master"));
        let audited = AuditedStore::new(store.clone(), key, Actor::command("root", "tty"));
        let (known, at) = (KnownAdminTokens::default(), Timestamp::from_secs);
        let mut texts = vec![];
        for (name, expires_at) in [("ci", None), ("guest", Some(at(100)))] {
            let made = make();
            let token = AdminToken {
                name: name.to_owned(),
                digest: made.digest,
                role: AdminRole::Operate,
                created_at: at(1),
                expires_at,
                revoked_at: None,
            };
            insert(&audited, &token).await.unwrap();
            assert!(insert(&audited, &token).await.is_err(), "a name is given once");
            texts.push(made.secret);
        }
        assert!(known.find(texts[0].expose(), at(2)).is_none(), "nothing was read yet");
        known.follow(&store).await.unwrap();
        assert_eq!(known.find(texts[0].expose(), at(2)).unwrap().name, "ci");
        assert!(known.find(texts[1].expose(), at(99)).is_some() && known.find(texts[1].expose(), at(100)).is_none());
        assert!(known.find(make().secret.expose(), at(2)).is_none());
        revoke(&audited, "ci", at(3)).await.unwrap();
        assert!(revoke(&audited, "ci", at(3)).await.is_err());
        known.follow(&store).await.unwrap();
        assert!(known.find(texts[0].expose(), at(4)).is_none());
        assert!(known.find(texts[1].expose(), at(4)).is_some());
        // An older state of the store, in which it was not revoked yet.
        query("UPDATE admin_tokens SET revoked_at = NULL").execute(&store).await.unwrap();
        known.begin_anew();
        known.follow(&store).await.unwrap();
        assert!(known.find(texts[0].expose(), at(4)).is_none());
        assert_eq!(known.revived(), ["ci"]);
        store.close().await;
    }
}
