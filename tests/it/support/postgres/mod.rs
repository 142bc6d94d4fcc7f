//! PostgreSQL as Portero's store, with what goes wrong with it.
//!
//! A test starts a real server on loopback, in a temporary folder. A gateway reaches it at [`Postgres::url`], or
//! through a [`Link`] that the test can cut, or through a [`Pooler`]. [`Postgres::replica`] makes a second server that
//! takes over.
//!
//! `programs` finds the binaries and the user to run them as; `template` has the data folder that servers start with;
//! `server` has their processes and `sql` an administrator's statements.

mod link;
mod pooler;
mod programs;
mod replica;
mod server;
mod sql;
mod template;

pub(crate) use link::Link;
pub(crate) use pooler::{Pooler, Pooling};
pub(crate) use replica::Replication;

use std::{
    fs::{self, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use self::{
    programs::{Medium, Programs},
    server::Server,
    sql::Sql,
};
use super::{PATIENCE, port::Port, small_disk, wait_until};

/// The password of both roles: `portero`, which owns the database of that name, and `postgres`, the superuser.
const PASSWORD: &str = "a-password-of-tests";

/// A running server. Its processes and its folder are gone when this is dropped, or when the test's process ends.
#[derive(Debug)]
pub(crate) struct Postgres {
    programs: Programs,
    folder: PathBuf,
    port: Port,
    sql: Sql,
    server: Mutex<Server>,
}

impl Postgres {
    /// A server that does not wait for disks: a machine that loses power would lose data, a killed process does not.
    pub(crate) fn start() -> Self {
        Self::start_with(Medium::Memory, "")
    }

    /// A server that waits for disks, as those that people run.
    pub(crate) fn start_durable() -> Self {
        Self::start_with(Medium::Disk, template::DURABLE)
    }

    /// A server on a small disk of its own, which `fill_disk` fills. `None` where this user may not mount one: that
    /// takes root, in a container with the right to mount.
    pub(crate) fn start_on_small_disk() -> Option<Self> {
        let postgres = Self::prepare(Medium::Disk);
        let data = postgres.data();
        fs::create_dir(&data).unwrap();
        // A new server takes a third of it.
        if !small_disk::mount(&data, small_disk::BYTES_MAX) {
            return None;
        }
        template::copy_to(&postgres.programs, &data);
        postgres.start_again();
        Some(postgres)
    }

    fn start_with(medium: Medium, settings: &str) -> Self {
        let postgres = Self::prepare(medium);
        template::copy_to(&postgres.programs, &postgres.data());
        postgres.append("data/postgresql.conf", settings);
        postgres.start_again();
        postgres
    }

    /// A server without data.
    fn prepare(medium: Medium) -> Self {
        let programs = Programs::find();
        let folder = programs.folder(medium).keep();
        let server = Mutex::new(Server::new(&folder));
        let port = Port::hold();
        Self { programs, folder, sql: Sql::at(port.number), port, server }
    }

    /// Where a gateway connects, as the role `portero`.
    pub(crate) fn url(&self) -> String {
        url(self.port())
    }

    /// The password that belongs to `url`.
    pub(crate) fn password() -> &'static str {
        PASSWORD
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number
    }

    /// Where its data and its log are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs statements as the superuser. Several are one transaction.
    #[track_caller]
    pub(crate) fn execute(&self, sql: &str) {
        self.try_execute(sql).unwrap();
    }

    /// The same, whatever comes of it.
    pub(crate) fn try_execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        self.sql.execute(sql)
    }

    /// The number (`bigint`) that a query answers.
    #[track_caller]
    pub(crate) fn count(&self, sql: &str) -> i64 {
        self.sql.count(sql).unwrap()
    }

    /// The text that a query answers.
    #[track_caller]
    pub(crate) fn text(&self, sql: &str) -> String {
        self.sql.text(sql).unwrap()
    }

    /// Waits until it answers a query.
    #[track_caller]
    pub(crate) fn wait_until_ready(&self) {
        wait_until("PostgreSQL answers", PATIENCE, || {
            assert!(!self.server.lock().unwrap().has_ended(), "PostgreSQL ended:\n{}", self.log());
            self.try_execute("SELECT").is_ok()
        });
    }

    /// Everything that it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// Shuts it down as an administrator does: connections end, everything is written. Its port refuses connections.
    pub(crate) fn stop(&self) {
        self.server.lock().unwrap().stop();
    }

    /// Kills all of its processes, as a machine that crashes. The next start recovers.
    pub(crate) fn kill(&self) {
        self.server.lock().unwrap().kill();
    }

    /// Starts it on its data and its port after `stop` or `kill`, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start_again(&self) {
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        self.server.lock().unwrap().start(&self.programs, &self.data(), self.port(), log);
        self.wait_until_ready();
    }

    /// Stops all of its processes where they are. Its kernel still accepts connections, and nobody answers.
    pub(crate) fn freeze(&self) {
        self.server.lock().unwrap().freeze();
    }

    /// Lets frozen processes go on.
    pub(crate) fn thaw(&self) {
        self.server.lock().unwrap().thaw();
    }

    /// Ends every connection of a gateway or a test as its role, and says how many there were. Replication goes on.
    pub(crate) fn terminate_connections(&self) -> i64 {
        let patience = PATIENCE.as_millis();
        self.count(&format!(
            "SELECT count(pg_terminate_backend(pid, {patience})) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND usename = 'portero'"
        ))
    }

    /// Sets a parameter. Later connections have it, and earlier ones before their next statement. A few parameters
    /// need a new start.
    #[track_caller]
    pub(crate) fn set(&self, parameter: &str, value: &str) {
        let loaded = || self.text("SELECT pg_conf_load_time()::text");
        let before = loaded();
        self.execute(&format!("ALTER SYSTEM SET {parameter} = '{value}'"));
        self.execute("SELECT pg_reload_conf()");
        wait_until("PostgreSQL reads its parameters", PATIENCE, || loaded() != before);
    }

    /// From now on takes connections of the role `portero` through TLS alone, and shows this certificate.
    #[track_caller]
    pub(crate) fn require_tls(&self, certificate: &Path, key: &Path) {
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = self.data().join(to);
            fs::copy(from, &to).unwrap();
            fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
            self.programs.give(&to);
        }
        let rules = "hostssl all portero 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 scram-sha-256\n";
        fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
        self.set("ssl", "on");
    }

    /// Leaves not one byte free on its small disk. What it writes within files that it has may still succeed; a file
    /// that grows fails, and a new segment of its log (1 MiB) makes the whole server restart.
    pub(crate) fn fill_disk(&self) {
        small_disk::fill(&self.data());
    }

    /// Frees the disk that `fill_disk` filled.
    pub(crate) fn free_disk(&self) {
        small_disk::free(&self.data());
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Appends to a file of its own, or makes it.
    fn append(&self, file: impl AsRef<Path>, text: &str) {
        let path = self.folder.join(file);
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.programs.give(&path);
    }
}

/// Where the role `portero` finds its database behind this port.
fn url(port: u16) -> String {
    format!("postgres://portero@127.0.0.1:{port}/portero")
}
