//! How long tokens of a realm may live: under the present config, or under an earlier one. A
//! revocation that ended sooner than its token would give it back its life.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{RealmName, SessionId, Timestamp},
    rules::realm::{Lifetime, Realm, later},
    state::{
        clock,
        revocation::log::{Record, RevokedSubject},
        session,
        store::{Store, StoreError},
    },
};

/// What `meta` says where tokens may live for ever.
const FOR_EVER: &[u8] = b"for ever";

/// Longer than from any midnight to the end of its day: the clocks may be set back, and late tokens end a day later
/// ([`Lifetime::EndOfDay`]).
const END_OF_DAY_MAX: Duration = Duration::from_hours(26);

/// Notes the longest life that a token of each realm may have, where it is longer than any before.
/// To be called before the first token is issued under a config.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn note(store: &Store, realms: &[Arc<Realm>], now: Timestamp) -> Result<(), StoreError> {
    for realm in realms {
        let mut longest = realm.latest_expiry(now);
        // What a token of now lives for says nothing of those of the next morning.
        if realm.lifetime == Lifetime::EndOfDay {
            longest = later(longest, Some(now.plus(END_OF_DAY_MAX)));
        }
        // Another process may note a longer one at the same moment.
        let row = row(&realm.name);
        let noting = store.revise_meta(&row, |noted| {
            let longest = noted.map_or(longest, |noted| later(longest, parse(noted).map(|life| now.plus(life))));
            let life = |end: Timestamp| end.since(now).as_secs().to_string().into_bytes();
            let value = longest.map_or_else(|| FOR_EVER.to_vec(), life);
            (noted != Some(&value)).then_some(value)
        });
        noting.await?;
    }
    Ok(())
}

/// When the longest-lived token of `realm` that exists `now` can end; `None` for never. Where the clock is behind the
/// times that the store has seen, tokens of those times count too.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn latest_expiry(store: &Store, realm: &Realm, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let seen = clock::latest_seen(store, now).await?;
    let present = realm.latest_expiry(seen);
    Ok(match store.meta(&row(&realm.name)).await? {
        None => present,
        Some(noted) => later(present, parse(&noted).map(|life| seen.plus(life))),
    })
}

/// [`latest_expiry`] of a realm that the config may not have any more. Where nothing was noted, `None`: nobody knows.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn latest_noted(store: &Store, realm: &RealmName, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let seen = clock::latest_seen(store, now).await?;
    let noted = store.meta(&row(realm)).await?;
    Ok(noted.and_then(|noted| parse(&noted)).map(|life| seen.plus(life)))
}

/// What revokes a session: it is kept as long as any token of it can live. `None` where there is no such session.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn session_record(store: &Store, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
    let Some(session) = session::find(store, id).await? else { return Ok(None) };
    // A token of it may be on its way whose end the session does not know yet.
    let longest = latest_noted(store, &session.realm, now).await?;
    let expires_at = later(session.expires_at, longest);
    Ok(Some(Record { subject: RevokedSubject::Session(id), expires_at, created_at: now }))
}

/// What cannot be read counts as for ever.
fn parse(noted: &[u8]) -> Option<Duration> {
    std::str::from_utf8(noted).ok()?.parse().ok().map(Duration::from_secs)
}

fn row(realm: &RealmName) -> String {
    format!("longest_lifetime/{realm}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::HandClock,
        rules::contract::{self, Dialect},
        state::store::StoreSettings,
    };

    fn realm(lifetime: u64) -> Arc<Realm> {
        Arc::new(Realm {
            name: "become".parse().unwrap(),
            dialect: "become".parse().unwrap(),
            issuer: "https://gateway.example.com/become".into(),
            audience: "api".into(),
            leeway: Duration::ZERO,
            algorithm: "become".parse::<Dialect>().unwrap().facts().tokens.algorithm,
            keeps_algorithm: false,
            lifetime: Lifetime::Fixed(Duration::from_secs(lifetime)),
            content_lifetime: Duration::ZERO,
            refresh_lifetime: Duration::ZERO,
            wire: contract::DialectSettings::default(),
            uniform_errors: false,
        })
    }

    #[tokio::test]
    async fn a_config_that_was_narrowed_leaves_the_longer_life_noted() {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let now = Timestamp::from_secs(1_000);
        for (lifetime, latest) in [(3600, 3600), (1, 3600), (7200, 7200), (60, 7200)] {
            note(&store, &[realm(lifetime)], now).await.unwrap();
            let end = latest_expiry(&store, &realm(lifetime), now).await.unwrap();
            assert_eq!(end, Some(now.plus(Duration::from_secs(latest))), "{lifetime}");
        }
        // Noted in the evening, and narrowed the next morning.
        let until_midnight = Realm { lifetime: Lifetime::EndOfDay, ..Realm::clone(&realm(1)) };
        note(&store, &[Arc::new(until_midnight)], now).await.unwrap();
        let end = latest_expiry(&store, &realm(1), now).await.unwrap();
        assert!(end >= Some(now.plus(Duration::from_hours(25))), "{end:?}");
        store.set_meta("longest_lifetime/become", FOR_EVER).await.unwrap();
        assert_eq!(latest_expiry(&store, &realm(1), now).await.unwrap(), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_that_note_at_once_the_longest_life_stays() {
        let folder = crate::memory::new_folder();
        let now = Timestamp::from_secs(1_000);
        let mut noting = vec![];
        for lifetime in [7, 3, 16, 1, 12, 5, 9, 2] {
            let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
            noting.push(tokio::spawn(async move { note(&store, &[realm(lifetime * 3600)], now).await.unwrap() }));
        }
        for noted in noting {
            noted.await.unwrap();
        }
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let end = latest_expiry(&store, &realm(1), now).await.unwrap();
        assert_eq!(end, Some(now.plus(Duration::from_hours(16))));
    }

    #[tokio::test]
    async fn a_clock_that_is_behind_lets_no_token_look_older_than_it_is() {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let now = Timestamp::from_secs(1_000_000);
        let clock = Arc::new(HandClock::new(now));
        clock::TrustedClock::begin(None, clock).keep(&store).await.unwrap();
        note(&store, &[realm(3600)], now).await.unwrap();
        let behind = now.minus(Duration::from_hours(14));
        let ends = [
            latest_expiry(&store, &realm(3600), behind).await.unwrap(),
            latest_noted(&store, &realm(3600).name, behind).await.unwrap(),
        ];
        assert!(ends.iter().all(|end| *end >= Some(now.plus(Duration::from_hours(1)))), "{ends:?}");
    }
}
