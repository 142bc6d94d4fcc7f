//! Keys rotate, come and go, and no token is refused that should be taken, nor taken that should be refused.

use std::{collections::HashSet, env, fs, thread, time::Duration};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value};

use crate::support::{
    Config, Connection, Contract, Deadline, Gateway, PATIENCE, Process, Upstream, command, get, wait_until,
};

/// An old shared secret of 32 bytes.
const OLD_SECRET: &str = "0123456789abcdef0123456789ABCDEF";

/// The header and the claims of a JWT.
fn parts(token: &str) -> [Map<String, Value>; 2] {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}

fn kid(token: &str) -> String {
    parts(token)[0]["kid"].as_str().unwrap().to_owned()
}

/// A token with the claims of another, as an older issuer signed it.
fn signed_as(token: &str, kid: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(&header, &parts(token)[1], key).unwrap()
}

/// Whether who has this key takes the token, as a service behind does.
fn verifies(token: &str, algorithm: Algorithm, key: &DecodingKey) -> bool {
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&["api"]);
    jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation).is_ok()
}

impl Gateway {
    /// The keys of a realm, as the command lists them.
    fn keys(&self, realm: &str) -> Vec<Value> {
        self.command(&format!("key list --realm {realm} --output json"), "").json().as_array().unwrap().clone()
    }

    fn states(&self, realm: &str) -> Vec<String> {
        self.keys(realm).iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn refused(&self, words: &str, stdin: &str, why: &str) {
        let ran = self.command(words, stdin);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(why), "{words}: {}", ran.stderr);
    }

    #[track_caller]
    fn soon(&self, what: &str, path: &str, token: &str, status: u16) {
        wait_until(what, PATIENCE, || self.status(path, token) == status);
    }
}

/// What one client met while keys rotated.
#[derive(Debug, Default)]
struct Met {
    keys: HashSet<String>,
    logins: usize,
    requests: usize,
    wrong: Vec<String>,
}

/// Logs in and asks with new and old tokens until the time is over and more than one key has signed.
fn traffic(gateway: &Gateway, contract: Contract, seconds: u64) -> Met {
    let over = Deadline::after(Duration::from_secs(seconds));
    let patience = Deadline::after(Duration::from_secs(seconds) + PATIENCE);
    let mut connection = Connection::open(gateway.front);
    let mut met = Met::default();
    // `become`'s tokens live for 5 seconds and 10 more of leeway: those older than 5 are let go.
    let mut tokens: Vec<(String, Deadline)> = vec![];
    while over.left().is_some() || (met.keys.len() < 2 && patience.left().is_some()) {
        let answer = connection.send(&contract.login_with(contract.secret()));
        met.logins += 1;
        let Some(token) = contract.token_of(&answer) else {
            met.wrong.push(format!("login: {answer:?}"));
            continue;
        };
        // A sealed token carries its key's id in its first bytes.
        let key = if contract == Contract::Apis { token[..6].to_owned() } else { kid(&token) };
        met.keys.insert(key);
        let life = if contract == Contract::Become { Duration::from_secs(5) } else { Duration::from_secs(900) };
        tokens.push((token, Deadline::after(life)));
        tokens.retain(|(_, end)| end.left().is_some());
        // The newest, the oldest, and some between.
        let step = tokens.len().div_ceil(8);
        for (token, _) in tokens.iter().rev().take(1).chain(tokens.iter().step_by(step)) {
            let path = format!("/{}", contract.realm());
            let answer = connection.send(&get(&path).bearer(token));
            met.requests += 1;
            if answer.status != 200 {
                met.wrong.push(format!("{path}: {} {}", answer.status, answer.text()));
            }
        }
    }
    met
}

