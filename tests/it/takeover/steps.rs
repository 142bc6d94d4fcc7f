//! All of the steps, with traffic all the time.

use std::{
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{assert_near, change, config, let_in, login, metric, start, users};
use crate::support::{Connection, Contract, Gateway, OldSystem, PATIENCE, Upstream, get, own_address, wait_until};

/// Users; enough for every kind of them. `PORTERO_USERS` makes it more (`make takeover`).
const USERS: usize = 4;

/// Users of whom each one's wrong password is tried too; of more, one in [`WRONG_EVERY`].
const WRONG_MAX: usize = 100;
const WRONG_EVERY: usize = 20;

const CONFIRMED: &str = r#"portero_verifier_logins_total{outcome="confirmed",step="lead",verifier="old"}"#;
const LEARNT: &str = r#"portero_verifier_comparisons_total{outcome="learnt",verifier="old"}"#;
const TRUSTED: &str = r#"portero_verifier_logins_total{outcome="trusted",step="lead",verifier="old"}"#;

const UNCONFIRMED: &str = r#"portero_verifier_unconfirmed_logins{verifier="old"}"#;

/// The series of accounts in a state.
fn accounts(state: &str) -> String {
    format!(r#"portero_verifier_accounts{{realm="sws",state="{state}",verifier="old"}}"#)
}

/// Clients who log in all the time, right and wrong in turns, and note what should not have been.
struct Traffic {
    stop: Arc<AtomicBool>,
    wrong: Arc<Mutex<Vec<String>>>,
    rounds: Arc<[AtomicU64]>,
    /// Logins with the right password, and with a wrong one.
    logins: Arc<[AtomicU64; 2]>,
    threads: Vec<JoinHandle<()>>,
    patience: Duration,
}

impl Traffic {
    fn start(gateway: &Gateway, users: &[(String, String)]) -> Self {
        let (count, stop) = (users.len(), Arc::new(AtomicBool::new(false)));
        let (wrong, logins) = (Arc::new(Mutex::new(vec![])), Arc::new([AtomicU64::new(0), AtomicU64::new(0)]));
        let rounds: Arc<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
        let tried = move |at: usize| count <= WRONG_MAX || at % WRONG_EVERY < 2;
        let threads = (0..2).map(|half| {
            let (front, users) = (gateway.front, users.to_vec());
            let (stop, wrong) = (Arc::clone(&stop), Arc::clone(&wrong));
            let (rounds, logins) = (Arc::clone(&rounds), Arc::clone(&logins));
            thread::spawn(move || {
                let address = own_address();
                while !stop.load(Ordering::Relaxed) {
                    for (at, (name, password)) in users.iter().enumerate().filter(|(at, _)| at % 2 == half) {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        for (secret, expected) in [(password.as_str(), true), ("wrong", false)] {
                            if !expected && !tried(at) {
                                continue;
                            }
                            let request = Contract::Sws.login_as(name, secret);
                            let answer = Connection::open_from(address, front).send(&request);
                            logins[usize::from(!expected)].fetch_add(1, Ordering::Relaxed);
                            if let_in(&answer) != expected {
                                let said = format!("{name} {secret}: {} {}", answer.status, answer.text());
                                wrong.lock().unwrap().push(said);
                            }
                        }
                        rounds[at].fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        let (threads, patience) = (threads.collect(), patience(count));
        Self { stop, wrong, rounds, logins, threads, patience }
    }

    /// Waits until every user has logged in once more from the beginning to the end, and asserts that nobody noticed
    /// anything.
    #[track_caller]
    fn passes(&self, step: &str) {
        let before: Vec<_> = self.rounds.iter().map(|rounds| rounds.load(Ordering::Relaxed)).collect();
        let done = || {
            let now = self.rounds.iter().map(|rounds| rounds.load(Ordering::Relaxed));
            now.zip(&before).all(|(now, before)| now > before + 1)
        };
        wait_until(step, self.patience, done);
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{step}: {} {:?}", wrong.len(), &wrong[..wrong.len().min(9)]);
        let [right, wrong] = [0, 1].map(|kind: usize| self.logins[kind].load(Ordering::Relaxed));
        println!(
            "{step}: {right} logins with the right password until now, {wrong} with a wrong one; all as they should be"
        );
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// For more users more.
fn patience(users: usize) -> Duration {
    PATIENCE * u32::try_from(1 + users / 20).unwrap()
}

#[test]
fn nobody_notices_the_way_from_the_old_system_to_portero_and_back() {
    let count = env::var("PORTERO_USERS").map_or(USERS, |users| users.parse().unwrap());
    let (users, patience) = (users(count), patience(count));
    let (mut old, upstream) = (OldSystem::start(&users), Upstream::start());
    let observe = config(&old, &upstream, "mode = \"observe\"", "rate = 1000\n");
    let gateway = start(&observe);
    let traffic = Traffic::start(&gateway, &users);
    let every = f64::from(u32::try_from(count).unwrap());
    wait_until("all secrets are learnt", patience, || metric(&gateway, LEARNT) >= every);
    traffic.passes("observe");
    let lead = change(&gateway, &observe, "mode = \"observe\"", "mode = \"lead\"");
    traffic.passes("lead");
    wait_until("logins are confirmed", PATIENCE, || metric(&gateway, CONFIRMED) > 0.0);

    // It is killed: those who were confirmed go on, and each such login is listed.
    old.stop();
    traffic.passes("lead, the old system killed");
    let trusted = metric(&gateway, TRUSTED);
    assert!(trusted >= every, "{trusted}");
    let status = gateway.command("migration status --output json", "").json();
    let away = &status["endpoints"][0]["decided_while_away"];
    assert!(away["pending"].as_u64().unwrap() >= count as u64, "{away:#}");
    println!("decided while the old system was away, and listed: {}", away["pending"]);
    old.resume();
    let pending = || {
        let status = gateway.command("migration status --output json", "").json();
        status["endpoints"][0]["decided_while_away"]["pending"].as_u64().unwrap()
    };
    wait_until("all of them are confirmed", patience, || pending() == 0);
    traffic.passes("lead, the old system back");

    let alone = change(&gateway, &lead, "mode = \"lead\"", "mode = \"alone\"");
    let asked = old.asked().len();
    traffic.passes("alone");
    assert!(old.asked().len() <= asked + 2, "but for what was under way, it is not asked any more");
    let lead = change(&gateway, &alone, "mode = \"alone\"", "mode = \"lead\"");
    traffic.passes("back");
    change(&gateway, &lead, "mode = \"lead\"", "mode = \"alone\"");
    traffic.passes("alone again");
    traffic.finish();
    let status = gateway.command("migration status --output json", "").json();
    let endpoint = &status["endpoints"][0];
    assert_eq!((&endpoint["unknown"], &endpoint["can_switch_off"]), (&0.into(), &true.into()), "{endpoint:#}");
    let off = status["can_switch_off"].to_string();
    assert!(off.contains("its login endpoint") && status["would_break"] == serde_json::json!([]), "{off}");
    assert_eq!(endpoint["decided_while_away"]["refused"], 0, "{status:#}");
}

#[test]
fn a_password_that_changed_while_the_old_system_was_away_ends_what_trust_let_in() {
    let users = users(2);
    let (mut old, upstream) = (OldSystem::start(&users), Upstream::start());
    let lead = config(&old, &upstream, "mode = \"lead\"", "rate = 1000\n");
    let gateway = start(&lead);
    let (name, password) = (&users[0].0, &users[0].1);
    assert!(let_in(&login(&gateway, name, password)), "it is taken over at its first login");
    old.stop();
    old.set_password(name, Some("changed"));
    let answer = login(&gateway, name, password);
    let token = Contract::Sws.token_of(&answer).expect("it was confirmed a moment ago");
    assert_eq!(gateway.status("/sws", &token), 200);
    assert_near(metric(&gateway, UNCONFIRMED), 1.0);
    // Nobody who was never confirmed, and never «wrong password»: nobody can say that.
    for (name, password) in [(&*users[1].0, &*users[1].1), (name, "wrong"), (name, "changed")] {
        let answer = login(&gateway, name, password);
        assert_eq!((answer.status, answer.header("Retry-After").is_some()), (503, true), "{name}");
    }
    old.resume();
    gateway.wait_until_refused("the session is revoked", "/sws", &token);
    let status = gateway.command("migration status --output json", "").json();
    let away = &status["endpoints"][0]["decided_while_away"];
    assert_eq!((&away["refused"], &away["logins"][0]["name"]), (&1.into(), &name.as_str().into()), "{status:#}");
    assert_near(metric(&gateway, UNCONFIRMED), 0.0);
    assert!(!let_in(&login(&gateway, name, password)));
    old.stop();
    assert!(!let_in(&login(&gateway, name, password)), "what it refused is not trusted any more");
    old.resume();
    wait_until("the new password", PATIENCE, || let_in(&login(&gateway, name, "changed")));
    // A stranger's wrong guesses end nothing.
    old.stop();
    let token = Contract::Sws.token_of(&login(&gateway, name, "changed")).expect("it is trusted");
    old.resume();
    wait_until("it is asked again", PATIENCE, || login(&gateway, name, "guess").status == 200);
    let status = || gateway.command("migration status --output json", "").json();
    wait_until("it is confirmed", PATIENCE, || status()["endpoints"][0]["decided_while_away"]["pending"] == 0);
    assert_eq!(gateway.status("/sws", &token), 200);
}

#[test]
fn what_nobody_could_confirm_ends_with_its_trust() {
    let users = users(1);
    let (mut old, upstream) = (OldSystem::start(&users), Upstream::start());
    let lead = config(&old, &upstream, "mode = \"lead\"\ntrust = \"4s\"", "rate = 1000\n");
    let gateway = start(&lead);
    let (name, password) = (&users[0].0, &users[0].1);
    let mut token = None;
    // Where the machine takes longer than trust from one login to the next, once more.
    wait_until("a login is trusted", PATIENCE, || {
        if !let_in(&login(&gateway, name, password)) {
            return false;
        }
        old.stop();
        token = Contract::Sws.token_of(&login(&gateway, name, password));
        if token.is_none() {
            old.resume();
        }
        token.is_some()
    });
    let token = token.unwrap();
    gateway.wait_until_refused("its time is over", "/sws", &token);
    assert_eq!(login(&gateway, name, password).status, 503, "and so is that of the account");
    // Nor does a gateway that starts anew remember who may be let in for longer.
    let gateway = gateway.kill_and_restart();
    assert_eq!(login(&gateway, name, password).status, 503);
    let accounts = |state| metric(&gateway, &accounts(state));
    wait_until("it is counted", PATIENCE, || accounts("all") > 0.0);
    assert_near(accounts("all"), 1.0);
    assert_near(accounts("trusted"), 0.0);
}

#[test]
fn going_back_asks_for_the_accounts_that_the_old_system_does_not_know() {
    let users = users(1);
    let (old, upstream) = (OldSystem::start(&users), Upstream::start());
    let alone = config(&old, &upstream, "mode = \"lead\"\nauthority = \"portero\"", "");
    let gateway = start(&alone);
    assert!(let_in(&login(&gateway, &users[0].0, &users[0].1)), "an account that Portero lacks is asked about");
    // By the hash alone, whatever the old system says by now.
    old.set_password(&users[0].0, None);
    assert!(let_in(&login(&gateway, &users[0].0, &users[0].1)));
    let add = "user add --realm sws --username new --name New --password-stdin";
    gateway.command(add, "a new password\n").succeeded();
    assert!(let_in(&login(&gateway, "new", "a new password")));

    let back = alone.clone().replace("authority = \"portero\"", "authority = \"old\"");
    back.write_to(&gateway.folder);
    let refused = gateway.asked("reload");
    assert!(refused.code == 1 && refused.stderr.contains("it does not know 1 of its accounts"), "{refused:?}");
    let status = gateway.command("migration status --output json", "").json();
    assert_eq!(status["endpoints"][0]["unknown_accounts"][0]["name"], "new", "{status:#}");
    let too_few = gateway.command("migration back --realm sws --accept-loss 0", "");
    assert!(too_few.code == 1 && too_few.stderr.contains("which is more than 0"), "{too_few:?}");
    gateway.command("migration back --realm sws --accept-loss 1", "").succeeded();
    gateway.asked("reload").succeeded();
    assert!(!let_in(&login(&gateway, "new", "a new password")), "the old system decides, and does not know it");
    let again = gateway.command("migration back --realm sws --accept-loss 1", "");
    assert!(again.code == 1 && again.stderr.contains("the old system decides already"), "{again:?}");
    assert_eq!(gateway.send(&get("/public")).status, 200);
    let gateway = gateway.kill_and_restart();
    let accounts = |state| metric(&gateway, &accounts(state));
    wait_until("it is counted", PATIENCE, || accounts("unknown") > 0.0);
    let listed = gateway.command("user list --realm sws --output json", "").json();
    assert_near(accounts("all"), f64::from(u32::try_from(listed.as_array().unwrap().len()).unwrap()));
    assert_near(accounts("unknown"), 1.0);
}

#[test]
fn the_time_of_each_question_is_told() {
    let users = users(1);
    let (old, upstream) = (OldSystem::start(&users), Upstream::start());
    let gateway = start(&config(&old, &upstream, "mode = \"lead\"", ""));
    assert!(let_in(&login(&gateway, &users[0].0, &users[0].1)));
    assert!(!let_in(&login(&gateway, &users[0].0, "wrong")));
    let series = |part: &str| metric(&gateway, &format!("portero_verifier_seconds_{part}{{verifier=\"old\"}}"));
    // The two, and the one about nobody's name before them.
    assert_eq!(old.asked().len(), 3);
    assert_near(series("count"), 3.0);
    assert!(series("sum") > 0.0);
}

#[test]
fn each_step_says_what_the_next_one_changes() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    for (step, next) in [
        ("mode = \"observe\"", "the next step is mode = \"lead\": Portero answers with its own tokens"),
        ("mode = \"lead\"", "the next step is authority = \"portero\": Portero's hash decides"),
        ("mode = \"lead\"\nauthority = \"portero\"", "the next step is mode = \"alone\": the old system is not asked"),
        ("mode = \"alone\"", "Portero is alone: there is no next step"),
    ] {
        let folder = crate::support::Folder::new();
        config(&old, &upstream, step, "").write_to(&folder);
        let checked = folder.command("check", "");
        checked.succeeded();
        let refused = "route 'sws' accepts realm sws, whose clients get their tokens from the old system 'old'";
        assert_eq!(checked.stdout.contains(refused), step.contains("observe"), "{}", checked.stdout);
        let line = checked.stdout.lines().find(|line| line.starts_with("/api/Session/GetToken, realm sws"));
        assert!(line.is_some_and(|line| line.contains(next)), "{step}: {}", checked.stdout);
    }
}
