//! Decisions, from a request's head to what is to be done, as `benches/decide.rs` times them.

use std::{env, hint::black_box, path::Path};

use http::HeaderMap;
use portero::{
    decision::{Decision, LiveState},
    domain::{Algorithm, Reason},
    rules::policy::Policy,
    state::{
        revocation::log::{Record, RevokedSubject},
        token::NewToken,
    },
};
use tempfile::TempDir;

use crate::{
    budget::Count,
    callgrind,
    fixture::{
        MadeKey, NOW, decide_fully, endpoint, get, headers, holder, live_state, mint, new_token, policy, realm, route,
        site,
    },
};

/// Live states that take turns. Tables hash with random seeds, and some seeds put more keys in one place than others:
/// the mean over many live states hardly moves.
const LIVE_STATES: usize = 32;

/// Decisions that each live state takes to be counted.
const ROUNDS: usize = 30;

/// Tells the run under callgrind which decision to take.
const WHICH: &str = "PORTERO_DECISION";

/// [`counted`], as callgrind knows it.
const COUNTED: &str = "*decisions::counted*";

const PATH: &str = "/api/Clientes/42/pedidos";

/// A decision that has a budget.
struct Probe {
    name: &'static str,
    what: &'static str,
    path: &'static str,
    token: Token,
    denied: Option<Reason>,
}

/// What token its requests bring.
#[derive(Clone, Copy)]
enum Token {
    None,
    Remembered,
    Revoked,
    /// Another one each time.
    New,
}

static PROBES: [Probe; 5] = [
    Probe {
        name: "decide_hit",
        what: "`decide`: a remembered token, forwarded",
        path: PATH,
        token: Token::Remembered,
        denied: None,
    },
    Probe {
        name: "decide_miss_hs256",
        what: "`decide`: an HS256 token never seen, verified and forwarded",
        path: PATH,
        token: Token::New,
        denied: None,
    },
    Probe {
        name: "decide_revoked",
        what: "`decide`: a remembered token of a revoked session, refused",
        path: PATH,
        token: Token::Revoked,
        denied: Some(Reason::SessionRevoked),
    },
    Probe {
        name: "decide_no_token",
        what: "`decide`: no token, refused",
        path: PATH,
        token: Token::None,
        denied: Some(Reason::MissingToken),
    },
    Probe {
        name: "decide_no_route",
        what: "`decide`: an unknown route, refused",
        path: "/nowhere",
        token: Token::Remembered,
        denied: Some(Reason::NoRoute),
    },
];

/// The names of all decisions that have a budget.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PROBES.iter().map(|probe| probe.name)
}

/// Counts the decision of this name, in a process of its own.
pub(crate) fn count(name: &str) -> Count {
    let Probe { name, what, .. } = probe(name);
    let folder = TempDir::new().unwrap();
    let instructions = counted_run(folder.path(), name) / (LIVE_STATES * ROUNDS) as u64;
    Count { name, what, instructions }
}

fn probe(name: &str) -> &'static Probe {
    PROBES.iter().find(|probe| probe.name == name).unwrap()
}

/// Instructions that a process spends in the decision `which`, and in nothing else that it does.
fn counted_run(folder: &Path, which: &str) -> u64 {
    let out = folder.join(format!("decisions.{which}"));
    let only = format!("--toggle-collect={COUNTED}");
    let mut command = callgrind::command(&[&only], &env::current_exe().unwrap(), &out);
    command.args(["--exact", "--ignored", "decide_again_and_again"]).env(WHICH, which);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{which}: {}", String::from_utf8_lossy(&ran.stderr));
    callgrind::instructions(&out)
}

/// Takes the decision that the environment asks for.
pub(crate) fn run() {
    let probe = probe(&env::var(WHICH).unwrap());
    let stages: Vec<_> = (0..LIVE_STATES).map(|_| Stage::new()).collect();
    for stage in &stages {
        assert_eq!(stage.denied(probe, 0), probe.denied);
    }
    for round in 1..=ROUNDS {
        for stage in &stages {
            assert_eq!(counted(stage, probe, round), probe.denied);
        }
    }
}

/// The region that is counted. It stays a function of its own, so that callgrind finds it by its name.
#[inline(never)]
fn counted(stage: &Stage, probe: &Probe, round: usize) -> Option<Reason> {
    black_box(stage.denied(black_box(probe), black_box(round)))
}

/// A live state, and the heads of requests to it.
struct Stage {
    live_state: LiveState,
    none: HeaderMap,
    remembered: HeaderMap,
    revoked: HeaderMap,
    new: Vec<HeaderMap>,
}

impl Stage {
    fn new() -> Self {
        let admins = Policy { roles: vec!["USER".into(), "ADMIN".into()], ..policy("sws") };
        let routes = vec![route("/api/Clientes", admins), route("/api", policy("sws"))];
        let realms = vec![realm("sws", "sws", Algorithm::Hs256)];
        let site = site(realms, vec![endpoint("/login", "sws")], routes);
        let live_state = live_state(&site, &[&MadeKey::new("sws", Algorithm::Hs256)]);
        let holder = holder();
        let head = |token: NewToken<'_>| headers(&mint(&live_state, "sws", &token));
        let dead = new_token(&holder);
        let session = dead.session;
        let (remembered, revoked) = (head(new_token(&holder)), head(dead));
        let new = (0..=ROUNDS).map(|_| head(new_token(&holder))).collect();
        for headers in [&remembered, &revoked] {
            assert!(matches!(decide_fully(&live_state, NOW, &get(PATH, headers)), Decision::Forward(_)));
        }
        live_state.revocations().apply(&[Record {
            subject: RevokedSubject::Session(session),
            expires_at: None,
            created_at: NOW,
        }]);
        Self { none: headers(""), remembered, revoked, new, live_state }
    }

    /// Takes the decision, and says why it refused.
    fn denied(&self, probe: &Probe, round: usize) -> Option<Reason> {
        let headers = match probe.token {
            Token::None => &self.none,
            Token::Remembered => &self.remembered,
            Token::Revoked => &self.revoked,
            Token::New => &self.new[round],
        };
        match decide_fully(&self.live_state, NOW, &get(probe.path, headers)) {
            Decision::Forward(_) => None,
            Decision::Reply(denial) => Some(denial.reason),
            other => panic!("{other:?}"),
        }
    }
}
