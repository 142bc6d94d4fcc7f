//! What the process itself needs: `[server]`, `[admin]`, `[log]`, `[audit]`, `[passwords]`, `[throttle]`,
//! `[cache]`, `[reload]`.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    ops::RangeInclusive,
    path::Path,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

use super::{
    item::Item,
    listen,
    matching::hosts,
    reader::{Placed, Section, Spot},
    routes::Defaults,
};
use crate::{
    domain::duration,
    edge::{
        admin,
        listen::{Listen, ListenSettings as FrontSettings, TrustedHeader, TrustedHeaders},
    },
    observe::audit::{AuditSettings, Rotation},
    rules::{rewrite::OddNames, route::HostPattern},
    state::{
        account::{self, RefusedPasswords},
        limit::{BadTokenSettings, ThrottleSettings},
        store::StoreSettings,
        token::CacheSettings,
    },
};

const THREADS: RangeInclusive<usize> = 0..=1024;
const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
const STREAMS: RangeInclusive<u32> = 1..=10_000;
const HASH_THREADS: RangeInclusive<usize> = 1..=256;
const HASH_QUEUE: RangeInclusive<usize> = 1..=100_000;
const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(1);
const TOTAL: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);
/// Bytes a second.
const RATE: RangeInclusive<u64> = 0..=1 << 30;
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(1);
const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
const FAILURES: RangeInclusive<u32> = 1..=1_000_000;
/// Tries an hour. With four of them a turn above the cap is a quarter of an hour.
const NAME_TRIES: RangeInclusive<u32> = 4..=1_000_000;
const CACHE_ENTRIES: RangeInclusive<usize> = 1..=100_000_000;
const CACHE_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;

/// Bytes of an audit file at which it makes way for another; 0 for never.
const ROTATE_SIZE: RangeInclusive<u64> = 0..=1 << 40;
const ROTATE_BYTES: u64 = 100 << 20;
/// Zero for never.
const ROTATE_TIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24 * 366);
const ROTATE_EVERY: Duration = Duration::from_hours(24);

/// What becomes of odd names of request fields.
const ODD_NAMES: [(&str, OddNames); 2] = [("pass", OddNames::Pass), ("drop", OddNames::Drop)];

/// Failed logins a minute that are always allowed for one name from one address (`docs/contracts.md`).
const NAME_FAILURES_A_MINUTE: u32 = 5;
/// Failed logins a minute that are always allowed from one address.
const ADDRESS_FAILURES_A_MINUTE: u32 = 30;

/// `[server]` and where its listeners stand.
pub(super) struct Server {
    pub(super) settings: FrontSettings,
    pub(super) listen: Vec<Placed<SocketAddr>>,
    /// What holds on routes that do not say their own.
    pub(super) routes: Defaults,
}

/// `[admin]` and where its listener stands.
pub(super) struct Admin {
    pub(super) settings: admin::AdminSettings,
    pub(super) listen: Spot,
}

/// `[server]`: the front listener. All but `threads` and where and how it listens can be reloaded.
pub(super) fn server(mut section: Section<'_>) -> Server {
    let default = FrontSettings::default();
    let at_default = || {
        let placed = |listen: &Listen| Placed { value: listen.clone(), spot: section.spot_of("listen") };
        default.listen.iter().map(placed).collect()
    };
    let listen: Vec<_> = if section.has("listen") { vec![] } else { at_default() };
    let listen = section.or("listen", listen, listen::listeners);
    let trusted_headers = trusted_headers(&mut section, default.trusted_headers);
    let threads = section.or("threads", 0, |item| item.integer(&THREADS));
    let settings = FrontSettings {
        listen: listen.iter().map(|listen| listen.value.clone()).collect(),
        threads: if threads == 0 { default.threads } else { threads },
        trusted_proxies: section.or("trusted_proxies", default.trusted_proxies, |item| item.list(network)),
        trusted_headers,
        head_timeout: section.or("head_timeout", default.head_timeout, |item| item.duration(&WAIT)),
        keepalive_timeout: section.or("keepalive_timeout", default.keepalive_timeout, |item| item.duration(&WAIT)),
        body_timeout: section.or("body_timeout", default.body_timeout, |item| item.duration(&WAIT)),
        body_rate_min: section.or("body_rate_min", default.body_rate_min, |item| item.size(&RATE)),
        body_rate_grace: section.or("body_rate_grace", default.body_rate_grace, |item| item.duration(&WAIT)),
        body_total_timeout: section.or("body_total_timeout", default.body_total_timeout, |item| item.duration(&TOTAL)),
        connections_per_address: section
            .or("connections_per_address", default.connections_per_address, |item| item.integer(&CONNECTIONS)),
        requests_per_address: section
            .or("requests_per_address", default.requests_per_address, |item| item.integer(&CONNECTIONS)),
        requests_per_connection: section
            .or("requests_per_connection", default.requests_per_connection, |item| item.integer(&STREAMS)),
        connections_max: section.or("connections_max", default.connections_max, |item| item.integer(&CONNECTIONS)),
        drain_delay: section.or("drain_delay", default.drain_delay, |item| item.duration(&DRAIN)),
        drain_timeout: section.or("drain_timeout", default.drain_timeout, |item| item.duration(&DRAIN)),
        odd_header_names: section.or("odd_header_names", default.odd_header_names, |item| item.one_of(&ODD_NAMES)),
    };
    let routes = Defaults::read(&mut section);
    judge_trust(&section, &settings);
    section.finish();
    let address = |listen: Placed<Listen>| Placed { value: listen.value.address, spot: listen.spot };
    Server { settings, listen: listen.into_iter().map(address).collect(), routes }
}

