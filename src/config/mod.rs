//! Floor 5: `gateway.toml`, from its text to settings that are checked.
//!
//! ```text
//! report    what is wrong, each with file:line:column
//! reader    a table of the file, read key by key; nobody asked for a key → unknown
//! item      one value, read as what it should be          (expand: ${ENV} · duration: "30s" · size: "64KiB")
//! process   [server] [admin] [store] [log] [passwords] [throttle] [cache] [reload]
//! listen    server.listen: addresses, TLS, PROXY protocol
//! keys      [keys]
//! realms    [tokens] [realms.NAME]
//! issuers   [issuers.NAME]
//! upstreams [upstreams.NAME]                          (upstream_tls: its tls)
//! matching  hosts, paths and methods of routes and token endpoints
//! routes    [[routes]] with what they ask for (policy), change (rewrite) and let pages do (cors)
//! endpoints [[token_endpoints]]
//! oauth     [oauth]
//! cross     what no section can see alone
//! ```
//!
//! Holding [`Settings`] proves that the file was good: every name that is used is defined, no two routes
//! match the same requests, nothing leads to the admin listener. Everything that is wrong is
//! reported in one run. `docs/config.md` has every key.

mod cors;
mod cross;
mod duration;
mod endpoints;
mod expand;
mod issuers;
mod item;
mod keys;
mod listen;
mod matching;
mod oauth;
mod policy;
mod process;
mod reader;
mod realms;
mod report;
mod rewrite;
mod routes;
mod settings;
mod size;
#[cfg(test)]
mod tests;
mod upstream_tls;
mod upstreams;

use std::{fs::File, io::Read, path::Path};

use toml::de::DeTable;

use crate::decision::Site;
use reader::{Context, Section};

pub use duration::parse as parse_duration;
pub use report::{Position, Problem, Report};
pub use settings::Settings;

/// Octets of a file, at most: it bounds how many realms, routes and upstreams there can be.
const FILE_BYTES_MAX: u64 = 4 << 20;

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
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Report> {
    let file = path.display().to_string();
    let unreadable = |why: &dyn std::fmt::Display| Report::of_file(file.clone(), &format!("cannot be read: {why}"));
    let mut bytes = vec![];
    let opened = File::open(path).map_err(|error| unreadable(&error))?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(&format!("it has more than {FILE_BYTES_MAX} octets")));
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(text, &Origin { file: &file, directory }, env),
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
pub fn parse(text: &str, origin: &Origin<'_>, env: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Report> {
    let report = |problems| Report::new(origin.file.to_owned(), problems);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(report(syntax_problems(text, &errors)));
    }
    let context = Context::new(text, origin.directory, env);
    let settings = read(&context, Section::root(&context, table.get_ref()));
    let problems = context.into_problems();
    if problems.is_empty() { Ok(settings) } else { Err(report(problems).with_files(settings.files)) }
}

/// Reads the whole file. What comes out is good only when nothing was reported.
fn read<'a>(context: &'a Context<'a>, mut root: Section<'a>) -> Settings {
    let server = process::server(root.section("server"));
    let admin = process::admin(root.section("admin"), context.directory);
    let (store, master_key_file) = process::store(root.section("store"), context);
    let access_log = process::log(root.section("log"));
    let hashing = process::passwords(root.section("passwords"));
    let (throttle, scrutiny) = process::throttle(root.section("throttle"));
    let keys = keys::keys(root.section("keys"));
    let cache = process::cache(root.section("cache"));
    let reload_watch = process::reload(root.section("reload"));

    let mut realms = realms::read(context, &mut root);
    let issuers = issuers::read(context, &mut root, &mut realms);
    let upstreams = upstreams::read(&mut root);
    let mut endpoints = endpoints::read(&mut root, &realms);
    let oauth = oauth::read(&mut root, &realms, keys.publish_ahead);
    endpoints.extend(oauth.endpoints);
    let routes = routes::read(&mut root, &realms, &upstreams, server.routes);
    root.finish();

    cross::listeners(context, &server, &admin);
    cross::admin_in_reach(context, &admin);
    cross::upstreams(context, &upstreams, &admin);
    cross::endpoints(context, &endpoints);
    cross::routes(context, &routes, &endpoints);

    let internal_issuer = cross::internal_issuer(context, &routes, &endpoints, realms.issuer.as_deref());
    let site = Site {
        internal_issuer,
        realms: realms.checked,
        issuers,
        endpoints: endpoints.into_iter().map(|endpoint| endpoint.settings).collect(),
        routes: routes.into_iter().map(|route| route.settings).collect(),
        upstreams: upstreams.checked,
        oauth: oauth.settings,
    };
    Settings {
        server: server.settings,
        admin: admin.settings,
        store,
        master_key_file,
        hashing,
        throttle,
        scrutiny,
        keys,
        cache,
        access_log,
        reload_watch,
        site,
        files: context.files(),
        warnings: context.warnings(),
        readable_keys: context.readable_keys(),
    }
}

/// The parser's errors. It goes on after an error and may stumble again over the same line: the first
/// of each line says what is wrong.
fn syntax_problems(text: &str, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = vec![];
    for error in errors {
        let position = Position::of(text, error.span().map_or(0, |span| span.start));
        if !problems.iter().any(|known| known.position.is_some_and(|known| known.line == position.line)) {
            let message = format!("no TOML: {}", error.message());
            problems.push(Problem::new(Some(position), String::new(), &message));
        }
    }
    problems
}
