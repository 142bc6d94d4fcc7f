//! Browsers' questions, and answers that pages of other origins can read.

use std::process::Command;

use crate::support::{
    Config, Connection, Contract, Gateway, RawUpstream, Request, Response, Upstream, delete, get, post,
};

const PAGE: &str = "https://app.example.com";
const EVIL: &str = "https://evil.test";

/// A service that has its own opinion about origins.
fn opinionated() -> RawUpstream {
    RawUpstream::start(|stream| {
        while stream.read() {
            stream.write(
                "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
                 Access-Control-Allow-Private-Network: true\r\nVary: Accept-Encoding\r\nContent-Length: 3\r\n\r\nraw",
            );
        }
    })
}

fn gateway(upstream: &RawUpstream) -> Gateway {
    let shared = format!(
        "cors = {{ origins = [\"{PAGE}\", \"https://*.example.org\"], expose = [\"X-Total\"], credentials = true }}"
    );
    Config::new()
        .upstream("service", &[upstream.address])
        .route("shared", "/shared", &format!("accept = [\"apis\"]\nmethods = [\"GET\", \"PUT\"]\n{shared}"))
        .route("open", "/open", "auth = \"public\"\ncors = { origins = [\"*\"] }")
        .route("silent", "/silent", "accept = [\"apis\"]")
        .route("passing", "/passing", "auth = \"public\"")
        .replace("realms = [\"maxpoint\", \"apis\"]\n", &format!("realms = [\"maxpoint\", \"apis\"]\n{shared}\n"))
        .start()
}

fn preflight(path: &str, method: &str, origin: &str) -> Request {
    let request = Request::new("OPTIONS", path).header("Origin", origin);
    request.header("Access-Control-Request-Method", method).header("Access-Control-Request-Headers", "authorization")
}

/// The fields of CORS and `Vary`, sorted.
fn told(response: &Response) -> Vec<(String, String)> {
    let lower = response.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_ascii_lowercase()));
    let mut told: Vec<_> = lower.filter(|(name, _)| name.starts_with("access-control-") || name == "vary").collect();
    told.sort();
    told
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_preflight_is_answered_before_the_check_and_never_forwarded() {
    let upstream = opinionated();
    let gateway = gateway(&upstream);
    let mut connection = Connection::open(gateway.front);
    let answer = connection.send(&preflight("/shared/x", "PUT", PAGE));
    assert_eq!((answer.status, answer.text().as_str(), answer.header("content-length")), (204, "", None));
    let expected = [
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-headers", "authorization, content-type"),
        ("access-control-allow-methods", "get, put"),
        ("access-control-allow-origin", PAGE),
        ("access-control-max-age", "600"),
        ("vary", "origin"),
    ];
    assert_eq!(told(&answer), pairs(&expected));
    let stranger = connection.send(&preflight("/shared/x", "PUT", EVIL));
    assert_eq!((stranger.status, told(&stranger)), (204, pairs(&[("vary", "origin")])));
    let anybody = connection.send(&preflight("/open", "DELETE", EVIL));
    assert_eq!(anybody.header("access-control-allow-origin"), Some("*"));

    // None of these is a preflight of a route with `cors`: they are what any request is.
    for (request, status) in [
        (preflight("/silent", "GET", PAGE), 401),
        (preflight("/shared", "DELETE", PAGE), 405),
        (Request::new("OPTIONS", "/shared").header("Origin", PAGE), 405),
        (Request::new("OPTIONS", "/silent"), 401),
        (preflight("/nowhere", "GET", PAGE), 404),
        (preflight("/shared%2f", "GET", PAGE), 400),
    ] {
        assert_eq!(connection.send(&request).status, status, "{request:?}");
    }
    assert_eq!(upstream.bytes(), "");
    assert_eq!(
        connection.send(&preflight("/passing", "GET", PAGE)).status,
        200,
        "a public route without cors asks its service"
    );
    assert!(upstream.bytes().starts_with("OPTIONS /passing HTTP/1.1\r\n"), "{}", upstream.bytes());

    let line = gateway.process.access_line("the preflight", |line| line["decision"] == "preflight");
    assert_eq!(
        (line["route"].as_str(), line["reason"].as_str(), line["status"].as_u64()),
        (Some("shared"), Some("preflight"), Some(204))
    );
    let metrics = gateway.ask("/metrics").text();
    let counted = r#"portero_decisions_total{decision="preflight",reason="preflight",route="shared"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_page_can_read_answers_and_denials_alike() {
    let upstream = opinionated();
    let gateway = gateway(&upstream);
    let token = gateway.login_apis().access;
    let shared = |vary: &str| {
        pairs(&[
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-origin", PAGE),
            ("access-control-expose-headers", "x-total"),
            ("vary", vary),
        ])
    };
    let answer = gateway.send(&get("/shared").bearer(&token).header("Origin", PAGE));
    let mut expected = shared("accept-encoding");
    expected.extend(pairs(&[("vary", "origin")]));
    assert_eq!((answer.text().as_str(), told(&answer)), ("raw", expected), "the service's own word is replaced");
    let own = gateway.send(&get("/shared").bearer(&token));
    assert_eq!(told(&own), pairs(&[("vary", "accept-encoding"), ("vary", "origin")]), "no page asked");
    let stranger = gateway.send(&get("/shared").bearer(&token).header("Origin", EVIL));
    assert_eq!((stranger.status, told(&stranger)), (200, told(&own)), "the browser keeps it from the page");
    let untouched = gateway.send(&get("/passing").header("Origin", EVIL));
    assert_eq!(untouched.header("access-control-allow-origin"), Some("*"), "without cors the service's word stands");

    let denied = gateway.send(&get("/shared").header("Origin", PAGE));
    assert_eq!((denied.status, told(&denied)), (401, shared("authorization, origin")));
    let denied = gateway.send(&get("/shared").bearer("x.y.z").header("Origin", PAGE));
    assert_eq!((denied.status, told(&denied)), (401, shared("authorization, origin")));
    let denied = gateway.send(&delete("/shared").header("Origin", PAGE));
    assert_eq!((denied.status, told(&denied)), (405, shared("authorization, origin")));
    let denied = gateway.send(&get("/shared").header("Origin", EVIL));
    assert_eq!((denied.status, told(&denied)), (401, pairs(&[("vary", "authorization, origin")])));
}

