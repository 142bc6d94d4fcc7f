//! What the machine says to a config that is good in itself: files, folders, modes and ports. A start, a reload and
//! `portero check` ask the same questions, and nothing is changed by them.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::runtime::Builder;

use super::{
    StartError,
    core::{Making, has_store},
    opening,
};
use crate::{
    config::{GatewaySettings, Problem, Report, leads_back},
    decision::{Mode as RouteMode, RouteSettings, Service, Snapshot, examine_issuers},
    domain::{Clock, Timestamp},
    edge::{admin::AdminToken, listen},
    observe::{audit, metrics::Metrics},
    rules::verifier::Mode,
    state::{
        keys::{self, MasterKeyError, VaultError},
        store::{self, Looked, access},
        store_snapshot::{self, StoreSnapshotError},
    },
    upstream::{self, own},
};

/// What becomes of a store whose server does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// It is a problem.
    Reported,
    /// It is left to the start itself, which may do without it, or ends as one that may be tried again.
    LeftToTheStart,
}

/// What a start would refuse, but for ports: see [`ports`].
///
/// # Errors
/// Everything that is in its way.
pub fn start(config: &Path, settings: &GatewaySettings, now: Timestamp, away: Away) -> Result<(), Report> {
    let mut problems = in_force(settings, now);
    problems.extend(of_process(settings, away));
    report(config, settings, problems)
}

/// What a reload would refuse: what it takes over can be used.
///
/// # Errors
/// Everything that is in its way.
pub fn reload(config: &Path, settings: &GatewaySettings, now: Timestamp) -> Result<(), Report> {
    report(config, settings, in_force(settings, now))
}

/// What the ports to listen on say: problems, and warnings. Nothing listens meanwhile.
pub fn ports(settings: &GatewaySettings) -> (Vec<Problem>, Vec<Problem>) {
    let (mut problems, mut warnings) = (vec![], vec![]);
    let front = settings.server.listen.iter().enumerate();
    let front = front.map(|(at, listen)| (format!("server.listen[{at}]"), listen.address));
    for (key, address) in front.chain([("admin.listen".to_owned(), settings.admin.listen)]) {
        let at = if settings.places.knows(&key) { key.clone() } else { format!("{key}.address") };
        match listen::can_bind(address).map_err(|error| said_of_port(address, &error)) {
            Ok(()) => {}
            Err(Port::Hint(message)) => warnings.push(settings.places.problem(&at, &message)),
            Err(Port::Refused(message)) => problems.push(settings.places.problem(&at, &message)),
        }
    }
    (problems, warnings)
}

/// What is said of an address that cannot be bound now.
#[derive(Debug)]
enum Port {
    /// A start may be able to listen there.
    Hint(String),
    /// No start can.
    Refused(String),
}

fn said_of_port(address: SocketAddr, error: &io::Error) -> Port {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            Port::Hint(format!("'{address}' is in use: by the gateway that runs now, or by another process"))
        }
        // A socket unit opens it with the system's rights and hands it over.
        io::ErrorKind::PermissionDenied if address.port() < unprivileged_port_start() => Port::Hint(format!(
            "this user may not listen on {address}: a start needs a socket unit (deploy/portero.socket) or CAP_NET_BIND_SERVICE"
        )),
        _ => Port::Refused(format!("cannot listen on {address}: {error}")),
    }
}

/// The first port that needs no privilege, as Linux has it (ip(7)).
fn unprivileged_port_start() -> u16 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    text.trim().parse().unwrap_or(1024)
}

/// What is hardly meant in the store that is there; nothing where it cannot be looked into.
pub fn store_warnings(settings: &GatewaySettings) -> Vec<Problem> {
    let looked = look(settings).ok().unwrap_or_default();
    let observed = observed_warnings(settings, &looked.takes_old_tokens);
    let strangers = looked.takes_strangers.into_iter().map(|(key, realm)| {
        let message = format!(
            "the imported key '{key}' of realm {realm} takes tokens of unknown accounts; to take tokens of known accounts \
             only: portero key restrict {key}"
        );
        settings.places.problem("", &message)
    });
    strangers.chain(observed).collect()
}

