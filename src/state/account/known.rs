//! Which accounts exist, by 16 bytes for each way to name them: tokens of imported keys may speak for anybody, and the
//! request path must tell without the store whether there is such an account.
//!
//! An account is known by its id, by what its name stands for ([`PrincipalId::of_name`]), since tokens of old know it
//! by that alone, and by both together, since a token may say the id of one and the name of another. Accounts only ever
//! come in: the tokens of one that was deleted end by its epoch, for ever.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    domain::{PrincipalId, RealmName, TokenSubject},
    state::{
        revocation::{Set, TABLES},
        store::{Query, Store, StoreError},
    },
};

/// Accounts that are read at once.
const BATCH: u32 = 10_000;

/// The accounts of those realms that have imported keys.
#[derive(Debug, Default)]
pub struct KnownAccounts {
    realms: ArcSwap<HashMap<RealmName, Arc<Known>>>,
    /// The realms whose accounts are wanted.
    wanted: ArcSwap<HashSet<RealmName>>,
    /// The number up to which they were read; held while reading.
    seen: Mutex<i64>,
}

/// One of the ways in which an account can be named, as memory keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountId(pub(in crate::state) u128);

/// The accounts of a realm.
#[derive(Debug)]
struct Known {
    ids: Set,
    /// Tokens of other accounts that were let through.
    strangers: AtomicU64,
}

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// An account of the store: that of its id, of its name, or of both where it has both.
    Account,
    /// Nobody whom the store has.
    Stranger,
    /// It has the id of an account, and another name.
    Mixed,
}

/// What is known of a realm's accounts, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The realm.
    pub realm: RealmName,
    /// Tokens of accounts that the store does not have that were let through since the start.
    pub strangers: u64,
}

impl KnownAccounts {
    /// Whom of the realm's accounts a token speaks for. Of a realm that is not kept none is known.
    #[must_use]
    pub fn account_of(&self, realm: &RealmName, subject: &TokenSubject) -> Speaker {
        let realms = self.realms.load();
        let Some(known) = realms.get(realm) else { return Speaker::Stranger };
        let has = |id: PrincipalId| known.ids.contains(Set::id_of(id.uuid()));
        match subject {
            TokenSubject::Account(id) | TokenSubject::Named(id) if has(*id) => Speaker::Account,
            TokenSubject::Imported { id, named } if has(id.with_name(*named)) => Speaker::Account,
            TokenSubject::Imported { id, .. } if has(*id) => Speaker::Mixed,
            _ => Speaker::Stranger,
        }
    }

    /// Counts a token that was let through although nobody knows its account.
    pub fn note_stranger(&self, realm: &RealmName) {
        if let Some(known) = self.realms.load().get(realm) {
            known.strangers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What there is to know about each realm that is kept.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let reading = |(realm, known): (&RealmName, &Arc<Known>)| Reading {
            realm: realm.clone(),
            strangers: known.strangers.load(Ordering::Relaxed),
        };
        self.realms.load().iter().map(reading).collect()
    }

    /// Wants the accounts of these realms, and of no others. Those of other realms go; those of new ones come with
    /// [`load`](Self::load).
    pub fn want(&self, realms: HashSet<RealmName>) {
        let kept = |(realm, _): &(&RealmName, &Arc<Known>)| realms.contains(*realm);
        self.realms.rcu(|present| present.iter().filter(kept).map(owned).collect::<HashMap<_, _>>());
        self.wanted.store(Arc::new(realms));
    }

    /// Whether the accounts of this realm are known.
    #[must_use]
    pub fn keeps(&self, realm: &RealmName) -> bool {
        self.realms.load().contains_key(realm)
    }

    /// Whether those of some realm are wanted and not known.
    #[must_use]
    pub fn misses_some(&self) -> bool {
        self.wanted.load().iter().any(|realm| !self.keeps(realm))
    }

    /// Reads the accounts that are wanted and not known. It takes its time, and nobody waits for it. False where there
    /// was nothing to read.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn load(&self, store: &Store) -> Result<bool, StoreError> {
        let wanted = self.wanted.load_full();
        let new = wanted.iter().filter(|realm| !self.keeps(realm));
        let new: HashMap<_, _> = new.map(|realm| (realm.clone(), Arc::new(Known::new()))).collect();
        if new.is_empty() {
            return Ok(false);
        }
        let last = read_into(&new, store, 0, |_, _| {}).await?;
        let mut seen = self.seen.lock().await;
        // All are followed from there: what is read twice is known once.
        *seen = if self.realms.load().is_empty() { last } else { last.min(*seen) };
        self.realms.rcu(|present| present.iter().chain(&new).map(owned).collect::<HashMap<_, _>>());
        Ok(true)
    }

    /// Reads all accounts again with the next [`follow`](Self::follow): their numbers may have been given to others, in
    /// a store with another history.
    pub async fn begin_anew(&self) {
        *self.seen.lock().await = 0;
    }

