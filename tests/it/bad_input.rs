//! Whatever arrives: a clear refusal in the right shape, a gateway that goes on, and nothing in clear
//! in anything it wrote.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use crate::support::{
    Config, Connection, Contract, Deadline, Folder, Gateway, Postgres, RawUpstream, Request, Response, Upstream, get,
    own_address, post,
};

/// How long the gateway reads on after a refusal.
const LINGERS: Duration = Duration::from_secs(1);

/// Words that stand for secrets; no output of the gateway may hold one.
const CANARIES: [&str; 7] = [
    "canary-password",
    "canary-bearer",
    "canary-header",
    "canary-query",
    "canary-cookie",
    "canary-refresh",
    "canary-admin",
];

#[test]
fn a_zero_byte_is_nobodys_name_and_a_wrong_password() {
    let (upstream, postgres) = (Upstream::start(), Postgres::start());
    let of_file = Config::standard(upstream.address).start();
    let folder = Folder::new();
    let password = folder.file("store.password");
    fs::write(&password, Postgres::password()).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let store = format!("[store]\nurl = \"{}\"\npassword_file = \"store.password\"\nconnections = 2\n", postgres.url());
    let config = Config::standard(upstream.address).text(&store);
    config.write_to(&folder);
    folder.command("store init", "").succeeded();
    let of_server = Gateway::run(config.with_accounts_in(folder));
    for contract in Contract::ALL {
        let name = contract.name();
        let mut of_stores = vec![];
        for gateway in [&of_file, &of_server] {
            let sent = |name: &str, secret: &str| {
                let answer = Connection::open_from(own_address(), gateway.front).send(&contract.login_as(name, secret));
                assert!(contract.token_of(&answer).is_none() && answer.status < 500, "{contract:?} {answer:?}");
                (answer.status, answer.text())
            };
            let nobody = sent("nobody-of-this-name", "wrong");
            for odd in ["\\u0000", &format!("{name}\\u0000"), &format!("\\u0000{name}"), "no\\u0000body"] {
                assert_eq!(sent(odd, contract.secret()), nobody, "{contract:?} {odd}");
            }
            let wrong = sent(name, "wrong");
            let secret = contract.secret();
            for odd in ["\\u0000".to_owned(), format!("{secret}\\u0000"), format!("{secret}\\u0000more")] {
                assert_eq!(sent(name, &odd), wrong, "{contract:?} {odd}");
            }
            gateway.login(contract);
            of_stores.push((nobody, wrong));
        }
        assert_eq!(of_stores[0], of_stores[1], "{contract:?}: one answer, whatever the store");
    }
}