/// The routes whose clients bring tokens of an old system that still answers them, and that would not take those.
fn observed_warnings(settings: &GatewaySettings, takes_old_tokens: &[String]) -> Vec<Problem> {
    let site = &settings.site;
    let observed = site.takeovers().filter(|(endpoint, takeover, realm, verifier)| {
        let logs_in = endpoint.serves == Service::Login && takeover.mode == Mode::Observe;
        let asks = site.verifiers.iter().any(|known| &*known.name == *verifier && known.tokens.is_some());
        logs_in && !asks && !takes_old_tokens.iter().any(|taking| taking == realm.as_str())
    });
    let mut problems = vec![];
    for (_, _, realm, verifier) in observed {
        let accepts = |route: &&RouteSettings| route.policy.accept.contains(realm) && route.mode == RouteMode::Enforce;
        for route in site.routes.iter().filter(accepts) {
            let message = format!(
                "route '{}' accepts realm {realm}, whose clients get their tokens from the old system '{verifier}' in mode \
                 observe; it would refuse them: import the old system's key (portero key import) or a table of its tokens \
                 (portero migration tokens), or have it asked about them ([verifiers.{verifier}.tokens])",
                route.name
            );
            problems.push(settings.places.problem("", &message));
        }
    }
    problems
}

/// What a start would find of the store's snapshot; `None` where the config names none.
pub fn snapshot(settings: &GatewaySettings, clock: &dyn Clock) -> Option<SnapshotFound> {
    let place = opening::snapshot_of(settings)?;
    let key = "store.snapshot";
    Some(match store_snapshot::examine(&place) {
        Ok(found) => SnapshotFound::Usable {
            age: found.age(&store_snapshot::Instant::now(clock, store_snapshot::Boot::present())),
            revocations: found.revocations,
            torn: found.torn,
        },
        Err(StoreSnapshotError::Missing(path)) => match store::access::may_make(&path) {
            Ok(()) => SnapshotFound::None,
            Err(why) => SnapshotFound::Wrong(settings.places.problem(key, &format!("'{}': {why}", path.display()))),
        },
        Err(error) => SnapshotFound::Wrong(settings.places.problem(key, &error.to_string())),
    })
}

/// What stands where the store's snapshot is to be.
#[derive(Debug)]
pub enum SnapshotFound {
    /// Nothing yet.
    None,
    /// One that opens.
    Usable {
        /// How old what is in it is; `None` where a clock is behind it.
        age: Option<Duration>,
        /// Records of revocations in it.
        revocations: u64,
        /// Whether its end is missing.
        torn: bool,
    },
    /// Something that a start could not use.
    Wrong(Problem),
}

fn report(config: &Path, settings: &GatewaySettings, problems: Vec<Problem>) -> Result<(), Report> {
    if problems.is_empty() {
        return Ok(());
    }
    // What is missing or wrong may be put right in one of these.
    let of_issuers = settings.site.issuers.iter().flat_map(|issuer| issuer.source.files());
    let files = settings.files.iter().chain(of_issuers).cloned().collect();
    Err(Report::new(config.display().to_string(), problems).with_files(files))
}

/// What the config leads to beside itself: servers, issuers' files, and the tables that are made of it.
fn in_force(settings: &GatewaySettings, now: Timestamp) -> Vec<Problem> {
    let mut problems = own_servers(settings);
    for found in examine_issuers(&settings.site.issuers, now) {
        let key = format!("issuers.{}.{}", found.issuer, found.key);
        problems.push(settings.places.problem(&key, &found.message));
    }
    upstream::install_provider();
    if let Err(error) = upstream::check_system() {
        problems.push(settings.places.problem("", &error.to_string()));
    }
    let tables = Metrics::new().map_err(|error| error.to_string());
    let tables = tables.and_then(|metrics| {
        Snapshot::build(&settings.site, Arc::default(), &metrics).map(drop).map_err(|error| error.to_string())
    });
    if let Err(error) = tables {
        problems.push(settings.places.problem("", &error));
    }
    problems
}

