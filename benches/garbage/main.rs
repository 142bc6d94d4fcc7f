//! Whether tokens that somebody made up slow down those who have good ones: the latency of good requests at a fixed
//! rate, alone and beside as many requests with garbage, through the real binary.
//!
//! The garbage is of the dearest kind that a stranger can make: well-formed, the `kid` of an ES256 key, a signature
//! that is wrong but has to be computed to be known so. The variants take turns, so that what else the machine does
//! meets all of them. The figures are for `README.md` beside this folder.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

mod gateway;
mod load;
mod tokens;

use std::{env, net::Ipv4Addr, time::Duration};

use gateway::Gateway;
use load::{Generator, Outcome, Stream};

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
    rounds: 9,
    round: Duration::from_secs(4),
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

    let generator = Generator::new();
    let start =
        |bad_tokens| Gateway::start(generator.upstream(), bad_tokens, extent.good_tokens, extent.garbage_tokens);
    let (bounded, unbounded) = (start(extent.bad_tokens), start(Some(NO_BUDGET)));
    let mut outcomes = Variant::ALL.map(|_| vec![]);
    for _ in 0..extent.rounds {
        for (variant, outcomes) in Variant::ALL.into_iter().zip(&mut outcomes) {
            let gateway = if variant == Variant::NoBudget { &unbounded } else { &bounded };
            let outcome = run(&generator, gateway, variant, &extent);
            check(variant, &outcome, &extent);
            outcomes.push(outcome);
        }
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
fn check(variant: Variant, outcome: &Outcome, extent: &Extent) {
    let name = variant.name();
    assert!(outcome.good.iter().all(|answer| answer.status == 200), "{name}: a good token was refused");
    let sent = outcome.garbage.len();
    let checked = outcome.garbage.iter().filter(|answer| answer.status == 401).count();
    let spared = outcome.garbage.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(checked + spared, sent, "{name}: garbage is 401 or 429");
    match variant {
        Variant::Alone => assert_eq!(sent, 0, "{name}"),
        Variant::OtherAddresses | Variant::NoBudget => assert!(sent > 0 && spared == 0, "{name}: {spared} spared"),
        Variant::SameAddress => {
            // The default as `docs/configuration.md` states it. Requests that are decided at the same moment see the
            // same count, and a window may end in a round.
            let budget = extent.bad_tokens.map_or(1_000, |bad_tokens| usize::try_from(bad_tokens).unwrap());
            assert!(spared > 0 && (budget..=2 * budget).contains(&checked), "{name}: {checked} checked");
        }
    }
}

/// The table: medians over the rounds, and of each round's ratio to (a) in the same round.
fn print(outcomes: &[Vec<Outcome>; 4], round: Duration) {
    let [alone, ..] = outcomes;
    println!(
        "| variant | p50 | p99 | p99 to (a) | p99.9 | sent late, p99 | gateway's CPU | checked | refused unchecked |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (variant, rounds) in Variant::ALL.into_iter().zip(outcomes) {
        let of = |figure: &dyn Fn(&Outcome) -> f64| median(rounds.iter().map(figure).collect());
        let ratio = rounds.iter().zip(alone).map(|(other, alone)| other.latency(990) / alone.latency(990)).collect();
        let seconds = round.as_secs_f64();
        println!(
            "| {} | {:.0} µs | {:.0} µs | {:.2} | {:.0} µs | {:.0} µs | {:.0} ms/s | {:.0}/s | {:.0}/s |",
            variant.name(),
            of(&|it| it.latency(500)),
            of(&|it| it.latency(990)),
            median(ratio),
            of(&|it| it.latency(999)),
            of(&|it| it.lateness(990)),
            of(&|it| it.cpu.as_secs_f64() * 1e3 / seconds),
            of(&|it| it.garbage_with(401) / seconds),
            of(&|it| it.garbage_with(429) / seconds),
        );
    }
    let ratios = |rounds: &[Outcome]| {
        let ratios = rounds.iter().zip(alone).map(|(other, alone)| other.latency(990) / alone.latency(990));
        ratios.map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" ")
    };
    for (variant, rounds) in Variant::ALL.into_iter().zip(outcomes).skip(1) {
        println!("{}: p99 to (a), round by round: {}", variant.name(), ratios(rounds));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
