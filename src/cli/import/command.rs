//! `portero import …`: its words, and what runs them.

use std::{
    fs::File,
    io::{self, Read},
    mem,
};

use super::{
    arguments::{Form, Import, Wrap},
    columns::Columns,
    lines::Lines,
    probe,
    report::{self, Report, Shown},
    table::Table,
};
use crate::{
    app::Making,
    cli::{
        InStore,
        migration::wrap_now,
        output::{CliError, Output},
        revoke::find_realm,
    },
    config::GatewaySettings,
    decision::{
        AdminService,
        admin::import::{ImportFailure, Importer, Options, RowOfFile, Rows, check_import},
    },
    domain::{Clock, SystemClock},
    rules::realm::Realm,
    state::account::import::{ImportError, Point, Progress},
};

/// Bytes that are passed over between two looks at their digest.
const BYTES_A_DIGEST: u64 = 1 << 20;

/// How often a running import is asked how far it is, at most, before this one takes it over.
const TAKEN_AT_MOST: usize = 100;

/// Where an import begins.
#[derive(Debug, PartialEq, Eq)]
enum Begin {
    /// At the first row.
    Anew,
    /// Behind what an earlier one imported.
    Behind(Point),
    /// Nowhere: the whole file was imported before.
    Done,
}

impl Import {
    /// Tries hashes; that takes no store.
    pub(in crate::cli) fn run_probe(&self) -> Result<Output, CliError> {
        let settings = crate::app::load(&self.common.config.path())?;
        let realm = find_realm(&settings.site.realms, &self.common.realm)?;
        check_import(realm, self.kind.import())?;
        probe::run(&mut *self.open()?, realm, self.kind.import(), &self.reading()?, &self.shown())
    }

    /// Whether it only tries hashes.
    pub(in crate::cli) const fn is_probe(&self) -> bool {
        self.probe
    }

    async fn run(&self, realm: &Realm, admin: &AdminService) -> Result<Output, CliError> {
        let kind = self.kind.import();
        let options = self.options()?;
        let progress = admin.import_progress(realm, kind).await?;
        let mut rows = Ahead { rows: self.open()?, next: Next::Unread };
        let begin = self.begin(&mut rows, progress.as_ref(), realm)?;
        let mut point = match begin {
            Begin::Done => return Ok(report::done_before(self, progress.as_ref())),
            Begin::Behind(point) => point,
            Begin::Anew => {
                if progress.is_some() {
                    // What was read to compare it is read again.
                    rows = self.reopen(rows)?;
                }
                Point { sha256: rows.digest_of_first(0), ..Point::default() }
            }
        };
        let resumed = point.rows;
        let mut importer = if self.dry_run {
            admin.try_import((realm, kind), options).await?
        } else {
            self.take_over((realm, admin), &mut rows, options, (progress, &mut point)).await?
        };
        let mut shown = Shown::new(&self.shown(), self.bytes(), resumed);
        let started = SystemClock.instant();
        let stopped = importer.run(&mut rows, &mut point, &mut |point, bad| shown.tell(point, bad)).await;
        shown.end();
        let took = SystemClock.instant().saturating_duration_since(started);
        let report = Report { import: self, realm, point: &point, resumed, took, bad: shown.into_bad() };
        if let Some(stopped) = stopped? {
            return Err(report.stopped(&stopped));
        }
        let wrapped = match self.wrap {
            Wrap::Now if !self.dry_run => Some(wrap_now(admin).await?),
            Wrap::Now | Wrap::Background => None,
        };
        let status = if self.dry_run { None } else { Some(admin.sealed_accounts().await?) };
        Ok(report.finished(status, wrapped.as_ref()))
    }

