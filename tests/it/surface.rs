//! What a running gateway gives, against `tests/surface`: metrics and their labels, members of log lines, the store's
//! tables, paths of the admin API. `tests/docs` holds the lists that the sources give.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
};

use serde_json::{Value, json};

use crate::{
    snapshot::assert_surface,
    support::{Config, Connection, Database, Gateway, Request, get},
};

/// Logs in, is served and refused, so that each of the usual metrics and lines is there.
fn used() -> Gateway {
    let (gateway, _) = Gateway::with_upstream();
    gateway.status("/nowhere", "");
    gateway.status("/api/data", "no token");
    gateway
}

#[test]
fn surface_of_the_metrics() {
    let text = used().ask("/metrics").text();
    let mut labels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        labels.entry(name).or_default().extend(label_names(rest));
    }
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let series = labels.iter().map(|(name, labels)| {
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        format!("{name}{{{}}}", labels.join(","))
    });
    // Which of these there are depends on the system.
    let ours = |line: &String| line.starts_with("portero_");
    assert_surface("metrics.txt", families.map(str::to_owned).chain(series).filter(ours));
}

/// The names in `{name="value",…} 1`; a comma in a value is followed by no name.
fn label_names(series: &str) -> Vec<String> {
    let before_values = series.split("=\"").map(|text| text.rsplit(['{', ',']).next().unwrap_or_default());
    let mut names: Vec<_> = before_values.map(str::to_owned).collect();
    names.pop();
    names
}

#[test]
fn surface_of_the_log() {
    let ran = used().stop();
    let lines: Vec<Value> = ran.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let members = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let (access, events): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["kind"] == "access");
    assert!(!access.is_empty() && !events.is_empty(), "{}", ran.stdout);
    // An access line has what applies to it, and each event members of its own beside the common ones.
    let of_access: BTreeSet<_> = access.into_iter().flat_map(members).collect();
    let of_events = events.into_iter().map(members).reduce(|all, one| &all & &one).unwrap();
    let of_access = of_access.into_iter().map(|name| format!("access: {name}"));
    assert_surface("log.txt", of_access.chain(of_events.into_iter().map(|name| format!("event: {name}"))));
}

#[test]
fn surface_of_the_store() {
    let folder = Config::standard(SocketAddr::from(([127, 0, 0, 1], 9))).with_accounts();
    let schema = "SELECT group_concat(sql, char(10)) FROM \
         (SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY type, name)";
    let schema = Database::in_folder(&folder).text(schema);
    // Comments and the way that lines are broken say nothing about the tables.
    let lines = schema.lines().map(|line| line.split("--").next().unwrap_or_default());
    assert_surface("store.sql", lines.filter(|line| !line.trim().is_empty()));
}

#[test]
fn surface_of_the_admin_listener() {
    let gateway = used();
    let token = gateway.admin_token();
    let allowed = |path: &str| {
        let request = Request::new("PUT", path).header("Host", "localhost").bearer(&token);
        let answer = Connection::open(gateway.admin).send(&request);
        assert_eq!(answer.status, 405, "{path}");
        answer.header("Allow").unwrap_or_default().to_owned()
    };
    let open = ["/metrics", "/health/alive", "/health/ready", "/health/serving", "/openapi.json"]
        .map(|path| ("GET".to_owned(), path.to_owned()));
    let documented = documented();
    let described = described(&gateway);
    assert_eq!(documented, described, "the page and the document");
    let requests: BTreeSet<_> = documented.into_keys().chain(open).collect();
    for (method, path) in &requests {
        let allowed = allowed(path);
        assert!(allowed.split(',').any(|allowed| allowed.trim() == method), "{method} {path}: {allowed}");
    }
    assert_surface("admin.txt", requests.iter().map(|(method, path)| format!("{method} {path}")));
}

/// The operations below `/api/v1` that `/openapi.json` describes, and their roles.
fn described(gateway: &Gateway) -> BTreeMap<(String, String), String> {
    let request = get("/openapi.json").header("Host", "localhost").bearer(&gateway.admin_token());
    let document = Connection::open(gateway.admin).send(&request).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    // The contracts' token endpoints stand beside them, as configured.
    let body = |path: &str, under: &str| {
        let schema = &paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"];
        if under.is_empty() { schema["required"].clone() } else { schema[under][0]["required"].clone() }
    };
    assert_eq!(body("/api/Session/GetToken", ""), json!(["username", "password"]));
    assert_eq!(body("/api/auth/token", "anyOf"), json!(["clientId", "clientSecret"]));
    assert_eq!(body("/api/auth/refreshtoken", ""), json!(["refreshToken"]));
    assert!(paths["/auth"]["get"].is_object(), "toc's verification");
    let mut described = BTreeMap::new();
    for (path, methods) in paths.iter().filter(|(path, _)| path.starts_with("/api/v1/")) {
        for (method, operation) in methods.as_object().unwrap() {
            if let Some(role) = operation["x-portero-role"].as_str() {
                assert!(operation["responses"]["200"]["headers"]["X-Request-Id"].is_object(), "{method} {path}");
                described.insert((method.to_uppercase(), path.clone()), role.to_owned());
            }
        }
    }
    described
}

/// The requests in the tables of the API's page, and their roles: `POST /accounts/disable`, and `/enable` beside it.
fn documented() -> BTreeMap<(String, String), String> {
    let page = fs::read_to_string("docs/admin-api.md").unwrap();
    let mut requests = BTreeMap::new();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?, cells.next()?))
    });
    for (cell, role) in rows {
        let (mut method, mut folder) = ("", String::new());
        for word in cell.split(['`', ',', ' ']).filter(|word| !word.is_empty()) {
            if !word.starts_with('/') {
                method = word;
                continue;
            }
            let path = word.split(['?', '[']).next().unwrap_or_default();
            let path = if folder.is_empty() { format!("/api/v1{path}") } else { format!("{folder}{path}") };
            path.rsplit_once('/').unwrap().0.clone_into(&mut folder);
            requests.insert((method.to_owned(), path), role.to_owned());
        }
    }
    requests
}