#[test]
fn nothing_of_a_secret_is_written_anywhere() {
    let upstream = Upstream::start();
    let sources =
        "accept = [\"apis\"]\nsources = [\"authorization\", \"query:token\", \"cookie:sid\", \"header:X-Key\"]";
    let garbled = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/9 canary-header\r\nX: canary-bearer\r\n\r\n");
    });
    let gateway = Config::standard(upstream.address)
        .upstream("garbled", &[garbled.address])
        .upstream("down", &["127.0.0.1:1".parse().unwrap()])
        .route("any", "/any", sources)
        .route("garbled", "/garbled", &format!("upstream = \"garbled\"\n{sources}"))
        .route("down", "/down", &format!("upstream = \"down\"\n{sources}"))
        .start();
    let own = gateway.login_apis();
    let requests = [
        post("/api/Session/GetToken", r#"{"username":"canary-password","password":"canary-password"}"#),
        post("/api/auth/token", r#"{"username":"admin","password":"canary-password""#),
        post("/api/auth/refreshtoken", r#"{"refreshToken":"canary-refresh"}"#),
        get("/any?token=canary-query"),
        get("/any?token=canary-query;x"),
        get("/any/%zz?token=canary-query"),
        get("/nowhere?token=canary-query"),
        get("/any").header("X-Key", "canary-header").bearer("canary-bearer"),
        get("/any").header("Cookie", "sid=canary-cookie"),
        get("/sws").header("CURRENTTOKENVALUE", "canary-header"),
        get("/any").header("Authorization", "canary-bearer with spaces"),
        get("/public?token=canary-query").header("Upgrade", "canary-header"),
        get(&format!("/any?token={}", own.access)),
        get("/any").bearer(&own.access),
        get("/any").bearer(&own.refresh),
        get(&format!("/garbled?token={}&x=canary-query", own.access)).header("X-Canary", "canary-header"),
        get(&format!("/down?token={}&x=canary-query", own.access)).header("X-Canary", "canary-header"),
    ];
    for request in &requests {
        gateway.send(request);
    }
    let _ = gateway.send(&Request::new("GET", "/any?token=canary-query").header("Bad Name", "canary-header"));
    let admin = post("/api/v1/accounts", r#"{"realm":"apis","name":"x","secret":"canary-admin","role":7}"#);
    Connection::open(gateway.admin).send(&admin.header("Host", "localhost").bearer(&gateway.admin_token()));
    Connection::open(gateway.admin)
        .send(&get("/api/v1/sessions?canary-admin").header("Host", "localhost").bearer("canary-admin"));
    // Broken off in the middle of a secret, and in the middle of an upload.
    let mut connection = Connection::open(gateway.front);
    connection.write("GET /any?token=canary-query HTTP/1.1\r\nAuthorization: Bearer canary-bearer").unwrap();
    drop(connection);
    let mut connection = Connection::open(gateway.front);
    let upload = Request::new("PUT", "/public?token=canary-query").header("Content-Length", "100");
    connection.write(upload.header("Authorization", "Bearer canary-bearer").bytes()).unwrap();
    drop(connection);
    gateway.process.access_line("the broken upload", |line| line["method"] == "PUT");
    let metrics = gateway.ask("/metrics").text();
    let admin_token = gateway.admin_token();
    let ran = gateway.stop();
    let written = [ran.stdout, ran.stderr, metrics].concat();
    let secrets = [own.access, own.content, own.refresh, admin_token, "abcd1234".to_owned(), "argon2".to_owned()];
    for secret in CANARIES.iter().copied().chain(secrets.iter().map(String::as_str)) {
        assert!(!written.contains(secret), "{secret} in:\n{written}");
    }
    assert!(written.contains(r#""route":"any""#), "the requests were logged:\n{written}");
}

/// The answer to these bytes, and the connection after it. The gateway does not wait for a client for ever: one that
/// the machine holds up for longer than `within` while it writes asks again.
fn answered(gateway: &Gateway, bytes: impl AsRef<[u8]>, within: Duration) -> (Response, Connection) {
    loop {
        let in_time = Deadline::after(within);
        let mut connection = Connection::open(gateway.front);
        // What is refused need not be read to its end.
        let _ = connection.write(&bytes);
        let is_late = in_time.left().is_none();
        match connection.try_receive() {
            Ok(answer) => return (answer, connection),
            Err(error) => assert!(is_late, "no whole answer: {error}"),
        }
    }
}

#[test]
fn heads_that_are_too_much_are_refused_in_our_words() {
    let (gateway, upstream) = Gateway::with_upstream();
    let mut many = get("/public");
    for number in 0..300 {
        many = many.header(&format!("X-{number}"), "v");
    }
    let huge = get("/sws").bearer(&"x".repeat(1 << 20));
    for request in [many, huge] {
        let (answer, _) = answered(&gateway, request.bytes(), LINGERS / 2);
        assert_eq!((answer.status, answer.header("Content-Type")), (431, Some("application/problem+json")));
        assert_eq!(answer.header("Connection"), Some("close"));
    }
    let large = gateway.send(&get("/sws").bearer(&"x".repeat(20_000)));
    assert_eq!((large.status, large.text().as_str()), (401, r#"{"error":401,"message":"No autorizado"}"#));
    upstream.received_nothing();
    assert_eq!(gateway.send(&get("/public")).status, 200);
}

#[test]
fn a_slow_head_is_closed_when_its_time_is_over() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).server("head_timeout = \"300ms\"").start();
    // One that has said nothing by then is closed without a word.
    let (answer, mut connection) = answered(&gateway, "GET /public HTTP/1.1\r\nHo", Duration::from_millis(150));
    assert_eq!(answer.status, 408);
    connection.is_closed();
    let mut silent = Connection::open(gateway.front);
    silent.is_closed();
    upstream.received_nothing();
}

#[test]
fn bodies_that_break_off_or_never_end_answer_in_the_contracts_shape() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).server("body_timeout = \"300ms\"").start();
    let patient = Config::standard(upstream.address).start();
    let head = "POST /api/Session/GetToken HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n";
    let mut ended = Connection::open(patient.front);
    ended.write(format!("{head}Content-Length: 100\r\n\r\n{{\"username\"")).unwrap();
    ended.end();
    assert_eq!(ended.receive().text(), r#"{"error":1,"message":"JSON inválido"}"#);
    let mut silent = Connection::open(gateway.front);
    silent.write(format!("{head}Content-Length: 100\r\n\r\n{{\"username\"")).unwrap();
    let answer = silent.receive();
    assert_eq!((answer.status, answer.json()["error"].as_u64()), (408, Some(1)));
    for chunks in ["zz\r\nabc\r\n", "3\nabc\n0\n\n", "FFFFFFFFFFFFFFFFF\r\nabc\r\n"] {
        let mut broken = Connection::open(gateway.front);
        broken.write(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}")).unwrap();
        assert_eq!(broken.receive().json()["error"], 1, "{chunks:?}");
    }
    assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).json()["usuario"]["id"], 1);
}

#[test]
fn a_body_that_is_too_large_is_413_whether_it_says_so_or_not() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let large = "a".repeat(100_000);
    for path in ["/api/Session/GetToken", "/api/auth/token", "/api/auth/refreshtoken", "/auth"] {
        let (said, _) = answered(&gateway, post(path, large.as_str()).bytes(), LINGERS / 2);
        let chunks = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
        let unsaid = post(path, chunks).header("Transfer-Encoding", "chunked");
        let (unsaid, _) = answered(&gateway, unsaid.bytes(), LINGERS / 2);
        assert_eq!((said.status, unsaid.status), (413, 413), "{path}");
        assert_eq!(said.text(), unsaid.text(), "{path}");
    }
    assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).json()["usuario"]["id"], 1);
}