    /// The right to go on behind `point`. Where somebody works on the import, this one passes over what that one has
    /// written meanwhile, and goes on from there.
    async fn take_over<'a>(
        &self,
        (realm, admin): (&'a Realm, &'a AdminService),
        rows: &mut Ahead,
        options: Options,
        (mut seen, point): (Option<Progress>, &mut Point),
    ) -> Result<Importer<'a>, CliError> {
        let kind = self.kind.import();
        for _ in 1..TAKEN_AT_MOST {
            match admin.import((realm, kind), options.clone(), (seen.as_ref(), point)).await {
                Err(ImportFailure::Import(ImportError::WentOn(_))) => {}
                importer => return Ok(importer?),
            }
            seen = admin.import_progress(realm, kind).await?;
            let Some(progress) = &seen else { continue };
            if !skip(rows, point, &progress.point).map_err(ImportFailure::File)? {
                return Err(other_file(realm, progress));
            }
            *point = progress.point;
        }
        Ok(admin.import((realm, kind), options, (seen.as_ref(), point)).await?)
    }

    /// Where it begins, by what an earlier import of the realm left.
    fn begin(&self, rows: &mut Ahead, progress: Option<&Progress>, realm: &Realm) -> Result<Begin, CliError> {
        let Some(progress) = progress.filter(|_| !self.restart) else { return Ok(Begin::Anew) };
        // What comes from a pipe is read once: what follows a finished import is taken as another one.
        if progress.finished_at.is_some() && self.is_stdin() {
            return Ok(Begin::Anew);
        }
        let failed = |error| CliError::Trouble(ImportFailure::File(error).to_string());
        let same = skip(rows, &Point::default(), &progress.point).map_err(failed)?;
        match (same, progress.finished_at) {
            (true, Some(_)) if rows.has_ended().map_err(failed)? => Ok(Begin::Done),
            (true, _) => Ok(Begin::Behind(progress.point)),
            (false, Some(_)) => Ok(Begin::Anew),
            (false, None) => Err(other_file(realm, progress)),
        }
    }

    fn open(&self) -> Result<Box<dyn Rows>, CliError> {
        let inner: Box<dyn Read> = if self.is_stdin() {
            Box::new(io::stdin().lock())
        } else {
            let opened = File::open(&self.file);
            Box::new(opened.map_err(|error| CliError::Trouble(format!("{}: {error}", self.shown())))?)
        };
        let columns = Columns::new(&self.map, self.kind.import());
        Ok(match self.form() {
            Form::Csv => Box::new(Table::open(inner, self.delimiter, &columns, &self.shown())?),
            Form::Jsonl => Box::new(Lines::new(inner, columns)),
        })
    }

    /// The file from its beginning; standard input as it is, since nothing was read from it.
    fn reopen(&self, rows: Ahead) -> Result<Ahead, CliError> {
        if self.is_stdin() { Ok(rows) } else { Ok(Ahead { rows: self.open()?, next: Next::Unread }) }
    }

    /// Bytes of the file, where it has an end that is known.
    fn bytes(&self) -> Option<u64> {
        let facts = std::fs::metadata(&self.file).ok().filter(|_| !self.is_stdin())?;
        facts.is_file().then_some(facts.len())
    }
}

fn other_file(realm: &Realm, progress: &Progress) -> CliError {
    ImportFailure::OtherFile { realm: realm.name.clone(), rows: progress.point.rows }.into()
}

/// Passes over the rows behind `from` that were imported. Answers whether all of them until there are the same.
fn skip(rows: &mut dyn Rows, from: &Point, point: &Point) -> io::Result<bool> {
    let (mut end, mut looked) = (from.bytes, from.bytes);
    for _ in from.rows..point.rows {
        let Some((behind, _)) = rows.next_row()? else { return Ok(false) };
        end = behind;
        if end - looked >= BYTES_A_DIGEST {
            // What is passed over is not kept.
            rows.digest_of_first(end);
            looked = end;
        }
    }
    Ok(end == point.bytes && rows.digest_of_first(end) == point.sha256)
}

/// Rows of which the next one was looked at.
struct Ahead {
    rows: Box<dyn Rows>,
    next: Next,
}

/// What is known of the next row.
enum Next {
    /// Nothing.
    Unread,
    /// What the file has there.
    Read(Option<RowOfFile>),
}

impl Ahead {
    /// Whether no row is left.
    fn has_ended(&mut self) -> io::Result<bool> {
        let next = self.rows.next_row()?;
        let has_ended = next.is_none();
        self.next = Next::Read(next);
        Ok(has_ended)
    }
}

impl Rows for Ahead {
    fn next_row(&mut self) -> io::Result<Option<RowOfFile>> {
        match mem::replace(&mut self.next, Next::Unread) {
            Next::Unread => self.rows.next_row(),
            Next::Read(next) => Ok(next),
        }
    }

    fn digest_of_first(&mut self, bytes: u64) -> [u8; 32] {
        self.rows.digest_of_first(bytes)
    }
}

impl From<ImportFailure> for CliError {
    fn from(failure: ImportFailure) -> Self {
        match failure {
            ImportFailure::Refused(error) => error.into(),
            ImportFailure::Import(ImportError::Store(error)) => error.into(),
            ImportFailure::Import(ImportError::Account(error)) => error.into(),
            ImportFailure::OtherFile { .. }
            | ImportFailure::Import(ImportError::TakenOver(_) | ImportError::WentOn(_)) => {
                Self::Refused(failure.to_string())
            }
            ImportFailure::File(_) => Self::Trouble(failure.to_string()),
        }
    }
}

impl InStore for Import {
    fn making(&self) -> Making {
        if self.dry_run { Making::Refused } else { Making::Allowed }
    }

    async fn execute(&self, settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError> {
        let realm = find_realm(&settings.site.realms, &self.common.realm)?;
        Box::pin(self.run(realm, admin)).await
    }
}
