//! What passwords and tokens may cost: `[passwords]`, `[throttle]`, `[cache]`.

use std::{num::NonZeroUsize, ops::RangeInclusive, sync::Arc, time::Duration};

use crate::{
    config::reader::{Item, Section},
    domain::duration,
    state::{
        account::{self, RefusedPasswords},
        limit::{BadTokenSettings, ThrottleSettings},
        store::StoreSettings,
        token::CacheSettings,
    },
};

const HASH_THREADS: RangeInclusive<usize> = 1..=256;
const HASH_QUEUE: RangeInclusive<usize> = 1..=100_000;
const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
const FAILURES: RangeInclusive<u32> = 1..=1_000_000;
/// Tries an hour. With four of them a turn above the cap is a quarter of an hour.
const NAME_TRIES: RangeInclusive<u32> = 4..=1_000_000;
const CACHE_ENTRIES: RangeInclusive<usize> = 1..=100_000_000;
const CACHE_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;

/// Failed logins a minute that are always allowed for one name from one address (`docs/contracts.md`).
const NAME_FAILURES_A_MINUTE: u32 = 5;
/// Failed logins a minute that are always allowed from one address.
const ADDRESS_FAILURES_A_MINUTE: u32 = 30;

/// `[passwords]`: the pool that hashes, and the passwords that nobody may choose.
pub(in crate::config) fn passwords(mut section: Section<'_>) -> (account::HasherSettings, Arc<RefusedPasswords>) {
    let default = account::HasherSettings::default();
    let settings = account::HasherSettings {
        threads: section.or("hash_threads", default.threads, |item| NonZeroUsize::new(item.integer(&HASH_THREADS)?)),
        queue_max: section.or("hash_queue", default.queue_max, |item| item.integer(&HASH_QUEUE)),
    };
    let refused = section.optional("refused_file", refused_passwords).unwrap_or_default();
    section.finish();
    (settings, Arc::new(refused))
}

/// A file with one password a line.
fn refused_passwords(item: &Item<'_>) -> Option<RefusedPasswords> {
    let (path, bytes) = item.file()?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.lines().any(|line| !line.is_empty()) => Some(RefusedPasswords::of_lines(text)),
        Ok(_) => item.wrong(&format!("{} has no passwords: it takes one a line", item.shown())),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].split(|&byte| byte == b'\n').count();
            item.wrong(&format!("{}:{line} is no UTF-8: it takes one password a line", path.display()))
        }
    }
}

/// `[throttle]`: failed logins until there is a pause, and bad tokens. The contracts promise a rate of logins that
/// is never refused.
pub(in crate::config) fn throttle(
    mut section: Section<'_>,
    store: &StoreSettings,
) -> (ThrottleSettings, BadTokenSettings) {
    let default = ThrottleSettings::default();
    let window = section.or("window", default.window, |item| item.duration(&WINDOW));
    let minutes = u32::try_from(window.as_secs().div_ceil(60)).unwrap_or(u32::MAX);
    let mut failures = |key, default: u32, a_minute: u32| {
        let least = a_minute.saturating_mul(minutes);
        let value = section.or(key, default.max(least), |item| item.integer(&FAILURES));
        if value < least {
            let window = duration::shown(window);
            section
                .report(key, &format!("must be at least {least} in {window}: {a_minute} a minute are always allowed"));
        }
        value
    };
    let name_failures = failures("name_failures", default.name_failures, NAME_FAILURES_A_MINUTE);
    let address_failures = failures("address_failures", default.address_failures, ADDRESS_FAILURES_A_MINUTE);
    let name_tries = section.or("name_tries", default.name_tries, |item| item.integer(&NAME_TRIES));
    let shared = section.or("shared", default.shared, Item::boolean);
    if shared && store.file().is_some() {
        section.report(
            "shared",
            "gateways share failed logins through PostgreSQL only, and store.url names a file, which has one gateway: \
             leave it out, or name a postgres:// store",
        );
    }
    let bad_tokens = BadTokenSettings::default();
    let bad_tokens = BadTokenSettings {
        bad_tokens: section.or("bad_tokens", bad_tokens.bad_tokens, |item| item.integer(&FAILURES)),
        window: section.or("bad_tokens_window", bad_tokens.window, |item| item.duration(&WINDOW)),
    };
    section.finish();
    (ThrottleSettings { name_failures, address_failures, window, name_tries, shared, ..default }, bad_tokens)
}

/// `[cache]`: the verified tokens that are remembered.
pub(in crate::config) fn cache(mut section: Section<'_>) -> CacheSettings {
    let default = CacheSettings::default();
    let settings = CacheSettings {
        entries_max: section.or("entries", default.entries_max, |item| item.integer(&CACHE_ENTRIES)),
        bytes_max: section.or("bytes", default.bytes_max, |item| item.size(&CACHE_BYTES)),
    };
    section.finish();
    settings
}
