//! Where a PostgreSQL store is, and how it is reached.

use std::{fmt, path::PathBuf};

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};

use crate::domain::Secret;

/// How the server shows that it is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS, with a certificate for the host's name from a trusted authority: the default off loopback.
    VerifyFull,
    /// None: the default on loopback, and for a socket in the file system.
    Off,
}

/// A database on a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// A name, an address, or the folder of a socket.
    pub host: String,
    /// The port; 5432 unless the url says another.
    pub port: u16,
    /// The role that Portero logs in as.
    pub user: String,
    /// The database.
    pub database: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, user, database } = self;
        if host.starts_with('/') {
            return write!(f, "postgres://{user}@/{database}?host={host}");
        }
        write!(f, "postgres://{user}@{host}:{port}/{database}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A PostgreSQL store, as the config names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresSettings {
    /// `store.url`: for short transactions. A pooler may stand there.
    pub address: Address,
    /// `store.direct_url`: for the feed, migrations and copies; the server itself.
    pub direct: Address,
    /// The password of both.
    pub password: Option<Secret>,
    /// `store.tls`.
    pub encryption: Encryption,
    /// `store.ca`: authorities to trust beside the public ones, which the driver always does.
    pub ca: Option<PathBuf>,
    /// `store.connections`: of this gateway to `store.url`, at most.
    pub connections_max: u32,
    /// `store.migrate = "auto"`: a start brings the schema up to date.
    pub migrates: bool,
}

impl PostgresSettings {
    /// Under this many connections logins and changes run side by side, unless the config says otherwise.
    pub const CONNECTIONS: u32 = 8;

    /// For the driver.
    pub(super) fn options(&self, address: &Address) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .username(&address.user)
            .database(&address.database)
            .port(address.port)
            .application_name("portero")
            // PgBouncer refuses a connection that asks for it, and no column is a floating-point number.
            .extra_float_digits(None)
            .ssl_mode(match self.encryption {
                Encryption::VerifyFull => PgSslMode::VerifyFull,
                Encryption::Off => PgSslMode::Disable,
            })
            .disable_statement_logging();
        let options = match &self.password {
            Some(password) => options.password(password.expose()),
            None => options,
        };
        let options = match &self.ca {
            Some(ca) => options.ssl_root_cert(ca),
            None => options,
        };
        if address.host.starts_with('/') { options.socket(&address.host) } else { options.host(&address.host) }
    }
}
