//! Whether tokens that somebody made up slow down those who have good ones: the latency of good requests at a fixed
//! rate, alone and beside as many requests with garbage, through the real binary.
//!
//! The garbage is of the dearest kind that a stranger can make: well-formed, the `kid` of an ES256 key, a signature
//! that is wrong but has to be computed to be known so. The variants take turns, so that what else the machine does
//! meets all of them. The figures are for `README.md` beside this folder.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

#[path = "../../tests/decision/fixture.rs"]
mod fixture;
mod gateway;
mod load;
mod refusals;
mod tokens;

use std::{env, net::Ipv4Addr, time::Duration};

use gateway::Gateway;
use load::{Generator, Outcome, Stream};
use portero::state::limit::BadTokenSettings;

/// Good requests a second, and as many with garbage: well below what the machine can do.
const RATE: u32 = 1_000;

/// Connections of each kind.
const CONNECTIONS: u32 = 32;

/// Addresses that garbage comes from where it is spread: few enough that each sends some in every round, and so many
/// that none of them reaches its budget.
const ADDRESSES: u8 = 16;

/// Good clients' address.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How long and how often everything is measured.
struct Extent {
    rounds: usize,
    round: Duration,
    rate: u32,
    good_tokens: usize,
    garbage_tokens: usize,
    /// The budget of an address; `None` for the default.
    bad_tokens: Option<u32>,
}

/// As `cargo bench` asks.
const MEASURED: Extent = Extent {
    rounds: 20,
    round: Duration::from_secs(2),
    rate: RATE,
    good_tokens: 300,
    garbage_tokens: 4_096,
    bad_tokens: None,
};

/// As a test: enough to see that each variant does what it says.
const TRIED: Extent = Extent {
    rounds: 1,
    round: Duration::from_millis(400),
    rate: 200,
    good_tokens: 8,
    garbage_tokens: 16,
    bad_tokens: Some(20),
};

/// Requests that are checked though the budget is spent, at most: one for each thread of the gateway.
const RACING_MAX: usize = 64;

/// Above every rate of this bench: the largest that the config takes.
const NO_BUDGET: u32 = 1_000_000;

/// What is sent beside the good requests, and to which gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Alone,
    SameAddress,
    OtherAddresses,
    NoBudget,
}

impl Variant {
    const ALL: [Self; 4] = [Self::Alone, Self::SameAddress, Self::OtherAddresses, Self::NoBudget];

    const fn name(self) -> &'static str {
        match self {
            Self::Alone => "(a) good alone",
            Self::SameAddress => "(b) garbage, same address",
            Self::OtherAddresses => "(c) garbage, 16 other addresses",
            Self::NoBudget => "(d) garbage, no budget",
        }
    }

    /// The addresses that garbage comes from.
    fn sources(self) -> Vec<Ipv4Addr> {
        match self {
            Self::Alone => vec![],
            Self::SameAddress | Self::NoBudget => vec![HERE],
            Self::OtherAddresses => (2..2 + ADDRESSES).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect(),
        }
    }
}

fn main() {
    let arguments: Vec<_> = env::args().collect();
    let has = |argument: &str| arguments.iter().any(|given| given == argument);
    // nextest asks for the names first, and once more for those that are ignored.
    if has("--list") {
        if !has("--ignored") {
            println!("garbage_beside_good: test");
        }
        return;
    }
    let measures = has("--bench");
    let extent = if measures { MEASURED } else { TRIED };
    refusals::measure(measures);
    if has("refusals") {
        return;
    }

    let generator = Generator::new();
    let start =
        |bad_tokens| Gateway::start(generator.upstream(), bad_tokens, extent.good_tokens, extent.garbage_tokens);
    let (bounded, unbounded) = (start(extent.bad_tokens), start(Some(NO_BUDGET)));
    let mut outcomes = Variant::ALL.map(|_| vec![]);
    for _ in 0..extent.rounds {
        for (variant, outcomes) in Variant::ALL.into_iter().zip(&mut outcomes) {
            let gateway = if variant == Variant::NoBudget { &unbounded } else { &bounded };
            let outcome = run(&generator, gateway, variant, &extent);
            outcomes.push(outcome);
        }
    }
    for (variant, outcomes) in Variant::ALL.into_iter().zip(&outcomes) {
        check(variant, outcomes, &extent);
    }
    if measures {
        print(&outcomes, extent.round);
    }
}

