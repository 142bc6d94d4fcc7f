//! Signing keys: one signs for a realm, and of several gateways that change it one does.

use portero::{
    domain::{Algorithm, KeyId, RealmName, Timestamp},
    state::keys::{
        KeyRecord, KeyState, OldKeyPlan, RETIRED_KEPT, Restored, RetiredAtOnce, SEALED_KEPT, Vault, VaultError,
        VaultSettings, verifies,
    },
};

use super::{CALLERS, Gateways, NOW, at, count, on_both_stores, realm, trusted};

const HS256: Algorithm = Algorithm::Hs256;

/// What a key that nothing depends on has as its fate.
pub(super) const KEPT: OldKeyPlan = OldKeyPlan::Retiring { retires_at: None };

impl Gateways {
    fn vault_settings(&self) -> VaultSettings {
        VaultSettings { master_key_file: self.folder.path().join("master.key") }
    }

    /// The vault of each gateway.
    pub(super) async fn vaults(&self) -> [Vault; 2] {
        let settings = self.vault_settings();
        [
            Vault::make(self.store().clone(), &settings).await.unwrap(),
            Vault::open(self.other().clone(), &settings).await.unwrap(),
        ]
    }

    /// Calls at once, each with the vault of a gateway.
    pub(super) async fn vaults_at_once<T, F>(&self, vaults: &[Vault; 2], call: impl Fn(Vault, usize) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.at_once(|_, caller| call(vaults[caller % 2].clone(), caller)).await
    }
}

pub(super) async fn record(vault: &Vault, id: &KeyId) -> KeyRecord {
    vault.records().await.unwrap().into_iter().find(|record| record.id == *id).unwrap()
}

async fn in_state(vault: &Vault, state: KeyState) -> Vec<KeyId> {
    let records = vault.records().await.unwrap();
    records.into_iter().filter(|record| record.state == state).map(|record| record.id).collect()
}

async fn signing(vault: &Vault, realm: &RealmName) -> KeyId {
    vault.replace(realm, HS256, None, KEPT, NOW).await.unwrap().unwrap()
}

fn until(end: Timestamp) -> OldKeyPlan {
    OldKeyPlan::Retiring { retires_at: Some(end) }
}

#[test]
fn the_master_key_of_a_store_is_made_once() {
    on_both_stores(async |gateways| {
        if gateways.store().is_shared() {
            let refused = Vault::open(gateways.store().clone(), &gateways.vault_settings()).await;
            assert!(matches!(refused, Err(VaultError::Store(_))), "no start makes that of a shared store");
        }
        let settings = gateways.vault_settings();
        let made = gateways.at_once(|store, _| {
            let settings = settings.clone();
            async move { Vault::make(store, &settings).await.map(drop) }
        });
        for made in made.await {
            made.unwrap();
        }
        let [one, other] = gateways.vaults().await;
        let id = signing(&one, &realm()).await;
        assert_eq!(other.load().await.unwrap().active(&realm()).unwrap().id, id);
    });
}

