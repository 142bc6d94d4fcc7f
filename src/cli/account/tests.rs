use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    cli::{output::Format, secret::tests::Typed},
    domain::{AccountName, Clock, SystemClock, Timestamp},
    rules::{
        dialect::{self, Dialect},
        realm::Lifetime,
    },
    state::{
        account::{self, password},
        clock::TrustedClock,
        keys::{self, Vault},
        store::{Actor, Store, StoreSettings},
    },
};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_768_564_800)
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }

    fn since_boot(&self) -> Duration {
        SystemClock.since_boot()
    }
}

/// One realm a dialect, named after it.
fn realms() -> Vec<Arc<Realm>> {
    let named = |dialect: Dialect| {
        Arc::new(Realm {
            name: dialect.name().parse().unwrap(),
            dialect,
            issuer: format!("https://gateway.example.com/{dialect}"),
            audience: "api".into(),
            leeway: Duration::from_secs(30),
            algorithm: dialect.default_algorithm(),
            keeps_algorithm: false,
            lifetime: Lifetime::EndOfDay,
            content_lifetime: Duration::from_secs(3600),
            refresh_lifetime: Duration::from_secs(3600),
            wire: dialect::DialectSettings::default(),
            uniform_errors: false,
        })
    };
    Dialect::ALL.map(named).to_vec()
}

