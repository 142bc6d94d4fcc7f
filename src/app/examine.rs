//! What the machine says to a config that is good in itself: files, folders, modes and ports. A start, a reload and
//! `portero check` ask the same questions, and nothing is changed by them.

use std::{io, path::Path, sync::Arc};

use super::core::{Making, has_store};
use crate::{
    config::{Problem, Report, Settings, leads_back},
    decision::{Snapshot, examine_issuers},
    domain::Timestamp,
    edge::{admin::AdminToken, proxy},
    observe::metrics::Metrics,
    state::{
        keys,
        upstream::{self, own},
    },
};

/// What a start would refuse, but for ports: see [`ports`].
///
/// # Errors
/// Everything that is in its way.
pub fn start(config: &Path, settings: &Settings, now: Timestamp) -> Result<(), Report> {
    let mut problems = in_force(settings, now);
    problems.extend(of_process(settings));
    report(config, settings, problems)
}

/// What a reload would refuse: what it takes over can be used.
///
/// # Errors
/// Everything that is in its way.
pub fn reload(config: &Path, settings: &Settings, now: Timestamp) -> Result<(), Report> {
    report(config, settings, in_force(settings, now))
}

/// What the ports to listen on say: problems, and warnings. Nothing listens meanwhile.
pub fn ports(settings: &Settings) -> (Vec<Problem>, Vec<Problem>) {
    let (mut problems, mut warnings) = (vec![], vec![]);
    let front = settings.server.listen.iter().enumerate();
    let front = front.map(|(at, listen)| (format!("server.listen[{at}]"), listen.address));
    for (key, address) in front.chain([("admin.listen".to_owned(), settings.admin.listen)]) {
        let at = if settings.places.knows(&key) { key.clone() } else { format!("{key}.address") };
        match proxy::can_bind(address) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let message = format!("'{address}' is in use: by the gateway that runs now, or by another process");
                warnings.push(settings.places.problem(&at, &message));
            }
            Err(error) => {
                problems.push(settings.places.problem(&at, &format!("cannot listen on {address}: {error}")));
            }
        }
    }
    (problems, warnings)
}

fn report(config: &Path, settings: &Settings, problems: Vec<Problem>) -> Result<(), Report> {
    if problems.is_empty() {
        return Ok(());
    }
    // What is missing or wrong may be put right in one of these.
    let of_issuers = settings.site.issuers.iter().flat_map(|issuer| issuer.source.files());
    let files = settings.files.iter().chain(of_issuers).cloned().collect();
    Err(Report::new(config.display().to_string(), problems).with_files(files))
}

/// What the config leads to beside itself: servers, issuers' files, and the tables that are made of it.
fn in_force(settings: &Settings, now: Timestamp) -> Vec<Problem> {
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
fn own_servers(settings: &Settings) -> Vec<Problem> {
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
fn of_process(settings: &Settings) -> Vec<Problem> {
    let places = &settings.places;
    let mut problems = vec![];
    let has_store = has_store(settings, Making::Allowed).unwrap_or_else(|error| {
        problems.push(places.problem("store.url", &error.to_string()));
        // What is said of the master key then is what holds for a store that is there.
        settings.store.path.exists()
    });
    if let Err(error) = keys::examine(&settings.master_key_file, has_store) {
        problems.push(places.problem("store.master_key_file", &error.to_string()));
    }
    if let Err(error) = AdminToken::examine(&settings.admin.token_file) {
        problems.push(places.problem("admin.token_file", &format!("admin token file {error}")));
    }
    problems
}