#[test]
fn a_key_goes_from_next_to_active_to_retiring_to_retired_and_is_forgotten() {
    on_both_stores(async |gateways| {
        let [one, other] = gateways.vaults().await;
        let realm = &realm();
        let first = signing(&one, realm).await;
        let revision = other.revision().await.unwrap();
        let next = one.prepare(realm, HS256, Some(&first), false, at(1)).await.unwrap().unwrap();
        assert_ne!(other.revision().await.unwrap(), revision, "gateways look again");
        assert_eq!(one.prepare(realm, HS256, Some(&first), false, at(1)).await.unwrap(), None, "there is one");
        assert_eq!(one.prepare(realm, HS256, Some(&next), false, at(1)).await.unwrap(), None, "another one signs");
        one.ask(&next).await.unwrap();
        assert!(record(&other, &next).await.asked);
        assert!(!one.promote(realm, &next, Some(&next), KEPT, trusted(at(2))).await.unwrap(), "another one signs");
        assert!(one.promote(realm, &next, Some(&first), until(at(50)), trusted(at(2))).await.unwrap());
        let [old, new] = [record(&other, &first).await, record(&other, &next).await];
        assert_eq!((old.state, old.retires_at, old.retiring_since), (KeyState::Retiring, Some(at(50)), Some(at(2))));
        assert_eq!((new.state, new.asked, new.activated_at), (KeyState::Active, false, Some(at(2))));

        assert!(!one.retire(&first, trusted(at(49))).await.unwrap());
        assert_eq!(one.retire_due(trusted(at(49))).await.unwrap(), []);
        assert_eq!(one.retire_due(trusted(at(50))).await.unwrap(), std::slice::from_ref(&first));
        assert!(!verifies(gateways.other(), &first).await.unwrap());
        assert_eq!(one.restore(&first).await.unwrap(), Restored::Done);
        assert_eq!(other.restore(&first).await.unwrap(), Restored::NotThere, "it verifies");
        assert!(verifies(gateways.other(), &first).await.unwrap());
        let at_once = one.retire_at_once(&first, KeyState::Retiring, at(60)).await.unwrap();
        assert_eq!(at_once, RetiredAtOnce::Done(vec![]));
        assert_eq!(one.restore(&first).await.unwrap(), Restored::NotThere, "it is wiped");
        assert_eq!(one.forget(trusted(at(60).plus(RETIRED_KEPT))).await.unwrap(), 0);
        assert_eq!(one.forget(trusted(at(61).plus(RETIRED_KEPT))).await.unwrap(), 1);
        assert_eq!(other.records().await.unwrap().len(), 1);

        assert_eq!(one.put_dates_right(trusted(at(2))).await.unwrap(), 0);
        assert_eq!(one.put_dates_right(trusted(at(1))).await.unwrap(), 1);
        assert_eq!(record(&other, &next).await.activated_at, Some(at(1)));
    });
}

#[test]
fn a_key_that_retired_by_schedule_is_wiped_a_week_later() {
    on_both_stores(async |gateways| {
        let [one, other] = gateways.vaults().await;
        let first = signing(&one, &realm()).await;
        one.replace(&realm(), HS256, Some(&first), until(at(5)), at(1)).await.unwrap().unwrap();
        assert!(one.retire(&first, trusted(at(5))).await.unwrap());
        assert_eq!(one.wipe_retired(trusted(at(5).plus(SEALED_KEPT))).await.unwrap(), 0);
        assert!(!record(&other, &first).await.wiped);
        assert_eq!(one.wipe_retired(trusted(at(6).plus(SEALED_KEPT))).await.unwrap(), 1);
        assert!(record(&other, &first).await.wiped);
        assert_eq!(one.wipe_revoked().await.unwrap(), 0);
    });
}

#[test]
fn of_many_gateways_that_replace_a_key_one_does() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let mut seen = None;
        for plan in [KEPT, KEPT, OldKeyPlan::Revoked] {
            let call = |vault: Vault, _| {
                let seen = seen.clone();
                async move { vault.replace(&realm(), HS256, seen.as_ref(), plan, NOW).await.unwrap() }
            };
            let made: Vec<_> = gateways.vaults_at_once(&vaults, call).await.into_iter().flatten().collect();
            assert_eq!(made.len(), 1);
            assert_eq!(in_state(&vaults[1], KeyState::Active).await, made);
            seen = made.into_iter().next();
        }
        assert_eq!(in_state(&vaults[0], KeyState::Retiring).await.len(), 1);
        assert_eq!(in_state(&vaults[0], KeyState::Revoked).await.len(), 1);
        assert_eq!(vaults[0].records().await.unwrap().len(), 3);
    });
}

