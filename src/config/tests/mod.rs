//! What the file may say, and what comes of it.

mod oauth;
mod problems;
mod rewrite;
mod store;

use std::{path::Path, time::Duration};

use http::{HeaderName, Method, StatusCode};
use proptest::prelude::*;
use serde_json::json;

use super::{GatewaySettings, Origin, Report, load, parse_part, reader::Scope};
use crate::{
    decision::ForwardToken,
    domain::{Algorithm, KeyId, TokenKind},
    issuer::{self, Jwks, KeyFile, Source},
    rules::{
        policy::{self, Auth},
        realm::Lifetime,
    },
    state::store::StoreSettings,
};

/// Reads `text` as `/etc/portero/t`, with `HOME_PORT` and `SECRET` in the environment.
fn read(text: &str) -> Result<GatewaySettings, Report> {
    let env = |name: &str| match name {
        "HOME_PORT" => Some("127.0.0.1:7000".to_owned()),
        "SECRET" => Some("hunter2${HOME_PORT}".to_owned()),
        _ => None,
    };
    parse_part(text, &Origin { file: "t", directory: Path::new("/etc/portero") }, &env, Scope::Host)
}

/// The subset of the design's reference that this version has.
const REFERENCE: &str = r#"
[server]
listen = ["127.0.0.1:8080", "[::1]:8080"]
threads = 2
trusted_proxies = ["10.0.0.0/8", "192.0.2.1"]
head_timeout = "5s"
[admin]
listen = "127.0.0.1:9901"
token_file = "admin.token"
[store]
url = "sqlite:portero.db"
[log]
format = "json"
access = false
[tokens]
issuer = "https://gateway.example.com/"
audience = "api"
leeway = "10s"
[passwords]
hash_threads = 3
hash_queue = 7
[throttle]
name_failures = 10
address_failures = 60
window = "2m"
[keys]
rotate_every = "30d"
publish_ahead = "2d"
retire_after = "2h"
[cache]
entries = 5000
bytes = "16MiB"

[realms.sws]
dialect = "sws"
timezone = "America/Argentina/Buenos_Aires"
lifetime = "end-of-day"
algorithm = "ES256"
error_status = 401
[realms.apis]
dialect = "apis"
issuer = "https://apis.example.com"
lifetime = "30m"
refresh_lifetime = "1d"
[realms.toc]
dialect = "toc"
max_years = 5
allow_non_expiring = false
[realms.maxpoint]
dialect = "maxpoint"
audience = "pos"
[realms.become]
dialect = "become"
uniform_errors = true

[issuers.corp]
issuer = "https://login.example.com"
jwks_url = "https://login.example.com/jwks.json"
max_stale = "12h"
ca = "corp-ca.pem"
[issuers.legacy]
issuer = "legacy"
audience = "old"
keys = [
    { file = "legacy.pem", algorithm = "RS256", id = "1" },
    { file = "/run/secrets/legacy", algorithm = "HS512", id = "2" },
]

[[token_endpoints]]
path = "/api/Session/GetToken"
realms = ["sws"]
[[token_endpoints]]
path = "/api/auth/token"
hosts = ["a.example.com"]
realms = ["maxpoint", "apis"]
[[token_endpoints]]
path = "/api/auth/refreshtoken"
realms = ["apis"]
grant = "refresh"

[[routes]]
name = "clientes"
hosts = ["crm.example.com", "*.example.org"]
path = "/api/Clientes/"
methods = ["GET", "POST"]
upstream = "crm"
auth = "required"
accept = ["sws", "toc"]
require = { roles = ["ADMIN"], scopes = ["read"], claims = { tenant = "x", level = 3, vip = true } }
[[routes]]
name = "files"
path = "/api/files/"
exact = true
upstream = "crm"
auth = "optional"
accept = ["apis", "corp"]
token = "content"
sources = ["authorization", "query:token", "cookie:sid", "header:X-Token"]
forward_token = false
[[routes]]
name = "public"
upstream = "crm"
auth = "public"

[upstreams.crm]
servers = ["127.0.0.1:9000", "crm.internal:9001", "[::1]:9002", "${HOME_PORT}"]
timeouts = { connect = "1s", total = "60s" }
"#;

