//! The commands, and those that print what is built in.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    super::{
        output::{Format, Output},
        print,
    },
    check::Check,
    learn, test,
    unread::refused,
};
use crate::rules::contract::{Dialect, builtin_text, schema, words};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Contract {
    Show(Show),
    Check(Check),
    Test(test::Test),
    Learn(learn::Learn),
    Words(Words),
    Schema(Schema),
}

/// Print the file of a contract that ships: sws, apis, toc, maxpoint, become, sws-classic
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// Its name
    name: String,
}

/// List what may stand in a hole of a contract's file, and how it can be written
#[derive(Debug, Args)]
pub(in crate::cli) struct Words {
    /// How they are printed
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Print the JSON Schema of contracts' files, for editors
#[derive(Debug, Args)]
pub(in crate::cli) struct Schema {}

impl Contract {
    /// 0 it is good, 1 it is not.
    pub(in crate::cli) fn run(&self) -> ExitCode {
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

fn unknown(name: &str) -> String {
    let names: Vec<_> = Dialect::shipped().filter(|dialect| !dialect.is_oauth()).collect();
    let instead = crate::domain::text::suggestion(name, names.iter().map(Dialect::name));
    format!("no contract that ships is called '{name}'; {instead}")
}