#[test]
fn of_many_gateways_that_prepare_or_promote_a_key_one_does() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let first = signing(&vaults[0], &realm()).await;
        let prepare = |vault: Vault, _| {
            let first = first.clone();
            async move { vault.prepare(&realm(), HS256, Some(&first), false, NOW).await.unwrap() }
        };
        let made: Vec<_> = gateways.vaults_at_once(&vaults, prepare).await.into_iter().flatten().collect();
        assert_eq!(made.len(), 1);
        let promote = |vault: Vault, _| {
            let (first, next) = (first.clone(), made[0].clone());
            async move { vault.promote(&realm(), &next, Some(&first), KEPT, trusted(NOW)).await.unwrap() }
        };
        assert_eq!(count(&gateways.vaults_at_once(&vaults, promote).await, |done| *done), 1);
        assert_eq!(in_state(&vaults[1], KeyState::Active).await, made);
        assert_eq!(in_state(&vaults[1], KeyState::Retiring).await, [first]);
        assert_eq!(in_state(&vaults[1], KeyState::Next).await, []);
    });
}

#[test]
fn of_many_gateways_that_end_a_key_one_does() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let first = signing(&vaults[0], &realm()).await;
        vaults[0].replace(&realm(), HS256, Some(&first), until(at(5)), NOW).await.unwrap().unwrap();
        let call = |vault: Vault, caller: usize| {
            let first = first.clone();
            async move {
                match caller % 4 {
                    0 => vault.retire_due(trusted(at(5))).await.unwrap().len(),
                    1 => usize::from(vault.retire(&first, trusted(at(5))).await.unwrap()),
                    _ => {
                        let done = vault.retire_at_once(&first, KeyState::Retiring, at(5)).await.unwrap();
                        usize::from(done.is_done())
                    }
                }
            }
        };
        assert_eq!(gateways.vaults_at_once(&vaults, call).await.into_iter().sum::<usize>(), 1);
        assert_eq!(in_state(&vaults[1], KeyState::Retired).await, [first]);
    });
}

/// Each of them changes rows of several keys: none waits for one that waits for it.
#[test]
fn keys_are_sealed_anew_while_others_are_made_and_end() {
    const KEYS: usize = 8;
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let mut ids = vec![signing(&vaults[0], &realm()).await];
        for _ in 1..KEYS {
            let plan = until(at(ids.len().try_into().unwrap()));
            ids.push(vaults[0].replace(&realm(), HS256, ids.last(), plan, NOW).await.unwrap().unwrap());
        }
        let call = |vault: Vault, caller: usize| async move {
            match caller % 4 {
                0 => vault.reseal().await.map(drop),
                1 => vault.put_dates_right(trusted(at(1_000 - i64::try_from(caller).unwrap()))).await.map(drop),
                2 => vault.retire_due(trusted(at(i64::try_from(caller).unwrap() / 8))).await.map(drop),
                _ => vault.forget(trusted(NOW.plus(RETIRED_KEPT))).await.map(drop),
            }
        };
        for done in gateways.vaults_at_once(&vaults, call).await {
            done.unwrap();
        }
        for vault in &vaults {
            assert_eq!(vault.load().await.unwrap().active(&realm()).unwrap().id, ids[KEYS - 1]);
        }
        assert_eq!(in_state(&vaults[0], KeyState::Retired).await.len(), KEYS - 1);
    });
}

#[test]
fn every_change_of_a_key_grows_the_revision_and_nothing_else_does() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let number =
            async || -> usize { String::from_utf8(vaults[1].revision().await.unwrap()).unwrap().parse().unwrap() };
        let before = number().await;
        let call = |vault: Vault, caller: usize| async move {
            signing(&vault, &format!("realm-{caller}").parse().unwrap()).await;
        };
        gateways.vaults_at_once(&vaults, call).await;
        assert_eq!(number().await, before + CALLERS);
        vaults[0].ask(&KeyId::generate()).await.unwrap();
        assert!(!vaults[0].restrict(&KeyId::generate()).await.unwrap());
        assert_eq!(vaults[0].retire_due(trusted(NOW)).await.unwrap(), []);
        assert_eq!(vaults[0].forget(trusted(NOW)).await.unwrap(), 0);
        assert_eq!(vaults[0].put_dates_right(trusted(NOW)).await.unwrap(), 0);
        assert_eq!(number().await, before + CALLERS, "a gateway that looks again finds something");
    });
}
