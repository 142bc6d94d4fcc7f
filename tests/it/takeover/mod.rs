//! Taking over from an old system: step by step, under traffic, and with everything that it may answer.

mod bounds;
mod checks;
mod observe;
mod own_contract;
mod steps;
mod tokens;
mod yes;

use crate::support::{Config, Connection, Contract, Gateway, OldSystem, Response, Upstream, own_address};

/// Users of the old system with their passwords.
fn users(count: usize) -> Vec<(String, String)> {
    (0..count).map(|at| (format!("user{at}"), format!("right {at}"))).collect()
}

/// A config whose `sws` endpoint takes over from `old`.
fn config(old: &OldSystem, upstream: &Upstream, endpoint: &str, verifier: &str) -> Config {
    let endpoint = format!("realms = [\"sws\"]\nverifier = \"old\"\n{endpoint}");
    Config::standard(upstream.address)
        .replace("realms = [\"sws\"]", &endpoint)
        .text(&format!("[verifiers.old]\nurl = \"{}\"\nclient_header = \"X-Client\"\n{verifier}", old.url()))
        .text("[throttle]\nname_failures = 100000\naddress_failures = 100000\nname_tries = 100000\n")
}

fn start(config: &Config) -> Gateway {
    let folder = crate::support::Folder::new();
    config.write_to(&folder);
    Gateway::run(folder)
}

/// A login from an address of its own.
fn login(gateway: &Gateway, name: &str, password: &str) -> Response {
    Connection::open_from(own_address(), gateway.front).send(&Contract::Sws.login_as(name, password))
}

/// Whether a login's answer let it in.
fn let_in(answer: &Response) -> bool {
    Contract::Sws.token_of(answer).is_some()
}

/// Changes the step, by a reload.
#[track_caller]
fn change(gateway: &Gateway, config: &Config, from: &str, to: &str) -> Config {
    let changed = config.clone().replace(from, to);
    changed.write_to(&gateway.folder);
    gateway.asked("reload").succeeded();
    changed
}

/// The value of a metric; 0 where it is not there.
fn metric(gateway: &Gateway, series: &str) -> f64 {
    let text = gateway.ask("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

/// That a metric that counts whole things has this value.
#[track_caller]
fn assert_near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 0.5, "{value} and not {expected}");
}
