//! Reading the audit log, and holding it against itself: rows against their codes, files against theirs, and each side
//! against what the other has taken down of it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::service::{AdminError, AdminService};
use crate::{
    domain::Timestamp,
    observe::audit::{ChainId, ChainKey, Chains, Expected, Finding, Lines, LogFiles, Mac, Summary, in_order},
    state::store::{self, AnchorRow, AuditRow},
};

/// Rows that are read at once.
const PAGE_ROWS: u32 = 1_000;

/// Findings that are told one by one; of more only the number.
pub const FINDINGS_MAX: usize = 1_000;

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// This machine: its files must be here.
    pub host: String,
    /// `audit.file`.
    pub file: Option<PathBuf>,
    /// Files from elsewhere.
    pub more: Vec<PathBuf>,
    /// Files that end before may be missing.
    pub since: Option<Timestamp>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Verified {
    /// Rows of the store.
    pub rows: u64,
    /// The files that were read.
    pub files: LogFiles,
    /// What they say.
    pub summary: Summary,
    /// What somebody did, on both sides.
    pub findings: Vec<Finding>,
    /// Chains of other machines or files, which are to be looked at there: the machine, its file, and how many.
    pub elsewhere: Vec<(String, String, usize)>,
    /// Files that end with an unfinished line: what a process left that was killed.
    pub unfinished: Vec<PathBuf>,
}

impl AdminService {
    /// Holds every chain against its codes and anchors.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, when a key in it does not open under the master key, or when a
    /// file cannot be read.
    pub async fn verify_audit(&self, scope: &Scope) -> Result<Verified, AdminError> {
        let keys = self.vault.chain_keys().await?;
        let key_of = |id: &str| match id.strip_prefix('*') {
            None if id.is_empty() => keys.first().cloned(),
            None => keys.iter().find(|key| key.id() == id).cloned(),
            Some(nth) => keys.get(nth.parse::<usize>().ok()?).cloned(),
        };
        // In this order: a side that goes on meanwhile is always further than the other says.
        let anchors = store::anchors(&self.store).await?;
        let mut verified = Verified::default();
        verified.judge_anchors(&anchors, &key_of);
        verified.read_files(scope, &anchors, &key_of)?;
        self.judge_rows(&mut verified, &anchors, &key_of).await?;
        verified.judge_claims(&store::anchors(&self.store).await?);
        verified.count_elsewhere(scope, &anchors);
        Ok(verified)
    }

    async fn judge_rows(
        &self,
        verified: &mut Verified,
        anchors: &[AnchorRow],
        key_of: &dyn Fn(&str) -> Option<Arc<ChainKey>>,
    ) -> Result<(), AdminError> {
        let mut rows = Rows::default();
        let head = anchors.iter().find(|row| row.anchor.chain == ChainId::STORE);
        let wanted = [head.map(|row| (row.anchor.line, row.anchor.mac)), verified.summary.store];
        loop {
            let page = store::page(&self.store, rows.number, PAGE_ROWS).await?;
            for row in &page {
                verified.rows += 1;
                rows.take(row, key_of, &wanted, &mut verified.findings);
            }
            if page.len() < PAGE_ROWS as usize {
                break;
            }
        }
        if head.is_none() && rows.number > 0 {
            find(&mut verified.findings, "the store", "the anchor of its own rows is gone");
        }
        for (number, _) in wanted.into_iter().flatten() {
            if rows.number < number {
                let what =
                    format!("its rows end after number {}, and went to {number}: their end was cut", rows.number);
                find(&mut verified.findings, "the store", &what);
                break;
            }
        }
        Ok(())
    }

    /// At most `limit` rows behind the one of number `after`.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn audit_rows(&self, after: i64, limit: u32) -> Result<Vec<AuditRow>, AdminError> {
        Ok(store::page(&self.store, after, limit).await?)
    }
}

/// The rows that were read.
#[derive(Debug)]
struct Rows {
    number: i64,
    mac: Mac,
}

impl Default for Rows {
    fn default() -> Self {
        Self { number: 0, mac: Mac::BEGINNING }
    }
}

