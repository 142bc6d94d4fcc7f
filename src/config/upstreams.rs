//! `[upstreams.NAME]`: the services behind.

mod tls;

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    time::Duration,
};

use http::{
    StatusCode,
    uri::{Authority, PathAndQuery},
};
use toml::de::DeValue;

use super::{
    matching::{Purpose, field_name, no_pattern},
    reader::{Item, Placed, Section},
};
use crate::upstream::{
    Balance, Eject, HashBy, Health, HttpVersion, PoolSettings, Probe, RETRIES_MAX, ServerSettings, Timeouts,
};

/// Characters of a route's or upstream's name, at most: it is a metric label.
const NAME_CHARS_MAX: usize = 64;
/// Characters of a host name and of a label in it, at most (RFC 1035 section 2.3.4).
const HOST_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;

const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);
/// Less often than that would be never, and more often a load of its own.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);
const WEIGHTS: RangeInclusive<u32> = 1..=1000;
const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
const PENDING: RangeInclusive<usize> = 0..=1_000_000;
const FAILURES: RangeInclusive<u32> = 0..=1000;
const PERCENT: RangeInclusive<u32> = 0..=100;
const ANSWERS: RangeInclusive<u32> = 1..=100;
/// The highest status that is a good answer to a health check, where none is named.
const STATUS_MOST: StatusCode = match StatusCode::from_u16(399) {
    Ok(status) => status,
    Err(_) => StatusCode::PERMANENT_REDIRECT,
};
const HTTP: [(&str, HttpVersion); 3] =
    [("1.1", HttpVersion::One), ("2", HttpVersion::Two), ("auto", HttpVersion::Auto)];

/// The upstreams of the file.
pub(super) struct Upstreams {
    /// Every name that stands in the file, of good ones and bad ones: for what refers to it.
    pub(super) names: Vec<String>,
    /// What was read of them.
    pub(super) checked: Vec<PoolSettings>,
    /// Every server and where it stands.
    pub(super) servers: Vec<Placed<Server>>,
}

/// What `balance` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    RoundRobin,
    LeastConnections,
    Hash,
}

/// A server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// A name, or an address without brackets; in lower case.
    pub(super) host: String,
    pub(super) port: u16,
}

/// Reads every upstream.
pub(super) fn read(root: &mut Section<'_>) -> Upstreams {
    let mut upstreams = Upstreams { names: vec![], checked: vec![], servers: vec![] };
    for (name, section) in root.named_sections("upstreams") {
        upstreams.names.push(name.to_owned());
        if !is_name(name) {
            section.report_here(&format!("the name must be {NAME_SHAPE}"));
        }
        upstream(name, section, &mut upstreams);
    }
    upstreams
}

fn upstream(name: &str, mut section: Section<'_>, upstreams: &mut Upstreams) {
    let servers = section.required("servers", "[\"127.0.0.1:9000\"]", servers).unwrap_or_default();
    let default = PoolSettings::new(name, vec![]);
    let balance = balance(&mut section);
    let health = section.optional("health", |item| health(item.section()?));
    let eject = eject(section.section("eject"));
    let eject_max_percent = section.or("eject_max_percent", default.eject_max_percent, |item| item.integer(&PERCENT));
    let retries = section.or("retries", default.retries, |item| item.integer(&(0..=RETRIES_MAX)));
    let connections_max = section.or("connections_max", default.connections_max, |item| item.integer(&CONNECTIONS));
    let pending_max = section.or("pending_max", default.pending_max, |item| item.integer(&PENDING));
    let share_per_address = section.or("share_per_address", default.share_per_address, Item::share);
    let tls = section.optional("tls", tls::read);
    if let Some(tls) = tls.as_ref().filter(|tls| tls.name.is_none()) {
        for (server, _) in &servers {
            if !tls.fits(&server.value.host) {
                section.report("tls", &format!("no certificate can be for '{}'; add tls.name", server.value.host));
            }
        }
    }
    let http = section.or("http", default.http, |item| item.one_of(&HTTP));
    if http == HttpVersion::Auto && !section.has("tls") {
        section.report("http", "\"auto\" is what TLS agrees on; add tls, or write \"1.1\" or \"2\"");
    }
    let preserve_header_case = section.or("preserve_header_case", default.preserve_header_case, Item::boolean);
    let resolve = section.or("resolve", default.resolve, |item| item.duration(&INTERVAL));
    let timeouts = timeouts(section.section("timeouts"));
    section.finish();
    let checked = servers.iter().map(|(server, weight)| ServerSettings {
        name: server.value.to_string().into(),
        host: server.value.host.as_str().into(),
        port: server.value.port,
        weight: *weight,
    });
    upstreams.checked.push(PoolSettings {
        balance,
        health,
        eject,
        eject_max_percent,
        retries,
        timeouts,
        connections_max,
        pending_max,
        share_per_address,
        tls,
        http,
        preserve_header_case,
        resolve,
        ..PoolSettings::new(name, checked.collect())
    });
    upstreams.servers.extend(servers.into_iter().map(|(server, _)| server));
}

