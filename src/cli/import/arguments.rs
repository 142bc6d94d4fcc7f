//! The arguments of `portero import`.

use std::{fs::File, io::Read, path::PathBuf};

use clap::{Args, ValueEnum};

use super::columns::Mapping;
use crate::{
    cli::{account::Common, output::CliError},
    decision::admin::import::{OnConflict, Options},
    domain::{PrincipalKind, secret::SecretBytes},
    state::account::{
        import::ImportKind,
        password::{Encoding, Reading, Rule},
    },
};

/// Bytes of a pepper's file, at most.
const PEPPER_BYTES_MAX: u64 = 257;

/// Take the accounts of another system over, with their passwords
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// The table or the lines to read; `-` is standard input
    #[arg(value_name = "FILE|-")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
    /// What the rows are
    #[arg(long, value_enum)]
    pub(super) kind: Kind,
    /// The file's form [default: what its name ends in, else csv]
    #[arg(long, value_enum)]
    pub(super) format: Option<Form>,
    /// The character between the columns of a table
    #[arg(long, default_value = ",", value_parser = delimiter)]
    pub(super) delimiter: u8,
    /// What a column is that has another name here; OLD=- leaves it out; may be repeated
    #[arg(long, value_name = "OLD=NEW")]
    pub(super) map: Vec<Mapping>,
    /// What becomes of a row whose name is taken; update changes the account, and ends its tokens where it matters
    #[arg(long, value_enum, default_value_t)]
    pub(super) on_conflict: Conflict,
    /// What becomes of a row that cannot be imported
    #[arg(long, value_enum, default_value_t)]
    bad_rows: BadRows,
    /// Change nothing, and say what would happen
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Begin anew, whatever an earlier import of the realm left to do
    #[arg(long)]
    pub(super) restart: bool,
    /// Try whether hashes are understood: each row has a hash and the password that it is of
    #[arg(long, conflicts_with_all = ["dry_run", "restart", "wrap"])]
    pub(super) probe: bool,
    /// When hashes that are quickly tried are wrapped in argon2id: by this command, or by the gateway in the background
    #[arg(long, value_enum, default_value_t)]
    pub(super) wrap: Wrap,
    /// What migration status calls the accounts' source
    #[arg(long, default_value = "import", value_parser = source)]
    source: String,
    /// How digests are made that do not say so, for example 'sha1(salt + password)'
    #[arg(long, value_name = "RULE", value_parser = Rule::parse)]
    rule: Option<Rule>,
    /// How the digests of that rule are written
    #[arg(long, value_enum, default_value_t = Written::Hex)]
    hash_encoding: Written,
    /// How its salts are written
    #[arg(long, value_enum, default_value_t = Written::Text)]
    salt_encoding: Written,
    /// The file with its pepper; one newline at its end is dropped
    #[arg(long, value_name = "FILE")]
    pepper_file: Option<PathBuf>,
}

/// What the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Users of sws and apis realms
    Users,
    /// Clients of maxpoint, become and oauth realms
    Clients,
    /// Projects of toc realms
    Projects,
    /// Companies of become realms
    Companies,
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A table with a heading (RFC 4180)
    Csv,
    /// JSON Lines: one object an account
    Jsonl,
}

/// What becomes of a row whose name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Conflict {
    /// The import stops before it
    #[default]
    Stop,
    /// The account stays as it is
    Skip,
    /// The account becomes what the row says
    Update,
}

/// What becomes of a row that cannot be imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum BadRows {
    /// The import stops before it
    #[default]
    Stop,
    /// It is said and left out
    Skip,
}

/// The party that wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Wrap {
    /// This command, before it ends
    Now,
    /// The gateway, a little at a time
    #[default]
    Background,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Written {
    /// As text
    Text,
    /// In hexadecimal digits
    Hex,
    /// In Base64 or base64url
    Base64,
}

impl Kind {
    pub(super) const fn import(self) -> ImportKind {
        match self {
            Self::Users => ImportKind::Accounts(PrincipalKind::User),
            Self::Clients => ImportKind::Accounts(PrincipalKind::Client),
            Self::Projects => ImportKind::Accounts(PrincipalKind::Project),
            Self::Companies => ImportKind::Companies,
        }
    }
}

impl Import {
    /// The file's name, for people.
    pub(super) fn shown(&self) -> String {
        if self.is_stdin() { "standard input".to_owned() } else { self.file.display().to_string() }
    }

    pub(super) fn is_stdin(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    pub(super) fn form(&self) -> Form {
        let by_name = || match self.file.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson" | "json") => Form::Jsonl,
            _ => Form::Csv,
        };
        self.format.unwrap_or_else(by_name)
    }

    pub(super) fn options(&self) -> Result<Options, CliError> {
        Ok(Options {
            on_conflict: match self.on_conflict {
                Conflict::Stop => OnConflict::Stop,
                Conflict::Skip => OnConflict::Skip,
                Conflict::Update => OnConflict::Update,
            },
            skips_bad: self.bad_rows == BadRows::Skip,
            source: self.source.clone(),
            reading: self.reading()?,
        })
    }

    /// How hashes are to be read.
    pub(super) fn reading(&self) -> Result<Reading, CliError> {
        let wants_pepper = self.rule.as_ref().is_some_and(Rule::has_pepper);
        let pepper = match (&self.pepper_file, wants_pepper) {
            (Some(file), true) => pepper(file)?,
            (None, false) => SecretBytes::new(vec![]),
            (Some(_), false) => {
                return Err(CliError::Refused("--pepper-file is given, and --rule has no pepper".to_owned()));
            }
            (None, true) => return Err(CliError::Refused("--rule has a pepper: give its --pepper-file".to_owned())),
        };
        let encoding = |written| match written {
            Written::Text => Encoding::Text,
            Written::Hex => Encoding::Hex,
            Written::Base64 => Encoding::Base64,
        };
        Ok(Reading {
            rule: self.rule.clone(),
            digests: encoding(self.hash_encoding),
            salts: encoding(self.salt_encoding),
            pepper,
        })
    }
}

fn pepper(file: &PathBuf) -> Result<SecretBytes, CliError> {
    let refuse = |why: String| CliError::Refused(format!("the pepper's file {}: {why}", file.display()));
    let mut bytes = zeroize::Zeroizing::new(vec![]);
    let opened = File::open(file).map_err(|error| refuse(error.to_string()))?;
    opened.take(PEPPER_BYTES_MAX + 2).read_to_end(&mut bytes).map_err(|error| refuse(error.to_string()))?;
    let line = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(&bytes);
    match line.len() {
        0 => Err(refuse("it is empty".to_owned())),
        1..=256 => Ok(SecretBytes::new(line.to_vec())),
        _ => Err(refuse("a pepper has at most 256 bytes".to_owned())),
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
        _ => Err("a delimiter is one ASCII character, or \\t".to_owned()),
    }
}

/// A source stands in metrics: few and short words.
fn source(text: &str) -> Result<String, String> {
    let fits = (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits { Ok(text.to_owned()) } else { Err("a source has 1 to 32 of a-z, 0-9 and '-'".to_owned()) }
}
