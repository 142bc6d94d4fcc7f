//! `portero audit tail`: rows of the store and lines of files as one stream, in the order of their times. It is printed
//! as it is read: a log may be larger than the memory.

use std::{
    collections::VecDeque,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{
    super::output::{CliError, Format, Output, time},
    files::Files,
};
use crate::{
    config::GatewaySettings,
    decision::AdminService,
    domain::{PrincipalId, Timestamp},
    observe::audit::{Lines, LogFiles, ReadLine, in_order},
    state::store::AuditRow,
};

/// Rows that are read at once.
const PAGE_ROWS: u32 = 1_000;

/// What is printed.
pub(super) struct Wanted {
    pub(super) since: Option<Timestamp>,
    pub(super) account: Option<PrincipalId>,
}

/// An entry and its time.
struct Entry {
    at: String,
    members: Map<String, Value>,
}

pub(super) async fn tail(
    settings: &GatewaySettings,
    admin: &AdminService,
    more: &[PathBuf],
    wanted: &Wanted,
    format: Format,
) -> Result<Output, CliError> {
    let mut files = match Files::configured(settings)? {
        Some(file) => LogFiles::of(&file).map_err(|error| unreadable(&file, &error))?.files,
        None => vec![],
    };
    files.extend(more.iter().cloned());
    let first = files.first().cloned().unwrap_or_default();
    let files = in_order(files).map_err(|error| unreadable(&first, &error))?;
    let mut sources = vec![];
    for path in files {
        let lines = Lines::open(&path).map_err(|error| unreadable(&path, &error))?;
        let mut source = Source { path, lines, next: None };
        source.advance(wanted)?;
        sources.push(source);
    }
    let mut rows = Rows { admin, number: 0, read: VecDeque::new(), ended: false };
    let mut out = BufWriter::new(io::stdout().lock());
    loop {
        let row = rows.peek(wanted).await?.map(|row| row.at.clone());
        let line = sources.iter_mut().filter(|source| source.next.is_some()).min_by(|one, two| one.at().cmp(two.at()));
        let entry = match (row, line) {
            (None, None) => break,
            (Some(row), Some(line)) if line.at() < row.as_str() => line.take(wanted)?,
            (None, Some(line)) => line.take(wanted)?,
            (Some(_), _) => rows.read.pop_front(),
        };
        let Some(entry) = entry else { break };
        let text = match format {
            Format::Json => Value::Object(entry.members).to_string(),
            Format::Text => described(&entry),
        };
        if writeln!(out, "{text}").is_err() {
            // Nobody reads on.
            break;
        }
    }
    let _ = out.flush();
    Ok(Output::nothing())
}

/// The lines of one file that are wanted.
struct Source {
    path: PathBuf,
    lines: Lines,
    next: Option<Entry>,
}

impl Source {
    fn at(&self) -> &str {
        self.next.as_ref().map_or("", |entry| &entry.at)
    }

    fn take(&mut self, wanted: &Wanted) -> Result<Option<Entry>, CliError> {
        let taken = self.next.take();
        self.advance(wanted)?;
        Ok(taken)
    }

    fn advance(&mut self, wanted: &Wanted) -> Result<(), CliError> {
        while let Some((.., text, _)) = self.lines.next().map_err(|error| unreadable(&self.path, &error))? {
            // What is no line is told by `verify`.
            let Some(line) = ReadLine::read(text) else { continue };
            let at = line.text("time").unwrap_or_default().to_owned();
            let is_of = wanted.account.is_none_or(|id| line.text("account") == Some(&id.to_string()));
            if is_of && wanted.since.is_none_or(|since| at >= stamp(since)) {
                let mut members = line.members;
                members.insert("source".to_owned(), "gateway".into());
                self.next = Some(Entry { at, members });
                return Ok(());
            }
        }
        self.next = None;
        Ok(())
    }
}

/// The rows that are wanted.
struct Rows<'a> {
    admin: &'a AdminService,
    number: i64,
    read: VecDeque<Entry>,
    ended: bool,
}

impl Rows<'_> {
    async fn peek(&mut self, wanted: &Wanted) -> Result<Option<&Entry>, CliError> {
        while self.read.is_empty() && !self.ended {
            let page = self.admin.audit_rows(self.number, PAGE_ROWS).await?;
            self.ended = page.len() < PAGE_ROWS as usize;
            self.number = page.last().map_or(self.number, |row| row.number);
            self.read.extend(page.into_iter().filter(|row| wanted.has(row)).map(entry));
        }
        Ok(self.read.front())
    }
}

impl Wanted {
    fn has(&self, row: &AuditRow) -> bool {
        self.since.is_none_or(|since| row.at >= since)
            && self.account.is_none_or(|id| row.subject.as_deref() == Some(&id.to_string()))
    }
}

fn entry(row: AuditRow) -> Entry {
    let json =
        |text: Option<String>| text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap_or(text.into()));
    let at = stamp(row.at);
    let mut members = Map::new();
    let is_account = row.kind.as_deref().is_some_and(|kind| matches!(kind, "user" | "client" | "project"));
    let account = row.subject.clone().filter(|_| is_account);
    for (name, value) in [
        ("kind", "audit".into()),
        ("number", row.number.into()),
        ("time", at.as_str().into()),
        ("event", row.action.into()),
        ("actor_kind", row.actor_kind.into()),
        ("actor", row.actor.into()),
        ("from", row.origin.into()),
        ("request", row.request.into()),
        ("subject_kind", row.kind.into()),
        ("realm", row.realm.into()),
        ("account", account.into()),
        ("subject", row.subject.into()),
        ("old", json(row.old)),
        ("new", json(row.new)),
        ("source", "store".into()),
    ] {
        members.insert(name.to_owned(), value);
    }
    Entry { at, members }
}

/// A line for people.
fn described(entry: &Entry) -> String {
    let text = |name: &str| match entry.members.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let mut words = vec![entry.at.clone(), text("event").unwrap_or_default()];
    for name in ["outcome", "reason", "realm", "account", "subject", "events"] {
        // The subject of a change of an account is the account.
        let is_twice = name == "subject" && entry.members.get("account") == entry.members.get("subject");
        words.extend(text(name).filter(|_| !is_twice).map(|word| format!("{name}={word}")));
    }
    for (name, label) in [("actor", "by"), ("from", "from"), ("client", "from"), ("request", "request")] {
        words.extend(text(name).map(|word| format!("{label}={word}")));
    }
    for (name, label) in [("old", "old"), ("new", "new")] {
        words.extend(text(name).map(|word| format!("{label}={word}")));
    }
    printable(&words.join(" "))
}

/// An attacker who changed the log may have written anything into it, a terminal's commands too.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// As lines have it: texts of one form sort by their times.
fn stamp(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| time(at), |at| format!("{at:.3}"))
}

fn unreadable(file: &Path, error: &io::Error) -> CliError {
    CliError::Refused(format!("{} cannot be read: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_entry_commands_the_terminal_or_looks_like_two() {
        let mut members = Map::new();
        members.insert("event".to_owned(), "login\n2026 \u{1b}[2J\u{9b}".into());
        let entry = Entry { at: String::new(), members };
        assert_eq!(described(&entry), " login\\n2026 \\u{1b}[2J\\u{9b}");
    }
}
