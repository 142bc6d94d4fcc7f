//! What PostgreSQL refuses, in words that an operator can do something with. No text here contains a value that is
//! stored.

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

/// The SQLSTATE of an error (PostgreSQL's documentation, appendix A).
pub(in crate::state::store) fn code_of(error: &sqlx::Error) -> Option<String> {
    let sqlx::Error::Database(error) = error else { return None };
    code(error.as_ref())
}

fn code(error: &dyn DatabaseError) -> Option<String> {
    error.try_downcast_ref::<PgDatabaseError>().map(|error| error.code().to_owned())
}

/// Whether the server is going down, or coming up.
pub(in crate::state::store) fn is_shutdown(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03")
}

/// Why the store is out of reach, where waiting or an operator may help; `None` for what Portero did wrong, or a store
/// that is not as it should be.
pub(super) fn out_of_reach(error: &dyn DatabaseError) -> Option<&'static str> {
    Some(match code(error)?.as_str() {
        code if is_shutdown(code) => "its server is going down or starting",
        "57P04" => "its database was dropped",
        "57P05" | "25P03" | "25P04" => "it ended a connection that was idle for too long",
        "57014" | "55P03" | "55P02" => {
            "it did not get to a statement in time: others hold its locks, or it is overloaded"
        }
        "40001" | "40P01" | "40003" => "others changed the same thing at the same time",
        "25006" => "its server takes no changes (read only): store.url leads to a replica, or to a server in recovery",
        "53100" => "its disk is full",
        "53200" => "its server has no memory left",
        "53300" => "its server takes no more connections: raise its max_connections, or lower store.connections",
        "58000" | "58030" => "its server's disk reports an error",
        "28000" | "28P01" => {
            "its server refuses Portero's role or password, or a connection without TLS: see store.url, \
             store.password_file and store.tls"
        }
        "3D000" => "its server has no such database: make it first, then run portero store init",
        "42501" => "its server does not let Portero's role do this: the role must own the tables",
        // A statement that was prepared on another connection than the one that runs it.
        "26000" | "42P05" => POOLER,
        code if code.starts_with("08") => "its connection failed",
        _ => return None,
    })
}

/// What is said where a statement is lost between Portero and the server.
const POOLER: &str = "a pooler between Portero and the server loses prepared statements: use PgBouncer 1.21 or later with \
     max_prepared_statements above 0, and store.direct_url for the server itself";
