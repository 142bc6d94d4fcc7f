//! `portero contract check`.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::{Value, json};

use super::{
    super::{
        output::{Format, Output},
        print,
    },
    unread::{Unread, WRONG, read},
};
use crate::rules::contract::{Fault, Loaded};

/// Say everything that is wrong with a contract's file, and which errors have no response of their own
#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// The file, or the name of a contract that ships
    file: PathBuf,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

impl Check {
    pub(super) fn run(&self) -> ExitCode {
        let read = read(&self.file);
        match (&read, self.output) {
            (Ok(loaded), format) => print(&good(loaded), format),
            (Err(Unread::Contract(faults)), Format::Json) => {
                let json = json!({ "good": false, "problems": faults.iter().map(problem).collect::<Vec<_>>() });
                print(&Output { text: String::new(), json }, Format::Json);
                ExitCode::from(WRONG)
            }
            (Err(unread), _) => unread.complain(),
        }
    }
}

fn good(loaded: &Loaded) -> Output {
    let facts = crate::rules::contract::Contract::facts(loaded.contract.in_default());
    let languages: Vec<_> = loaded.contract.languages().collect();
    let kinds: Vec<_> = facts.tokens.login.iter().map(|kind| kind.name()).collect();
    let fell_back = &loaded.fell_back;
    let mut text = format!(
        "contract '{}' is good: accounts are {}s, a login gives {} ({}), texts are in {}",
        facts.name,
        facts.accounts.kind,
        kinds.join(", "),
        facts.tokens.algorithm,
        languages.join(", ")
    );
    for (errors, names) in [("rejections", &fell_back.rejections), ("denials", &fell_back.denials)] {
        if !names.is_empty() {
            let _ = write!(text, "\n{errors} answered by `other`: {}", names.join(", "));
        }
    }
    let json = json!({
        "good": true,
        "name": facts.name,
        "accounts": facts.accounts.kind.name(),
        "tokens": kinds,
        "algorithm": facts.tokens.algorithm.name(),
        "languages": languages,
        "fell_back": { "rejections": fell_back.rejections, "denials": fell_back.denials },
    });
    Output { text, json }
}

fn problem(fault: &Fault) -> Value {
    let position = fault.position;
    json!({ "file": fault.file, "line": position.line, "column": position.column, "message": fault.message })
}
