//! From the file's text to its settings.

use std::{
    fs::File,
    io::{self, Read},
    net::SocketAddr,
    path::Path,
};

use toml::de::DeTable;

use super::{
    GatewaySettings, Position, Problem, Report, Summary, cross, exact,
    identity::{issuers, realms, verifiers},
    process,
    reader::{self, Context, Scope, Section},
    routing::{endpoints, oauth, resources, routes},
    upstreams,
};
use crate::decision::{Site, StalenessSettings};

/// Octets of a file, at most: it bounds how many realms, routes and upstreams there can be.
pub(super) const FILE_BYTES_MAX: u64 = 4 << 20;

/// The environment variable that names the config file where `--config` does not.
pub const CONFIG_VARIABLE: &str = "PORTERO_CONFIG";

/// What is wrong with a file that is otherwise good, and empty.
const NOTHING: &str = "it serves nothing: add [[routes]], [[token_endpoints]] or [oauth]";

/// Where a text comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// What problems call the file.
    pub file: &'a str,
    /// What relative paths in it are relative to.
    pub directory: &'a Path,
}

/// Reads and checks the file at `path`; `env` gives the value of an environment variable.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<GatewaySettings, Report> {
    load_in(path, env, Scope::Host)
}

/// The same without a look at the files that it refers to: they may be another machine's.
///
/// # Errors
/// Everything that is wrong with the file itself.
pub fn load_alone(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Summary, Report> {
    load_in(path, env, Scope::File).map(|settings| Summary::of(&settings))
}

fn load_in(path: &Path, env: &dyn Fn(&str) -> Option<String>, scope: Scope) -> Result<GatewaySettings, Report> {
    let file = path.display().to_string();
    let unreadable = |why: &dyn std::fmt::Display| Report::of_file(file.clone(), &format!("cannot be read: {why}"));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            unreadable(&format!("{error}; name the config file with --config or {CONFIG_VARIABLE}"))
        }
        _ => unreadable(&error),
    };
    // A pipe has no end while somebody holds it open: reading one would hold everything up.
    if path.metadata().is_ok_and(|entry| !entry.is_file()) {
        return Err(unreadable(&"it is no regular file"));
    }
    let mut bytes = vec![];
    let opened = File::open(path).map_err(failed)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(&format!("it has more than {FILE_BYTES_MAX} octets")));
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse_in(text, &Origin { file: &file, directory }, env, scope),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let position = Position::of(&good, good.len());
            Err(Report::new(file, vec![Problem::new(Some(position), String::new(), "no UTF-8")]))
        }
    }
}

/// Checks `text`.
///
/// # Errors
/// Everything that is wrong with it: where it is no TOML, that; otherwise every key.
pub fn parse(text: &str, origin: &Origin<'_>, env: &dyn Fn(&str) -> Option<String>) -> Result<GatewaySettings, Report> {
    parse_in(text, origin, env, Scope::Host)
}

fn parse_in(
    text: &str,
    origin: &Origin<'_>,
    env: &dyn Fn(&str) -> Option<String>,
    scope: Scope,
) -> Result<GatewaySettings, Report> {
    let settings = parse_part(text, origin, env, scope)?;
    // An empty file is one that is just being written, or was lost: it must not take every route away.
    if settings.site.routes.is_empty() && settings.site.endpoints.is_empty() {
        return Err(Report::of_file(origin.file.to_owned(), NOTHING).with_files(settings.files));
    }
    Ok(settings)
}

/// Reads a file, or a part of one that serves nothing by itself.
pub(super) fn parse_part(
    text: &str,
    origin: &Origin<'_>,
    env: &dyn Fn(&str) -> Option<String>,
    scope: Scope,
) -> Result<GatewaySettings, Report> {
    let report = |problems| Report::new(origin.file.to_owned(), problems);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(report(reader::problems(text, &errors)));
    }
    let context = Context::new(text, origin.directory, env, scope);
    let settings = read(&context, Section::root(&context, table.get_ref()));
    let problems = context.into_problems();
    if !problems.is_empty() {
        return Err(report(problems).with_files(settings.files));
    }
    Ok(settings)
}

/// Reads the whole file. What comes out is good only when nothing was reported.
fn read<'a>(context: &'a Context<'a>, mut root: Section<'a>) -> GatewaySettings {
    let server = process::server(root.section("server"));
    let admin = process::admin(root.section("admin"), context.directory);
    let store = process::store(root.section("store"), context);
    let (access_log, log_names) = process::log(root.section("log"));
    let audit = process::audit(root.section("audit"));
    let (hashing, refused_passwords) = process::passwords(root.section("passwords"));
    let (throttle, bad_tokens) = process::throttle(root.section("throttle"), &store.settings);
    let keys = process::keys(root.section("keys"));
    let cache = process::cache(root.section("cache"));
    let reload_watch = process::reload(root.section("reload"));

    let mut realms = realms::read(context, &mut root);
    let issuers = issuers::read(context, &mut root, &mut realms);
    let leeway = realms.leeway;
    let upstreams = upstreams::read(&mut root);
    let verifiers = verifiers::read(&mut root);
    let mut endpoints = endpoints::read(&mut root, &realms, &verifiers);
    let oauth = oauth::read(&mut root, &realms, keys.publish_ahead);
    endpoints.extend(oauth.endpoints);
    let mut resources = resources::read(&mut root);
    endpoints.append(&mut resources.endpoints);
    let named = routes::Named { realms: &realms, upstreams: &upstreams, resources: &resources };
    let routes = routes::read(&mut root, named, server.routes);
    root.finish();
    let takeovers = endpoints::takeovers(&endpoints);
    let verifiers = verifiers.settled(context, &takeovers, &realms);

    cross::listeners(context, &server, &admin);
    cross::admin_in_reach(context, &admin);
    let own = own_listeners(&server, &admin);
    cross::upstreams(context, &upstreams, &own, &admin);
    cross::endpoints(context, &endpoints);
    cross::routes(context, &routes, &endpoints);
    cross::claim_headers(context, &routes, &issuers);
    cross::opaque_tokens(context, &routes, &endpoints, &issuers, &verifiers);
    exact::warn(context, &routes, &endpoints);

    let internal_issuer = cross::internal_issuer(context, &routes, &endpoints, realms.issuer.as_deref());
    let declared_realms = realms.count();
    let mut site = Site {
        internal_issuer,
        realms: realms.checked,
        issuers,
        endpoints: endpoints.into_iter().map(|endpoint| endpoint.settings).collect(),
        routes: routes.into_iter().map(|route| route.settings).collect(),
        upstreams: upstreams.checked,
        verifiers,
        oauth: oauth.settings,
    };
    site.keep_off(&own);
    GatewaySettings {
        server: server.settings,
        admin: admin.settings,
        store: store.settings,
        master_key_file: store.master_key_file,
        staleness: StalenessSettings { clock_leeway: leeway, ..store.staleness },
        snapshot: store.snapshot,
        hashing,
        refused_passwords,
        throttle,
        bad_tokens,
        keys,
        cache,
        access_log,
        log_names,
        audit,
        reload_watch,
        site,
        declared_realms,
        files: context.files(),
        warnings: context.warnings(),
        places: context.places(),
        readable_secrets: context.readable_secrets(),
    }
}

/// Where the gateway listens.
fn own_listeners(server: &process::Server, admin: &process::Admin) -> Vec<SocketAddr> {
    server.listen.iter().map(|listen| listen.value).chain([admin.settings.listen]).collect()
}