fn balance(section: &mut Section<'_>) -> Balance {
    let choices =
        [("round-robin", Kind::RoundRobin), ("least-connections", Kind::LeastConnections), ("hash", Kind::Hash)];
    let kind = section.or("balance", Kind::RoundRobin, |item| item.one_of(&choices));
    if kind != Kind::Hash {
        section.refuse("hash_by", "only balance = \"hash\" has it");
    }
    match kind {
        Kind::RoundRobin => Balance::RoundRobin,
        Kind::LeastConnections => Balance::LeastConnections,
        Kind::Hash => Balance::Hash(section.or("hash_by", HashBy::Subject, hash_by)),
    }
}

fn hash_by(item: &Item<'_>) -> Option<HashBy> {
    let text = item.text()?;
    match (text.as_str(), text.strip_prefix("header:")) {
        ("subject", _) => Some(HashBy::Subject),
        ("address", _) => Some(HashBy::Address),
        (_, Some(name)) if !name.is_empty() => field_name(item, name).map(HashBy::Header),
        _ => item.no("\"subject\", \"address\" or \"header:NAME\""),
    }
}

fn health(mut section: Section<'_>) -> Option<Health> {
    let tcp = section.or("tcp", false, Item::boolean);
    let has_path = section.has("path");
    let path = section.optional("path", path);
    let host = section.optional("host", host);
    let status = section.or("status", (StatusCode::OK, STATUS_MOST), statuses);
    let wait = |section: &mut Section<'_>, key, default| section.or(key, default, |item| item.duration(&INTERVAL));
    let (interval, patience) =
        (wait(&mut section, "interval", Duration::from_secs(5)), wait(&mut section, "timeout", Duration::from_secs(2)));
    let count = |section: &mut Section<'_>, key, default| section.or(key, default, |item| item.integer(&ANSWERS));
    let (healthy, unhealthy) = (count(&mut section, "healthy", 2), count(&mut section, "unhealthy", 3));
    if tcp == has_path {
        section.report_here("must have either path, for example path = \"/health\", or tcp = true");
    } else if tcp {
        for key in ["host", "status"].into_iter().filter(|key| section.has(key)) {
            section.report(key, "only a check with a path has it");
        }
    }
    section.finish();
    let probe = if tcp { Probe::Tcp } else { Probe::Http { path: path?, host: host.map(Into::into), status } };
    Some(Health { probe, interval, timeout: patience, healthy, unhealthy })
}

fn path(item: &Item<'_>) -> Option<PathAndQuery> {
    let text = item.text()?;
    let path = Some(&text).filter(|text| text.starts_with('/')).and_then(|text| text.parse::<PathAndQuery>().ok());
    if let Some(path) = &path {
        no_pattern(item, path.path(), Purpose::Sent)?;
    }
    path.or_else(|| item.no("a path, for example \"/health\""))
}

fn host(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    if text.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@')) {
        return Some(text);
    }
    item.no("a host, for example \"crm.internal\"")
}

/// `200` or `200-399`.
fn statuses(item: &Item<'_>) -> Option<(StatusCode, StatusCode)> {
    let text = item.text()?;
    let (least, most) = text.split_once('-').unwrap_or((&text, &text));
    let status = |text: &str| text.parse::<StatusCode>().ok().filter(|status| !status.is_informational());
    let range = status(least).zip(status(most)).filter(|(least, most)| least <= most);
    range.or_else(|| item.no("a status or a range of them, for example \"200\" or \"200-399\""))
}