/// A store, and a config with one realm a dialect, named after it.
struct Bench {
    _folder: TempDir,
    store: Store,
    admin: AdminService,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let master = keys::VaultSettings { master_key_file: folder.path().join("master.key") };
        let vault = Vault::open(store.clone(), &master).await.unwrap();
        let actor = Actor::command("root", "no terminal");
        let admin = AdminService::new(actor, &vault, TrustedClock::begin(None, Arc::new(Noon)), None);
        Self { _folder: folder, store, admin }
    }

    /// Runs `portero {line}` for somebody who types `typed`.
    async fn run(&self, line: &str, typed: &[&'static str]) -> Result<Output, CliError> {
        let cli = Cli::try_parse_from(["portero"].into_iter().chain(line.split(' '))).unwrap();
        let mut context = Context { admin: &self.admin, realms: &realms(), input: &mut Typed(typed.to_vec()) };
        cli.command.run(&mut context).await
    }

    async fn json(&self, line: &str, typed: &[&'static str]) -> Value {
        self.run(line, typed).await.unwrap().json
    }

    async fn refusal(&self, line: &str) -> String {
        let error = self.run(line, &["1234", "1234"]).await.unwrap_err();
        assert_eq!(error.exit_code(), 1, "{line}: {error}");
        error.to_string()
    }

    async fn opens(&self, realm: &str, business: &str, name: &str, secret: &str) -> bool {
        let name = AccountName { business: business.into(), name: name.into() };
        let account = account::find(&self.store, &realm.parse().unwrap(), &name).await.unwrap().unwrap();
        password::verify(&secret.into(), Some(&account.password_hash.open(account.id, None).unwrap()))
    }
}

#[tokio::test]
async fn a_user_is_made_with_a_password_from_standard_input() {
    let bench = Bench::new().await;
    let line = "user add --config g.toml --realm sws --username ana --name Ana --role USER --scope a --scope b \
                --id b331336a-46f4-4fe4-a850-3208bfc2c398 --password-stdin --output json";
    let made = bench.json(line, &["1234\n"]).await;
    let expected = json!({
        "id": "b331336a-46f4-4fe4-a850-3208bfc2c398", "realm": "sws", "kind": "user", "business": null,
        "name": "ana", "display_name": "Ana", "legacy_id": 1, "role": "USER", "scopes": ["a", "b"],
        "company": null, "disabled": false, "locked": false, "epoch": 0, "created_at": "2026-01-16T12:00:00Z",
    });
    assert_eq!(made, expected);
    assert!(bench.opens("sws", "", "ana", "1234").await);
    assert_eq!(bench.json("user show --realm sws --username ana", &[]).await, expected);
    assert_eq!(bench.json("user list --realm sws", &[]).await, json!([expected]));
}

#[tokio::test]
async fn a_prompted_password_is_not_shown() {
    let bench = Bench::new().await;
    let output = bench.run("project add --realm toc --business B --proyecto P", &["hunter2", "hunter2"]).await.unwrap();
    assert_eq!(output.text, "project 'B/P' of realm 'toc' is made");
    assert!(!output.json.to_string().contains("hunter2"));
    assert!(!output.json.to_string().contains("argon2"));
    assert!(bench.opens("toc", "B", "P", "hunter2").await);
}

#[tokio::test]
async fn a_clients_secret_is_made_and_shown_once() {
    let bench = Bench::new().await;
    let output = bench.run("client add --realm maxpoint --id C", &[]).await.unwrap();
    let first = output.json["secret"].as_str().unwrap().to_owned();
    assert!(output.text.contains(&format!("secret: {first} (shown only now)")));
    assert!(bench.opens("maxpoint", "", "C", &first).await);
    assert!(bench.json("client show --realm maxpoint --id C", &[]).await.get("secret").is_none());

    // `maxpoint`: tokens live on until they expire, unless the administrator ends them.
    let rotated = bench.json("client rotate-secret --realm maxpoint --id C", &[]).await;
    assert_eq!(rotated["epoch"], 0);
    assert!(bench.opens("maxpoint", "", "C", rotated["secret"].as_str().unwrap()).await);
    assert!(!bench.opens("maxpoint", "", "C", &first).await);
    let line = "client rotate-secret --realm maxpoint --id C --revoke --secret-stdin";
    let revoked = bench.json(line, &["given"]).await;
    assert_eq!((&revoked["epoch"], revoked.get("secret")), (&json!(1), None));
    assert!(bench.opens("maxpoint", "", "C", "given").await);
}

#[tokio::test]
async fn each_verb_changes_what_it_says() {
    let bench = Bench::new().await;
    bench.json("user add --realm apis --username ana --generate", &[]).await;
    for (verb, typed, member, value, epoch) in [
        ("disable", vec![], "disabled", json!(true), 1),
        ("enable", vec![], "disabled", json!(false), 1),
        ("lock", vec![], "locked", json!(true), 1),
        ("unlock", vec![], "locked", json!(false), 1),
        ("set-role --role ADMIN", vec![], "role", json!("ADMIN"), 2),
        ("set-role --no-role", vec![], "role", json!(null), 3),
        ("set-password", vec!["new", "new"], "legacy_id", json!(null), 4),
        ("rotate-secret --password-stdin", vec!["newer"], "legacy_id", json!(null), 5),
        ("delete", vec![], "deleted", json!(true), 5),
    ] {
        let changed = bench.json(&format!("user {verb} --realm apis --username ana"), &typed).await;
        assert_eq!((&changed[member], &changed["epoch"]), (&value, &json!(epoch)), "{verb}");
    }
    assert_eq!(bench.json("user list --realm apis", &[]).await, json!([]));
}

#[tokio::test]
async fn a_companys_clients_belong_to_one_that_exists() {
    let bench = Bench::new().await;
    let add_client = "client add --realm become --id C --permission identity:read --company acme";
    let missing = "there is no company 'acme' in realm 'become': add it first, with portero company add";
    assert_eq!(bench.refusal(add_client).await, missing);
    bench.json("company add --realm become --name acme", &[]).await;
    let client = bench.json(add_client, &[]).await;
    assert_eq!((&client["company"], &client["scopes"]), (&json!("acme"), &json!(["identity:read"])));
    let acme = json!({"realm": "become", "name": "acme", "disabled": true, "created_at": "2026-01-16T12:00:00Z"});
    assert_eq!(bench.json("company disable --realm become --name acme", &[]).await, acme);
    assert_eq!(bench.json("company list --realm become", &[]).await, json!([acme]));
    assert_eq!(bench.json("company enable --realm become --name acme", &[]).await["disabled"], false);
    assert_eq!(bench.json("company delete --realm become --name acme", &[]).await["deleted"], true);
    assert_eq!(bench.json("client show --realm become --id C", &[]).await["epoch"], 2);
    let gone = "there is no company 'acme' in realm 'become'";
    assert_eq!(bench.refusal("company show --realm become --name acme").await, gone);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_name() {
    let bench = Bench::new().await;
    bench.json("user add --realm apis --username ana --password-stdin", &["1234"]).await;
    let long = "R".repeat(60);
    for (line, text) in [
        ("user add --realm apis --username ana", "account 'ana' in realm 'apis' exists already"),
        ("user disable --realm apis --username eva", "there is no account 'eva' in realm 'apis'"),
        ("user set-password --realm apis --username eva", "there is no account 'eva' in realm 'apis'"),
        ("user delete --realm apis --username eva", "there is no account 'eva' in realm 'apis'"),
        ("user list --realm nope", "the config has no realm 'nope'"),
        (
            "user add --realm maxpoint --username eva",
            "realm 'maxpoint' speaks maxpoint: its accounts are clients, not users",
        ),
        (
            "user add --realm apis --username eva --legacy-id 1",
            "realm 'apis' speaks apis: only accounts of sws have a legacy id",
        ),
        (
            "client add --realm maxpoint --id c --grant refresh_token",
            "realm 'maxpoint' speaks maxpoint: only clients of oauth have grants",
        ),
        (
            "client add --realm maxpoint --id c --company acme",
            "realm 'maxpoint' speaks maxpoint: only clients of become have a company",
        ),
        ("client add --realm become --id c", "realm 'become' speaks become: a client needs a company"),
        ("company list --realm apis", "realm 'apis' speaks apis: only become has companies"),
        (
            &format!("user add --realm apis --username eva --role {long}"),
            "name, role and scopes have 63 bytes together; the tokens of realm 'apis' hold 60",
        ),
        (
            &format!("user set-role --realm apis --username ana --role {long}"),
            "name, role and scopes have 63 bytes together; the tokens of realm 'apis' hold 60",
        ),
        (
            "user add --realm apis --username eva --scope é",
            "a scope may contain only visible ASCII characters but for '\"' and '\\'",
        ),
    ] {
        assert_eq!(bench.refusal(line).await, text, "{line}");
    }
    assert_eq!(bench.json("user list --realm apis", &[]).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_out_of_reach_is_trouble() {
    let bench = Bench::new().await;
    bench.store.close().await;
    let error = bench.run("user list --realm apis", &[]).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn the_command_line_is_well_formed_and_takes_no_secret() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
    let parse = |line: &str| Cli::try_parse_from(["portero"].into_iter().chain(line.split(' '))).map(|cli| cli.command);
    let common = parse("user list --realm apis").unwrap().common().clone();
    assert_eq!((common.config.path().to_str(), common.output), (Some("gateway.toml"), Format::Text));
    for line in [
        "user add --realm apis --username a --password 1234",
        "user add --realm apis --username a --password-stdin --generate",
        "user add --realm APIS --username a",
        "user set-role --realm apis --username a",
        "user set-role --realm apis --username a --role R --no-role",
        "user list",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}