#[test]
fn the_reference_is_read() {
    let settings = read(REFERENCE).unwrap();
    let server = &settings.server;
    assert_eq!(server.addresses(), ["127.0.0.1:8080".parse().unwrap(), "[::1]:8080".parse().unwrap()]);
    assert_eq!(server.threads, 2);
    assert_eq!(server.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "192.0.2.1/32".parse().unwrap()]);
    assert_eq!((server.head_timeout, server.body_timeout), (Duration::from_secs(5), Duration::from_secs(30)));
    assert_eq!((server.body_rate_min, server.body_rate_grace), (500, Duration::from_secs(30)));
    assert_eq!(server.body_total_timeout, Duration::from_hours(1));
    assert_eq!(settings.admin.token_file, Path::new("/etc/portero/admin.token"));
    assert_eq!(settings.store, StoreSettings::Sqlite("/etc/portero/portero.db".into()));
    assert_eq!(settings.master_key_file, Path::new("/etc/portero/master.key"));
    assert!(!settings.access_log && !settings.reload_watch);
    assert!(read("reload.watch = true").unwrap().reload_watch);
    assert_eq!((settings.hashing.threads.get(), settings.hashing.queue_max), (3, 7));
    let throttle = &settings.throttle;
    assert_eq!((throttle.name_failures, throttle.address_failures, throttle.window.as_secs()), (10, 60, 120));
    assert_eq!((throttle.name_tries, throttle.shared), (100, false));
    let day = Duration::from_hours(24);
    assert_eq!((settings.keys.rotate_every, settings.keys.publish_ahead), (Some(30 * day), 2 * day));
    assert_eq!(settings.keys.retire_after, Duration::from_hours(2));
    assert_eq!(read("tokens.issuer = \"https://g\"").unwrap().keys.rotate_every, None);
    let upstream = &settings.site.upstreams[0];
    let servers = ["127.0.0.1:9000", "crm.internal:9001", "[::1]:9002", "127.0.0.1:7000"];
    let names: Vec<_> = upstream.servers.iter().map(|server| &*server.name).collect();
    assert_eq!(names, servers);
    assert_eq!(upstream.timeouts.total, Duration::from_mins(1));
    assert_eq!(upstream.timeouts.read, Duration::from_secs(30));
}

#[test]
fn realms_are_read_by_their_dialect() {
    let settings = read(REFERENCE).unwrap();
    let [sws, apis, toc, maxpoint, become_] = &settings.site.realms[..] else { panic!("five realms") };
    assert_eq!((&*sws.issuer, &*sws.audience), ("https://gateway.example.com/sws", "api"));
    assert_eq!(sws.leeway, Duration::from_secs(10));
    assert_eq!((sws.algorithm, sws.lifetime), (Algorithm::Es256, Lifetime::EndOfDay));
    assert_eq!(sws.wire.timezone.iana_name(), Some("America/Argentina/Buenos_Aires"));
    assert_eq!(sws.wire.error_status, StatusCode::UNAUTHORIZED);
    assert_eq!((&*apis.issuer, apis.algorithm), ("https://apis.example.com", Algorithm::Sealed));
    assert_eq!(apis.lifetime, Lifetime::Fixed(Duration::from_mins(30)));
    assert_eq!(apis.content_lifetime, Duration::from_hours(1));
    assert_eq!(apis.refresh_lifetime, Duration::from_hours(24));
    assert_eq!((toc.wire.years_max, toc.wire.allow_non_expiring), (5, false));
    assert_eq!((maxpoint.lifetime, &*maxpoint.audience), (Lifetime::EndOfDay, "pos"));
    assert_eq!(maxpoint.wire.timezone, jiff::tz::TimeZone::UTC);
    assert!(become_.uniform_errors);
    assert_eq!(become_.lifetime, Lifetime::Fixed(Duration::from_hours(1)));
}

