//! Strangers who flood: the old system hears no more of them than it may, and users go on.

use std::{
    env,
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{config, let_in, login, start, users};
use crate::support::{
    Connection, Contract, Gateway, OldSystem, PATIENCE, Request, Response, Upstream, get, own_address, wait_until,
};

/// Random names, and tokens that are garbage; `PORTERO_STRANGERS` (names) makes it more, with ten times as many tokens
/// (`make takeover`).
const NAMES: usize = 150;

/// Questions a second, about logins and about tokens each.
const RATE: usize = 40;

/// Strangers at once, from so many addresses: more than wait.
const STRANGERS: (usize, usize) = (24, 3);

/// How often each stranger is answered by whether it is let in, refused, or told to come later.
#[derive(Default)]
struct Told {
    refused: AtomicUsize,
    later: AtomicUsize,
}

/// Has all strangers send `count` requests, each one when the one before it was answered.
fn flood(
    gateway: &Gateway,
    addresses: &[Ipv4Addr],
    count: usize,
    request: impl Fn(usize) -> Request + Sync,
    told: impl Fn(&Response) + Sync,
) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for at in 0..STRANGERS.0 {
            let (next, request, told) = (&next, &request, &told);
            scope.spawn(move || {
                let mut stranger = Connection::open_from(addresses[at % addresses.len()], gateway.front);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let answer = stranger.send(&request(number));
                    told(&answer);
                    if answer.header("Connection") == Some("close") {
                        stranger = Connection::open_from(addresses[at % addresses.len()], gateway.front);
                    }
                }
            });
        }
    });
}

/// The most questions of any second.
fn most_in_a_second(mut asked: Vec<Instant>) -> usize {
    asked.sort();
    let mut first = 0;
    let mut most = 0;
    for (at, time) in asked.iter().enumerate() {
        while time.duration_since(asked[first]) >= Duration::from_secs(1) {
            first += 1;
        }
        most = most.max(at + 1 - first);
    }
    most
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how much it was asked is held against real time")]
fn strangers_reach_the_old_system_no_more_often_than_it_may_be_asked_and_users_go_on() {
    let names = env::var("PORTERO_STRANGERS").map_or(NAMES, |names| names.parse().unwrap());
    let users = users(4);
    let (old, upstream) = (OldSystem::start(&users), Upstream::start());
    let bounds = format!("rate = {RATE}\nconcurrency = 4\nqueue = 8\nwait = \"20s\"\n");
    let tokens = format!(
        "{bounds}[verifiers.old.tokens]\nurl = \"{}\"\nsend = \"bearer\"\nname = \"username\"\n{bounds}",
        old.check_url()
    );
    let gateway = start(&config(&old, &upstream, "mode = \"lead\"", &tokens));
    let addresses: Vec<_> = (0..STRANGERS.1).map(|_| own_address()).collect();
    let began = Instant::now();
    let [of_names, of_tokens] = [(); 2].map(|()| Told::default());
    let ended = AtomicUsize::new(0);
    let let_in_meanwhile = thread::scope(|scope| {
        scope.spawn(|| {
            let request = |at: usize| Contract::Sws.login_as(&format!("stranger{at}"), &format!("garbage {at}"));
            flood(&gateway, &addresses, names, request, |answer| {
                assert!(!let_in(answer));
                match answer.status {
                    200 if answer.json()["error"] == 1 => of_names.refused.fetch_add(1, Ordering::Relaxed),
                    503 if answer.header("Retry-After").is_some() && answer.json()["error"] == 3 => {
                        of_names.later.fetch_add(1, Ordering::Relaxed)
                    }
                    _ => panic!("{}: {}", answer.status, answer.text()),
                };
            });
            ended.fetch_add(1, Ordering::Relaxed);
        });
        scope.spawn(|| {
            let request = |at: usize| get("/sws").bearer(&format!("garbage-{at}"));
            flood(&gateway, &addresses, 10 * names, request, |answer| {
                match answer.status {
                    401 => of_tokens.refused.fetch_add(1, Ordering::Relaxed),
                    503 if answer.header("Retry-After").is_some() => of_tokens.later.fetch_add(1, Ordering::Relaxed),
                    _ => panic!("{}: {}", answer.status, answer.text()),
                };
            });
            ended.fetch_add(1, Ordering::Relaxed);
        });
        // All the time, and once more at the end, users are let in.
        let mut count = 0;
        while ended.load(Ordering::Relaxed) < 2 || count == 0 {
            for (name, password) in &users {
                let answer = login(&gateway, name, password);
                assert!(let_in(&answer), "{name}: {} {}", answer.status, answer.text());
                count += 1;
            }
        }
        count
    });
    let told = |told: &Told| [&told.refused, &told.later].map(|count| count.load(Ordering::Relaxed));
    let ([refused, later], [garbage, busy]) = (told(&of_names), told(&of_tokens));
    assert_eq!((refused + later, garbage + busy), (names, 10 * names));
    assert!(later > 0 && busy > 0, "a full queue says so");
    let logins = most_in_a_second(old.asked().iter().map(|asked| asked.at).collect());
    let checks = most_in_a_second(old.checked().iter().map(|(at, _)| *at).collect());
    // Of a single second the receiver cannot tell: what was held up on its way comes together with what follows.
    let all = RATE * usize::try_from(began.elapsed().as_secs() + 1).unwrap() + 1;
    let asked = [old.asked().len(), old.checked().len()];
    assert!(asked.iter().all(|asked| *asked <= all), "{asked:?} of {all}");
    println!(
        "{names} names: {refused} refused, {later} later; {} tokens: {garbage} refused, {busy} later; {let_in_meanwhile} \
         logins of users meanwhile, all let in; in {} s the old system was asked about {} logins and {} tokens, at most \
         {logins} and {checks} in a second",
        10 * names,
        began.elapsed().as_secs(),
        asked[0],
        asked[1]
    );
}

#[test]
fn the_same_login_is_asked_about_once_at_a_time() {
    let users = users(1);
    let (old, upstream) = (OldSystem::start(&users), Upstream::start());
    let gateway = start(&config(&old, &upstream, "mode = \"lead\"", "rate = 1\n"));
    // The first question proves the old system, and takes the first turn: these wait for the second one together.
    let same: Vec<_> = (0..16)
        .map(|_| {
            let mut client = Connection::open_from(own_address(), gateway.front);
            client.write(Contract::Sws.login_as(&users[0].0, &users[0].1).bytes()).unwrap();
            client
        })
        .collect();
    let mut tokens = vec![];
    for mut client in same {
        tokens.extend(Contract::Sws.token_of(&client.receive()));
    }
    assert_eq!(tokens.len(), 16, "each has tokens");
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 16, "of its own");
    wait_until("one question for all", PATIENCE, || old.asked().len() <= 4);
}
