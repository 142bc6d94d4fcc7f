//! PostgreSQL's programs, and the user that they run as.

use std::{
    env, fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::super::memory;

/// Names the folder of the programs, so that the tests can run against another version.
const FOLDER: &str = "PORTERO_TEST_POSTGRES_BIN";
/// Where Debian puts them: a folder a major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Where a server's files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Disk,
    /// A disk, too, where there is little memory.
    Memory,
}

#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    owner: Option<Owner>,
}

/// The user in whose name the server runs when the test runs as root: PostgreSQL refuses root.
#[derive(Clone, Copy, Debug)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Programs {
    pub(super) fn find() -> Self {
        let named = env::var_os(FOLDER).map(PathBuf::from);
        let folder = named.or_else(in_path).or_else(of_debian);
        let folder = folder.expect("PostgreSQL is installed: `deploy/tools postgres` does it");
        let owner = rustix::process::getuid().is_root().then(Owner::find);
        Self { folder, owner }
    }

    /// A program, run by the server's user.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.path(program));
        self.run_as_owner(&mut command);
        command
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    pub(super) fn run_as_owner(&self, command: &mut Command) {
        if let Some(Owner { uid, gid }) = self.owner {
            command.uid(uid).gid(gid);
        }
    }

    /// A new folder that the server's user owns and can reach.
    pub(super) fn folder(&self, medium: Medium) -> TempDir {
        let reachable = |folder: &PathBuf| self.owner.is_none() || folder.ancestors().all(is_open_to_all);
        let memory = if medium == Medium::Memory { memory::folder() } else { None };
        let parent = memory.into_iter().chain([env::temp_dir(), PathBuf::from("/tmp")]).find(reachable);
        let parent = parent.expect("every user can reach /tmp");
        let folder = tempfile::Builder::new().prefix("portero-postgres-").tempdir_in(parent).unwrap();
        self.give(folder.path());
        folder
    }

    /// Makes this file or folder the server's.
    pub(super) fn give(&self, path: &Path) {
        if let Some(Owner { uid, gid }) = self.owner {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
    }

    /// The user that owns a server's files.
    pub(super) fn uid(&self) -> u32 {
        self.owner.map_or_else(|| rustix::process::getuid().as_raw(), |owner| owner.uid)
    }
}

impl Owner {
    /// Debian's package has a user for it; every system has `nobody`.
    fn find() -> Self {
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let user = |name: &str| {
            let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let mut fields = line.split(':').skip(1).map(|field| field.parse().ok());
            Some(Self { uid: fields.next()??, gid: fields.next()?? })
        };
        user("postgres").or_else(|| user("nobody")).expect("there is a user to run PostgreSQL as")
    }
}

fn in_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).find(|folder| is_complete(folder))
}

/// The newest version that is installed.
fn of_debian() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).ok()?.filter_map(|version| Some(version.ok()?.path()));
    let number = |version: &Path| version.file_name()?.to_str()?.parse::<u32>().ok();
    let mut complete: Vec<_> = versions.filter(|version| is_complete(&version.join("bin"))).collect();
    complete.sort_by_key(|version| number(version));
    Some(complete.pop()?.join("bin"))
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
}

fn is_open_to_all(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
}
