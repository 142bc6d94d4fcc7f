//! PostgreSQL: one store for several gateways.
//!
//! - `settings` says where it is; `connections` puts a deadline on every call.
//! - `schema` makes the tables and brings them up to date; nothing is made by a start.
//! - `transaction` takes its turn, writes the feed last, and commits; `notices` wakes the others afterwards, and
//!   `listener` hears them.
//! - `bulk` reads very many rows at once.
//! - `feed` is the log that gateways follow; `gateways` are those that do.
//! - `pooler` examines what stands at `store.url` before the server.
//!
//! `store.url` sees short transactions only, without any state of a session, so that a pooler may stand there.
//! `store.direct_url` is for what listens, migrates and copies.

mod bulk;
mod connections;
mod feed;
mod gateways;
mod listener;
mod notices;
mod pooler;
mod schema;
mod settings;
mod store;
mod transaction;

pub(super) use self::transaction::Transaction;
pub(in crate::state) use feed::Page;
pub use feed::Position;
pub use gateways::{Beat, Peer};
pub use settings::{Address, Encryption, PostgresSettings};
pub(super) use store::{Making, PostgresStore};
