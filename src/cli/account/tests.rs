use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    cli::{
        output::{CliError, Format, Output},
        secret::tests::Typed,
    },
    decision::AdminService,
    domain::{AccountName, Clock, SystemClock, Timestamp},
    rules::{
        contract::{self, Dialect},
        realm::{Lifetime, Realm},
    },
    state::{
        account,
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
            algorithm: dialect.facts().tokens.algorithm,
            issuer: format!("https://gateway.example.com/{dialect}"),
            audience: "api".into(),
            leeway: Duration::from_secs(30),
            keeps_algorithm: false,
            lifetime: Lifetime::EndOfDay,
            content_lifetime: Duration::from_secs(3600),
            refresh_lifetime: Duration::from_secs(3600),
            wire: contract::DialectSettings::default(),
            uniform_errors: false,
            dialect,
        })
    };
    Dialect::shipped().map(named).collect()
}

/// A store, and a config with one realm a dialect, named after it.
struct Bench {
    _folder: TempDir,
    store: Store,
    admin: AdminService,
}

impl Bench {
    async fn new() -> Self {
        let folder = crate::memory::new_folder();
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
        let error = self.run(line, &["12345678", "12345678"]).await.unwrap_err();
        assert_eq!(error.exit_code(), 1, "{line}: {error}");
        error.to_string()
    }

    async fn opens(&self, realm: &str, business: &str, name: &str, secret: &str) -> bool {
        let name = AccountName { business: business.into(), name: name.into() };
        let account = account::find(&self.store, &realm.parse().unwrap(), &name).await.unwrap().unwrap();
        let credentials = account.credentials(Noon.now());
        let current = credentials.current.open(account.id, None).unwrap();
        credentials.opened(current, None).verify(&secret.into()).is_some()
    }
}

#[tokio::test]
async fn a_user_is_made_with_a_password_from_standard_input() {
    let bench = Bench::new().await;
    let line = "user add --config g.toml --realm sws --username ana --name Ana --role USER --scope a --scope b \
                --id b331336a-46f4-4fe4-a850-3208bfc2c398 --password-stdin --output json";
    let made = bench.json(line, &["12345678\n"]).await;
    let expected = json!({
        "id": "b331336a-46f4-4fe4-a850-3208bfc2c398", "realm": "sws", "kind": "user", "business": null,
        "name": "ana", "display_name": "Ana", "legacy_id": 1, "role": "USER", "scopes": ["a", "b"],
        "company": null, "disabled": false, "locked": false, "epoch": 0, "secret_made": false,
        "previous_secret_ends_at": null, "last_login_at": null, "failed_logins": 0, "created_at": "2026-01-16T12:00:00Z",
    });
    assert_eq!(made, expected);
    assert!(bench.opens("sws", "", "ana", "12345678").await);
    assert_eq!(bench.json("user show --realm sws --username ana", &[]).await, expected);
    assert_eq!(bench.json("user list --realm sws", &[]).await, json!([expected]));
}