#[test]
fn issuers_say_where_their_keys_are() {
    let settings = read(REFERENCE).unwrap();
    let [corp, legacy] = &settings.site.issuers[..] else { panic!("two issuers") };
    assert_eq!(
        (corp.name.as_str(), &*corp.issuer, &corp.audiences[..]),
        ("corp", "https://login.example.com", &["api".to_owned()][..])
    );
    assert_eq!(
        (corp.leeway, &corp.algorithms[..]),
        (Duration::from_secs(10), &issuer::IssuerSettings::ALGORITHMS_DEFAULT[..])
    );
    let jwks = Jwks {
        max_stale: Duration::from_hours(12),
        ca: Some("/etc/portero/corp-ca.pem".into()),
        ..Jwks::new("https://login.example.com/jwks.json".parse().unwrap())
    };
    assert_eq!(corp.source, Source::Jwks(jwks));
    assert_eq!((&*legacy.issuer, &legacy.audiences[..]), ("legacy", &["old".to_owned()][..]));
    assert_eq!(legacy.algorithms, [Algorithm::Hs512, Algorithm::Rs256]);
    let file = |file: &str, algorithm, id| KeyFile { file: file.into(), algorithm, id: KeyId::from_text(id) };
    let files =
        [file("/etc/portero/legacy.pem", Algorithm::Rs256, "1"), file("/run/secrets/legacy", Algorithm::Hs512, "2")];
    assert_eq!(legacy.source, Source::Files(files.to_vec()));
    assert_eq!(settings.site.routes[1].policy.accept.len(), 2, "a route may accept both");
}

#[test]
fn routes_say_what_they_match_and_what_they_ask_for() {
    let settings = read(REFERENCE).unwrap();
    let [clientes, files, public] = &settings.site.routes[..] else { panic!("three routes") };
    assert_eq!(clientes.pattern.path.as_str(), "/api/Clientes", "a prefix's final slash says nothing");
    assert_eq!(clientes.pattern.methods, [Method::GET, Method::POST]);
    assert_eq!(clientes.pattern.hosts.len(), 2);
    assert_eq!((clientes.policy.auth, clientes.policy.token), (Auth::Required, TokenKind::Access));
    assert_eq!(clientes.policy.roles, ["ADMIN".into()]);
    let claims = [("tenant", json!("x")), ("level", json!(3)), ("vip", json!(true))];
    assert_eq!(clientes.policy.claims, claims.map(|(name, value)| (name.parse().unwrap(), value)));
    let own_header = policy::Source::Header(HeaderName::from_static("currenttokenvalue"));
    assert_eq!(
        clientes.sources,
        [own_header, policy::Source::Authorization { bare: true, schemes: Box::default() }],
        "sws's header, and toc reads it bare"
    );
    assert_eq!(clientes.forward_token, ForwardToken::Keep);

    assert_eq!(files.pattern.path.as_str(), "/api/files/", "an exact path keeps it");
    assert_eq!(
        (files.policy.auth, files.policy.token, files.forward_token),
        (Auth::Optional, TokenKind::Content, ForwardToken::Drop)
    );
    let sources = [
        policy::Source::Authorization { bare: false, schemes: Box::default() },
        policy::Source::Query("token".into()),
        policy::Source::Cookie("sid".into()),
        policy::Source::Header(HeaderName::from_static("x-token")),
    ];
    assert_eq!(files.sources, sources);
    assert_eq!((public.pattern.path.as_str(), public.policy.auth), ("/", Auth::Public));
    assert!(public.sources.is_empty());
}

#[test]
fn an_empty_file_is_a_gateway_without_routes() {
    let settings = read("").unwrap();
    assert_eq!(settings.server.addresses(), ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(settings.admin.listen, "127.0.0.1:9901".parse().unwrap());
    assert_eq!(settings.store, StoreSettings::Sqlite("/etc/portero/portero.db".into()));
    assert!(settings.access_log && settings.site.routes.is_empty());
    assert!(settings.server.threads > 0);
}

#[test]
fn variables_and_paths_are_put_in_once() {
    let settings = read("[admin]\nlisten = \"${HOME_PORT}\"\ntoken_file = \"/run/${SECRET}/$${x}\"").unwrap();
    assert_eq!(settings.admin.listen, "127.0.0.1:7000".parse().unwrap());
    assert_eq!(settings.admin.token_file, Path::new("/run/hunter2${HOME_PORT}/${x}"));
}

#[test]
fn the_environment_may_say_where_the_master_key_is() {
    let env = |name: &str| (name == "PORTERO_MASTER_KEY_FILE").then(|| "/run/secrets/key".to_owned());
    let origin = Origin { file: "t", directory: Path::new("/etc") };
    let settings = parse_part("store.master_key_file = \"here\"", &origin, &env, Scope::Host).unwrap();
    assert_eq!(settings.master_key_file, Path::new("/run/secrets/key"));
}

#[test]
fn the_shipped_file_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.toml");
    let settings = load(&path, &|_| None).map_err(|report| report.to_string()).unwrap();
    assert_eq!(settings.store, StoreSettings::Sqlite(path.with_file_name("portero.db")));
    assert_eq!(&*settings.site.upstreams[0].servers[0].name, "127.0.0.1:9000");
    assert_eq!((settings.site.endpoints.len(), settings.site.routes.len()), (2, 2));
}

