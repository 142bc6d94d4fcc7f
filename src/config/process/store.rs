//! `[store]`: where accounts, keys and revocations are kept, and what holds when a shared store is not heard of.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Uri;

use crate::{
    config::reader::{Context, Item, Section},
    decision::{StaleAction, StalenessSettings},
    domain::Secret,
    state::store::{Address, Encryption, PostgresSettings, StoreSettings},
};

/// Overrides `store.master_key_file`, so that the key can come from where the orchestrator mounts it.
const MASTER_KEY_FILE_VARIABLE: &str = "PORTERO_MASTER_KEY_FILE";

/// The password of a PostgreSQL store, where `store.password_file` names no file.
const PASSWORD_VARIABLE: &str = "PORTERO_STORE_PASSWORD";

const CONNECTIONS: RangeInclusive<u32> = 2..=1_000;
/// A gateway writes itself down every second, so that less than this would refuse for one lost packet.
const MAX_STALENESS: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_hours(24);

/// What becomes of checked traffic that may be judged by an old state.
pub(in crate::config) const STALE: [(&str, StaleAction); 2] =
    [("refuse", StaleAction::Refuse), ("serve", StaleAction::Serve)];

/// What `[store]` says.
pub(in crate::config) struct Store {
    pub(in crate::config) settings: StoreSettings,
    pub(in crate::config) master_key_file: PathBuf,
    pub(in crate::config) staleness: StalenessSettings,
    pub(in crate::config) snapshot: Option<PathBuf>,
}

/// What a url names.
enum Place {
    File(PathBuf),
    Server(Address),
}

/// Reads it.
pub(in crate::config) fn store(mut section: Section<'_>, context: &Context<'_>) -> Store {
    let is_named = section.has("url");
    let place = section.optional("url", |item| place(item, context));
    let file = section.optional("master_key_file", Item::path);
    let master_key_file = (context.env)(MASTER_KEY_FILE_VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from);
    let settings = match place {
        Some(Place::Server(address)) => StoreSettings::Postgres(Box::new(server(&mut section, address, context))),
        Some(Place::File(path)) => of_file(&mut section, path),
        // What else stands there may be right for the url that was meant.
        None if is_named => {
            section.skip(SERVER_KEYS);
            StoreSettings::Sqlite(context.directory.join("portero.db"))
        }
        None => of_file(&mut section, context.directory.join("portero.db")),
    };
    let staleness = if matches!(settings, StoreSettings::Postgres(_)) {
        StalenessSettings {
            max: Some(section.or("max_staleness", StalenessSettings::MAX, |item| item.duration(&MAX_STALENESS))),
            action: section.or("stale", StaleAction::Refuse, |item| item.one_of(&STALE)),
            ..StalenessSettings::default()
        }
    } else {
        StalenessSettings::default()
    };
    let is_server = matches!(settings, StoreSettings::Postgres(_));
    let snapshot = if is_server { section.optional("snapshot", Item::path) } else { None };
    section.finish();
    let master_key_file = master_key_file.or(file).unwrap_or_else(|| context.directory.join("master.key"));
    Store { settings, master_key_file, staleness, snapshot }
}

/// Keys that a file has no use for say so: somebody expects something of them.
fn of_file(section: &mut Section<'_>, path: PathBuf) -> StoreSettings {
    for key in SERVER_KEYS {
        section.refuse(key, "is for a PostgreSQL store: url = \"postgres://…\"");
    }
    StoreSettings::Sqlite(path)
}

/// What `[store]` may have beside `url` and `master_key_file`, for a server alone.
const SERVER_KEYS: [&str; 9] =
    ["direct_url", "password_file", "tls", "ca", "connections", "migrate", "max_staleness", "stale", "snapshot"];

