//! Keeps the audit log's anchors: every 10 seconds, and whenever a file was begun, the store takes down how far this
//! gateway's chain has come, and the chain how far the store's own has. What is cut off or rewritten on one side shows
//! on the other.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use crate::{
    decision::admin::AdminServices,
    domain::Clock,
    observe::{
        audit::{AuditLog, Mac, Point},
        metrics::AuditMetrics,
    },
    state::store::{self, Anchor, Store, StoreError},
};

/// How often.
const ANCHOR_EVERY: Duration = Duration::from_secs(10);

/// How long the thread that writes is waited for.
const POINT_WITHIN: Duration = Duration::from_secs(2);

/// How long the end of the chain is waited for.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Keeps the anchors of one gateway.
#[derive(Debug)]
pub struct AuditKeeper {
    store: Store,
    log: AuditLog,
    services: Arc<AdminServices>,
    clock: Arc<dyn Clock>,
    metrics: AuditMetrics,
    /// What both sides have of each other.
    anchored: Option<(Point, Option<(i64, Mac)>)>,
    /// Whether it was said that the store does not take anchors.
    said: bool,
}

impl AuditKeeper {
    /// Of this log, in this store.
    #[must_use]
    pub const fn new(
        store: Store,
        log: AuditLog,
        services: Arc<AdminServices>,
        clock: Arc<dyn Clock>,
        metrics: AuditMetrics,
    ) -> Self {
        Self { store, log, services, clock, metrics, anchored: None, said: false }
    }

    /// Keeps them until `stop` says true, and ends the chain then.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            self.keep().await;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = self.log.rotated() => {}
                () = tokio::time::sleep(ANCHOR_EVERY) => {}
            }
        }
        self.services.write_down().await;
        if let Ok(Some(point)) = timeout(END_WITHIN, self.log.end()).await
            && let Err(error) = self.anchor(&point).await
        {
            tracing::warn!(%error, "the store could not take down how far the audit log has come");
        }
    }

    async fn keep(&mut self) {
        self.services.write_down().await;
        // A disk that hangs is not waited for: the gateway may be about to end.
        let Ok(Some(point)) = timeout(POINT_WITHIN, self.log.point()).await else { return };
        match self.anchor_both(point).await {
            Ok(()) => self.said = false,
            Err(error) if !self.said => {
                tracing::warn!(%error, "the store could not take down how far the audit log has come");
                self.said = true;
            }
            Err(_) => {}
        }
    }

    async fn anchor_both(&mut self, point: Point) -> Result<(), StoreError> {
        let head = store::head(&self.store).await?;
        if let Some((before, known)) = &self.anchored {
            // The line that says so is one more, and nothing new.
            let is_same = point.line <= before.line + 1 && point.events == before.events;
            if is_same && *known == head {
                return Ok(());
            }
        }
        self.anchor(&point).await?;
        self.log.anchored(point.line, head);
        self.anchored = Some((point, head));
        Ok(())
    }

    async fn anchor(&self, point: &Point) -> Result<(), StoreError> {
        let Some((key, gateway, file)) = self.log.identity() else { return Ok(()) };
        let Point { chain, line, mac, events, ended } = *point;
        let anchor = Anchor { chain, gateway, file, line, mac, events, ended };
        let now = self.clock.now();
        self.store.within(store::set_anchor(&self.store, &key, &anchor, now)).await?;
        self.metrics.anchored_seconds.set(now.as_secs_f64());
        Ok(())
    }
}
