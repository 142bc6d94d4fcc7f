//! Pass after pass, and the end of the move.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    super::{Action, Actor, AuditedStore, Entry, StoreError, Transaction, meta::status_in},
    copying::{Copying, has_moved},
    error::CopyError,
    pass::{Pass, Progress, TableSum},
    source,
};
use crate::{domain::Clock, observe::audit::ChainKey};

/// Differences after which a pass is followed by another one, rather than by the last.
const DIFFERENCES_FEW: u64 = 1_000;

/// Passes before the last one, at most: where changes come as fast as they are carried over, the last one has more to
/// do.
const PASSES_MAX: u32 = 20;

/// Attempts to hold changes off. Others make them all the time, and a file has no queue.
const HOLDS_MAX: u32 = 20;

/// The operator who moves a store: its last row in the audit log, which the copy begins its own life with.
#[derive(Clone, Debug)]
pub struct Mover {
    /// The operator.
    pub actor: Actor,
    /// The key of the log's codes, from the store's master key.
    pub key: Arc<ChainKey>,
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How often the rows were compared.
    pub passes: u32,
    /// Rows that were written to the copy or removed from it.
    pub changed: u64,
    /// What the copy and its source have, by the last pass.
    pub tables: Vec<TableSum>,
    /// Where the move was brought to its end: how long changes waited at the source.
    pub held: Option<Duration>,
    /// Whether the copy is the store now.
    pub switched: bool,
}

impl Copying {
    /// Copies, and follows what changes meanwhile. With a `mover` it brings the move to its end; without, the source is
    /// the store still, and the copy none to work with. It may be killed at any point and repeated.
    ///
    /// # Errors
    /// Fails when one of both is out of reach, when somebody else works on the copy, or when it is not what was
    /// written.
    pub async fn run(
        &self,
        mover: Option<&Mover>,
        clock: &dyn Clock,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Copied, CopyError> {
        let (mut passes, mut changed) = (0, 0);
        let (pass, has_moved) = loop {
            passes += 1;
            let mut reading = self.reading.begin_reading().await?;
            let has_moved = has_moved(status_in(&mut reading).await?, &self.to)?;
            let pass = self.pass(&mut reading, passes, report).await?;
            reading.commit().await?;
            changed += pass.changed;
            if has_moved || pass.changed <= DIFFERENCES_FEW || passes == PASSES_MAX {
                break (pass, has_moved);
            }
        };
        let Some(mover) = mover else {
            if has_moved {
                return Err(CopyError::Unfinished);
            }
            self.copy.count_on().await?;
            return Ok(Copied { passes, changed, tables: pass.tables, held: None, switched: false });
        };
        let (pass, held) = if has_moved {
            self.copy.count_on().await?;
            (Pass { changed: 0, ..pass }, None)
        } else {
            passes += 1;
            let (pass, held) = self.end_source(passes, clock, report).await?;
            (pass, Some(held))
        };
        let audited = AuditedStore::new(self.copy.store.clone(), Arc::clone(&mover.key), mover.actor.clone());
        let entry = Entry::of(Action::StoreMove).from(json!({ "store": self.origin })).to(json!({ "store": self.to }));
        self.copy.finish(&audited, entry).await?;
        Ok(Copied { passes, changed: changed + pass.changed, tables: pass.tables, held, switched: true })
    }

    /// Carries the last differences over while nobody makes new ones, and ends the source. Answers how long others
    /// waited.
    async fn end_source(
        &self,
        number: u32,
        clock: &dyn Clock,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(Pass, Duration), CopyError> {
        let mut held = self.hold().await?;
        let since = clock.instant();
        let has_moved = has_moved(status_in(&mut held).await?, &self.to)?;
        report(Progress::Held);
        let pass = self.pass(&mut held, number, report).await?;
        self.copy.count_on().await?;
        if !has_moved {
            source::end(&mut held, &self.to).await?;
        }
        held.commit().await?;
        report(Progress::Ended);
        Ok((pass, clock.instant().duration_since(since)))
    }

    async fn hold(&self) -> Result<Transaction, StoreError> {
        let mut attempts = 1;
        loop {
            match source::hold(&self.reading).await {
                Err(error) if error.is_transient() && attempts < HOLDS_MAX => attempts += 1,
                held => return held,
            }
        }
    }
}
