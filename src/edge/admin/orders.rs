//! What the admin listener asks of the task that reloads the config and hands over.

use std::{sync::Arc, time::Duration};

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::state::store::Actor;

/// Orders that may wait for the one before them.
const ORDERS_MAX: usize = 8;

/// Why an order is not carried out, as its operator is told.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum NotCarriedOut {
    #[error("this process stops; where another one has taken over, ask again")]
    Stopping,
    #[error("too many orders are waiting; ask again")]
    TooMany,
}

/// An order, with where its outcome is awaited: an error is the text for the operator.
#[derive(Debug)]
pub enum Order {
    /// Read the config again; answers the keys that only a restart changes.
    Reload {
        /// The operator who asks.
        actor: Actor,
        /// Where the outcome is awaited.
        outcome: oneshot::Sender<Result<Vec<&'static str>, String>>,
    },
    /// Start the binary that lies there now, and hand over to it; answers its process id.
    Upgrade {
        /// How long it may take to serve.
        patience: Duration,
        /// Where the outcome is awaited.
        outcome: oneshot::Sender<Result<u32, String>>,
        /// One upgrade at a time.
        alone: OwnedSemaphorePermit,
    },
}

/// The way to the task that carries orders out.
#[derive(Debug)]
pub struct Orders {
    queue: mpsc::Sender<Order>,
    upgrades: Arc<Semaphore>,
}

impl Orders {
    /// The way there, and its end.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Order>) {
        let (queue, orders) = mpsc::channel(ORDERS_MAX);
        (Self { queue, upgrades: Arc::new(Semaphore::new(1)) }, orders)
    }

    /// Gives an order, and waits for its outcome.
    ///
    /// # Errors
    /// When nobody carries it out.
    pub(super) async fn carried_out<T>(&self, order: Order, outcome: oneshot::Receiver<T>) -> Result<T, NotCarriedOut> {
        self.queue.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => NotCarriedOut::Stopping,
            mpsc::error::TrySendError::Full(_) => NotCarriedOut::TooMany,
        })?;
        outcome.await.map_err(|_| NotCarriedOut::Stopping)
    }

    /// The right to upgrade, while no other upgrade is under way.
    pub(super) fn alone(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.upgrades).try_acquire_owned().ok()
    }
}