/// The servers that are this gateway's own listeners, as far as this machine's addresses tell.
fn own_servers(settings: &GatewaySettings) -> Vec<Problem> {
    let mut problems = vec![];
    for pool in &settings.site.upstreams {
        for (at, server) in pool.servers.iter().enumerate() {
            let led_to = own::led_to(&server.host, server.port, &pool.own, &own::is_of_this_machine);
            if let Some(listener) = led_to {
                let key = format!("upstreams.{}.servers[{at}]", pool.name);
                let key = if settings.places.knows(&key) { key } else { format!("{key}.address") };
                let message = leads_back(&server.name, listener, settings.admin.listen);
                problems.push(settings.places.problem(&key, &message));
            }
        }
    }
    problems
}

/// What belongs to the process: the store, its master key, and the admin's token.
fn of_process(settings: &GatewaySettings, away: Away) -> Vec<Problem> {
    let places = &settings.places;
    let mut problems = vec![];
    let looked = has_store(settings, Making::Allowed)
        .and_then(|has_store| if has_store { look(settings).map(Some) } else { Ok(None) })
        .unwrap_or_else(|error| {
            if away == Away::Reported || !error.is_away() {
                problems.push(places.problem("store.url", &error.to_string()));
            }
            // What is said of the master key then is what holds for a store that is there.
            settings.store.file().is_none_or(|file| file.exists()).then(Looked::default)
        });
    // A store is not made where a link is: somebody means the file that it leads to.
    if looked.is_none() && settings.store.file().is_some_and(|file| file.is_symlink()) {
        let path = settings.store.place();
        problems.push(places.problem("store.url", &format!("'{path}' is a link that leads to no file")));
    }
    if let Err(error) = keys::examine(&settings.master_key_file, looked.as_ref()) {
        let of_its_file = matches!(&error, VaultError::Master(why) if !matches!(why, MasterKeyError::Unsealable));
        let key = if of_its_file { "store.master_key_file" } else { "store.url" };
        problems.push(places.problem(key, &error.to_string()));
    }
    if let Err(error) = AdminToken::examine(&settings.admin.token_file) {
        problems.push(places.problem("admin.token_file", &format!("admin token file {error}")));
    }
    if let Some(file) = &settings.audit.file
        && let Err(why) = may_append(file)
    {
        problems.push(places.problem("audit.file", &format!("audit file '{}': {why}", file.display())));
    }
    problems
}

/// Whether this process may append to a file, or make it.
fn may_append(file: &Path) -> Result<(), String> {
    match audit::examine(file) {
        Ok(()) => access::may_write(file).map_err(|error| format!("it cannot be written: {error}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => access::may_make(file),
        Err(error) => Err(error.to_string()),
    }
}

/// Looks into the store that is there.
fn look(settings: &GatewaySettings) -> Result<Looked, StartError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let looked = runtime.block_on(store::look(&settings.store));
    // A look at a file that hangs is not waited for.
    runtime.shutdown_background();
    Ok(looked?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_a_socket_unit_may_hold_is_no_problem() {
        let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let said = |port, kind: io::ErrorKind| said_of_port(address(port), &kind.into());
        let limit = unprivileged_port_start();
        assert!(matches!(said(limit, io::ErrorKind::PermissionDenied), Port::Refused(_)));
        assert!(matches!(said(443, io::ErrorKind::AddrNotAvailable), Port::Refused(_)));
        assert!(matches!(said(443, io::ErrorKind::AddrInUse), Port::Hint(_)));
        if limit > 0 {
            let Port::Hint(hint) = said(limit - 1, io::ErrorKind::PermissionDenied) else { panic!("a problem") };
            assert!(hint.contains("socket unit"), "{hint}");
        }
    }
}