/// One round of one variant.
fn run(generator: &Generator, gateway: &Gateway, variant: Variant, extent: &Extent) -> Outcome {
    let good = Stream { requests: gateway.good(), sources: vec![HERE] };
    let garbage = Stream { requests: gateway.garbage(), sources: variant.sources() };
    // Every good token is remembered before anything is measured.
    generator.warm_up(gateway.front(), &good);
    let before = gateway.cpu();
    let mut outcome = generator.run(gateway.front(), &good, &garbage, extent.rate, extent.round);
    outcome.cpu = gateway.cpu().saturating_sub(before);
    outcome
}

/// Fails when a variant was not what its name says.
fn check(variant: Variant, outcomes: &[Outcome], extent: &Extent) {
    let name = variant.name();
    let good = outcomes.iter().flat_map(|outcome| &outcome.good);
    assert!(good.clone().count() > 0, "{name}: nothing was sent");
    assert!(good.clone().all(|answer| answer.status == 200), "{name}: a good token was refused");
    let garbage = || outcomes.iter().flat_map(|outcome| &outcome.garbage);
    let [checked, spared] = [401, 429].map(|status| garbage().filter(|answer| answer.status == status).count());
    assert_eq!(checked + spared, garbage().count(), "{name}: garbage is 401 or 429");
    match variant {
        Variant::Alone => assert_eq!(checked + spared, 0, "{name}"),
        Variant::OtherAddresses | Variant::NoBudget => assert!(checked > 0 && spared == 0, "{name}: {spared} spared"),
        Variant::SameAddress => {
            let budget = extent.bad_tokens.unwrap_or(BadTokenSettings::default().bad_tokens);
            // A round may have a window of its own, and the end of another. Requests that are decided at the same
            // moment see the same count.
            let most = 2 * (usize::try_from(budget).unwrap() + RACING_MAX) * outcomes.len();
            assert!(spared > 0 && checked > 0 && checked <= most, "{name}: {checked} checked, {spared} spared");
        }
    }
}

/// The table: medians over the rounds, and of the ratio to (a) in the same round. What else the machine does only ever
/// adds: in the calm quarter of the rounds it adds least.
fn print(outcomes: &[Vec<Outcome>; 4], round: Duration) {
    let [alone, ..] = outcomes;
    println!(
        "| variant | p50 | p99 | to (a) | p99, calm | to (a) | sent late, p99 | CPU | checked | refused unchecked |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let calm_alone = quartile(alone.iter().map(|outcome| outcome.latency(990)));
    for (variant, rounds) in Variant::ALL.into_iter().zip(outcomes) {
        let of = |figure: &dyn Fn(&Outcome) -> f64| median(rounds.iter().map(figure));
        let calm = quartile(rounds.iter().map(|outcome| outcome.latency(990)));
        let ratios = rounds.iter().zip(alone).map(|(other, alone)| other.latency(990) / alone.latency(990));
        let seconds = round.as_secs_f64();
        println!(
            "| {} | {:.0} µs | {:.0} µs | {:.2} | {:.0} µs | {:.2} | {:.0} µs | {:.0} ms/s | {:.0}/s | {:.0}/s |",
            variant.name(),
            of(&|it| it.latency(500)),
            of(&|it| it.latency(990)),
            median(ratios),
            calm,
            calm / calm_alone,
            of(&|it| it.lateness(990)),
            of(&|it| it.cpu.as_secs_f64() * 1e3 / seconds),
            mean(rounds.iter().map(|it| it.garbage_with(401) / seconds)),
            mean(rounds.iter().map(|it| it.garbage_with(429) / seconds)),
        );
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let values = sorted(values);
    values[values.len() / 2]
}

fn quartile(values: impl Iterator<Item = f64>) -> f64 {
    let values = sorted(values);
    values[values.len() / 4]
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = f64::from(u32::try_from(values.len()).unwrap());
    values.sum::<f64>() / count
}