#[test]
fn wrong_types_and_depths_are_no_logins() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    for body in [
        "",
        "null",
        "[]",
        "7",
        "\"x\"",
        "{",
        "{\"username\":",
        "{'username':1}",
        deep.as_str(),
        r#"{"username":1,"password":[]}"#,
        r#"{"username":"a","username":"a","password":"b"}"#,
        r#"{"username":"admin","password":"demo2024","x":{"y":1,"y":2}}"#,
        "{\"username\":\"\\ud800\",\"password\":\"b\"}",
    ] {
        let answer = gateway.send(&post("/api/Session/GetToken", body));
        assert_eq!((answer.status, answer.json()["error"].as_u64()), (200, Some(1)), "{body:.60}");
    }
    let mut bytes = br#"{"username":"admin","password":"#.to_vec();
    bytes.extend_from_slice(b"\"\xff\xfe\"}");
    assert_eq!(gateway.send(&post("/api/Session/GetToken", bytes)).json()["message"], "JSON inválido");
    assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).json()["usuario"]["id"], 1);
}

#[test]
fn what_follows_a_broken_body_is_never_a_request() {
    let (gateway, upstream) = Gateway::with_upstream();
    for path in ["/sws", "/nowhere", "/api/Session/GetToken", "/auth"] {
        for chunks in ["ZZ\r\n", "5\r\nhelloXX\r\n", "5\nhello\n0\n\n", "+5\r\nhello\r\n0\r\n\r\n", "-1\r\n"] {
            let mut connection = Connection::open(gateway.front);
            let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n");
            connection.write(format!("{head}Transfer-Encoding: chunked\r\n\r\n")).unwrap();
            connection.write(chunks).unwrap();
            let answer = connection.receive();
            assert_eq!(answer.header("Connection"), Some("close"), "{path} {chunks:?} {}", answer.status);
            // The gateway may have closed before this is sent.
            let _ = connection.write("GET /public/smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
            connection.is_closed();
        }
    }
    upstream.received_nothing();
}
