//! `PgBouncer` before a server: Debian's, or one that `PORTERO_TEST_PGBOUNCER` names. Through that one, from 1.21 on,
//! every gateway of a fleet reaches its store, in transaction mode.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    super::{PATIENCE, port::Port, wait_until},
    Link, PASSWORD, Postgres,
    programs::Medium,
    url,
};

/// The variable that names another program than Debian's.
const NAMED: &str = "PORTERO_TEST_PGBOUNCER";

/// The first version that can keep prepared statements in transaction mode, and does so by default.
const KEEPS_STATEMENTS: (u32, u32) = (1, 21);

/// When the pooler gives a connection of the server to another client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// After a session: prepared statements stay.
    Sessions,
    /// After a transaction: prepared statements are lost.
    Transactions,
    /// After a transaction, and prepared statements stay.
    TransactionsWithStatements,
}

/// A pooler. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Pooler {
    port: Port,
    process: Child,
    _folder: TempDir,
}

impl Pooler {
    pub(crate) fn before(postgres: &Postgres, pooling: Pooling) -> Self {
        Self::before_port(postgres, postgres.port(), pooling)
    }

    /// Before every gateway's way to the server, where a pooler is named that keeps statements.
    pub(crate) fn named_before(postgres: &Postgres, link: &Link) -> Option<Self> {
        env::var_os(NAMED)?;
        assert!(version() >= KEEPS_STATEMENTS, "{NAMED} names a pooler that loses prepared statements");
        Some(Self::before_port(postgres, link.port(), Pooling::TransactionsWithStatements))
    }

    fn before_port(postgres: &Postgres, server: u16, pooling: Pooling) -> Self {
        let programs = &postgres.programs;
        let folder = programs.folder(Medium::Memory);
        let port = Port::hold();
        let users = folder.path().join("users");
        fs::write(&users, format!("\"portero\" \"{PASSWORD}\"\n")).unwrap();
        let config = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\nportero = host=127.0.0.1 port={server} dbname=portero\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = scram-sha-256\n\
             auth_file = {}\n{}\n",
            port.number,
            users.display(),
            pooling.settings()
        );
        fs::write(&config, text).unwrap();
        for file in [&users, &config] {
            programs.give(file);
        }
        let mut command = Command::new(program());
        programs.run_as_owner(&mut command);
        let process = command.arg("--quiet").arg(&config).stdin(Stdio::null()).spawn().unwrap();
        let pooler = Self { port, process, _folder: folder };
        let address = (Ipv4Addr::LOCALHOST, pooler.port.number);
        wait_until("the pooler listens", PATIENCE, || TcpStream::connect(address).is_ok());
        pooler
    }

    /// Where a gateway connects, as the role `portero`.
    pub(crate) fn url(&self) -> String {
        url(self.port.number)
    }
}

impl Pooling {
    fn settings(self) -> &'static str {
        match self {
            Self::Sessions => "pool_mode = session",
            Self::Transactions if version() < KEEPS_STATEMENTS => "pool_mode = transaction",
            Self::Transactions => "pool_mode = transaction\nmax_prepared_statements = 0",
            // A fleet's server may be gone for a while: the pooler is to notice at once that it is back.
            Self::TransactionsWithStatements => {
                "pool_mode = transaction\nmax_prepared_statements = 200\nserver_login_retry = 1"
            }
        }
    }
}

/// Its version, of `PgBouncer 1.18.0`.
fn version() -> (u32, u32) {
    let output = Command::new(program()).arg("--version").output().unwrap().stdout;
    let text = String::from_utf8(output).unwrap();
    let version = text.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

/// Debian has daemons outside of a user's PATH.
fn program() -> PathBuf {
    if let Some(named) = env::var_os(NAMED) {
        return named.into();
    }
    let debian = PathBuf::from("/usr/sbin/pgbouncer");
    if debian.exists() { debian } else { PathBuf::from("pgbouncer") }
}