    /// Reads the accounts that were made since, and tells of each realm's. Answers the number up to which all were
    /// read.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn follow(
        &self,
        store: &Store,
        tell: impl FnMut(&RealmName, &[AccountId]) + Send,
    ) -> Result<i64, StoreError> {
        let mut seen = self.seen.lock().await;
        let realms = self.realms.load_full();
        if !realms.is_empty() {
            *seen = read_into(&realms, store, *seen, tell).await?;
        }
        Ok(*seen)
    }

    /// The realms whose accounts are known, in their order.
    #[must_use]
    pub fn realms(&self) -> Vec<RealmName> {
        let mut realms: Vec<_> = self.realms.load().keys().cloned().collect();
        realms.sort();
        realms
    }

    /// Parts that [`held`](Self::held) gives the accounts of a realm in.
    pub(in crate::state) const PARTS: usize = TABLES;

    /// A part of what is known of a realm's accounts.
    pub(in crate::state) fn held(&self, realm: &RealmName, part: usize) -> Vec<AccountId> {
        let realms = self.realms.load();
        let held = realms.get(realm).map(|known| known.ids.held(part)).unwrap_or_default();
        held.into_iter().map(|(id, _)| AccountId(id)).collect()
    }

    /// Begins with accounts that were known before: of these realms, up to this number. No store is asked.
    pub(in crate::state) async fn resume(&self, realms: HashMap<RealmName, Vec<AccountId>>, seen: i64) {
        *self.seen.lock().await = seen;
        let known = realms.into_iter().map(|(realm, ids)| {
            let known = Known::new();
            known.ids.extend(ids.into_iter().map(|AccountId(id)| (id, None)));
            (realm, Arc::new(known))
        });
        self.realms.store(Arc::new(known.collect()));
    }
}

fn owned((realm, known): (&RealmName, &Arc<Known>)) -> (RealmName, Arc<Known>) {
    (realm.clone(), Arc::clone(known))
}

impl Known {
    fn new() -> Self {
        Self { ids: Set::unfiltered(), strangers: AtomicU64::new(0) }
    }
}

/// Reads the accounts after `seq` into the realms that are there; answers the number to go on from.
async fn read_into(
    realms: &HashMap<RealmName, Arc<Known>>,
    store: &Store,
    seq: i64,
    mut tell: impl FnMut(&RealmName, &[AccountId]),
) -> Result<i64, StoreError> {
    let mut last = seq;
    loop {
        let accounts = since(store, last, BATCH).await?;
        let Some(page_last) = accounts.iter().map(|account| account.seq).max() else { return Ok(last) };
        for (realm, known) in realms {
            let own = accounts.iter().filter(|account| account.realm == *realm).flat_map(|account| account.ids);
            let own: Vec<_> = own.map(|id| AccountId(Set::id_of(id.uuid()))).collect();
            known.ids.extend(own.iter().map(|AccountId(id)| (*id, None)));
            if !own.is_empty() {
                tell(realm, &own);
            }
        }
        last = page_last;
    }
}

struct Row {
    seq: i64,
    realm: RealmName,
    ids: [PrincipalId; 3],
}

/// At most `limit` accounts after the number `seq`. A page comes as one text, a line an account, as that of the
/// revocation log does: a gateway is not ready before it has read all of them.
async fn since(store: &Store, seq: i64, limit: u32) -> Result<Vec<Row>, StoreError> {
    let page = Query::of(
        "SELECT group_concat(concat_ws(' ', seq, hex(id), realm, hex(business), hex(name)), char(10)) \
         FROM (SELECT seq, principals.* FROM account_numbers LEFT JOIN principals ON id = account \
               WHERE seq > $1 ORDER BY seq LIMIT $2)",
        "SELECT string_agg(concat_ws(' ', seq, encode(id, 'hex'), realm, encode(convert_to(business, 'UTF8'), 'hex'), \
                                     encode(convert_to(name, 'UTF8'), 'hex')), chr(10) ORDER BY seq) \
         FROM (SELECT seq, principals.* FROM account_numbers LEFT JOIN principals ON id = account \
               WHERE seq > $1 ORDER BY seq LIMIT $2) AS page",
    );
    // SQL makes NULL of no accounts.
    let page: Option<String> = page.bind(seq).bind(limit).one(store).await?.first()?;
    let rows = page.iter().flat_map(|page| page.lines()).map(read).collect::<Option<Vec<_>>>();
    rows.ok_or(StoreError::corrupt("an account does not have the shape it should have"))
}

