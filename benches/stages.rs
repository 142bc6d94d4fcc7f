//! What the stages of a request's path cost, each by itself. `decide` has the cache and the whole decision, `tokens`
//! what opening a token takes, and `revocation` its look-ups. The figures stand in `README.md` beside this file.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

#[path = "../tests/decision/fixture.rs"]
mod fixture;

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, Method};
use portero::{
    domain::{PrincipalId, Reason},
    observe::{
        access_log::{Entry, Principal, Time, millis},
        metrics::Metrics,
    },
    rules::{
        policy::{Source, find_credential},
        route::{CanonicalPath, Found, Host, Router},
    },
};

use fixture::{NOW, headers, pattern};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As many octets as the smallest JWT that Portero mints has.
const TOKEN_BYTES: usize = 533;

/// Routes of a table.
const ROUTES: [usize; 3] = [10, 1_000, 10_000];

/// Paths that are asked for in turn: enough that a large table does not stay in the nearest cache.
const PATHS: usize = 1_024;

fn hosts(c: &mut Criterion) {
    let headers = headers("");
    assert!(Host::of(&headers, None).unwrap().is("crm.example.com"));
    c.bench_function("host", |b| b.iter(|| black_box(Host::of(black_box(&headers), None)).is_ok()));
}

fn paths(c: &mut Criterion) {
    let spellings =
        [("canonical already", "/api/Clientes/42/pedidos"), ("decoded", "/api/%43lientes/./42/x/../pedidos")];
    for (name, path) in spellings {
        let canonical = CanonicalPath::parse(path.as_bytes()).unwrap();
        assert_eq!((canonical.as_str(), canonical.is_as_received()), (spellings[0].1, path == spellings[0].1));
        c.bench_function(&format!("path/{name}"), |b| {
            b.iter(|| black_box(CanonicalPath::parse(black_box(path.as_bytes()))).is_ok());
        });
    }
}

fn routes(c: &mut Criterion) {
    let headers = headers("");
    let host = Host::of(&headers, None).unwrap();
    for routes in ROUTES {
        let table = (0..routes).map(|n| (pattern(&format!("/api/service{n}")), n));
        let router = Router::build(table).unwrap();
        let asked: Vec<_> = (0..PATHS)
            .map(|n| {
                // Far apart from each other, and each of the table's as often as any.
                let route = n * 7919 % routes;
                let path = format!("/api/service{route}/42/pedidos");
                (CanonicalPath::parse(path.as_bytes()).unwrap().into_owned(), route)
            })
            .collect();
        for (path, route) in &asked {
            assert_eq!(router.find(&host, path, &Method::GET), Found::Route(route));
        }
        let mut turn = asked.iter().cycle();
        c.bench_function(&format!("route/of {routes}"), |b| {
            b.iter(|| matches!(router.find(&host, &turn.next().unwrap().0, &Method::GET), Found::Route(_)));
        });
        let nowhere = CanonicalPath::parse(b"/nowhere/at/all").unwrap();
        assert_eq!(router.find(&host, &nowhere, &Method::GET), Found::Nothing);
        c.bench_function(&format!("route/none of {routes}"), |b| {
            b.iter(|| matches!(router.find(&host, black_box(&nowhere), &Method::GET), Found::Nothing));
        });
    }
}

fn credentials(c: &mut Criterion) {
    let token = "t".repeat(TOKEN_BYTES);
    let bearer = headers(&token);
    let mut elsewhere = headers("");
    elsewhere.insert("currenttokenvalue", token.parse().unwrap());
    elsewhere.insert("cookie", format!("theme=dark; session={token}; lang=es").parse().unwrap());
    let query = format!("page=2&access_token={token}");
    let header = Source::Header(HeaderName::from_static("currenttokenvalue"));
    let both = [Source::Authorization { bare: false, schemes: Box::default() }, header];
    let rows: [(&str, &[Source], &HeaderMap); 4] = [
        ("Authorization", &both[..1], &bearer),
        ("Authorization or a header", &both, &bearer),
        ("a cookie", &[Source::Cookie("session".into())], &elsewhere),
        ("the query", &[Source::Query("access_token".into())], &elsewhere),
    ];
    for (name, sources, headers) in rows {
        let found = find_credential(sources, headers, Some(&query)).unwrap().unwrap();
        assert_eq!(found.octets(), token.as_bytes(), "{name}");
        c.bench_function(&format!("credential/{name}"), |b| {
            b.iter(|| black_box(find_credential(sources, black_box(headers), Some(&query))).is_ok());
        });
    }
}

fn access_line(c: &mut Criterion) {
    let principal = PrincipalId::generate().to_string();
    let entry = Entry {
        timestamp: Time(NOW),
        kind: "access",
        request_id: "b7c1c5d2-9f6e-4f0e-9a3e-2f1d7b0c4e11",
        client: Some([192, 0, 2, 1].into()),
        method: "GET",
        host: Some("crm.example.com"),
        path: Some("/api/Clientes/42/pedidos"),
        route: Some("clientes"),
        status: 200,
        decision: "forward",
        reason: Reason::Authenticated.name(),
        principal: Some(Principal { realm: "sws", subject: Some(&principal) }),
        bytes_in: 0,
        bytes_out: 57,
        duration_ms: millis(Duration::from_micros(1_234)),
        upstream_ms: Some(millis(Duration::from_micros(1_150))),
        upstream: Some("127.0.0.1:9000"),
    };
    let mut line = vec![];
    entry.put(&mut line);
    assert!(line.starts_with(b"{\"timestamp\":\"2026-01-16T12:00:00.000Z\""));
    c.bench_function("access line", |b| {
        b.iter(|| {
            line.clear();
            black_box(&entry).put(&mut line);
        });
    });
}

fn metrics(c: &mut Criterion) {
    let metrics = Metrics::new().unwrap();
    let (route, upstream) = (metrics.route("clientes"), metrics.upstream_waits("service"));
    let observe = || {
        route.decided("forward", Reason::Authenticated);
        upstream.observe(black_box(Duration::from_micros(1150)));
        route.answered(black_box(200), black_box(Duration::from_micros(80)));
    };
    observe();
    let text = String::from_utf8(metrics.render().unwrap()).unwrap();
    assert!(text.contains("portero_requests_total{code=\"200\",route=\"clientes\"} 1\n"), "{text}");
    c.bench_function("metrics of a request", |b| b.iter(observe));
}

criterion_group!(stages, hosts, paths, routes, credentials, access_line, metrics);
criterion_main!(stages);