fn eject(mut section: Section<'_>) -> Eject {
    let default = Eject::default();
    let eject = Eject {
        failures: section.or("failures", default.failures, |item| item.integer(&FAILURES)),
        pause: section.or("for", default.pause, |item| item.duration(&INTERVAL)),
    };
    section.finish();
    eject
}

fn timeouts(mut section: Section<'_>) -> Timeouts {
    let default = Timeouts::default();
    let mut wait = |key, default| section.or(key, default, |item| item.duration(&WAIT));
    let timeouts = Timeouts {
        connect: wait("connect", default.connect),
        read: wait("read", default.read),
        write: wait("write", default.write),
        total: wait("total", default.total),
        idle: wait("idle", default.idle),
        tunnel_idle: wait("tunnel_idle", default.tunnel_idle),
    };
    section.finish();
    timeouts
}

/// Every server with its weight.
fn servers(item: &Item<'_>) -> Option<Vec<(Placed<Server>, u32)>> {
    let items = item.items()?;
    if items.is_empty() {
        return item.wrong("must name at least one server");
    }
    let mut servers: Vec<(Placed<Server>, u32)> = vec![];
    for item in &items {
        let Some(server) = weighted(item) else { continue };
        if servers.iter().any(|(known, _)| *known == server.0) {
            let shown = if item.raw().is_empty() { format!("'{}'", server.0.value) } else { item.shown() };
            item.wrong::<()>(&format!("{shown} stands here twice"));
        } else {
            servers.push(server);
        }
    }
    Some(servers)
}

/// `"host:port"`, or a table with its address and its weight.
fn weighted(item: &Item<'_>) -> Option<(Placed<Server>, u32)> {
    if !matches!(item.value(), DeValue::Table(_)) {
        return Some((server(item)?, 1));
    }
    let mut section = item.section()?;
    let address = section.required("address", "\"127.0.0.1:9000\"", server);
    let weight = section.or("weight", 1, |item| item.integer(&WEIGHTS));
    section.finish();
    Some((address?, weight))
}

fn server(item: &Item<'_>) -> Option<Placed<Server>> {
    item.note_place();
    let text = item.text()?;
    if text.contains("://") {
        return item.wrong("a server is host:port, without a scheme; for example \"127.0.0.1:9000\"");
    }
    if text.contains('/') {
        return item.wrong("a server is host:port, without a path: the path that was authorised is forwarded as it is");
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|(host, _)| host.starts_with('[') == host.ends_with(']'))
    else {
        return item.wrong(&format!("{} has no port; write host:port, for example \"127.0.0.1:9000\"", item.shown()));
    };
    let port = Some(port).filter(|port| port.bytes().all(|octet| octet.is_ascii_digit()));
    let port = port.and_then(|port| port.parse::<u16>().ok()).filter(|port| *port != 0);
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().ok().map(|address| address.to_string()),
        None => is_host(host).then(|| host.to_ascii_lowercase()),
    };
    match host.zip(port) {
        Some((host, port)) => Some(Placed { value: Server { host, port }, spot: item.spot().clone() }),
        None => item.no("host:port with a port from 1 to 65535, for example \"127.0.0.1:9000\" or \"[::1]:9000\""),
    }
}

/// A host name as RFC 1123 section 2.1 has it, underscores allowed as container networks use them, or an
/// IPv4 address. What ends in a number and is no such address is refused: resolvers read `127.1` and
/// `2130706433` as 127.0.0.1, and [`super::cross`] has to know where a server is.
fn is_host(host: &str) -> bool {
    let shaped = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    let is_label = |label: &str| (1..=LABEL_CHARS_MAX).contains(&label.len()) && label.bytes().all(shaped);
    let labels = host.strip_suffix('.').unwrap_or(host);
    let ends_in_number = labels.rsplit('.').next().is_some_and(|label| label.starts_with(|c: char| c.is_ascii_digit()));
    if ends_in_number {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    host.len() <= HOST_CHARS_MAX && labels.split('.').all(is_label)
}

/// What [`is_name`] asks for, for problems.
pub(super) const NAME_SHAPE: &str = "1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-'";

/// Whether `name` can name a route or an upstream in metrics and logs.
pub(super) fn is_name(name: &str) -> bool {
    let shaped = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'.' | b'-');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(shaped)
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}
