//! The data folder that every server starts with: made once a version, then copied.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    PASSWORD,
    programs::{Medium, Programs},
};

/// `initdb` takes half a second with these. Small WAL segments make the folder small, and so quick to copy.
const INITDB: [&str; 9] = [
    "--username=postgres",
    "--pwfile=password",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--wal-segsize=1",
    "--no-sync",
    "--no-instructions",
    "--pgdata=data",
];

/// A small server that leaves nothing outside of its folder when it is killed: no socket, no shared memory file. A
/// killed process loses nothing that it wrote, so `fsync` matters only to those who measure it or lose a machine.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
dynamic_shared_memory_type = mmap
huge_pages = off
max_connections = 60
shared_buffers = 8MB
wal_keep_size = 64MB
wal_retrieve_retry_interval = 50ms
fsync = off
full_page_writes = off
";

/// What `durable` servers have on top.
pub(super) const DURABLE: &str = "
fsync = on
full_page_writes = on
";

/// Copies the template to a new folder `data`.
pub(super) fn copy_to(programs: &Programs, data: &Path) {
    let version = Command::new(programs.path("postgres")).arg("--version").output().unwrap().stdout;
    let mut key = DefaultHasher::new();
    (version, INITDB, SETTINGS, roles(), programs.uid()).hash(&mut key);
    let name = format!("postgres-{:016x}", key.finish());
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(cache).unwrap();
    let template = cache.join(&name);
    // Tests start side by side, each in a process of its own: one of them makes it.
    let lock = File::create(cache.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    if !template.exists() {
        make(programs, &template);
    }
    drop(lock);
    copy(programs, &template, data, |_| true);
}

/// Copies a folder of files that may change meanwhile: those that go away are left out, as are those that the
/// filter does not want. It is asked with the path inside the folder.
pub(super) fn copy(programs: &Programs, from: &Path, to: &Path, wanted: impl Fn(&Path) -> bool) {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(to.join(&folder)).unwrap();
        fs::set_permissions(to.join(&folder), fs::metadata(from.join(&folder)).unwrap().permissions()).unwrap();
        programs.give(&to.join(&folder));
        for entry in fs::read_dir(from.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if !wanted(&path) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
                continue;
            }
            match fs::copy(entry.path(), to.join(&path)) {
                Ok(_) => programs.give(&to.join(&path)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{}: {error}", path.display()),
            }
        }
    }
}

fn make(programs: &Programs, template: &Path) {
    let folder = programs.folder(Medium::Memory);
    fs::write(folder.path().join("password"), PASSWORD).unwrap();
    programs.give(&folder.path().join("password"));
    let made = programs.command("initdb").args(INITDB).current_dir(&folder).output().unwrap();
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    let data = folder.path().join("data");
    fs::OpenOptions::new()
        .append(true)
        .open(data.join("postgresql.conf"))
        .unwrap()
        .write_all(SETTINGS.as_bytes())
        .unwrap();
    let mut single = programs.command("postgres");
    let single = single.args(["--single", "-D", "data", "template1"]).current_dir(&folder);
    let mut single = single.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    single.stdin.take().unwrap().write_all(roles().as_bytes()).unwrap();
    assert!(single.wait().unwrap().success());
    // A process that is killed in the middle leaves no half template.
    let beside = template.with_extension("new");
    let _ = fs::remove_dir_all(&beside);
    copy(programs, &data, &beside, |_| true);
    fs::rename(&beside, template).unwrap();
}

/// Portero's role owns its database, and may do nothing else. The server has no more databases than it needs: each is
/// 300 files to copy. A statement a line, as a single-user server reads them.
fn roles() -> String {
    format!(
        "CREATE ROLE portero LOGIN PASSWORD '{PASSWORD}'\n\
         ALTER DATABASE postgres RENAME TO portero\n\
         ALTER DATABASE portero OWNER TO portero\n\
         ALTER DATABASE template0 IS_TEMPLATE false\n\
         DROP DATABASE template0\n"
    )
}
