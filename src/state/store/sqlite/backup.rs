//! A copy of the store in one file, and such a copy in the store's place.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    super::{
        epoch_floor::{EPOCH_FLOOR, floor_after_restore},
        error::{self, StoreError},
        status,
    },
    make::Unplaced,
    missing, open,
    place::files,
    presence::{self, Found},
};
use crate::domain::Timestamp;

/// How often it is looked whether a copy grows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many looks in a row may find that it does not.
const LOOKS_MAX: u32 = 15;

/// Problems of a file that are reported, at most.
const PROBLEMS_MAX: usize = 5;

/// Why there is no copy, or why it is not put in place. Nothing was changed.
#[derive(Debug, Error)]
pub enum BackupError {
    /// What is there is never overwritten.
    #[error("{} is there already; nothing is overwritten", .0.display())]
    Exists(PathBuf),
    /// The file is no copy of a store that can be used.
    #[error("{}: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a copy has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its size.
    pub bytes: u64,
    /// Which master key its keys are sealed under; `None` where it has none yet.
    pub master_key: Option<Vec<u8>>,
}

/// Copies the store to `file`: what was committed at one moment, beside readers and writers. The copy has mode
/// 0600, is checked, and is on the disk when this returns. The store's schema stays as it is, so that a new
/// version can back up what an older one works with.
///
/// # Errors
/// Fails when there is no store, when it is out of reach or damaged, when `file` exists or cannot be written, or when
/// the copy does not pass its check.
pub async fn write(path: &Path, file: &Path) -> Result<Copied, BackupError> {
    if !presence::has_database(path)? {
        return Err(missing(path, Found::Nothing).into());
    }
    refuse_existing(file)?;
    let failed = |error: sqlx::Error| StoreError::from(error);
    let copy = Unplaced::beside(file).map_err(|source| io_error(file, source))?;
    let opened = async {
        let mut source =
            open::options(&open::whole(path)?).connect().await.map_err(|e| error::open_failed(path.to_owned(), &e))?;
        if !open::is_store(&mut source).await.map_err(failed)? {
            let reason = "it holds no store of Portero".to_owned();
            return Err(StoreError::Unreadable { path: path.to_owned(), reason });
        }
        // What is copied from a store that has moved would be as old as the move.
        status::of_file(&mut source).await.map_err(failed)?.refuse()?;
        Ok(source)
    };
    let mut source = open::in_time(path, opened).await?;
    let target = open::whole(&copy.path)?.display().to_string();
    let copying = sqlx::query("VACUUM INTO ?").bind(target).execute(&mut source);
    tokio::select! {
        copied = copying => { copied.map_err(failed)?; }
        () = stalled(&copy.path) => return Err(StoreError::unresponsive().into()),
    }
    // An error of a connection that only read says nothing of the copy.
    let _ = source.close().await;
    let copied = check(&copy.path, file).await?;
    put(&copy, file)?;
    Ok(copied)
}

/// What a file is that is to be put in a store's place: its size and its master key, if it can be used at all.
pub struct Backup {
    copy: Unplaced,
    place: PathBuf,
    /// What it has.
    pub copied: Copied,
}

/// Reads the copy of a store, to be put in the place of a store that is not there. From `now` on, epochs are raised
/// above all that the store which was lost can have had: see [`EPOCH_FLOOR`].
///
/// # Errors
/// Fails when a store is there already, or when the file cannot be read or is no copy of a store that this version can
/// use.
pub async fn read(path: &Path, file: &Path, now: Timestamp) -> Result<Backup, BackupError> {
    let place = open::whole(path)?;
    files(&place).iter().try_for_each(|file| refuse_existing(file))?;
    let [_, journal, _] = files(file);
    if fs::metadata(&journal).is_ok_and(|facts| facts.len() > 0) {
        let why = format!("{} has what is missing in it; portero backup makes one whole file", journal.display());
        return Err(BackupError::Unusable { path: file.to_owned(), why });
    }
    let copy = Unplaced::beside(&place).map_err(|source| io_error(path, source))?;
    let mut from = File::open(file).map_err(|source| io_error(file, source))?;
    let into = OpenOptions::new().write(true).mode(0o600).open(&copy.path);
    into.and_then(|mut into| io::copy(&mut from, &mut into)).map_err(|source| io_error(file, source))?;
    let copied = check(&copy.path, file).await?;
    raise_floor(&copy.path, now).await?;
    Ok(Backup { copy, place, copied })
}