fn server(section: &mut Section<'_>, address: Address, context: &Context<'_>) -> PostgresSettings {
    let direct = section.optional("direct_url", |item| match place(item, context)? {
        Place::Server(address) => Some(address),
        Place::File(_) => item.wrong("must lead to the same PostgreSQL store as store.url"),
    });
    let password = section.optional("password_file", |item| {
        let (path, bytes) = item.file()?;
        item.note_if_readable(path);
        let text = String::from_utf8(bytes).ok();
        text.map(|text| Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
            .or_else(|| item.wrong("must be text"))
    });
    let password = password.or_else(|| password_in(context.env));
    let direct = direct.unwrap_or_else(|| address.clone());
    let default = usual_encryption(&[&address, &direct]);
    let encryption = section
        .or("tls", default, |item| item.one_of(&[("verify-full", Encryption::VerifyFull), ("off", Encryption::Off)]));
    if encryption == Encryption::Off && default == Encryption::VerifyFull {
        section.warn("tls", "is off: passwords' hashes and sealed keys cross the network in the clear");
    }
    PostgresSettings {
        address,
        direct,
        password,
        encryption,
        ca: section.optional("ca", |item| item.file().map(|(path, _)| path)),
        connections_max: section.or("connections", PostgresSettings::CONNECTIONS, |item| item.integer(&CONNECTIONS)),
        migrates: section.or("migrate", false, |item| item.one_of(&[("auto", true), ("manual", false)])),
    }
}

/// The store at `url`, which no config describes further: a relative file is relative to the working directory, and the
/// password of a server comes from the environment.
///
/// # Errors
/// What is wrong with the url, to be read behind its name. The url itself is not in it: it may carry a password.
pub fn store_at(url: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<StoreSettings, &'static str> {
    Ok(match place_of(url, Path::new(""))? {
        Place::File(path) => StoreSettings::Sqlite(path),
        Place::Server(address) => StoreSettings::Postgres(Box::new(PostgresSettings {
            direct: address.clone(),
            encryption: usual_encryption(&[&address]),
            address,
            password: password_in(env),
            ca: None,
            connections_max: PostgresSettings::CONNECTIONS,
            migrates: false,
        })),
    })
}

fn password_in(env: &dyn Fn(&str) -> Option<String>) -> Option<Secret> {
    env(PASSWORD_VARIABLE).filter(|text| !text.is_empty()).map(Secret::new)
}

fn usual_encryption(addresses: &[&Address]) -> Encryption {
    let is_near = addresses.iter().all(|address| is_loopback(&address.host));
    if is_near { Encryption::Off } else { Encryption::VerifyFull }
}

fn is_loopback(host: &str) -> bool {
    host.starts_with('/') || host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What a url names. It is never shown: it may carry a password.
fn place(item: &Item<'_>, context: &Context<'_>) -> Option<Place> {
    item.note_place();
    let url = item.text()?;
    place_of(&url, context.directory).map_or_else(|why| item.wrong(why), Some)
}

/// What a url names; a relative file is relative to `directory`.
fn place_of(url: &str, directory: &Path) -> Result<Place, &'static str> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err("must be sqlite:FILE or postgres://USER@HOST/DATABASE, for example \"sqlite:portero.db\"");
    };
    let file = rest.strip_prefix("//").unwrap_or(rest);
    match scheme {
        "sqlite" if file.is_empty() || file == ":memory:" || file.contains('?') => {
            Err("must name a file, for example \"sqlite:portero.db\"; a store in memory would forget revocations")
        }
        "sqlite" => Ok(Place::File(directory.join(file))),
        "postgres" | "postgresql" => address(url).map(Place::Server),
        _ => Err("must be sqlite:FILE or postgres://USER@HOST/DATABASE; there is no other store"),
    }
}

/// `postgres://USER@HOST:PORT/DATABASE`, or `postgres://USER@/DATABASE?host=/FOLDER` for a socket in the file system.
fn address(url: &str) -> Result<Address, &'static str> {
    const SHAPE: &str = "must be postgres://USER@HOST:PORT/DATABASE";
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let socket = match query {
        None => None,
        Some(query) => match query.strip_prefix("host=") {
            Some(folder) if folder.starts_with('/') && !folder.contains('&') => Some(folder.to_owned()),
            _ => {
                return Err(
                    "takes no parameters but host=/FOLDER for a socket: TLS is store.tls and store.ca, and the \
                            pool is store.connections",
                );
            }
        },
    };
    // HTTP's grammar has no URL without a host.
    let base = if socket.is_some() { base.replacen("@/", "@localhost/", 1) } else { base.to_owned() };
    let uri = base.parse::<Uri>().map_err(|_| SHAPE)?;
    let Some((user, _)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return Err("must name the role: postgres://USER@HOST:PORT/DATABASE");
    };
    if user.contains(':') {
        return Err("must carry no password: write it into a file (store.password_file), or give it as \
                    PORTERO_STORE_PASSWORD");
    }
    let database = uri.path().trim_start_matches('/');
    if database.is_empty() || database.contains('/') || user.is_empty() {
        return Err(SHAPE);
    }
    if user.contains('%') || database.contains('%') {
        return Err("must name a role and a database of plain letters: %-escapes are not read");
    }
    // A port that is invalid must not become the default one.
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let behind_host = authority
        .rsplit_once(']')
        .map_or_else(|| authority.rsplit_once('@').map_or("", |(_, host)| host), |(_, rest)| rest);
    if behind_host.contains(':') && uri.port_u16().is_none() {
        return Err(SHAPE);
    }
    let host = socket.unwrap_or_else(|| uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned());
    if host.is_empty() {
        return Err(SHAPE);
    }
    Ok(Address { host, port: uri.port_u16().unwrap_or(5432), user: user.to_owned(), database: database.to_owned() })
}
