//! The parts of `portero migration status`, and what follows from them.

use serde_json::{Value, json};

use crate::cli::output::Output;

/// A part of the status: what people read, and the members of the JSON object.
pub(super) struct Section {
    pub(super) text: String,
    pub(super) members: Vec<(&'static str, Value)>,
    pub(super) verdicts: Verdicts,
}

/// What follows for the old systems.
#[derive(Default)]
pub(super) struct Verdicts {
    /// What nobody needs any more.
    pub(super) off: Vec<String>,
    /// What would break if it went.
    pub(super) breaks: Vec<String>,
}

/// All sections, and what follows from them.
pub(super) fn status(sections: impl IntoIterator<Item = Section>) -> Output {
    let (mut texts, mut members, mut verdicts) = (vec![], serde_json::Map::new(), Verdicts::default());
    for section in sections {
        texts.push(section.text);
        members.extend(section.members.into_iter().map(|(name, value)| (name.to_owned(), value)));
        verdicts.off.extend(section.verdicts.off);
        verdicts.breaks.extend(section.verdicts.breaks);
    }
    for (heading, lines) in
        [("can be switched off now:", &verdicts.off), ("would break if it were switched off:", &verdicts.breaks)]
    {
        if !lines.is_empty() {
            texts.push(format!("{heading}\n  {}", lines.join("\n  ")));
        }
    }
    members.insert("can_switch_off".to_owned(), json!(verdicts.off));
    members.insert("would_break".to_owned(), json!(verdicts.breaks));
    Output { text: texts.join("\n\n"), json: Value::Object(members) }
}
