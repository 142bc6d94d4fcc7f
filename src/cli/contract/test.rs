//! `portero contract test`: recorded exchanges against a contract, in memory.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::{Value, json};

use super::{
    endpoints::{self, Paths},
    example::Example,
    examples,
    hint::hint,
    unread::{WRONG, read, refused},
};
use crate::{
    cli::{
        output::{Format, Output},
        print,
    },
    rules::contract::{Difference, Expected, Verdict},
};

/// Characters of a body that a difference shows on each side, at most.
const SHOWN_CHARS_MAX: usize = 72;

/// Hold recorded exchanges against a contract; exits with 1 where one would be answered otherwise
#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    /// The contract's file, or the name of one that ships
    file: PathBuf,
    /// Recordings: files in the golden format (.http) or HAR (.har), or folders of such
    #[arg(required = true)]
    examples: Vec<PathBuf>,
    /// The language of the recorded answers; that of the file unless it is given
    #[arg(long)]
    language: Option<String>,
    #[command(flatten)]
    paths: Paths,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

impl Test {
    pub(super) fn run(&self) -> ExitCode {
        let contract = match read(&self.file) {
            Ok(loaded) => loaded.contract,
            Err(unread) => return unread.complain(),
        };
        let place = self.language.as_ref().map_or(Some(0), |language| contract.place(language));
        let Some(place) = place else {
            let known: Vec<_> = contract.languages().collect();
            return refused(&format!("the contract does not speak that language; it speaks {}", known.join(", ")));
        };
        let contract = contract.at(place);
        let mut all = match examples::read_all(&self.examples) {
            Ok(all) => all,
            Err(why) => return refused(&why),
        };
        self.paths.assign(&mut all, contract);
        let held = Held::of(&all, |example| contract.replay(&example.recorded));
        let printed = print(&held.outcome(), self.output);
        if held.same == 0 && held.different.is_empty() {
            return refused(&format!(
                "nothing was held against the contract: no recorded request goes to its endpoint, {}; name the path \
                 of the endpoint with --login PATH",
                endpoints::told_by(contract)
            ));
        }
        if held.different.is_empty() && held.unjudged.is_empty() { printed } else { ExitCode::from(WRONG) }
    }
}

/// Paths of services that are listed, at most.
const ELSEWHERE_MAX: usize = 20;

/// What came of all exchanges.
#[derive(Default)]
struct Held<'e> {
    same: usize,
    different: Vec<(&'e Example, Box<Difference>)>,
    /// What the recording lacks of them.
    unjudged: Vec<(&'e Example, &'static str)>,
    /// Method and path of what services answered, and how often.
    elsewhere: BTreeMap<String, usize>,
}

impl<'e> Held<'e> {
    fn of(all: &'e [Example], hold: impl Fn(&Example) -> Verdict) -> Self {
        let mut outcome = Self::default();
        for example in all {
            if let Some(why) = example.lacks {
                outcome.unjudged.push((example, why));
                continue;
            }
            match hold(example) {
                Verdict::Same(_) => outcome.same += 1,
                Verdict::Different(difference) => outcome.different.push((example, difference)),
                Verdict::NotOurs => *outcome.elsewhere.entry(request(example)).or_default() += 1,
            }
        }
        outcome
    }

    fn outcome(&self) -> Output {
        let not_ours: usize = self.elsewhere.values().sum();
        let differences: Vec<_> =
            self.different.iter().map(|(example, difference)| as_json(example, difference)).collect();
        let unjudged = |(example, why): &(&Example, &str)| json!({ "place": example.place, "why": why });
        let json = json!({
            "same": self.same,
            "different": self.different.len(),
            "not_ours": not_ours,
            "not_judged": self.unjudged.len(),
            "differences": differences,
            "services": self.elsewhere,
            "unjudged": self.unjudged.iter().map(unjudged).collect::<Vec<_>>(),
        });
        let mut lines = self.lines();
        let mut total = format!("{} the same, {} different, {not_ours} a service's own", self.same, differences.len());
        if !self.unjudged.is_empty() {
            let _ = write!(total, ", {} not judged", self.unjudged.len());
        }
        lines.push(total);
        Output { text: lines.join("\n"), json }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.different.iter().map(|(example, difference)| shown(example, difference)).collect();
        let unjudged =
            |(example, why): &(&Example, &str)| format!("{}: {}\nnot judged: {why}\n", example.place, request(example));
        lines.extend(self.unjudged.iter().map(unjudged));
        let told = |(request, count): (&String, &usize)| format!("a service's own: {request} ({count})");
        lines.extend(self.elsewhere.iter().take(ELSEWHERE_MAX).map(told));
        let more = self.elsewhere.len().saturating_sub(ELSEWHERE_MAX);
        if more > 0 {
            lines.push(format!("a service's own: {more} more"));
        }
        lines
    }
}

fn request(example: &Example) -> String {
    format!("{} {}", example.recorded.method, example.path)
}

fn shown(example: &Example, difference: &Difference) -> String {
    let mut lines = vec![format!("{}: {}", example.place, request(example))];
    let (recorded, ours) = difference.status;
    if recorded != ours {
        lines.push(format!("- status {recorded}\n+ status {ours}"));
    }
    if let Some((recorded, ours)) = &difference.media_type {
        lines.push(format!("- Content-Type: {recorded}\n+ Content-Type: {ours}"));
    }
    if let Some((at, ours)) = &difference.body {
        let recorded = String::from_utf8_lossy(example.recorded.answer.get(*at..).unwrap_or_default());
        let ours = match ours {
            Expected::Letters(letters) => letters.as_str(),
            Expected::Value(kind) => kind,
            Expected::End => "the end of the body",
        };
        lines.push(format!("- byte {at}: {}\n+ byte {at}: {}", cut(&recorded), cut(ours)));
    }
    lines.push(format!(
        "hint: nearest is the answer for {}; {}",
        difference.nearest,
        hint(&example.recorded.answer, difference)
    ));
    lines.join("\n") + "\n"
}

fn cut(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() { format!("{shown}…") } else { shown }
}

fn as_json(example: &Example, difference: &Difference) -> Value {
    json!({
        "place": example.place,
        "path": example.path,
        "nearest": difference.nearest,
        "status": { "recorded": difference.status.0, "contract": difference.status.1 },
        "byte": difference.body.as_ref().map(|(at, _)| at),
        "hint": hint(&example.recorded.answer, difference),
    })
}
