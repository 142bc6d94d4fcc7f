//! The budget, and counts beside it.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::PathBuf};

/// How far a count may be from its budget, over or under, in percent. Less is as much a fault: a budget that is too
/// large hides the next step back.
const TOLERANCE_PERCENT: u64 = 3;

/// Says `write` where the counts are to be the budget from now on.
const VARIABLE: &str = "PORTERO_BUDGET";

const HEADER: &str = "\
# Instructions each, as callgrind counts them in the build that `profile.toml` makes; not the release's.
# `make instructions` holds them to this within 3%, `make budget` writes them.
";

/// One thing and the instructions that it took.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) instructions: u64,
}

pub(crate) fn is_to_be_written() -> bool {
    env::var_os(VARIABLE).is_some_and(|value| value == "write")
}

/// Fails when a count is not what the budget says, or one of them knows something that the other does not.
#[track_caller]
pub(crate) fn hold(counts: &[Count]) {
    let text = fs::read_to_string(path()).unwrap();
    let mut budget: BTreeMap<String, u64> = toml::from_str(&text).unwrap();
    let mut faults = String::new();
    for Count { name, what, instructions } in counts {
        let is = format!("{name} ({what}): {instructions} instructions");
        match budget.remove(*name) {
            None => writeln!(faults, "{is}, and no budget").unwrap(),
            Some(budget) if instructions.abs_diff(budget) * 100 > budget * TOLERANCE_PERCENT => {
                let side = if *instructions > budget { "over" } else { "under" };
                writeln!(faults, "{is}, more than {TOLERANCE_PERCENT}% {side} the budget of {budget}").unwrap();
            }
            Some(_) => {}
        }
    }
    for name in budget.keys() {
        writeln!(faults, "{name}: a budget for what nobody counts").unwrap();
    }
    assert!(faults.is_empty(), "\n{faults}Where this is meant: `make budget` writes the new one.\n");
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
