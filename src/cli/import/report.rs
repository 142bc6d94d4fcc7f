//! What an import comes to, on the way and at the end.

use std::time::Duration;

use serde_json::{Value, json};

use super::Import;
use crate::{
    cli::{
        output::{CliError, Output, time},
        progress::Progress as Bar,
    },
    decision::admin::import::{BadRow, Column, Stopped, Wrapped},
    domain::{Clock, SystemClock, id::hex},
    rules::realm::Realm,
    state::account::import::{Counts, Point, Progress},
};

/// Bad rows that are shown and listed, at most.
const BAD_SHOWN_MAX: usize = 100;

/// How far it is.
pub(super) struct Shown {
    bar: Bar,
    file: String,
    bytes: Option<u64>,
    began: std::time::Instant,
    resumed: u64,
    bad: Vec<BadRow>,
}

impl Shown {
    pub(super) fn new(file: &str, bytes: Option<u64>, resumed: u64) -> Self {
        let mut bar = Bar::new();
        if resumed > 0 {
            bar.line(&format!("portero: the import goes on behind row {resumed}, where an earlier one ended"));
        }
        Self { bar, file: file.to_owned(), bytes, began: SystemClock.instant(), resumed, bad: vec![] }
    }

    pub(super) fn tell(&mut self, point: &Point, bad: &[BadRow]) {
        for bad in bad {
            if self.bad.len() < BAD_SHOWN_MAX {
                self.bar.line(&format!("{}:{bad}", self.file));
                self.bad.push(bad.clone());
                if self.bad.len() == BAD_SHOWN_MAX {
                    self.bar.line("portero: further bad rows are counted, and not shown");
                }
            }
        }
        let took = SystemClock.instant().saturating_duration_since(self.began);
        let rows = point.rows;
        let text = format!("{rows} rows, {} a second", rate(rows - self.resumed, took));
        self.bar.at("", point.bytes, self.bytes, &text);
    }

    pub(super) fn end(&mut self) {
        self.bar.end();
    }

    pub(super) fn into_bad(self) -> Vec<BadRow> {
        self.bad
    }
}

/// Whole rows a second.
pub(super) fn rate(rows: u64, took: Duration) -> u64 {
    let millis = took.as_millis().max(1);
    u64::try_from(u128::from(rows) * 1000 / millis).unwrap_or(u64::MAX)
}

/// What it came to.
pub(super) struct Report<'a> {
    pub(super) import: &'a Import,
    pub(super) realm: &'a Realm,
    pub(super) point: &'a Point,
    pub(super) resumed: u64,
    pub(super) took: Duration,
    pub(super) bad: Vec<BadRow>,
}

impl Report<'_> {
    /// It stopped before a row.
    pub(super) fn stopped(&self, stopped: &Stopped) -> CliError {
        let file = self.import.shown();
        let (bad, hint) = match stopped {
            Stopped::Bad(bad) => {
                (bad, "put the row right and give the file again, or leave bad rows out with --bad-rows skip")
            }
            Stopped::Conflict(bad) => (bad, "say what becomes of such rows, with --on-conflict skip or update"),
        };
        let rows = self.point.rows;
        let before = if self.import.dry_run {
            format!("the {rows} rows before it could be imported")
        } else {
            format!("the {rows} rows before it are imported")
        };
        CliError::Refused(format!("{file}:{bad}\n{before}: {hint}"))
    }

    /// It came to the end of the file.
    pub(super) fn finished(&self, sealed: Option<u64>, wrapped: Option<&Wrapped>) -> Output {
        let Counts { made, updated, unchanged, skipped, bad } = self.point.counts;
        let (file, realm, rows) = (self.import.shown(), &self.realm.name, self.point.rows);
        let (took, rate) = (self.took.as_secs_f64(), rate(rows - self.resumed, self.took));
        let mut lines = vec![
            format!("{file}, realm '{realm}': {rows} rows, {rate} a second"),
            format!("made {made}, updated {updated}, unchanged {unchanged}, skipped {skipped}, bad {bad}"),
        ];
        if self.import.dry_run {
            lines.push("this was a trial: nothing was changed".to_owned());
        }
        if let Some(wrapped) = wrapped {
            lines.push(super::super::migration::said(wrapped));
        } else if let Some(sealed) = sealed.filter(|sealed| *sealed > 0) {
            lines.push(format!(
                "{sealed} hashes are sealed: the gateway wraps them in the background, or portero migration wrap does so now"
            ));
        }
        let bad_rows: Vec<_> = self.bad.iter().map(listed).collect();
        let json = json!({
            "file": file,
            "realm": realm.as_str(),
            "dry_run": self.import.dry_run,
            "rows": rows,
            "made": made,
            "updated": updated,
            "unchanged": unchanged,
            "skipped": skipped,
            "bad": bad,
            "bad_rows": bad_rows,
            "sealed": sealed,
            "sha256": hex(&self.point.sha256),
            "seconds": took,
            "rows_a_second": rate,
        });
        Output { text: lines.join("\n"), json }
    }
}

fn listed(bad: &BadRow) -> Value {
    json!({ "line": bad.line, "column": bad.column, "name": bad.of.map(Column::name), "why": bad.why })
}

/// The file was imported before, to its end.
pub(super) fn done_before(import: &Import, progress: Option<&Progress>) -> Output {
    let at = progress.and_then(|progress| progress.finished_at).map(time).unwrap_or_default();
    let rows = progress.map_or(0, |progress| progress.point.rows);
    let file = import.shown();
    let text = format!(
        "{file} was imported before, all of its {rows} rows, at {at}; nothing was changed. To go through it again say --restart"
    );
    Output { text, json: json!({ "file": file, "finished_at": at, "rows": rows, "made": 0, "updated": 0 }) }
}
