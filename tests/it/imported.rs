//! Imported keys: tokens that somebody else wrote, for accounts and in epochs that they say.

use serde_json::{Map, Value, json};

use crate::support::{
    Config, Contract, Database, Gateway, PATIENCE, Upstream,
    pen::{self, Pen, object, with},
    wait_until,
};

const SECRET: &str = "0123456789abcdef0123456789ABCDEF";

/// A gateway with a key of the realm `sws` that it and somebody else have.
fn with_field_key(how: &str) -> (Gateway, Pen, Upstream) {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    let import = format!("key import --realm sws --algorithm HS256 --kid field {how}");
    folder.command(import.trim_end(), SECRET).succeeded();
    (Gateway::run(folder), Pen::hs256("field", SECRET.as_bytes()), upstream)
}

/// The claims of a token that the gateway minted.
fn claims(token: &str) -> Map<String, Value> {
    let [_, claims] = pen::parts(token);
    claims
}

impl Gateway {
    /// What is decided about a request with this token, in the access log's word.
    #[track_caller]
    fn reason(&self, token: &str) -> String {
        self.decides("/sws", token).1
    }
}

#[test]
fn an_invented_epoch_outlives_nothing() {
    let (gateway, pen, _upstream) = with_field_key("--sign");
    let good = gateway.login(Contract::Sws);
    let ahead = |epoch: i64| pen.token(&with(&claims(&good), "epoch", json!(epoch)));
    assert_eq!(gateway.reason(&ahead(0)), "authenticated");
    let forged = [1, 999, 2_147_483_646, 2_147_483_647, 2_147_483_648, 4_294_967_295].map(ahead);
    for token in &forged {
        assert_eq!(gateway.reason(token), "unknown_epoch");
    }
    let account = "--realm sws --username admin";
    gateway.command(&format!("user disable {account}"), "").succeeded();
    gateway.wait_until_refused("its tokens end", "/sws", &good);
    gateway.command(&format!("user enable {account}"), "").succeeded();
    let next = gateway.login(Contract::Sws);
    assert_eq!(gateway.status("/sws", &next), 200, "it is used at once");
    for token in &forged[1..] {
        assert_eq!(gateway.reason(token), "unknown_epoch");
    }
    gateway.command(&format!("user delete {account}"), "").succeeded();
    gateway.wait_until_refused("its tokens end", "/sws", &next);
    assert!(forged.iter().all(|token| gateway.status("/sws", token) == 401), "nor a deletion");
}

#[test]
fn the_token_of_a_new_password_is_good_at_once() {
    for how in ["--sign", ""] {
        let (gateway, _, _upstream) = with_field_key(how);
        for round in 0..3 {
            let password = format!("another secret {round}");
            let changed = gateway.command("user set-password --realm sws --username admin --password-stdin", &password);
            changed.succeeded();
            let answer = gateway.send(&Contract::Sws.login_with(&password));
            let token = Contract::Sws.token_of(&answer).unwrap();
            assert_eq!(gateway.reason(&token), "authenticated", "round {round}");
        }
    }
}

/// A profile of tokens that name an account and little else.
const PROFILE: &str = "optional = [\"iss\", \"aud\", \"sub\", \"jti\", \"iat\", \"nbf\"]\n";

fn old_token(pen: &Pen, name: &str) -> String {
    pen.token(&object(json!({ "name": name, "exp": 4_000_000_000_i64 })))
}

