//! `[upstreams.NAME]`: the services behind.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    time::Duration,
};

use super::{
    item::Item,
    reader::{Placed, Section},
};
use crate::state::upstream::{Settings, Timeouts};

/// Characters of a route's or upstream's name, at most: it is a metric label.
const NAME_CHARS_MAX: usize = 64;
/// Characters of a host name and of a label in it, at most (RFC 1035 section 2.3.4).
const HOST_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;

const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);

/// The upstreams of the file.
pub(super) struct Upstreams {
    /// Every name that stands in the file, of good ones and bad ones: for what refers to it.
    pub(super) names: Vec<String>,
    /// What was read of them.
    pub(super) checked: Vec<Settings>,
    /// Every server and where it stands.
    pub(super) servers: Vec<Placed<Server>>,
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
    for (name, mut section) in root.named_sections("upstreams") {
        upstreams.names.push(name.to_owned());
        if !is_name(name) {
            section.report_here(&format!("the name must be {NAME_SHAPE}"));
        }
        let servers = section.required("servers", "[\"127.0.0.1:9000\"]", servers).unwrap_or_default();
        let timeouts = timeouts(section.section("timeouts"));
        section.finish();
        let spellings = servers.iter().map(|server| server.value.to_string().into()).collect();
        upstreams.checked.push(Settings { name: name.into(), servers: spellings, timeouts });
        upstreams.servers.extend(servers);
    }
    upstreams
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

fn servers(item: &Item<'_>) -> Option<Vec<Placed<Server>>> {
    let items = item.items()?;
    if items.is_empty() {
        return item.wrong("must name at least one server");
    }
    Some(Item::each(&items, server))
}

fn server(item: &Item<'_>) -> Option<Placed<Server>> {
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
