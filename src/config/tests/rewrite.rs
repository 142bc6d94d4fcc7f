//! What routes change, share and take.

use std::time::Duration;

use http::HeaderValue;

use super::read;
use crate::rules::{
    cors::Origin,
    rewrite::{HostPolicy, PathRewrite, Rewrites},
    route::CanonicalPath,
};

const SITE: &str = r#"
tokens.issuer = "https://g"
upstreams.crm.servers = ["127.0.0.1:9000"]
realms.sws = { dialect = "sws", timezone = "UTC" }
realms.oauth.dialect = "oauth"
[server]
body_bytes_max = "10MiB"
harden = true
[oauth]
cors = { origins = ["https://app.example.com"] }
[[token_endpoints]]
path = "/login"
realms = ["sws"]
cors = { origins = ["*"] }
[[routes]]
name = "all"
path = "/api"
upstream = "crm"
accept = ["sws"]
strip_prefix = true
host = "upstream"
request_headers = { set = { X-Env = "prod", X-Key = "${SECRET}" }, remove = ["Cookie"] }
response_headers = { remove = ["X-Debug"] }
cors = { origins = ["https://app.example.com", "https://*.example.org"], expose = ["X-Total", "ETag"], credentials = true }
body_bytes_max = "1KiB"
[[routes]]
name = "bare"
methods = ["GET", "PUT"]
path = "/bare"
upstream = "crm"
auth = "public"
harden = false
cors = { origins = ["*"], methods = ["PUT"], headers = ["X-A"], max_age = "5s" }
"#;

fn canonical(path: &str) -> CanonicalPath<'_> {
    CanonicalPath::parse(path.as_bytes()).unwrap()
}

#[test]
fn a_route_says_what_it_changes() {
    let site = read(SITE).unwrap().site;
    let [all, bare] = &site.routes[..] else { panic!("two routes") };
    let rewrites = all.rewrites.as_deref().unwrap();
    assert_eq!(rewrites.path, Some(PathRewrite::prefix(&canonical("/api"), &canonical("/"))));
    assert_eq!(rewrites.host, HostPolicy::Server);
    assert_eq!(rewrites.request.remove, ["cookie"]);
    let [(env, prod), (key, secret)] = &rewrites.request.set[..] else { panic!("two fields") };
    assert_eq!((env.as_str(), prod), ("x-env", &HeaderValue::from_static("prod")));
    assert_eq!((key.as_str(), secret), ("x-key", &HeaderValue::from_static("hunter2${HOME_PORT}")));
    assert!(!format!("{rewrites:?}").contains("hunter2"), "what comes from the environment is not shown");
    assert_eq!(rewrites.response.remove, ["x-debug"]);
    assert!(rewrites.harden, "as [server] says");
    assert_eq!(bare.rewrites, None, "a route that changes nothing costs nothing");
    assert_eq!((all.body_bytes_max, bare.body_bytes_max), (Some(1 << 10), Some(10 << 20)));
    let hardened = read(&SITE.replace("harden = false", "")).unwrap().site.routes[1].rewrites.clone();
    assert_eq!(hardened.as_deref(), Some(&Rewrites { harden: true, ..Rewrites::default() }));
    let unbound = read(&SITE.replace("body_bytes_max = \"10MiB\"", "")).unwrap();
    assert_eq!(unbound.site.routes[1].body_bytes_max, None);
}

#[test]
fn pages_may_send_what_the_route_looks_at_unless_it_says_otherwise() {
    let site = read(SITE).unwrap().site;
    let [all, bare] = [0, 1].map(|index: usize| site.routes[index].cors.clone().unwrap());
    let origins: Vec<Origin> =
        vec!["https://app.example.com".parse().unwrap(), "https://*.example.org".parse().unwrap()];
    assert_eq!(all.origins, origins);
    assert_eq!(all.methods, "GET, HEAD, POST, PUT, PATCH, DELETE");
    assert_eq!(all.headers, "currenttokenvalue, authorization, content-type");
    assert_eq!(all.expose, Some(HeaderValue::from_static("x-total, etag")));
    assert_eq!((all.credentials, all.max_age), (true, Duration::from_mins(10)));
    assert_eq!((&bare.methods, &bare.headers), (&HeaderValue::from_static("PUT"), &HeaderValue::from_static("x-a")));
    assert_eq!((bare.max_age, &bare.expose), (Duration::from_secs(5), &None));
    let own = read(&SITE.replace("methods = [\"PUT\"], ", "")).unwrap().site.routes[1].cors.clone().unwrap();
    assert_eq!(own.methods, "GET, PUT", "those that the route takes");
    assert!(site.endpoints.iter().all(|endpoint| endpoint.cors.is_some()), "the login and each of OAuth's");
    assert_eq!(site.endpoints[0].cors.as_ref().unwrap().origins, [Origin::Any]);
}

#[test]
fn all_of_it_can_be_reloaded() {
    let old = read(SITE).unwrap();
    let without: Vec<_> = SITE
        .lines()
        .filter(|line| !["body_", "harden", "cors", "strip", "request_"].iter().any(|key| line.starts_with(key)))
        .collect();
    let new = read(&without.join("\n")).unwrap();
    assert!(new.site.routes[1].cors.is_none() && old.restart_only_changes(&new).is_empty());
}