#[test]
fn a_page_can_read_that_a_service_failed() {
    let hung_up = RawUpstream::start(|stream| {
        stream.read();
    });
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let cors = format!("auth = \"public\"\ncors = {{ origins = [\"{PAGE}\"] }}");
    let folder = crate::support::Folder::new();
    Config::new()
        .upstream("service", &[hung_up.address])
        .text(&format!("[upstreams.slow]\nservers = [\"{}\"]\ntimeouts = {{ read = \"200ms\" }}", silent.address))
        .route("failing", "/failing", &cors)
        .route("slow", "/slow", &format!("upstream = \"slow\"\n{cors}"))
        .write_to(&folder);
    let gateway = Gateway::run(folder);
    for (path, status) in [("/failing", 502), ("/slow", 504)] {
        let failed = gateway.send(&post(path, "{}").header("Origin", PAGE));
        assert_eq!((failed.status, failed.header("access-control-allow-origin")), (status, Some(PAGE)), "{path}");
        assert_eq!((failed.header("cache-control"), failed.header("vary")), (Some("no-store"), Some("origin")));
    }
}

#[test]
fn pages_can_log_in_where_the_endpoint_lets_them() {
    let upstream = opinionated();
    let gateway = gateway(&upstream);
    let asked = gateway.send(&preflight("/api/auth/token", "POST", PAGE));
    assert_eq!((asked.status, asked.header("access-control-allow-methods")), (204, Some("GET, POST")));
    for (secret, status) in [(Contract::Apis.secret(), 200), ("wrong", 401)] {
        let login = Contract::Apis.login_with(secret);
        let answer = gateway.send(&login.clone().header("Origin", PAGE));
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, Some(PAGE)));
        assert_eq!((answer.header("cache-control"), answer.header("vary")), (Some("no-store"), Some("origin")));
        assert_eq!(gateway.send(&login.header("Origin", EVIL)).header("access-control-allow-origin"), None);
    }
    let closed = gateway.send(&preflight("/api/Session/GetToken", "POST", PAGE));
    assert_eq!((closed.header("access-control-allow-origin"), closed.status == 204), (None, false));
    assert_eq!(upstream.bytes(), "");
}

#[test]
fn curl_asks_as_a_browser_does() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let cors = "accept = [\"apis\"]\ncors = { origins = [\"https://*.example.org\"] }";
    let gateway = config.route("shared", "/shared", cors).start();
    let curl = |arguments: &[&str]| {
        let url = format!("http://{}/shared", gateway.front);
        let common =
            ["--silent", "--show-error", "--include", "--max-time", "30", "--header", "Origin: https://a.example.org"];
        let ran = Command::new("curl").args(common).args(arguments).arg(url).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap().to_ascii_lowercase()
    };
    let asked = curl(&["--request", "OPTIONS", "--header", "Access-Control-Request-Method: PATCH"]);
    assert!(asked.starts_with("http/1.1 204 no content\r\n"), "{asked}");
    assert!(asked.contains("access-control-allow-methods: get, head, post, put, patch, delete\r\n"), "{asked}");
    upstream.received_nothing();
    let denied = curl(&[]);
    assert!(
        denied.starts_with("http/1.1 401 ")
            && denied.contains("access-control-allow-origin: https://a.example.org\r\n"),
        "{denied}"
    );
    let token = format!("Authorization: Bearer {}", gateway.login_apis().access);
    let answer = curl(&["--header", &token]);
    assert!(
        answer.starts_with("http/1.1 200 ok\r\n")
            && answer.contains("access-control-allow-origin: https://a.example.org\r\n"),
        "{answer}"
    );
}
