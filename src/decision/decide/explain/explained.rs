//! A decision and how it came about.

use super::{
    super::{
        decision::{Decision, decide_traced},
        live_state::View,
    },
    keys::Keys,
    question::Question,
    steps::{Step, Steps},
};
use crate::domain::{Reason, Timestamp};

/// A decision and how it came about.
#[derive(Debug)]
pub struct Explained<'q> {
    /// Its steps, in the order in which they were taken; the last one that failed decides.
    pub steps: Vec<Step>,
    /// What is decided; `None` where a key would be needed and [`Keys::Unknown`] says that there is none.
    pub decision: Option<Decision<'q>>,
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