/// `PORTERO_ROTATION_SECONDS` makes this the long run, in which keys retire too.
#[test]
fn no_answer_is_wrong_while_keys_rotate_under_load() {
    let seconds = env::var("PORTERO_ROTATION_SECONDS").map_or(5, |seconds| seconds.parse().unwrap());
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address)
        .text("[keys]\nrotate_every = \"2s\"\npublish_ahead = \"500ms\"\nretire_after = \"0s\"")
        .replace("[tokens]", "[tokens]\nleeway = \"10s\"")
        .replace("[realms.maxpoint]", "[realms.maxpoint]\nalgorithm = \"ES256\"")
        .replace("[realms.toc]", "[realms.toc]\nalgorithm = \"RS256\"")
        .replace("[realms.become]", "[realms.become]\nalgorithm = \"EdDSA\"\nlifetime = \"5s\"")
        .start();
    let met: Vec<_> = thread::scope(|scope| {
        let clients = Contract::ALL.map(|contract| {
            let gateway = &gateway;
            (contract, scope.spawn(move || traffic(gateway, contract, seconds)))
        });
        clients.into_iter().map(|(contract, client)| (contract, client.join().unwrap())).collect()
    });
    for (contract, met) in &met {
        let (keys, states) = (met.keys.len(), gateway.states(contract.realm()));
        println!("{contract:?}: {} logins, {} requests, {keys} keys; {states:?}", met.logins, met.requests);
        assert!(met.wrong.is_empty(), "{contract:?}: {} wrong: {:?}", met.wrong.len(), met.wrong[0]);
        assert!(keys >= 2, "{contract:?} met {keys} keys");
        assert_eq!(states.iter().filter(|state| *state == "active").count(), 1, "{contract:?}");
        let retired = states.iter().filter(|state| *state == "retired").count();
        match contract {
            Contract::Become => {
                assert!(retired > 0 || seconds < 45, "its keys retire with their last token: {states:?}");
            }
            _ => assert_eq!(retired, 0, "{contract:?}: its tokens live on: {states:?}"),
        }
    }
}

#[test]
fn a_rotation_by_hand_is_published_first() {
    let upstream = Upstream::start();
    let keys = "[keys]\npublish_ahead = \"100ms\"";
    let config = Config::standard(upstream.address)
        .text(keys)
        .replace("[realms.maxpoint]", "[realms.maxpoint]\nalgorithm = \"ES256\"");
    let gateway = config.start();
    let old = gateway.login(Contract::Maxpoint);
    let said = gateway.command("key rotate --realm maxpoint --output json", "").json();
    assert_eq!(said[0]["state"], "next");
    wait_until("it signs", PATIENCE, || kid(&gateway.login(Contract::Maxpoint)) == said[0]["kid"]);
    assert_eq!(gateway.status("/maxpoint", &old), 200);
    assert_eq!(gateway.states("maxpoint"), ["retiring", "active"]);

    let said = gateway.command("key rotate --realm maxpoint --now --output json", "").json();
    assert_eq!(said[0]["state"], "active");
    wait_until("it signs", PATIENCE, || kid(&gateway.login(Contract::Maxpoint)) == said[0]["kid"]);
    assert_eq!(gateway.status("/maxpoint", &old), 200);

    // A longer wait and a schedule come with a reload.
    config.replace(keys, "[keys]\npublish_ahead = \"30d\"").write_to(&gateway.folder);
    gateway.process.signal("HUP");
    gateway.process.event("the config was taken over");
    let arguments = ["key", "rotate", "--realm", "sws", "--config", &gateway.folder.config()];
    let both = [(); 2].map(|()| Process::spawn(&mut command(&arguments), ""));
    for one in both {
        one.finish().succeeded();
    }
    assert_eq!(gateway.states("sws"), ["active", "next"], "two that rotate at once make one key");
    let next = gateway.keys("sws")[1]["kid"].as_str().unwrap().to_owned();
    gateway.refused(&format!("key retire {}", kid(&gateway.login(Contract::Sws))), "", "key rotate --realm sws");
    gateway.command(&format!("key retire {next}"), "").succeeded();
    gateway.refused(&format!("key retire {}", kid(&old)), "", "--force ends them now");
    gateway.command(&format!("key retire {} --force", kid(&old)), "").succeeded();
    gateway.refused(&format!("key restore {}", kid(&old)), "", "its material is wiped");
    gateway.soon("its tokens end", "/maxpoint", &old, 401);
    let all = gateway.command("key rotate --output json", "").json();
    let realms: Vec<_> = all.as_array().unwrap().iter().map(|row| row["realm"].as_str().unwrap()).collect();
    assert_eq!(realms, ["sws", "apis", "toc", "maxpoint", "become", "portero-internal"]);
    gateway.refused("key rotate --realm nowhere", "", "no realm 'nowhere'");
}