fn read(line: &str) -> Option<Row> {
    let mut fields = line.split(' ');
    let mut next = || fields.next();
    let (seq, id, realm) = (next()?.parse().ok()?, next()?, next()?.parse().ok()?);
    let (business, name) = (unhex(next()?)?, unhex(next()?)?);
    let id = PrincipalId::from_uuid(Uuid::from_slice(&unhex(id)?).ok()?);
    let (business, name) = (String::from_utf8(business).ok()?, String::from_utf8(name).ok()?);
    let named = PrincipalId::of_name(&realm, &business, &name);
    Some(Row { seq, realm, ids: [id, named, id.with_name(named)] })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    pairs.map(|pair| Some((digit(pair[0])? << 4) | digit(pair[1])?)).collect::<Option<_>>().filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{AccountName, PrincipalKind, Timestamp},
        state::{
            account::{self, LegacyId, NewAccount, PasswordHash},
            store::StoreSettings,
        },
    };

    const NOW: Timestamp = Timestamp::from_secs(1);

    fn account(realm: &str, name: &str) -> NewAccount {
        NewAccount {
            id: PrincipalId::generate(),
            realm: realm.parse().unwrap(),
            kind: PrincipalKind::User,
            name: AccountName { business: String::new(), name: name.to_owned() },
            display_name: None,
            legacy_id: LegacyId::None,
            role: None,
            scopes: vec![],
            company: None,
            grants: None,
        }
    }

    async fn make(store: &Store, new: &NewAccount) {
        account::insert(&store.audited(), new, &PasswordHash::from_stored("$argon2id$x".to_owned()), NOW)
            .await
            .unwrap();
    }

    /// Whether it is known by its id, and by its name.
    fn is_known(accounts: &KnownAccounts, account: &NewAccount) -> [bool; 2] {
        let named = PrincipalId::of_name(&account.realm, &account.name.business, &account.name.name);
        let both = TokenSubject::Imported { id: account.id, named };
        let speaker = |subject| accounts.account_of(&account.realm, &subject);
        let [id, name, both] = [TokenSubject::Account(account.id), TokenSubject::Named(named), both].map(speaker);
        assert_eq!(both, id);
        [id, name].map(|speaker| speaker == Speaker::Account)
    }

    #[tokio::test]
    async fn accounts_of_realms_that_are_kept_are_known_by_id_and_by_name() {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let first = [account("a", "ana"), account("b", "ana"), account("a", "señor ñ")];
        for new in &first {
            make(&store, new).await;
        }
        let realms = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let accounts = KnownAccounts::default();
        accounts.follow(&store, |_, _| {}).await.unwrap();
        assert_eq!(is_known(&accounts, &first[0]), [false; 2], "its realm has no imported key");
        accounts.want(realms(&["a"]));
        assert!(accounts.misses_some() && accounts.load(&store).await.unwrap() && !accounts.misses_some());
        assert_eq!(first.each_ref().map(|new| is_known(&accounts, new)), [[true; 2], [false; 2], [true; 2]]);
        // One that is made meanwhile is read by both, the one that begins and the one that goes on.
        let second = [account("a", "eva"), account("b", "eva")];
        for new in &second {
            make(&store, new).await;
        }
        assert_eq!(is_known(&accounts, &second[0]), [false; 2]);
        accounts.want(realms(&["a", "b"]));
        assert!(accounts.load(&store).await.unwrap() && !accounts.load(&store).await.unwrap());
        assert_eq!(is_known(&accounts, &second[0]), [false; 2]);
        accounts.follow(&store, |_, _| {}).await.unwrap();
        assert!(first.iter().chain(&second).all(|new| is_known(&accounts, new) == [true; 2]));
        // The id of one, and the name of another or of nobody.
        let named = |name| PrincipalId::of_name(&first[0].realm, "", name);
        let speaker =
            |id, name| accounts.account_of(&first[0].realm, &TokenSubject::Imported { id, named: named(name) });
        let of_nobody = PrincipalId::generate();
        assert_eq!([speaker(first[0].id, "eva"), speaker(first[0].id, "max")], [Speaker::Mixed; 2]);
        assert_eq!([speaker(of_nobody, "ana"), speaker(of_nobody, "max")], [Speaker::Stranger; 2]);
        // The number of the last account is not given again when it goes.
        let last = AccountName { business: String::new(), name: "eva".into() };
        account::delete(&store.audited(), &second[1].realm, &last, NOW).await.unwrap();
        let third = account("b", "eva");
        make(&store, &third).await;
        accounts.follow(&store, |_, _| {}).await.unwrap();
        assert_eq!(is_known(&accounts, &third), [true; 2]);
        accounts.want(realms(&["b"]));
        assert!(!accounts.misses_some());
        assert_eq!((is_known(&accounts, &first[0]), is_known(&accounts, &third)), ([false; 2], [true; 2]));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_said_and_never_skipped() {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        make(&store, &account("a", "ana")).await;
        store.run("UPDATE principals SET id = x'00'").await;
        let accounts = KnownAccounts::default();
        accounts.want(HashSet::from(["a".parse().unwrap()]));
        let loaded = accounts.load(&store).await;
        assert!(matches!(loaded, Err(StoreError::Corrupt { .. })), "{loaded:?}");
        assert!(accounts.misses_some());
    }
}
