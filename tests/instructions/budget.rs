//! The budget, and counts beside it.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::PathBuf};

/// How far a count may be above its budget, in percent. Runs of one binary agree within 0.5%; the rest is for another
/// processor's variant of a library's function.
const TOLERANCE_PERCENT: u64 = 2;

/// Says `write` where the counts are to be the budget from now on.
const VARIABLE: &str = "PORTERO_BUDGET";

const HEADER: &str = "\
# Instructions each, as callgrind counts them in the build that `profile.toml` makes; not the release's.
# `make instructions` fails where a count is more than 2% above; `make budget` writes what is counted.
";

/// What a new budget needs.
const HOW_TO_WRITE: &str = "`make budget` writes what is counted now as the budget.";

/// One thing and the instructions that it took.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) instructions: u64,
}

/// Counts beside their budget: a line for each that differs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    /// Over budget, or known to one of them only.
    faults: String,
    /// So far below the budget that it no longer says what a step back costs.
    savings: String,
}

pub(crate) fn is_to_be_written() -> bool {
    env::var_os(VARIABLE).is_some_and(|value| value == "write")
}

/// Fails when a count is over its budget, or when counts and budget don't have the same names. Says how to write a new
/// budget when a count is below.
#[track_caller]
pub(crate) fn hold(counts: &[Count]) {
    let budget = toml::from_str(&fs::read_to_string(path()).unwrap()).unwrap();
    let Verdict { faults, savings } = judge(counts, budget);
    if !savings.is_empty() {
        println!("{savings}{HOW_TO_WRITE}\n");
    }
    assert!(faults.is_empty(), "\n{faults}Where this is meant: {HOW_TO_WRITE}\n");
}

fn judge(counts: &[Count], mut budget: BTreeMap<String, u64>) -> Verdict {
    let mut verdict = Verdict::default();
    for Count { name, what, instructions } in counts {
        let is = format!("{name} ({what}): {instructions} instructions");
        let Some(budget) = budget.remove(*name) else {
            writeln!(verdict.faults, "{is}, and no budget").unwrap();
            continue;
        };
        if instructions.abs_diff(budget) * 100 > budget * TOLERANCE_PERCENT {
            let over = *instructions > budget;
            let (side, lines) = if over { ("over", &mut verdict.faults) } else { ("under", &mut verdict.savings) };
            writeln!(lines, "{is}, more than {TOLERANCE_PERCENT}% {side} the budget of {budget}").unwrap();
        }
    }
    for name in budget.keys() {
        writeln!(verdict.faults, "{name}: a budget for what nobody counts").unwrap();
    }
    verdict
}

/// Makes the counts the budget.
pub(crate) fn write(counts: &[Count]) {
    fs::write(path(), HEADER.to_owned() + &table(counts)).unwrap();
}

/// A line a count.
pub(crate) fn table(counts: &[Count]) -> String {
    counts.iter().fold(String::new(), |mut table, Count { name, what, instructions }| {
        let figure = format!("{name} = {instructions}");
        writeln!(table, "{figure:<32} # {what}").unwrap();
        table
    })
}

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "instructions", "budget.toml"].iter().collect()
}

#[test]
fn over_budget_is_a_fault_and_under_budget_is_a_saving() {
    let verdict_of = |instructions| {
        let count = Count { name: "hit", what: "a hit", instructions };
        let Verdict { faults, savings } = judge(&[count], [("hit".to_owned(), 1000)].into());
        (!faults.is_empty(), !savings.is_empty())
    };
    assert_eq!([980, 1000, 1020].map(verdict_of), [(false, false); 3]);
    assert_eq!(verdict_of(1021), (true, false));
    assert_eq!(verdict_of(979), (false, true));
}

#[test]
fn counts_and_budget_have_the_same_names() {
    let count = Count { name: "new", what: "a new row", instructions: 1 };
    let verdict = judge(&[count], [("old".to_owned(), 1)].into());
    let faults = "new (a new row): 1 instructions, and no budget\nold: a budget for what nobody counts\n";
    assert_eq!(verdict, Verdict { faults: faults.to_owned(), savings: String::new() });
}