#[test]
fn the_shipped_files_examples_are_good_too() {
    let shipped = include_str!("../../../gateway.toml");
    let (head, body) = shipped.split_once("[server]").unwrap();
    let examples = body.lines().map(|line| match line.strip_prefix("# ").unwrap_or(line.trim_start_matches('#')) {
        example if example.starts_with('[') || example.contains(" = ") => example,
        _ => line,
    });
    let text = format!("{head}[server]{}", examples.collect::<Vec<_>>().join("\n"));
    let settings = read(&text).map_err(|report| report.to_string()).unwrap();
    assert_eq!((settings.site.realms.len(), settings.site.routes.len()), (6, 3));
}

#[test]
fn a_restart_is_needed_for_what_a_running_gateway_holds() {
    let old = read(REFERENCE).unwrap();
    assert!(old.restart_only_changes(&old).is_empty());
    let changed = |from: &str, to: &str| old.restart_only_changes(&read(&REFERENCE.replace(from, to)).unwrap());
    for (from, to, keys) in [
        ("\"127.0.0.1:8080\", ", "", vec!["server.listen"]),
        ("threads = 2\nt", "threads = 3\nt", vec!["server.threads"]),
        ("listen = \"127.0.0.1:9901\"", "listen = \"127.0.0.1:9902\"", vec!["admin.listen"]),
        ("admin.token", "other.token", vec!["admin.token_file"]),
        ("sqlite:portero.db", "sqlite:other.db", vec!["store.url"]),
        ("[log]", "master_key_file = \"x\"\n[log]", vec!["store.master_key_file"]),
        (
            "hash_threads = 3\nhash_queue = 7",
            "hash_threads = 4\nhash_queue = 8",
            vec!["passwords.hash_threads", "passwords.hash_queue"],
        ),
        ("head_timeout = \"5s\"", "connections_max = 5\nconnections_per_address = 4", vec![]),
        ("name_failures = 10", "name_failures = 11", vec!["throttle"]),
        (
            "entries = 5000\nbytes = \"16MiB\"",
            "entries = 5001\nbytes = \"17MiB\"",
            vec!["cache.entries", "cache.bytes"],
        ),
        ("access = false", "access = true", vec![]),
        ("access = false", "access = false\nnames = true", vec!["log.names"]),
        ("[log]", "[audit]\nfile = \"audit.log\"\n[log]", vec!["audit"]),
        ("[log]", "[reload]\nwatch = true\n[log]", vec![]),
        ("path = \"/api/Clientes/\"", "path = \"/clientes\"", vec![]),
    ] {
        assert_eq!(changed(from, to), keys, "{from}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever a file says, it is read or refused.
    #[test]
    fn no_text_panics(
        lines in proptest::collection::vec(
            "(\\[{1,2}(server|realms\\.[a-zñ\"]{1,3}|routes|upstreams\\.x|tokens)\\]{1,2}|\
              (listen|servers|path|hosts|accept|dialect|timezone|name|url|require|x y) ?= ?\
              (\"[ -~ñ\\n]{0,12}\"|\\[\"[a-z:/.%$\\{\\}]{0,8}\"\\]|-?[0-9]{1,20}|\\{ a = [0-9] \\}|true|1979-05-27|[\\PC]{0,8}))",
            0..12,
        ),
        cut in 0usize..200,
    ) {
        let text = lines.join("\n");
        let cut = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
        let _ = read(&text);
        if let Err(report) = read(&text[..cut]) {
            prop_assert_eq!(report.to_string().lines().count(), report.problems().len(), "one line a problem");
        }
    }

    /// Cutting a good file anywhere, or spoiling one character of it, never panics either.
    #[test]
    fn no_spoilt_file_panics(at in 0..REFERENCE.len(), with in "[\\PC\n\"\\[\\]=$]") {
        let mut text = REFERENCE.to_owned();
        text.replace_range(at..=at, &with);
        let _ = read(&text);
        let _ = read(&REFERENCE[..at]);
    }
}
