//! What must survive: accounts, keys, sessions, revocations. What a call returned `Ok` for is durable; nothing here is
//! ever called while a request is checked.
//!
//! One meaning, two engines. `sqlite` is one file beside the gateway, the default; `postgres` is one server for several
//! gateways. What the rooms above do with the store is said once, in statements that both engines understand (`query`,
//! answered by a `row`), in a `transaction` that names what serialises it (`turn`). No type of a driver leaves this
//! folder.
//!
//! - `engine`: an open store, on either engine. `opening`: opening and making one. `settings`: where it is.
//! - `sqlite` · `postgres`: the engines: opening, connections under a deadline, following what others commit.
//! - `audit`: administrative changes, each with its row in the audit log. `watch`: when to read what others changed.
//! - `change`: what the feed of a PostgreSQL store tells other gateways. `feed`: where they read it.
//! - `copy`: the same store at another place. `status`: whether a store has moved, or is a copy in the making.
//! - `migrations`: the steps of the schema, built in. `error`: what can go wrong. `files`: secrets in files.
//! - `meta`: facts about the store. `epoch_floor`: one of them, the least epoch of a store that was restored.

mod audit;
mod change;
pub mod copy;
mod engine;
mod epoch_floor;
mod error;
mod feed;
mod files;
mod meta;
mod migrations;
mod opening;
mod postgres;
mod query;
mod row;
mod settings;
mod sqlite;
mod status;
#[cfg(test)]
mod tests;
mod transaction;
mod turn;
mod watch;

pub use self::{
    audit::{
        ANCHORS_KEPT, Action, Actor, ActorKind, Anchor, AnchorRow, AuditRow, AuditedStore, AuditedTransaction, Entry,
        anchors, forget_anchors, head, page, set_anchor,
    },
    change::Canary,
    engine::Store,
    epoch_floor::EPOCH_FLOOR,
    error::{StoreError, Trouble},
    files::{access, private_file},
    opening::look,
    postgres::{Address, Beat, Encryption, Peer, Position, PostgresSettings},
    settings::StoreSettings,
    sqlite::{Found, Looked, backup, examine, migration_steps, missing},
    transaction::Transaction,
    turn::{ChangeTurn, Turn},
    watch::{FEED_POLL, Watch},
};
pub(in crate::state) use self::{
    change::{Change, RevocationColumns, RevocationRow},
    feed::{Changes, Feed},
    meta::{epoch_floor_in, meta_in, set_meta_in},
    postgres::Page,
    query::{Query, Target, composed, places, query, unnamed},
    row::{Column, KeptRow, Row, Value},
    sqlite::KEYS,
};