#[tokio::test]
async fn a_prompted_password_is_not_shown() {
    let bench = Bench::new().await;
    let output =
        bench.run("project add --realm toc --business B --proyecto P", &["hunter22", "hunter22"]).await.unwrap();
    assert_eq!(output.text, "project 'B/P' of realm 'toc' is made");
    assert!(!output.json.to_string().contains("hunter22"));
    assert!(!output.json.to_string().contains("argon2"));
    assert!(bench.opens("toc", "B", "P", "hunter22").await);
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
    let revoked = bench.json(line, &["given one"]).await;
    assert_eq!((&revoked["epoch"], revoked.get("secret")), (&json!(1), None));
    assert!(bench.opens("maxpoint", "", "C", "given one").await);
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
        ("set-password", vec!["new one!", "new one!"], "legacy_id", json!(null), 4),
        ("rotate-secret --password-stdin", vec!["newer one"], "legacy_id", json!(null), 5),
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
    bench.json("user add --realm apis --username ana --password-stdin", &["12345678"]).await;
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
            &format!("user set --realm apis --username ana --scope {long}"),
            "name, role and scopes have 63 bytes together; the tokens of realm 'apis' hold 60",
        ),
        (
            "user set --realm apis --username ana --legacy-id 7",
            "realm 'apis' speaks apis: only accounts of sws have a legacy id",
        ),
        ("user set --realm apis --username eva --no-role", "there is no account 'eva' in realm 'apis'"),
        ("user set --realm apis --username ana", "nothing is said that shall change: see the options of --help"),
        (
            "user rotate-secret --realm apis --username ana --overlap 7d",
            "only clients and projects have two secrets for a while; a user's old password ends at once",
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
async fn what_an_account_is_changes_and_ends_its_tokens_where_they_carry_it() {
    let bench = Bench::new().await;
    bench.json("user add --realm sws --username ana --generate", &[]).await;
    bench.json("user add --realm sws --username eva --generate", &[]).await;
    for (change, member, value, epoch) in [
        ("--name Ana", "display_name", json!("Ana"), 0),
        ("--no-name", "display_name", json!(null), 0),
        ("--scope b --scope a", "scopes", json!(["b", "a"]), 1),
        ("--scope a --scope b", "scopes", json!(["a", "b"]), 1),
        ("--no-scopes", "scopes", json!([]), 2),
        ("--legacy-id 70", "legacy_id", json!(70), 3),
        ("--legacy-id 70", "legacy_id", json!(70), 3),
        ("--role ADMIN --name A", "role", json!("ADMIN"), 4),
        ("--no-role", "role", json!(null), 5),
    ] {
        let changed = bench.json(&format!("user set --realm sws --username ana {change}"), &[]).await;
        assert_eq!((&changed[member], &changed["epoch"]), (&value, &json!(epoch)), "{change}");
    }
    let taken = "the legacy id 70 in realm 'sws' exists already";
    assert_eq!(bench.refusal("user set --realm sws --username eva --legacy-id 70").await, taken);
    // The number is gone for good, and the next one is behind it.
    assert_eq!(bench.json("user add --realm sws --username leo --generate", &[]).await["legacy_id"], 71);

    bench.json("company add --realm become --name acme", &[]).await;
    bench.json("company add --realm become --name other", &[]).await;
    bench.json("client add --realm become --id C --company acme", &[]).await;
    let set = "client set --realm become --id C";
    assert_eq!(bench.json(&format!("{set} --company other"), &[]).await["epoch"], 1);
    let missing = "there is no company 'none' in realm 'become': add it first, with portero company add";
    assert_eq!(bench.refusal(&format!("{set} --company none")).await, missing);
    assert_eq!(bench.json(&format!("{set} --permission identity:read"), &[]).await["scopes"], json!(["identity:read"]));

    bench.json("client add --realm oauth --id C --grant refresh_token", &[]).await;
    let set = "client set --realm oauth --id C";
    let granted = bench.json(&format!("{set} --grant client_credentials"), &[]).await;
    assert_eq!((&granted["grants"], &granted["epoch"]), (&json!(["client_credentials"]), &json!(0)));
    assert_eq!(bench.json(&format!("{set} --all-grants"), &[]).await.get("grants"), None);
}

#[tokio::test]
async fn two_secrets_overlap_until_one_ends() {
    let bench = Bench::new().await;
    let rotate = "client rotate-secret --realm maxpoint --id C";
    let secret = |made: &Value| made["secret"].as_str().unwrap().to_owned();
    let first = secret(&bench.json("client add --realm maxpoint --id C", &[]).await);
    assert!(first.starts_with("pto_"));
    let made = bench.json(&format!("{rotate} --overlap 7d"), &[]).await;
    let ends = json!("2026-01-23T12:00:00Z");
    assert_eq!((&made["previous_secret_ends_at"], &made["epoch"]), (&ends, &json!(0)));
    assert_eq!(made["secret_made"], true);
    let second = secret(&made);
    assert!(bench.opens("maxpoint", "", "C", &first).await && bench.opens("maxpoint", "", "C", &second).await);
    // A third one takes the place of the first.
    let chosen = bench.json(&format!("{rotate} --overlap 1h --secret-stdin"), &["chosen one"]).await;
    assert_eq!(
        (&chosen["previous_secret_ends_at"], &chosen["secret_made"]),
        (&json!("2026-01-16T13:00:00Z"), &json!(false))
    );
    assert!(!bench.opens("maxpoint", "", "C", &first).await && bench.opens("maxpoint", "", "C", &second).await);
    let ended = bench.run(&format!("{rotate} --end-overlap"), &[]).await.unwrap();
    assert_eq!((&ended.json["previous_secret_ends_at"], ended.json.get("secret")), (&json!(null), None));
    assert!(ended.text.contains("taken no more"), "{}", ended.text);
    assert!(!bench.opens("maxpoint", "", "C", &second).await && bench.opens("maxpoint", "", "C", "chosen one").await);
    assert!(bench.run(&format!("{rotate} --end-overlap"), &[]).await.unwrap().text.contains("there was no old one"));
    // One without an overlap ends what came before at once.
    bench.json(&format!("{rotate} --overlap 90d"), &[]).await;
    let last = bench.json(rotate, &[]).await;
    assert_eq!(last["previous_secret_ends_at"], json!(null));
    assert!(!bench.opens("maxpoint", "", "C", "chosen one").await);
}

#[tokio::test]
async fn bad_passwords_are_not_set() {
    let bench = Bench::new().await;
    for (typed, text) in [
        ("1234567", "the password has fewer than 8 characters"),
        ("pto_mistyped-secret", "the secret begins with pto_ and its checksum is wrong: it was cut or mistyped"),
    ] {
        let line = "user add --realm apis --username ana --password-stdin";
        assert_eq!(bench.run(line, &[typed]).await.unwrap_err().to_string(), text);
    }
}

#[tokio::test]
async fn a_list_has_an_end_that_says_how_to_go_on() {
    let bench = Bench::new().await;
    for name in ["b", "a", "c"] {
        bench.json(&format!("user add --realm apis --username {name} --generate"), &[]).await;
    }
    bench.json("user lock --realm apis --username c", &[]).await;
    let names = async |options: &str| {
        let listed = bench.json(&format!("user list --realm apis {options}"), &[]).await;
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|account| account["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("--limit 2").await, ["a", "b"]);
    assert_eq!(names("--limit 2 --after b").await, ["c"]);
    assert_eq!(names("--sort created --descending").await, ["c", "b", "a"], "made at once: by name, turned round");
    assert_eq!(names("--status locked").await, ["c"]);
    assert_eq!(names("--name-prefix b --never-logged-in").await, ["b"]);
    assert_eq!(names("--last-login-before 2030-01-01T00:00:00Z").await, [""; 0]);
    let page = bench.run("user list --realm apis --limit 2", &[]).await.unwrap();
    assert!(page.text.ends_with("there may be more: --after b"), "{}", page.text);
    assert!(page.text.starts_with("NAME  ROLE  STATE   LAST LOGIN  FAILED  ID"), "{}", page.text);
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
        "user list --realm apis --status away",
        "user list --realm apis --sort age",
        "user set --realm apis --username a --name N --no-name",
        "user set --realm apis --username a --company C",
        "client rotate-secret --realm apis --id a --overlap 91d",
        "client rotate-secret --realm apis --id a --overlap 1d --revoke",
        "client rotate-secret --realm apis --id a --end-overlap --generate",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}