#[test]
fn accounts_that_the_store_does_not_have_are_nobody() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    std::fs::write(folder.file("old.toml"), PROFILE).unwrap();
    let profile = folder.file("old.toml").to_str().unwrap().to_owned();
    // An account whose password was changed before: tokens of old take the epoch that it has at import.
    let password = "user set-password --realm sws --username admin --password-stdin";
    folder.command(password, "demo2024").succeeded();
    folder.command("user add --realm sws --username gone --password-stdin", "demo2024").succeeded();
    folder.command("user disable --realm sws --username gone", "").succeeded();
    let import = format!("key import --realm sws --algorithm HS256 --kid field --profile {profile}");
    let said = folder.command(&import, SECRET);
    assert!(said.stdout.contains("the first change that ends an account's tokens"), "{}", said.stdout);
    let gateway = Gateway::run(folder);
    let pen = Pen::hs256("field", SECRET.as_bytes());

    assert_eq!(gateway.reason(&old_token(&pen, "admin")), "authenticated");
    assert_eq!(gateway.reason(&old_token(&pen, "gone")), "principal_revoked", "it was disabled before");
    let eva = old_token(&pen, "eva");
    assert_eq!(gateway.reason(&eva), "unknown_account");
    gateway.command("user add --realm sws --username eva --password-stdin", "demo2024").succeeded();
    assert_eq!(gateway.reason(&eva), "authenticated", "the refusal is not remembered, and the request waits");
    // While the store is away nobody knows whether there is such an account; who is known goes on.
    let mut store = Database::of(&gateway);
    store.execute("ALTER TABLE principals RENAME TO away");
    gateway.process.event("the store cannot be followed; what is in force stays in force");
    let max = old_token(&pen, "max");
    assert_eq!(gateway.decides_at_once("/sws", &max), (503, "unavailable".to_owned()));
    assert_eq!((gateway.status("/sws", &eva), gateway.status("/sws", &old_token(&pen, "admin"))), (200, 200));
    store.execute("ALTER TABLE away RENAME TO principals");
    gateway.wait_until_refused("the store is followed again", "/sws", &max);
    gateway.command("user delete --realm sws --username eva", "").succeeded();
    gateway.wait_until_refused("its tokens end", "/sws", &eva);
    let said = gateway.command("user disable --realm sws --username admin", "");
    assert!(said.stdout.contains("those that are minted later included"), "{said:?}");
    gateway.wait_until_refused("its tokens end", "/sws", &old_token(&pen, "admin"));
    let gateway = gateway.kill_and_restart();
    assert_eq!(gateway.reason(&eva), "principal_revoked");
    assert_eq!(gateway.reason(&old_token(&pen, "max")), "unknown_account");
    assert!(!gateway.process.written().contains("tokens of unknown accounts"), "nothing to warn of");
}

#[test]
fn a_key_that_takes_anybody_says_so_and_can_be_restricted() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    std::fs::write(folder.file("old.toml"), format!("unknown_accounts = true\n{PROFILE}")).unwrap();
    let profile = folder.file("old.toml").to_str().unwrap().to_owned();
    let import = format!("key import --realm sws --algorithm HS256 --kid field --profile {profile}");
    folder.command(&import, SECRET).succeeded();
    let gateway = Gateway::run(folder);
    let warning = gateway.process.event("an imported key takes tokens of unknown accounts");
    assert_eq!(
        (&warning["id"], &warning["realm"], &warning["level"]),
        (&"field".into(), &"sws".into(), &"WARN".into())
    );
    let listed = gateway.command("key list", "");
    assert!(listed.stdout.contains("portero key restrict field"), "{}", listed.stdout);

    let pen = Pen::hs256("field", SECRET.as_bytes());
    let stranger = old_token(&pen, "nobody");
    for _ in 0..3 {
        assert_eq!(gateway.status("/sws", &stranger), 200);
    }
    assert_eq!(gateway.status("/sws", &old_token(&pen, "admin")), 200);
    let metrics = gateway.ask("/metrics").text();
    assert!(metrics.contains("portero_unknown_account_tokens_total{realm=\"sws\"} 1\n"), "{metrics}");

    gateway.command("key restrict field", "").succeeded();
    gateway.wait_until_refused("strangers end", "/sws", &stranger);
    assert_eq!(gateway.reason(&stranger), "unknown_account");
    assert_eq!(gateway.status("/sws", &old_token(&pen, "admin")), 200);
    let listed = gateway.command("key list --output json", "").json();
    let field = listed.as_array().unwrap().iter().find(|key| key["kid"] == "field").unwrap().clone();
    assert_eq!(field["unknown_accounts"], false);
    assert_eq!(gateway.command("key restrict nokey", "").code, 1);
    let own = listed.as_array().unwrap().iter().find(|key| key["imported"] == false).unwrap()["kid"].clone();
    let refused = gateway.command(&format!("key restrict {}", own.as_str().unwrap()), "");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
}

