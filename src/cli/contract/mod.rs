//! `portero contract …`: contracts as files, without a gateway and without a store.
//!
//! ```text
//! examples   recorded exchanges from files and folders; archive: those in HAR; example: one of them
//! endpoints  which of them went to the contract's own endpoints
//! test       holds them against a contract; hint: what is usually behind a difference
//! learn      drafts a contract's file from them
//! ```

mod archive;
mod endpoints;
mod example;
mod examples;
mod hint;
mod learn;
mod test;

use std::{
    fmt::Write,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    output::{Format, Output},
    print,
};
use crate::rules::contract::{Dialect, FILE_BYTES_MAX, Fault, Loaded, builtin_text, load, schema, words};

/// What the process exits with where something is wrong.
const WRONG: u8 = 1;

#[derive(Debug, Subcommand)]
pub(super) enum Contract {
    Show(Show),
    Check(Check),
    Test(test::Test),
    Learn(learn::Learn),
    Words(Words),
    Schema(Schema),
}

/// Print the file of a contract that ships: sws, apis, toc, maxpoint, become, sws-classic
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Its name
    name: String,
}

/// Say everything that is wrong with a contract's file, and which errors have no response of their own
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file, or the name of a contract that ships
    file: PathBuf,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// List what may stand in a hole of a contract's file, and how it can be written
#[derive(Debug, Args)]
pub(super) struct Words {
    /// How they are printed
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Print the JSON Schema of contracts' files, for editors
#[derive(Debug, Args)]
pub(super) struct Schema {}

/// Why there is no contract to look at.
enum Unread {
    /// The file cannot be read.
    File(String),
    /// What is wrong in it.
    Contract(Vec<Fault>),
}

impl Unread {
    /// Says why.
    fn complain(&self) -> ExitCode {
        match self {
            Self::File(why) => return refused(why),
            Self::Contract(faults) => {
                for fault in faults {
                    eprintln!("{fault}");
                }
            }
        }
        ExitCode::from(WRONG)
    }
}

impl Contract {
    /// 0 it is good, 1 it is not.
    pub(super) fn run(&self) -> ExitCode {
        match self {
            Self::Show(Show { name }) => match builtin_text(name) {
                Some(text) => print(&Output { text: text.trim_end().to_owned(), json: Value::Null }, Format::Text),
                None => refused(&unknown(name)),
            },
            Self::Check(check) => check.run(),
            Self::Test(test) => test.run(),
            Self::Learn(learn) => learn.run(),
            Self::Words(words) => words.run(),
            Self::Schema(Schema {}) => {
                let text = format!("{:#}", schema());
                print(&Output { text, json: Value::Null }, Format::Text)
            }
        }
    }
}

impl Check {
    fn run(&self) -> ExitCode {
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

impl Words {
    fn run(&self) -> ExitCode {
        let words: Vec<_> = words().collect();
        let width = words.iter().map(|word| word.written.chars().count()).max().unwrap_or_default();
        let line = |word: &crate::rules::contract::Word| format!("{:width$}  {}", word.written, word.about);
        let text = words.iter().map(line).collect::<Vec<_>>().join("\n");
        let json = words.iter().map(|word| json!({ "word": word.written, "about": word.about })).collect();
        print(&Output { text, json }, self.output)
    }
}

/// The contract in a file, or one that ships.
fn read(path: &Path) -> Result<Loaded, Unread> {
    let name = path.display().to_string();
    if let Some(text) = builtin_text(&name) {
        return load(&format!("{name}.toml"), text).map_err(Unread::Contract);
    }
    let unreadable = |why: &dyn std::fmt::Display| Unread::File(format!("{name} cannot be read: {why}"));
    // A pipe has no end while somebody holds it open.
    if fs::metadata(path).is_ok_and(|entry| !entry.is_file()) {
        return Err(unreadable(&"it is no regular file"));
    }
    let mut text = String::new();
    let opened = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    opened.map_err(|error| unreadable(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(&format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    load(&name, &text).map_err(Unread::Contract)
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

fn unknown(name: &str) -> String {
    let names: Vec<_> = Dialect::shipped().filter(|dialect| !dialect.is_oauth()).collect();
    let instead = crate::domain::text::suggestion(name, names.iter().map(Dialect::name));
    format!("no contract that ships is called '{name}'; {instead}")
}

fn refused(why: &str) -> ExitCode {
    eprintln!("portero: {why}");
    ExitCode::from(WRONG)
}
