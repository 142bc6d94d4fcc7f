//! Everything at once: no operation is refused because others run beside it.

use std::time::Duration;

use portero::{
    domain::{Algorithm, PrincipalId, Secret},
    state::{
        account::{self, AccountError, Logins, NewAccount, OldTokens, SecretHash, company, write_logins},
        clock,
        keys::{Vault, VaultError},
        refresh,
        revocation::log::{self, EXPIRED_KEPT},
        session::{self, ENDED_KEPT, Trimmed},
        store::{Store, StoreError},
    },
};

use super::{
    CALLERS, NOW, at, by, hash, keys::KEPT, login, named, new_user, on_both_stores, realm, refresh::Login, set_role,
    trusted,
};

const COMPANY: &str = "acme";

const ACCOUNTS: [&str; 4] = ["a", "b", "c", "d"];

/// Operations of one caller.
const STEPS: usize = 3;

/// What a caller draws its operations from: the same ones in every run.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        // Knuth's MMIX generator; its high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// A caller, and what it knows.
struct Caller {
    store: Store,
    vault: Vault,
    dice: Dice,
    login: Login,
    token: Secret,
    accounts: [PrincipalId; 4],
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Caller {
    async fn step(&mut self) -> Result<(), Refused> {
        let (realm, name) = (&realm(), &named(ACCOUNTS[self.dice.roll(4)]));
        let time = i64::try_from(self.dice.roll(1_000)).unwrap();
        let store = &self.store;
        match self.dice.roll(24) {
            0 => drop(account::set_disabled(&by(store), realm, name, true, NOW).await?),
            1 => drop(account::end_tokens(&by(store), realm, name, NOW).await?),
            2 => drop(set_role(store, realm, name, Some(&time.to_string()), NOW).await?),
            3 => drop(account::set_password_hash(&by(store), realm, name, &hash("i"), OldTokens::End, NOW).await?),
            4 => drop(company::set_disabled(&by(store), realm, COMPANY, true, NOW).await?),
            5 => drop(account::record_names(&by(store), realm, NOW).await?),
            6 => {
                let name = named(&format!("other {}", time % 8));
                let made = account::insert(&by(store), &new_user(&name.name), &hash("h"), NOW).await;
                if matches!(made, Err(AccountError::Exists(_))) {
                    match account::delete(&by(store), realm, &name, NOW).await {
                        Ok(_) | Err(AccountError::NotFound(_)) => {}
                        Err(error) => return Err(error.into()),
                    }
                } else {
                    made?;
                }
            }
            7 => drop(session::open(store, &login(self.accounts[self.dice.roll(4)], time, None)).await?),
            8 => drop(session::open(store, &login(self.accounts[self.dice.roll(4)], time, Some(time))).await?),
            9 => drop(session::prune(store, trusted(at(time).plus(ENDED_KEPT)), 9).await?),
            10 => drop(session::trim(store, Trimmed::default(), 9).await?),
            11 => drop(log::prune(store, trusted(at(time).plus(EXPIRED_KEPT)), 9).await?),
            12 => drop(refresh::prune(store, trusted(at(time).plus(EXPIRED_KEPT)), 9).await?),
            13 => drop(refresh::accuse(store, &self.login.token, Duration::ZERO, NOW).await?),
            14 => drop(self.vault.reseal().await?),
            15 => drop(self.vault.retire_due(trusted(at(time))).await?),
            16 => drop(self.vault.put_dates_right(trusted(at(time))).await?),
            17 => drop(clock::confirm(&by(store), at(time)).await?),
            18 => {
                let ring = self.vault.load().await?;
                let seen = ring.active(realm).map(|key| &key.id);
                self.vault.replace(realm, Algorithm::Hs256, seen, KEPT, at(time)).await?;
            }
            19 => {
                let logins = Logins::default();
                self.accounts.iter().for_each(|account| logins.failed(*account));
                write_logins(store, &logins, async || ()).await?;
            }
            20 => {
                let secret = SecretHash { hash: &hash("j"), made: true };
                account::overlap_secrets(&by(store), realm, name, secret, at(time)).await?;
            }
            21 => drop(account::prune_previous(store, trusted(at(time)), 9).await?),
            22 => {
                let id = self.accounts[self.dice.roll(4)];
                account::update_hash_if_unchanged(store, id, &hash("j"), &hash("k")).await?;
            }
            _ => {
                let exchanged = self.login.spend(store, &self.token, NOW).await;
                if let refresh::RotationOutcome::Successor(next, _) = exchanged {
                    self.token = next;
                }
            }
        }
        Ok(())
    }
}

#[test]
fn nothing_is_refused_because_others_do_something_else_at_once() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        vaults[0].replace(&realm(), Algorithm::Hs256, None, KEPT, NOW).await.unwrap();
        company::insert(&by(gateways.store()), &realm(), COMPANY, NOW).await.unwrap();
        let mut accounts = vec![];
        for name in ACCOUNTS {
            let new = NewAccount { company: Some(COMPANY.to_owned()), ..new_user(name) };
            accounts.push(account::insert(&by(gateways.store()), &new, &hash("h"), NOW).await.unwrap().id);
        }
        let accounts: [PrincipalId; 4] = accounts.try_into().unwrap();
        let mut logins = vec![];
        for caller in 0..CALLERS {
            logins.push(gateways.login_at(accounts[caller % 4], &format!("login {}", caller / 2)).await);
        }
        let call = |store: Store, caller: usize| {
            // Two share a line.
            let login = logins[caller / 2 * 2].clone();
            let mut caller = Caller {
                store,
                vault: vaults[caller % 2].clone(),
                dice: Dice(u64::try_from(caller).unwrap()),
                token: login.token.clone(),
                login,
                accounts,
            };
            async move {
                for _ in 0..STEPS {
                    caller.step().await?;
                }
                Ok::<_, Refused>(())
            }
        };
        for done in gateways.at_once(call).await {
            done.unwrap();
        }
        assert!(vaults[1].load().await.unwrap().active(&realm()).is_some());
    });
}
