//! Decisions, from a request's head to what is to be done, as `benches/decide.rs` times them.

use std::{env, hint::black_box, path::Path};

use http::HeaderMap;
use portero::{
    decision::{Decision, Gate},
    domain::{Algorithm, Reason},
    rules::{dialect::Dialect, policy::Policy},
    state::{
        revocation::log::{Record, Subject},
        token::NewToken,
    },
};
use tempfile::TempDir;

use crate::{
    budget::Count,
    callgrind,
    fixture::{
        MadeKey, NOW, decide_fully, endpoint, gate, get, headers, holder, mint, new_token, policy, realm, route, site,
    },
};

/// Gates that take turns: tables hash with seeds of their own, and some put more keys in one place than others.
const GATES: usize = 16;

/// Decisions that each gate takes to be counted.
const ROUNDS: usize = 2000;

/// The same where each needs a token of its own, which must be minted first.
const ROUNDS_OF_NEW: usize = 30;

/// Tells the run under callgrind which decision to take; without it, none is taken but those before the first that
/// counts.
const WHICH: &str = "PORTERO_DECISION";

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

const PROBES: [Probe; 5] = [
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

/// Counts every decision, as the difference between a run that takes it and one that does all but that.
pub(crate) fn count() -> Vec<Count> {
    let folder = TempDir::new().unwrap();
    let before = counted_run(folder.path(), "");
    let each = |probe: &Probe| {
        let decisions = GATES * probe.token.rounds();
        (counted_run(folder.path(), probe.name) - before) / decisions as u64
    };
    PROBES.iter().map(|probe| Count { name: probe.name, what: probe.what, instructions: each(probe) }).collect()
}

/// Instructions of a process that takes the decision `which`.
fn counted_run(folder: &Path, which: &str) -> u64 {
    let out = folder.join(format!("decisions.{which}"));
    let mut command = callgrind::command(&[], &env::current_exe().unwrap(), &out);
    command.args(["--exact", "--ignored", "decide_again_and_again"]).env(WHICH, which);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{which}: {}", String::from_utf8_lossy(&ran.stderr));
    callgrind::instructions(&out)
}

/// Takes the decisions that the environment asks for.
pub(crate) fn run() {
    let which = env::var(WHICH).unwrap();
    let stages: Vec<_> = (0..GATES).map(|_| Stage::new()).collect();
    for probe in &PROBES {
        for stage in &stages {
            stage.take(probe, 0);
        }
    }
    for probe in PROBES.iter().filter(|probe| probe.name == which) {
        for round in 1..=probe.token.rounds() {
            for stage in &stages {
                stage.take(probe, round);
            }
        }
    }
}

impl Token {
    const fn rounds(self) -> usize {
        match self {
            Self::New => ROUNDS_OF_NEW,
            Self::None | Self::Remembered | Self::Revoked => ROUNDS,
        }
    }
}

/// A gate, and the heads of requests to it.
struct Stage {
    gate: Gate,
    none: HeaderMap,
    remembered: HeaderMap,
    revoked: HeaderMap,
    new: Vec<HeaderMap>,
}

impl Stage {
    fn new() -> Self {
        let admins = Policy { roles: vec!["USER".into(), "ADMIN".into()], ..policy("sws") };
        let routes = vec![route("/api/Clientes", admins), route("/api", policy("sws"))];
        let realms = vec![realm("sws", Dialect::Sws, Algorithm::Hs256)];
        let site = site(realms, vec![endpoint("/login", "sws")], routes);
        let gate = gate(&site, &[&MadeKey::new("sws", Algorithm::Hs256)]);
        let holder = holder();
        let head = |token: NewToken<'_>| headers(&mint(&gate, "sws", &token));
        let dead = new_token(&holder);
        let session = dead.session;
        let (remembered, revoked) = (head(new_token(&holder)), head(dead));
        let new = (0..=ROUNDS_OF_NEW).map(|_| head(new_token(&holder))).collect();
        for headers in [&remembered, &revoked] {
            assert!(matches!(decide_fully(&gate, NOW, &get(PATH, headers)), Decision::Forward(_)));
        }
        gate.revocations().apply(&[Record { subject: Subject::Session(session), expires_at: None, created_at: NOW }]);
        Self { none: headers(""), remembered, revoked, new, gate }
    }

    fn take(&self, probe: &Probe, round: usize) {
        let headers = match probe.token {
            Token::None => &self.none,
            Token::Remembered => &self.remembered,
            Token::Revoked => &self.revoked,
            Token::New => &self.new[round],
        };
        match black_box(decide_fully(&self.gate, NOW, &get(black_box(probe.path), black_box(headers)))) {
            Decision::Forward(_) => assert_eq!(probe.denied, None),
            Decision::Reply(denial) => assert_eq!(probe.denied, Some(denial.reason)),
            other => panic!("{other:?}"),
        }
    }
}