/// The headers that trusted proxies set themselves.
fn trusted_headers(section: &mut Section<'_>, default: TrustedHeaders) -> TrustedHeaders {
    let header = |item: &Item<'_>| {
        let name = item.text()?;
        let known = TrustedHeader::NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
        // The config's own words say which others there are.
        known.map(|(_, header)| header).or_else(|| item.one_of(&TrustedHeader::NAMES))
    };
    section.or("trusted_headers", default, |item| item.list(header).map(TrustedHeaders::from_iter))
}

/// Says where it is not clear whose word is believed.
fn judge_trust(section: &Section<'_>, settings: &FrontSettings) {
    let (named, proxies) = (section.has("trusted_headers"), section.has("trusted_proxies"));
    if settings.trusted_proxies.is_empty() {
        if named && !proxies {
            section.report("trusted_headers", "stands beside trusted_proxies, which names whose headers they are");
        }
    } else if !named {
        section.warn(
            "trusted_proxies",
            "trusted_headers does not say which headers these proxies set themselves: X-Forwarded-For, X-Forwarded-Proto, \
             traceparent and tracestate are believed. One that they pass through is the client's word; leave it out",
        );
    } else if !settings.trusted_headers.contains(TrustedHeader::For)
        && !settings.listen.iter().all(|listen| listen.proxy_protocol)
    {
        section.warn(
            "trusted_headers",
            "without X-Forwarded-For every client behind a proxy has the proxy's address, in limits and logs too",
        );
    }
}

/// `[admin]`: the operator's listener.
pub(super) fn admin(mut section: Section<'_>, directory: &Path) -> Admin {
    let settings = admin::AdminSettings {
        listen: section.or("listen", SocketAddr::from(([127, 0, 0, 1], 9901)), listen::socket),
        token_file: section.optional("token_file", Item::path).unwrap_or_else(|| directory.join("admin.token")),
        hosts: section.or("hosts", vec![], host_names),
    };
    let listen = section.spot_of("listen");
    section.finish();
    Admin { settings, listen }
}

/// Names under which the admin listener answers.
fn host_names(item: &Item<'_>) -> Option<Vec<Box<str>>> {
    let exact = |pattern| match pattern {
        HostPattern::Exact(name) => Some(name),
        HostPattern::Below(_) => item.wrong("a wildcard names no host here: name each one"),
    };
    hosts(item)?.into_iter().map(exact).collect()
}

/// `[log]`: whether there is an access log, and whether names that no account has stand in the audit log as a code.
pub(super) fn log(mut section: Section<'_>) -> (bool, bool) {
    let access = section.or("access", true, Item::boolean);
    let names = section.or("names", false, Item::boolean);
    section.optional("format", |item| item.one_of(&[("json", ())]));
    section.finish();
    (access, names)
}

/// `[audit]`: a gateway's own chain of logins, refusals and refreshes.
pub(super) fn audit(mut section: Section<'_>) -> AuditSettings {
    let file = section.optional("file", Item::path);
    let required = section.or("required", false, Item::boolean);
    let rotation = Rotation {
        bytes: section.or("rotate_size", ROTATE_BYTES, |item| item.size(&ROTATE_SIZE)),
        every: section.or("rotate_every", ROTATE_EVERY, |item| item.duration(&ROTATE_TIME)),
    };
    if required && file.is_none() {
        section.report("required", "needs audit.file: without a file no login has a line");
    }
    section.finish();
    AuditSettings { file, required, rotation }
}

/// `[passwords]`: the pool that hashes, and the passwords that nobody may choose.
pub(super) fn passwords(mut section: Section<'_>) -> (account::HasherSettings, Arc<RefusedPasswords>) {
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
pub(super) fn throttle(mut section: Section<'_>, store: &StoreSettings) -> (ThrottleSettings, BadTokenSettings) {
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
pub(super) fn cache(mut section: Section<'_>) -> CacheSettings {
    let default = CacheSettings::default();
    let settings = CacheSettings {
        entries_max: section.or("entries", default.entries_max, |item| item.integer(&CACHE_ENTRIES)),
        bytes_max: section.or("bytes", default.bytes_max, |item| item.size(&CACHE_BYTES)),
    };
    section.finish();
    settings
}

/// `[reload]`: whether files are watched.
pub(super) fn reload(mut section: Section<'_>) -> bool {
    let watch = section.or("watch", false, Item::boolean);
    section.finish();
    watch
}

/// A block of addresses, or one address.
fn network(item: &Item<'_>) -> Option<IpNet> {
    let text = item.text()?;
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let network =
        network.or_else(|| item.no("an address or a block of them, such as \"10.0.0.1\" or \"10.0.0.0/8\""))?;
    if network.trunc() == network {
        Some(network)
    } else {
        item.wrong(&format!("{} has bits behind its prefix; the block is '{}'", item.shown(), network.trunc()))
    }
}
