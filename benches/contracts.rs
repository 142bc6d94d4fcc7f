//! Reading a login and writing its answer: each contract from its file, beside the Rust that spoke it before. The file
//! may cost 1.1 times the Rust, in each group that `cargo bench --bench contracts` prints.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::unused_self,
    reason = "the sources stay as they were"
)]
#[path = "../tests/oracle/dialect/mod.rs"]
mod dialect;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use portero::{
    domain::{AccountName, Grant, Holder, IssuedToken, Secret, Timestamp, TokenKind, json::parse_object},
    rules::contract::{Dialect, DialectSettings, Outcome, TokenRequest},
};

const BODY: &[u8] =
    br#"{"username":"admin","password":"demo2024","business":"5a2ac49cbbbce212f885529c","proyecto":"upconta",
    "clientId":"f2ffebd1","clientSecret":"c0f2afed","client_id":"demo_client_123","client_secret":"demo_secret_456"}"#;

fn grant(kinds: &[TokenKind]) -> Grant {
    let issued_at = Timestamp::from_secs(1_768_564_800);
    let expires_at = Some(Timestamp::from_secs(1_768_568_400));
    let token = Secret::from("x".repeat(600).as_str());
    let tokens = kinds.iter().map(|&kind| IssuedToken { kind, token: token.clone(), expires_at });
    let holder = Holder {
        id: "b331336a-46f4-4fe4-a850-3208bfc2c398".parse().unwrap(),
        name: AccountName { business: "5a2ac49cbbbce212f885529c".into(), name: "admin".into() },
        display_name: "Administrador".into(),
        legacy_id: Some(1),
        role: "ADMIN".into(),
        scopes: vec!["read".into(), "write".into()],
        company: Some("acme".into()),
    };
    Grant { holder, issued_at, tokens: tokens.collect() }
}

fn logins(criterion: &mut Criterion) {
    let body = parse_object(BODY);
    let content_type = Some(&b"application/json"[..]);
    for old in dialect::Dialect::ALL {
        let new: Dialect = old.name().parse().unwrap();
        let grant = grant(new.token_kinds());
        let mut group = criterion.benchmark_group(old.name());
        let settings = dialect::DialectSettings::default();
        group.bench_function("rust", |bencher| {
            let request =
                dialect::TokenRequest { method: &Method::POST, query: None, content_type, body: &body, refresh: false };
            bencher.iter(|| {
                black_box(old.contract().read(black_box(&request), &settings).unwrap());
                old.contract().write(&dialect::Outcome::Granted(black_box(&grant)), &settings)
            });
        });
        let settings = DialectSettings::default();
        group.bench_function("file", |bencher| {
            let request = TokenRequest {
                method: &Method::POST,
                query: None,
                content_type,
                authorization: None,
                body: (&body).into(),
                refresh: false,
            };
            bencher.iter(|| {
                black_box(new.contract().read(black_box(&request), &settings).unwrap());
                new.contract().write(&Outcome::Granted(black_box(&grant)), &settings)
            });
        });
    }
}

criterion_group!(benches, logins);
criterion_main!(benches);
