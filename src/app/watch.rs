//! Watching `gateway.toml` and the files that it refers to: `reload.watch`.
//!
//! Folders are watched, not files: an editor puts another file in the old one's place, and Kubernetes
//! turns a link (`..data`). A store may lie beside the config, so only names that matter are heard.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher, event::EventKind};
use tokio::{
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

/// How long it must be quiet before the files are read.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// How long that is waited for, at most.
const DEBOUNCE_MAX: Duration = Duration::from_secs(5);

/// How the links of Kubernetes' volumes begin.
const VOLUME_LINK: &str = "..";

/// Watches while it lives.
#[derive(Debug, Default)]
pub(super) struct Watch {
    changed: Arc<Notify>,
    /// Ends with it.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches these files, in the place of those before; `None` watches nothing.
    pub(super) fn set(&mut self, files: Option<&[PathBuf]>) {
        self.watcher = files.and_then(|files| match watch(files, Arc::clone(&self.changed)) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::error!(%error, "the config's files cannot be watched; reload by SIGHUP or `portero reload`");
                None
            }
        });
    }

    /// Waits until something changed, and no more does.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
        let end = Instant::now() + DEBOUNCE_MAX;
        while let Ok(Ok(())) = timeout_at(end, timeout(DEBOUNCE, self.changed.notified())).await {}
    }
}

fn watch(files: &[PathBuf], changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    // Where each name stands, and where the file lies that it leads to.
    let resolved = files.iter().filter_map(|file| fs::canonicalize(file).ok());
    let places: BTreeSet<PathBuf> = files.iter().cloned().chain(resolved).collect();
    let names: BTreeSet<OsString> = places.iter().filter_map(|file| file.file_name().map(OsString::from)).collect();
    let folders: BTreeSet<&Path> = places.iter().map(|file| folder_of(file)).collect();
    let matters = move |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| names.contains(name) || name.as_encoded_bytes().starts_with(VOLUME_LINK.as_bytes()))
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Reading is no change; that events were lost may have been one.
        let concerns = event.map_or(true, |event| {
            !matches!(event.kind, EventKind::Access(_)) && (event.need_rescan() || event.paths.iter().any(&matters))
        });
        if concerns {
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