#[test]
fn an_old_secret_is_taken_over_and_shown_to_nobody() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let own = gateway.login(Contract::Sws);
    let old = signed_as(&own, "old-2019", Algorithm::HS256, &EncodingKey::from_secret(OLD_SECRET.as_bytes()));
    assert_eq!(gateway.status("/sws", &old), 401);
    let import = "key import --realm sws --algorithm HS256 --kid old-2019";
    gateway.refused(import, &OLD_SECRET[1..], "has 31 bytes, and HS256 takes at least 32");
    gateway.refused("key import --realm sws --algorithm HS512 --kid x", OLD_SECRET, "at least 64");
    gateway.refused("key import --realm apis --algorithm HS256 --kid x", OLD_SECRET, "sealed");
    gateway.refused("key import --realm nowhere --algorithm HS256", OLD_SECRET, "no realm 'nowhere'");
    gateway.refused("key import --realm sws --algorithm HS256 --profile toc", OLD_SECRET, "allow_non_expiring");
    gateway.refused("key import --realm sws --algorithm RS256 --kid x", OLD_SECRET, "no PEM");
    assert_eq!(gateway.states("sws"), ["active"], "nothing of that was imported");

    gateway.command(import, &format!("{OLD_SECRET}\n")).succeeded();
    gateway.soon("its tokens are taken", "/sws", &old, 200);
    assert_ne!(kid(&gateway.login(Contract::Sws)), "old-2019", "it only verifies");
    gateway.refused(import, OLD_SECRET, "knows a key old-2019 already");
    let toc = gateway.command(
        "key import --realm toc --algorithm HS256 --profile toc --encoding base64 --output json",
        &STANDARD.encode(OLD_SECRET.as_bytes()),
    );
    let unnamed = toc.json()["imported"].as_str().unwrap().to_owned();
    let keys = gateway.keys("toc");
    let imported = keys.iter().find(|key| key["kid"] == unnamed.as_str()).unwrap();
    assert_eq!((&imported["state"], &imported["retires_at"]), (&"retiring".into(), &Value::Null));
    assert_eq!(imported["profile"]["expiry"], "expiracion");

    for words in ["key list", "key list --output json", "key list --realm sws"] {
        let ran = gateway.command(words, "");
        ran.succeeded();
        for spelling in [OLD_SECRET.to_owned(), STANDARD.encode(OLD_SECRET)] {
            assert!(!ran.stdout.contains(&spelling) && !ran.stderr.contains(&spelling), "{words}");
        }
    }
    let gateway = gateway.kill_and_restart();
    assert_eq!(gateway.status("/sws", &old), 200);
    gateway.command("key revoke old-2019", "").succeeded();
    gateway.soon("its tokens end", "/sws", &old, 401);
    assert_eq!(gateway.status("/sws", &own), 200);
}

#[test]
fn an_old_secret_goes_on_signing_for_services_that_check_it() {
    let upstream = Upstream::start();
    let gateway =
        Config::standard(upstream.address).text("[keys]\nrotate_every = \"1s\"\npublish_ahead = \"100ms\"").start();
    let before = gateway.login(Contract::Sws);
    fs::write(gateway.folder.file("old.secret"), OLD_SECRET).unwrap();
    let file = gateway.folder.file("old.secret").to_str().unwrap().to_owned();
    let import = format!("key import --realm sws --algorithm HS256 --kid field --sign --file {file}");
    gateway.command(&import, "").succeeded();
    wait_until("it signs", PATIENCE, || kid(&gateway.login(Contract::Sws)) == "field");
    let token = gateway.login(Contract::Sws);
    assert!(verifies(&token, Algorithm::HS256, &DecodingKey::from_secret(OLD_SECRET.as_bytes())));
    assert_eq!((gateway.status("/sws", &token), gateway.status("/sws", &before)), (200, 200));
    // Another realm has rotated meanwhile: the schedule was there, and left the imported key.
    wait_until("another realm rotates", PATIENCE, || gateway.states("become").len() > 3);
    assert_eq!(kid(&gateway.login(Contract::Sws)), "field");
    gateway.refused("key rotate --realm sws", "", "services behind check");
    gateway.command("key rotate --realm sws --now", "").succeeded();
    wait_until("another signs", PATIENCE, || kid(&gateway.login(Contract::Sws)) != "field");
    assert_eq!(gateway.status("/sws", &token), 200);
}

