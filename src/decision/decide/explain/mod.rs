//! Why a request is let through or refused: the decision itself, rehearsed, with each of its steps in words.
//!
//! It is [`crate::decision::decide()`] that decides, not a copy of it, and nothing comes of it: no token is remembered,
//! none is counted as bad, no metric moves, and no external issuer is asked.

mod question;
mod steps;
mod words;

use serde::Serialize;

pub use question::{Inquiry, NoRequest, Question};
pub use steps::{Outcome, Step};

use self::steps::Steps;
use super::{
    decision::{Decision, Permit, decide_traced},
    live_state::View,
    site::ForwardToken,
};
use crate::domain::{Reason, Timestamp};

/// What is known of the keys that tokens are checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Those in force.
    Known,
    /// None: there is a config, and no store.
    Unknown,
}

/// A decision and how it came about.
#[derive(Debug)]
pub struct Explained<'q> {
    /// Its steps, in the order in which they were taken; the last one that failed decides.
    pub steps: Vec<Step>,
    /// What is decided; `None` where a key would be needed and [`Keys::Unknown`] says that there is none.
    pub decision: Option<Decision<'q>>,
}

/// What an upstream would receive.
#[derive(Debug, Serialize)]
pub struct Forwarded {
    /// The upstream's name.
    pub upstream: String,
    /// Its servers, as the config names them.
    pub servers: Vec<String>,
    /// The path that was authorised, as the route rewrites it, without its query.
    pub path: String,
    /// The identity headers, each with its value.
    pub headers: Vec<(String, String)>,
    /// What becomes of the client's token: `kept`, `dropped` or `exchanged`.
    pub token: &'static str,
}

/// Decides about a request as the gateway would now, and says why.
#[must_use]
pub fn explain<'q>(view: &View<'_>, now: Timestamp, question: &'q Question, keys: Keys) -> Explained<'q> {
    let request = question.request();
    let mut steps = Steps::new(&request, view.snapshot(), now, keys);
    let proof = match decide_traced(view, now, &request, None, &mut steps) {
        Decision::Verify(job) => job.rehearse(view, question.client, now),
        decided => return finished(steps, decided, keys),
    };
    // From the first step on, with what the token turned out to be.
    let mut steps = Steps::new(&request, view.snapshot(), now, keys);
    match decide_traced(view, now, &request, Some(&proof), &mut steps) {
        Decision::AwaitKey(awaiting) => {
            let proof = awaiting.rehearse(view, question.client, now);
            let mut steps = Steps::asking(&request, view.snapshot(), now, keys, &steps);
            let decided = decide_traced(view, now, &request, Some(&proof), &mut steps);
            finished(steps, decided, keys)
        }
        Decision::AwaitCheck(awaiting) => {
            let proof = awaiting.unasked();
            let mut steps = Steps::asking(&request, view.snapshot(), now, keys, &steps);
            let decided = decide_traced(view, now, &request, Some(&proof), &mut steps);
            finished(steps, decided, keys)
        }
        decided => finished(steps, decided, keys),
    }
}

fn finished<'q>(steps: Steps<'_>, decided: Decision<'q>, keys: Keys) -> Explained<'q> {
    let refused = match &decided {
        Decision::Reply(denial) => Some(denial.reason),
        Decision::Forward(permit) if permit.is_shadow() => Some(permit.reason),
        _ => None,
    };
    let undecided = keys == Keys::Unknown
        && matches!(refused, Some(Reason::UnknownKey | Reason::IssuerUnavailable | Reason::InvalidSignature));
    let mut steps = steps.into_steps(refused);
    if let Decision::Forward(permit) = &decided
        && !undecided
    {
        steps.extend(Step::of_permit(permit));
    }
    Explained { steps, decision: (!undecided).then_some(decided) }
}

impl Forwarded {
    /// What follows from `permit`.
    #[must_use]
    pub fn of(permit: &Permit<'_>) -> Self {
        let identity = permit.identity.as_ref().map(|identity| identity.identity.as_slice()).unwrap_or_default();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            upstream: permit.route.settings.upstream.to_string(),
            servers: permit.route.pool.servers().iter().map(|server| server.address().to_owned()).collect(),
            path: permit.upstream_path().unwrap_or_default().into_owned(),
            headers: identity.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            token: match permit.route.settings.forward_token {
                ForwardToken::Keep => "kept",
                ForwardToken::Drop => "dropped",
                ForwardToken::Internal => "exchanged",
            },
        }
    }
}