#[test]
fn a_token_that_says_the_id_of_one_account_and_the_name_of_another_is_nobodys() {
    for how in ["--sign".to_owned(), String::new(), "--profile".to_owned()] {
        let upstream = Upstream::start();
        let folder = Config::standard(upstream.address).with_accounts();
        std::fs::write(folder.file("old.toml"), PROFILE).unwrap();
        let how = if how == "--profile" { format!("{how} {}", folder.file("old.toml").display()) } else { how };
        folder.command("user add --realm sws --username eva --password-stdin", "demo2024").succeeded();
        let import = format!("key import --realm sws --algorithm HS256 --kid field {how}");
        folder.command(import.trim_end(), SECRET).succeeded();
        let (gateway, pen) = (Gateway::run(folder), Pen::hs256("field", SECRET.as_bytes()));
        // Its issuer and form are those of ours; with a profile, of a token of old.
        let good = claims(&gateway.login(Contract::Sws));
        let listed = gateway.command("user list --realm sws --output json", "").json();
        let eva = listed.as_array().unwrap().iter().find(|user| user["name"] == "eva").unwrap()["id"].clone();
        let token = |sub: &Value, name: &str| pen.token(&with(&with(&good, "sub", sub.clone()), "name", name.into()));
        let stranger = json!("5f0c5a3e-8a0b-4d0f-9d5e-0123456789ab");
        assert_eq!(gateway.reason(&token(&good["sub"], "admin")), "authenticated", "{how}");
        assert_eq!(gateway.reason(&token(&eva, "eva")), "authenticated", "{how}");
        for (sub, name) in [(&eva, "admin"), (&good["sub"], "eva"), (&eva, "nobody"), (&stranger, "admin")] {
            assert_eq!(gateway.reason(&token(sub, name)), "unknown_account", "{how} {sub} {name}");
        }
        gateway.command("user disable --realm sws --username admin", "").succeeded();
        let own = token(&good["sub"], "admin");
        gateway.wait_until_refused("its tokens end", "/sws", &own);
        assert_ne!(gateway.status("/sws", &token(&eva, "admin")), 200, "{how}");
        assert_eq!(gateway.status("/sws", &token(&eva, "eva")), 200, "{how}");
    }
}

#[test]
fn a_key_that_is_retired_at_once_takes_what_has_the_same_material_with_it() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    std::fs::write(folder.file("old.toml"), format!("unnamed = true\n{PROFILE}")).unwrap();
    let profile = folder.file("old.toml").display().to_string();
    for kid in ["first", "second"] {
        let import = format!("key import --realm sws --algorithm HS256 --kid {kid} --profile {profile}");
        let said = folder.command(&import, SECRET);
        assert!(said.stdout.contains("that name it as their key, or name none, and carry"), "{}", said.stdout);
    }
    let gateway = Gateway::run(folder);
    let pen = Pen::hs256("first", SECRET.as_bytes());
    let unnamed = |exp: i64| {
        let mut header = pen.header();
        header.remove("kid");
        let claims = object(json!({ "name": "admin", "exp": exp }));
        pen.sign_parts(pen::json(&header), pen::json(&claims))
    };
    let (used, unused) = (unnamed(4_000_000_000), unnamed(4_000_000_001));
    assert_eq!(gateway.status("/sws", &used), 200);
    let retired = gateway.command("key retire first --force --output json", "").json();
    assert_eq!((&retired["retired"], &retired["same_material"]), (&json!("first"), &json!(["second"])));
    gateway.wait_until_refused("it ends", "/sws", &used);
    assert_eq!(gateway.status("/sws", &unused), 401);
    let gateway = gateway.kill_and_restart();
    assert_eq!([&used, &unused].map(|token| gateway.status("/sws", token)), [401; 2]);

    // Where one of them signs, its tokens are not to end by the way.
    let import = |kid: &str, how: &str| format!("key import --realm sws --algorithm HS256 --kid {kid} {how}");
    gateway.command(&import("third", "--sign"), SECRET).succeeded();
    gateway.command(&import("fourth", &format!("--profile {profile}")), SECRET).succeeded();
    let refused = gateway.command("key retire fourth --force", "");
    assert!(refused.code == 1 && refused.stderr.contains("key third has the same material"), "{refused:?}");
}

