//! What the thread that writes is told, and what both sides know.

use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use super::{
    chain::{ChainId, Mac},
    event::Event,
};
use crate::observe::metrics::AuditMetrics;

/// How far a chain has come, on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The chain.
    pub chain: ChainId,
    /// The position of its last line.
    pub line: i64,
    /// The code of that line.
    pub mac: Mac,
    /// Events that have happened, written or not.
    pub events: i64,
    /// Whether nothing follows.
    pub ended: bool,
}

/// What the thread is told.
pub(super) enum Job {
    /// To write an event; a waiting caller hears when it is written.
    Write(Box<Event>, OwnedSemaphorePermit, Option<oneshot::Sender<()>>),
    /// To open the file anew.
    Reopen,
    /// To put everything on the disk, and to say how far that is.
    Point(oneshot::Sender<Point>),
    /// That the store has how far the chain has come, and the last row of the store's own chain.
    Anchored(i64, Option<(i64, Mac)>),
    /// To end the chain.
    End(oneshot::Sender<Point>),
}

/// What both sides know.
#[derive(Debug)]
pub(super) struct Shared {
    /// Events that found no room.
    pub(super) dropped: AtomicU64,
    /// Whether the file cannot be written.
    pub(super) failing: AtomicBool,
    /// Another file was begun.
    pub(super) rotated: Notify,
    pub(super) metrics: AuditMetrics,
}
