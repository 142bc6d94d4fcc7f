//! Watching `gateway.toml` and the files that it refers to: `reload.watch`.
//!
//! The files are watched in any case, to know of one that somebody is just writing: half of it is never taken over.
//!
//! Folders are watched, not files: an editor puts another file in the old one's place, and Kubernetes
//! turns a link (`..data`). A store may lie beside the config, so only names that matter are heard.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use notify::{
    Event, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, EventKind, ModifyKind},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::domain::id::hex;

/// How long it must be quiet before the files are read.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// How long that is waited for, at most.
const DEBOUNCE_MAX: Duration = Duration::from_secs(5);

/// How long files must be the same before a reload that somebody asked for reads them.
const QUIET: Duration = Duration::from_millis(100);

/// The same where the files cannot be watched, so that nobody knows whether a writer is still at it.
const QUIET_UNWATCHED: Duration = Duration::from_secs(1);

/// How long that is waited for, at most, in either case.
const QUIET_MAX: Duration = Duration::from_secs(2);

/// How the links of Kubernetes' volumes begin.
const VOLUME_LINK: &str = "..";

/// Watches while it lives.
#[derive(Debug, Default)]
pub(super) struct Watch {
    changed: Arc<Notify>,
    unfinished: Arc<Unfinished>,
    /// Ends with it.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches these files, in the place of those before. Whether a change of them is told is `told`.
    pub(super) fn set(&mut self, files: &[PathBuf], told: bool) {
        let changed = told.then(|| Arc::clone(&self.changed));
        // The one before ends when there is another, so that no event is lost between the two.
        self.watcher = match watch(files, changed, Arc::clone(&self.unfinished)) {
            Ok(watcher) => Some(watcher),
            Err(error) if told => {
                tracing::error!(%error, "the config's files cannot be watched; reload by SIGHUP or `portero reload`");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the config's files cannot be watched; a reload waits until they are the same for longer");
                None
            }
        };
        if self.watcher.is_none() {
            self.unfinished.forget();
        }
    }

    /// Waits until nobody writes one of `files`; false where that takes too long.
    pub(super) async fn settled(&self, files: &[PathBuf]) -> bool {
        let end = Instant::now() + QUIET_MAX;
        let quiet = if self.watcher.is_some() { QUIET } else { QUIET_UNWATCHED };
        let mut seen = Contents::of(files);
        loop {
            sleep(quiet).await;
            let now = Contents::of(files);
            if now == seen && self.unfinished.is_empty() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            seen = now;
        }
    }

    /// Waits until something changed, and no more does.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
        let end = Instant::now() + DEBOUNCE_MAX;
        while let Ok(Ok(())) = timeout_at(end, timeout(DEBOUNCE, self.changed.notified())).await {}
    }
}

/// Files that were written to and not closed since: nobody knows whether they are whole. It has a bound, that of the
/// files that are watched.
#[derive(Debug, Default)]
struct Unfinished(Mutex<BTreeSet<PathBuf>>);

impl Unfinished {
    /// Notes what happened to `path`; true when a writer has finished with it.
    fn note(&self, path: &Path, kind: EventKind) -> bool {
        let mut paths = self.paths();
        match kind {
            EventKind::Modify(ModifyKind::Data(_)) => {
                paths.insert(path.to_owned());
                false
            }
            // Written, or another file in its place.
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_)) => paths.remove(path),
            _ => false,
        }
    }

    fn is_empty(&self) -> bool {
        self.paths().is_empty()
    }

    /// Where events were lost, the end of a writing may be among them.
    fn forget(&self) {
        self.paths().clear();
    }

    fn paths(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        // A set of paths is never half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn watch(
    files: &[PathBuf],
    changed: Option<Arc<Notify>>,
    unfinished: Arc<Unfinished>,
) -> notify::Result<RecommendedWatcher> {
    // Where each name stands, and where the file lies that it leads to.
    let resolved = files.iter().filter_map(|file| fs::canonicalize(file).ok());
    let places: BTreeSet<PathBuf> = files.iter().cloned().chain(resolved).collect();
    let names: BTreeSet<OsString> = places.iter().filter_map(|file| file.file_name().map(OsString::from)).collect();
    let folders: BTreeSet<&Path> = places.iter().map(|file| folder_of(file)).collect();
    let matters = move |path: &Path| {
        path.file_name()
            .is_some_and(|name| names.contains(name) || name.as_encoded_bytes().starts_with(VOLUME_LINK.as_bytes()))
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let concerns = match event {
            Ok(event) if !event.need_rescan() => {
                let mut concerned = event.paths.iter().filter(|path| matters(path)).peekable();
                let is_change = concerned.peek().is_some() && !matches!(event.kind, EventKind::Access(_));
                // Reading is no change; the end of a writing is one.
                concerned.fold(is_change, |concerns, path| unfinished.note(path, event.kind) | concerns)
            }
            // Events were lost, and a change may have been among them.
            _ => {
                unfinished.forget();
                true
            }
        };
        if let Some(changed) = changed.as_ref().filter(|_| concerns) {
            changed.notify_one();
        }
    })?;
    // A refused config may name a folder that is not there.
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What stands in files: the same again is no change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Contents {
    /// The digest of a file's content, in hexadecimal digits, where it could be read.
    pub(super) fn sha256(&self, file: &Path) -> Option<String> {
        let (_, content) = self.0.iter().find(|(known, _)| known == file)?;
        content.as_deref().map(hex)
    }

    /// Reads the files; one that cannot be read has no content.
    pub(super) fn of(files: &[PathBuf]) -> Self {
        // A pipe would be waited for without end.
        let regular = |file: &&PathBuf| fs::metadata(file).is_ok_and(|entry| entry.is_file());
        let content = |file: &PathBuf| {
            Some(file)
                .filter(regular)
                .and_then(|file| fs::read(file).ok())
                .map(|bytes| digest(&SHA256, &bytes).as_ref().to_vec())
        };
        Self(files.iter().map(|file| (file.clone(), content(file))).collect())
    }
}