#[test]
fn an_import_says_which_tokens_it_takes() {
    let folder = Config::new().with_accounts();
    let named = folder.command("key import --realm sws --algorithm HS256 --kid a", SECRET);
    named.succeeded();
    for claim in ["iss", "aud", "sub", "jti", "iat", "nbf", "exp", "sid", "epoch", "token_use", "name"] {
        assert!(named.stdout.contains(claim), "{claim}: {}", named.stdout);
    }
    let unnamed = folder.command("key import --realm sws --algorithm HS256 --encoding base64", &encode_standard());
    unnamed.succeeded();
    assert!(unnamed.stdout.contains("name no key") && !unnamed.stdout.contains("epoch,"), "{}", unnamed.stdout);
}

fn encode_standard() -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode("0123456789abcdef0123456789ABCDEG")
}

#[test]
fn an_imported_key_waits_for_accounts_that_cannot_be_read_and_holds_up_nothing() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    std::fs::write(folder.file("old.toml"), format!("unknown_accounts = true\n{PROFILE}")).unwrap();
    folder.command("user add --realm sws --username broken --password-stdin", "demo2024").succeeded();
    let gateway = Gateway::run(folder);
    let ended = gateway.login(Contract::Sws);
    let mut store = Database::of(&gateway);
    store.execute("UPDATE principals SET id = x'00' WHERE name = 'broken'");
    let profile = gateway.folder.file("old.toml").to_str().unwrap().to_owned();
    let import = format!("key import --realm sws --algorithm HS256 --kid field --profile {profile}");
    gateway.command(&import, SECRET).succeeded();
    gateway.process.event("accounts cannot be read; imported keys wait for them");
    let old = old_token(&Pen::hs256("field", SECRET.as_bytes()), "admin");
    assert_eq!(gateway.reason(&old), "unknown_key");
    gateway.command("revoke token", &ended).succeeded();
    gateway.wait_until_refused("the store is followed meanwhile", "/sws", &ended);
    assert_eq!(gateway.ask("/health/ready").status, 200);
    store.execute(
        "UPDATE principals SET id = (SELECT account FROM account_numbers WHERE account NOT IN (SELECT id FROM principals)) \
         WHERE id = x'00'",
    );
    wait_until("the key is in force", PATIENCE, || gateway.status("/sws", &old) == 200);
    assert_eq!(gateway.process.event("an imported key takes tokens of unknown accounts")["id"], "field");

    // Nor does a revoked key wait where the accounts that come cannot be read.
    store.execute("INSERT INTO account_numbers (account) VALUES (x'00')");
    gateway.process.event("the store cannot be followed; what is in force stays in force");
    wait_until("it is not ready", PATIENCE, || gateway.ask("/health/ready").status == 503);
    assert_eq!(gateway.status("/sws", &old), 200);
    gateway.command("key revoke field", "").succeeded();
    wait_until("the key is revoked", PATIENCE, || gateway.reason(&old) == "key_revoked");
    wait_until("nobody asks for accounts any more", PATIENCE, || gateway.ask("/health/ready").status == 200);
}
