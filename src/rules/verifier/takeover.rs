//! What follows from what both systems say of a login: what the client gets, what is learnt, and what is marked.
//! Nothing here asks anybody.

use std::time::Duration;

use crate::{domain::Timestamp, rules::contract::Refusal};

/// How long a hash that the old system confirmed decides alone while that is out of reach, unless the config says
/// otherwise.
pub const TRUST_DEFAULT: Duration = Duration::from_hours(24);

/// How far ahead of the present clock a confirmation may be: another gateway's clock may be ahead. Further ahead, the
/// clock was set back, and nobody knows how long ago it was.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// The side that answers at a token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The old system. Portero compares, and learns.
    Observe,
    /// Portero, which asks the old system.
    Lead,
    /// Portero. The old system is not asked.
    Alone,
}

impl Mode {
    /// The word in `gateway.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Lead => "lead",
            Self::Alone => "alone",
        }
    }
}

/// Whose word counts in [`Mode::Lead`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authority {
    /// The old system's.
    #[default]
    Old,
    /// The hash that Portero has, where it has one.
    Portero,
}

impl Authority {
    /// The word in `gateway.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Portero => "portero",
        }
    }
}

/// What the next step of an endpoint is, and what it changes, for people.
#[must_use]
pub const fn next_step(mode: Mode, authority: Authority) -> Option<(&'static str, &'static str)> {
    match (mode, authority) {
        (Mode::Observe, Authority::Old) => Some((
            "mode = \"lead\"",
            "Portero answers with its own tokens and asks the old system about each login; services that check the old system's tokens themselves need Portero's; refresh tokens of the old system are refused",
        )),
        (Mode::Observe, Authority::Portero) => Some((
            "mode = \"lead\"",
            "Portero answers with its own tokens and by the hashes that it has; the old system is asked about accounts that Portero does not have, and passwords that are changed there do not count",
        )),
        (Mode::Lead, Authority::Old) => Some((
            "authority = \"portero\"",
            "Portero's hash decides for every account that it has; passwords that are changed in the old system, and accounts that are disabled there, do not count any more",
        )),
        (Mode::Lead, Authority::Portero) => Some((
            "mode = \"alone\"",
            "the old system is not asked any more: accounts that Portero does not have are refused; import them first",
        )),
        (Mode::Alone, _) => None,
    }
}

/// Whether Portero's word counts against the old system's: to go back from there loses what the old system does not
/// know.
#[must_use]
pub const fn is_deciding(mode: Mode, authority: Authority) -> bool {
    matches!((mode, authority), (Mode::Alone, _) | (Mode::Lead, Authority::Portero))
}

/// How logins are decided in [`Mode::Lead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whose word counts.
    pub authority: Authority,
    /// How long a confirmed hash decides alone while the old system is out of reach; default [`TRUST_DEFAULT`].
    pub trust: Duration,
}

/// What Portero knows of a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Whether it has the account.
    pub exists: bool,
    /// Whether the secret is the one of the account's hash.
    pub right: bool,
    /// When the old system confirmed exactly this hash last; `None` for never, or not since it refused it.
    pub confirmed_at: Option<Timestamp>,
}

/// What the old system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The name has this secret.
    Yes,
    /// It has not.
    No(Refusal),
    /// It is out of reach, or says nothing that counts.
    Away,
    /// It was not asked: its word does not count.
    NotAsked,
}

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Tokens, unless the account may not be used here.
    Grant,
    /// A refusal in the contract's words.
    Refuse(Refusal),
    /// «Later»: nobody can say now whether the secret is right.
    Unavailable,
}

/// What is learnt from a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learn {
    /// Nothing.
    Nothing,
    /// The account's hash was confirmed.
    Confirm,
    /// The account has another secret.
    Hash,
    /// There is such an account, with this secret.
    Account,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the client gets.
    pub reply: Reply,
    /// What is learnt.
    pub learn: Learn,
    /// Whether the login is marked, to be confirmed later.
    pub mark: bool,
    /// Whether the hash is confirmed no more, and marked logins with it end: the old system refuses the very secret
    /// that it confirmed.
    pub distrust: bool,
    /// Whether it counts as a failure of the client's.
    pub failed: bool,
}

impl Policy {
    /// Whether the old system has to be asked. Where the account's hash decides alone, it has not.
    #[must_use]
    pub const fn asks(&self, exists: bool) -> bool {
        matches!(self.authority, Authority::Old) || !exists
    }
}

/// Whether a hash that was confirmed then decides alone now.
#[must_use]
pub fn is_trusted(confirmed_at: Option<Timestamp>, trust: Duration, now: Timestamp) -> bool {
    confirmed_at.is_some_and(|at| at <= now.plus(AHEAD_MAX) && now.since(at) < trust)
}

