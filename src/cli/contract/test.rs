//! `portero contract test`: recorded exchanges against a contract, in memory.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::{Value, json};

use super::{
    WRONG,
    examples::{self, Example},
    read, refused,
};
use crate::{
    cli::{
        output::{Format, Output},
        print,
    },
    rules::contract::{Difference, Verdict},
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
        examples::assign(&mut all, contract);
        let verdicts: Vec<_> = all.iter().map(|example| (example, contract.replay(&example.recorded))).collect();
        let different = verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Different(_))).count();
        let printed = print(&outcome(&verdicts, different), self.output);
        if different == 0 { printed } else { ExitCode::from(WRONG) }
    }
}

fn outcome(verdicts: &[(&Example, Verdict)], different: usize) -> Output {
    let passed_by = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::NotOurs).count();
    let same = verdicts.len() - different - passed_by;
    let (mut lines, mut differences) = (vec![], vec![]);
    for (example, verdict) in verdicts {
        if let Verdict::Different(difference) = verdict {
            lines.push(shown(example, difference));
            differences.push(as_json(example, difference));
        }
    }
    lines.push(format!("{same} the same, {different} different, {passed_by} a service's own"));
    let text = lines.join("\n");
    let json = json!({ "same": same, "different": different, "not_ours": passed_by, "differences": differences });
    Output { text, json }
}

fn shown(example: &Example, difference: &Difference) -> String {
    let mut lines = vec![format!("{}: {} {}", example.place, example.recorded.method, example.path)];
    let (recorded, ours) = difference.status;
    if recorded != ours {
        lines.push(format!("- status {recorded}\n+ status {ours}"));
    }
    if let Some((recorded, ours)) = &difference.media_type {
        lines.push(format!("- Content-Type: {recorded}\n+ Content-Type: {ours}"));
    }
    if let Some((at, ours)) = &difference.body {
        let recorded = String::from_utf8_lossy(example.recorded.answer.get(*at..).unwrap_or_default());
        lines.push(format!("- byte {at}: {}\n+ byte {at}: {}", cut(&recorded), cut(ours)));
    }
    lines.push(format!("hint: nearest is the answer for {}; {}", difference.nearest, hint(example, difference)));
    lines.join("\n") + "\n"
}

/// What is usually behind such a difference.
fn hint(example: &Example, difference: &Difference) -> &'static str {
    let Some((at, ours)) = &difference.body else { return "the body is the same" };
    let rest = example.recorded.answer.get(*at..).unwrap_or_default();
    let (theirs, ours) = (rest.first().copied().unwrap_or_default(), ours.bytes().next().unwrap_or_default());
    match (theirs, ours) {
        (b' ' | b'\n' | b'\r' | b'\t', _) => "the recording has white space here, and answers are written without any",
        (0, _) => "the recording ends here",
        (b'"', b'0'..=b'9' | b'a') => "the recording has a text where the contract has another type",
        (b'0'..=b'9', b'"' | b'a') => "the recording has a number where the contract has another type",
        (one, other) if one.eq_ignore_ascii_case(&other) => "the letters differ in case alone",
        (b',', b'}') => "the recording has a member more",
        (b'}', b',') => "the recording has a member less",
        _ => "members stand in the contract's order, and texts are compared letter by letter",
    }
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
        "hint": hint(example, difference),
    })
}