impl Backup {
    /// Puts it in place, durably.
    ///
    /// # Errors
    /// Fails when a store is there by now, or when the file cannot be put in place.
    pub fn restore(self) -> Result<(), BackupError> {
        put(&self.copy, &self.place)
    }
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("copied", &self.copied).finish_non_exhaustive()
    }
}

/// Whether the copy at `path` is whole and a store of this version or an older one. It is spoken of as `named`.
async fn check(path: &Path, named: &Path) -> Result<Copied, BackupError> {
    let unusable = |why: String| BackupError::Unusable { path: named.to_owned(), why };
    let options = SqliteConnectOptions::new().filename(open::whole(path)?).disable_statement_logging();
    let no_database = |error: sqlx::Error| match error::open_failed(named.to_owned(), &error) {
        StoreError::Unreadable { reason, .. } => unusable(reason),
        other => other.into(),
    };
    let mut connection = options.connect().await.map_err(no_database)?;
    if !open::is_store(&mut connection).await.map_err(no_database)? {
        return Err(unusable("it is no store of Portero".to_owned()));
    }
    open::check_version(&mut connection, named).await?;
    let problems: Vec<String> = integrity(&mut connection).await.map_err(no_database)?;
    if problems != ["ok"] {
        let shown = problems.into_iter().take(PROBLEMS_MAX).collect::<Vec<_>>().join("; ");
        return Err(unusable(format!("it is damaged: {shown}")));
    }
    let master_key = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'master_key_fingerprint'");
    let master_key = master_key.fetch_optional(&mut connection).await.map_err(no_database)?;
    connection.close().await.map_err(no_database)?;
    let bytes = fs::metadata(path).map_err(|source| io_error(named, source))?.len();
    Ok(Copied { bytes, master_key })
}

/// Notes above which epochs the store that is lost can have been: what is raised from now on is raised above them.
async fn raise_floor(path: &Path, now: Timestamp) -> Result<(), StoreError> {
    let mut connection = open::options(&open::whole(path)?).connect().await?;
    let statement = "\
        SELECT coalesce((SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM meta WHERE name = ?1), 0), \
               coalesce((SELECT max(epoch) FROM principals), 0)";
    let (floor, epoch) = sqlx::query_as(statement).bind(EPOCH_FLOOR).fetch_one(&mut connection).await?;
    let raised = floor_after_restore(floor, epoch, now).to_string().into_bytes();
    let statement = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
    sqlx::query(statement).bind(EPOCH_FLOOR).bind(raised).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

async fn integrity(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("PRAGMA integrity_check").fetch_all(connection).await
}

/// Comes back when the file did not grow for long.
async fn stalled(path: &Path) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut size, mut same) = (0, 0);
    while same < LOOKS_MAX {
        looks.tick().await;
        let now = fs::metadata(path).map_or(0, |facts| facts.len());
        same = if now == size { same + 1 } else { 0 };
        size = now;
    }
}

fn put(copy: &Unplaced, place: &Path) -> Result<(), BackupError> {
    copy.place(place).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(place.to_owned()),
        _ => io_error(place, source),
    })
}

fn refuse_existing(file: &Path) -> Result<(), BackupError> {
    // A link that leads nowhere is there too.
    if fs::symlink_metadata(file).is_ok() { Err(BackupError::Exists(file.to_owned())) } else { Ok(()) }
}

fn io_error(path: &Path, source: io::Error) -> BackupError {
    BackupError::Io { path: path.to_owned(), source }
}