/// What follows from both systems' words.
#[must_use]
pub fn decide(policy: &Policy, known: Known, heard: Heard, now: Timestamp) -> Step {
    let step = |reply| Step { reply, learn: Learn::Nothing, mark: false, distrust: false, failed: false };
    match heard {
        Heard::Yes => {
            let learn = match known {
                Known { exists: false, .. } => Learn::Account,
                Known { right: false, .. } => Learn::Hash,
                _ => Learn::Confirm,
            };
            Step { learn, ..step(Reply::Grant) }
        }
        Heard::No(refusal) => {
            Step { distrust: known.exists && known.right, failed: true, ..step(Reply::Refuse(refusal)) }
        }
        Heard::Away => {
            let alone = known.exists && known.right && is_trusted(known.confirmed_at, policy.trust, now);
            if alone {
                return Step { mark: true, ..step(Reply::Grant) };
            }
            // The response is the same for a right secret and a wrong one. A wrong one counts all the same: otherwise a
            // client that tries secrets while the old system is away would hear of the right one.
            Step { failed: !known.right, ..step(Reply::Unavailable) }
        }
        Heard::NotAsked if known.exists && known.right && !policy.asks(true) => step(Reply::Grant),
        Heard::NotAsked => Step { failed: true, ..step(Reply::Refuse(Refusal::Credentials)) },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn policies() -> impl Strategy<Value = Policy> {
        let authority = prop_oneof![Just(Authority::Old), Just(Authority::Portero)];
        (authority, 0u64..200_000)
            .prop_map(|(authority, trust)| Policy { authority, trust: Duration::from_secs(trust) })
    }

    fn knowledge() -> impl Strategy<Value = Known> {
        let confirmed = proptest::option::of((0i64..1_200_000).prop_map(Timestamp::from_secs));
        (any::<bool>(), any::<bool>(), confirmed).prop_map(|(exists, right, confirmed_at)| Known {
            exists,
            right: exists && right,
            confirmed_at: confirmed_at.filter(|_| exists),
        })
    }

    fn words() -> impl Strategy<Value = Heard> {
        let refusals =
            [Refusal::Credentials, Refusal::Locked, Refusal::Inactive, Refusal::CompanyMissing].map(Heard::No);
        let all = refusals.into_iter().chain([Heard::Yes, Heard::Away, Heard::NotAsked]).collect::<Vec<_>>();
        proptest::sample::select(all)
    }

    proptest! {
        #[test]
        fn what_follows_is_what_the_two_steps_promise(policy in policies(), known in knowledge(), heard in words()) {
            let step = decide(&policy, known, heard, NOW);
            let granted = step.reply == Reply::Grant;
            match heard {
                Heard::Yes => {
                    prop_assert!(granted && step.learn != Learn::Nothing && !step.mark);
                    prop_assert_eq!(step.learn == Learn::Account, !known.exists);
                    prop_assert_eq!(step.learn == Learn::Confirm, known.right);
                }
                Heard::No(refusal) => prop_assert_eq!(step.reply, Reply::Refuse(refusal)),
                Heard::Away => {
                    // Only what was confirmed within trust, and always marked.
                    let age = known.confirmed_at.map(|at| NOW.since(at));
                    prop_assert_eq!(granted, step.mark);
                    prop_assert!(!granted || (known.right && age.is_some_and(|age| age < policy.trust)));
                    prop_assert!(granted || step.reply == Reply::Unavailable, "never «wrong password»");
                }
                Heard::NotAsked => prop_assert!(!granted || (policy.authority == Authority::Portero && known.right)),
            }
            // Nothing is learnt without a yes, nothing is marked that is not granted, and what is refused is known.
            prop_assert!(heard == Heard::Yes || step.learn == Learn::Nothing);
            prop_assert!(!step.mark || granted);
            prop_assert!(!step.distrust || (known.right && matches!(heard, Heard::No(_))));
            prop_assert!(!(granted && step.failed));
            // A wrong secret never gets in by Portero's word, and never goes uncounted.
            prop_assert!(known.right || !granted || heard == Heard::Yes);
            prop_assert!(known.right || heard == Heard::Yes || step.failed);
        }
    }

    #[test]
    fn trust_ends_on_time_and_a_clock_that_was_set_back_ends_it_too() {
        let trust = Duration::from_secs(100);
        let trusted = |at: i64| is_trusted(Some(Timestamp::from_secs(at)), trust, NOW);
        assert!(trusted(999_901) && trusted(1_000_000) && trusted(1_000_060));
        assert!(!trusted(999_900) && !trusted(1_000_061));
        assert!(!is_trusted(None, trust, NOW));
        assert!(!is_trusted(Some(NOW), Duration::ZERO, NOW), "no trust at all");
    }
}