#[test]
fn a_pem_is_taken_over_and_a_public_key_given_away() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address)
        .replace("[realms.maxpoint]", "[realms.maxpoint]\nalgorithm = \"ES256\"")
        .start();
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
    let signing = EncodingKey::from_ec_pem(private.as_bytes()).unwrap();
    let own = gateway.login(Contract::Maxpoint);

    let by_public = signed_as(&own, "public", Algorithm::ES256, &signing);
    gateway.command("key import --realm maxpoint --algorithm ES256 --kid public", &public).succeeded();
    gateway.soon("its tokens are taken", "/maxpoint", &by_public, 200);
    gateway.refused("key import --realm maxpoint --algorithm ES256 --kid p --sign", &public, "leave out --sign");
    gateway.refused(
        "key import --realm sws --algorithm ES256 --kid p --sign",
        &private,
        "algorithm = \"ES256\" in [realms.sws]",
    );
    gateway.refused("key import --realm sws --algorithm ES384 --kid p", &private, "no usable ES384 key");

    gateway.command("key import --realm maxpoint --algorithm ES256 --kid field --sign", &private).succeeded();
    wait_until("it signs", PATIENCE, || kid(&gateway.login(Contract::Maxpoint)) == "field");
    let token = gateway.login(Contract::Maxpoint);
    let exported = gateway.command("key export-public --kid field", "");
    exported.succeeded();
    assert!(exported.stdout.contains(public.lines().nth(1).unwrap()), "{}", exported.stdout);
    let exported = DecodingKey::from_ec_pem(exported.stdout.as_bytes()).unwrap();
    assert!(verifies(&token, Algorithm::ES256, &exported));
    let set = gateway.command("key export-public --format jwk --realm maxpoint", "").json();
    let jwk = set["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == kid(&own).as_str()).unwrap();
    let part = |name: &str| jwk[name].as_str().unwrap();
    assert!(verifies(&own, Algorithm::ES256, &DecodingKey::from_ec_components(part("x"), part("y")).unwrap()));
    let all = gateway.command("key export-public --format jwk", "").json();
    assert_eq!(all, set, "other realms have secrets, and internal tokens a set of their own");
    gateway.refused("key export-public --realm sws", "", "no public half");
    gateway.command("key export-public --realm portero-internal", "").succeeded();
}

#[test]
fn a_new_master_key_goes_unnoticed() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let master = || fs::read_to_string(gateway.folder.file("master.key")).unwrap();
    let (before, token) = (master(), gateway.login(Contract::Maxpoint));
    gateway.command("key reseal", "").succeeded();
    assert_ne!(master(), before);
    assert_eq!(gateway.status("/maxpoint", &token), 200);
    assert_eq!(gateway.status("/maxpoint", &gateway.login(Contract::Maxpoint)), 200);
    // What changes from now on is sealed under the new one, and the gateway reads it.
    gateway.command(&format!("key revoke {}", kid(&token)), "").succeeded();
    gateway.soon("its tokens end", "/maxpoint", &token, 401);
    let new = gateway.login(Contract::Maxpoint);
    assert_eq!(gateway.status("/maxpoint", &new), 200);
    gateway.api("/revocations/key", &serde_json::json!({ "id": kid(&new) }));
    assert_eq!(gateway.status("/maxpoint", &new), 401);

    let newest = gateway.login(Contract::Maxpoint);
    let gateway = gateway.kill_and_restart();
    assert_eq!(gateway.status("/maxpoint", &newest), 200);
    assert!(!gateway.folder.names().contains(&"master.key.new".to_owned()));
    fs::write(gateway.folder.file("master.key"), before).unwrap();
    let ran = gateway.command("key list", "");
    assert_eq!(ran.code, 2, "the old one opens nothing any more");
    assert!(ran.stderr.contains("fingerprint"), "{}", ran.stderr);
}