impl Rows {
    fn take(
        &mut self,
        row: &AuditRow,
        key_of: &dyn Fn(&str) -> Option<Arc<ChainKey>>,
        wanted: &[Option<(i64, Mac)>],
        findings: &mut Vec<Finding>,
    ) {
        let place = format!("row {}", row.number);
        let code = Mac::from_bytes(&row.mac);
        if row.number != self.number + 1 {
            let what = format!("the rows {} to {} are missing", self.number + 1, row.number - 1);
            find(findings, "the store", &what);
        } else if let Some(key) = key_of(&row.key) {
            if code != Some(row.code(&key, &self.mac)) {
                find(findings, &place, "was changed, or the row before it");
            }
        } else {
            find(findings, &place, "nobody has the key of its code");
        }
        if wanted.iter().flatten().any(|(number, mac)| *number == row.number && code != Some(*mac)) {
            find(findings, &place, "has another code than its anchor: the rows were rewritten");
        }
        // From here on it counts as it stands: each further change is told by itself.
        (self.number, self.mac) = (row.number, code.unwrap_or(Mac::BEGINNING));
    }
}

impl Verified {
    fn judge_anchors(&mut self, anchors: &[AnchorRow], key_of: &dyn Fn(&str) -> Option<Arc<ChainKey>>) {
        for row in anchors {
            if !key_of(&row.key).is_some_and(|key| row.is_genuine(&key)) {
                let what = format!("the anchor of chain {} was changed", row.anchor.chain);
                find(&mut self.findings, "the store", &what);
            }
        }
    }

    fn read_files(
        &mut self,
        scope: &Scope,
        anchors: &[AnchorRow],
        key_of: &dyn Fn(&str) -> Option<Arc<ChainKey>>,
    ) -> Result<(), AdminError> {
        if let Some(file) = &scope.file {
            self.files = LogFiles::of(file).map_err(|error| unreadable(file, &error))?;
        }
        self.files.files.extend(scope.more.iter().cloned());
        let files = std::mem::take(&mut self.files.files);
        let first = files.first().cloned().unwrap_or_default();
        self.files.files = in_order(files).map_err(|error| unreadable(&first, &error))?;
        let gateways = anchors.iter().filter(|row| row.anchor.chain != ChainId::STORE);
        let expected = gateways.map(|row| {
            let anchor = &row.anchor;
            let is_needed = scope.has(row) && scope.since.is_none_or(|since| row.at >= since);
            let expected = Expected { line: anchor.line, mac: anchor.mac, events: anchor.events, is_needed };
            (anchor.chain, expected)
        });
        let mut chains = Chains::new(key_of, expected);
        if scope.since.is_some() {
            chains = chains.of_a_part();
        }
        for file in &self.files.files {
            let failed = |error| unreadable(file, &error);
            let mut lines = Lines::open(file).map_err(failed)?;
            while let Some((number, line, is_whole)) = lines.next().map_err(failed)? {
                if is_whole {
                    chains.take(&format!("{}:{number}", file.display()), line);
                } else {
                    self.unfinished.push(file.clone());
                }
            }
        }
        self.summary = chains.finish();
        self.findings.append(&mut self.summary.findings);
        Ok(())
    }

    /// What files say that the store had taken down, it has still.
    fn judge_claims(&mut self, anchors: &[AnchorRow]) {
        for (chain, line) in std::mem::take(&mut self.summary.anchored) {
            let known = anchors.iter().find(|row| row.anchor.chain == chain).map(|row| row.anchor.line);
            if known.is_none_or(|known| known < line) {
                let what = format!(
                    "it had taken down {line} lines of chain {chain}, and now has {}: its anchor was removed, or an \
                     earlier store was put in its place",
                    known.unwrap_or(0)
                );
                find(&mut self.findings, "the store", &what);
            }
        }
    }

    fn count_elsewhere(&mut self, scope: &Scope, anchors: &[AnchorRow]) {
        for row in anchors.iter().filter(|row| row.anchor.chain != ChainId::STORE && !scope.has(row)) {
            let (gateway, file) = (&row.anchor.gateway, &row.anchor.file);
            match self.elsewhere.iter_mut().find(|(host, path, _)| host == gateway && path == file) {
                Some((.., chains)) => *chains += 1,
                None => self.elsewhere.push((gateway.clone(), file.clone(), 1)),
            }
        }
    }
}

impl Scope {
    /// Whether the lines of this chain must be here.
    fn has(&self, row: &AnchorRow) -> bool {
        let file = self.file.as_ref().is_some_and(|file| file.display().to_string() == row.anchor.file);
        file && row.anchor.gateway == self.host
    }
}

fn find(findings: &mut Vec<Finding>, place: &str, what: &str) {
    findings.push(Finding { place: place.to_owned(), what: what.to_owned() });
}

fn unreadable(file: &Path, error: &io::Error) -> AdminError {
    AdminError::Refused(format!("{} cannot be read: {error}", file.display()))
}
