//! `portero contract learn`: a contract's file, drafted from recordings of an old endpoint.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{endpoints::Paths, example::Example, examples, unread::refused};
use crate::rules::contract::{Learnt, Observed, Verdict, learn, load};

/// How problems call the draft: it has no file yet.
const DRAFT: &str = "draft";

/// Draft a contract's file from recordings of an old endpoint, to standard output; exits with 1 where the draft would
/// answer one of them otherwise
#[derive(Debug, Args)]
pub(in crate::cli) struct Learn {
    /// Recordings: files in the golden format (.http) or HAR (.har), or folders of such
    #[arg(required = true)]
    recordings: Vec<PathBuf>,
    /// What the contract is called
    #[arg(long, default_value = "learnt")]
    name: String,
}

impl Learn {
    pub(super) fn run(&self) -> ExitCode {
        let mut all = match examples::read_all(&self.recordings) {
            Ok(all) => all,
            Err(why) => return refused(&why),
        };
        for Example { place, lacks, .. } in &all {
            if let Some(why) = lacks {
                eprintln!("portero: {place}: {why}: passed over");
            }
        }
        all.retain(|example| example.lacks.is_none());
        let observed: Vec<_> =
            all.iter().map(|example| Observed { path: &example.path, recorded: &example.recorded }).collect();
        let Learnt { text, others } = match learn(&self.name, &observed) {
            Ok(learnt) => learnt,
            Err(why) => return refused(&why),
        };
        print!("{text}");
        for &other in others.iter().rev() {
            let other = all.remove(other);
            eprintln!("portero: {}: {} has the errors of another contract: passed over", other.place, other.path);
        }
        match different(&text, &mut all) {
            Ok(0) => ExitCode::SUCCESS,
            Ok(different) => {
                let of = all.len();
                refused(&format!(
                    "{different} of {of} exchanges would be answered otherwise: complete the draft, and see portero contract test"
                ))
            }
            Err(why) => refused(&why),
        }
    }
}

/// How many of the exchanges the draft would answer otherwise.
fn different(text: &str, all: &mut [Example]) -> Result<usize, String> {
    let loaded = load(DRAFT, text).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        faults.join("\n")
    })?;
    let contract = loaded.contract.in_default();
    Paths::default().assign(all, contract);
    let verdicts = all.iter().map(|example| contract.replay(&example.recorded));
    Ok(verdicts.filter(|verdict| matches!(verdict, Verdict::Different(_))).count())
}
