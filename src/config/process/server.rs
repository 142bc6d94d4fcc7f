//! Where the process listens, and what holds there: `[server]`, `[admin]`, `[reload]`.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::Path,
    time::Duration,
};

use ipnet::IpNet;

use super::listen;
use crate::{
    config::{
        matching::hosts,
        reader::{Item, Placed, Section, Spot},
    },
    edge::{
        admin,
        listen::{Listen, ListenSettings as FrontSettings, TrustedHeader, TrustedHeaders},
    },
    rules::{rewrite::OddNames, route::HostPattern},
};

const THREADS: RangeInclusive<usize> = 0..=1024;
const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
const STREAMS: RangeInclusive<u32> = 1..=10_000;
const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(1);
const TOTAL: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);
/// Bytes a second.
const RATE: RangeInclusive<u64> = 0..=1 << 30;
/// Octets of a request's body, here and on a route.
pub(in crate::config) const BODY_BYTES: RangeInclusive<u64> = 0..=1 << 40;
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(1);

/// What becomes of odd names of request fields.
const ODD_NAMES: [(&str, OddNames); 2] = [("pass", OddNames::Pass), ("drop", OddNames::Drop)];

/// `[server]` and where its listeners stand.
pub(in crate::config) struct Server {
    pub(in crate::config) settings: FrontSettings,
    pub(in crate::config) listen: Vec<Placed<SocketAddr>>,
    /// What holds on routes that do not say their own.
    pub(in crate::config) routes: Defaults,
}

/// What `[server]` says for routes that do not say their own.
#[derive(Clone, Copy)]
pub(in crate::config) struct Defaults {
    pub(in crate::config) body_bytes_max: Option<u64>,
    pub(in crate::config) harden: bool,
}

impl Defaults {
    /// Reads them from `[server]`.
    pub(in crate::config) fn read(section: &mut Section<'_>) -> Self {
        Self {
            body_bytes_max: section.optional("body_bytes_max", |item| item.size(&BODY_BYTES)),
            harden: section.or("harden", false, Item::boolean),
        }
    }
}

/// `[admin]` and where its listener stands.
pub(in crate::config) struct Admin {
    pub(in crate::config) settings: admin::AdminSettings,
    pub(in crate::config) listen: Spot,
}

/// `[server]`: the front listener. All but `threads` and where and how it listens can be reloaded.
pub(in crate::config) fn server(mut section: Section<'_>) -> Server {
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
pub(in crate::config) fn admin(mut section: Section<'_>, directory: &Path) -> Admin {
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

/// `[reload]`: whether files are watched.
pub(in crate::config) fn reload(mut section: Section<'_>) -> bool {
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
