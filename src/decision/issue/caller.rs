//! The client of a token endpoint, and whether it still waits for the response.

use std::{convert::Infallible, net::IpAddr, sync::OnceLock};

use tokio::sync::mpsc;

use crate::{domain::PrincipalId, observe::audit::Sought};

/// A client of a token endpoint, as the work for it sees it.
#[derive(Debug)]
pub struct Caller {
    address: IpAddr,
    /// Whose account it turned out to be about, whatever came of it.
    account: OnceLock<Sought>,
    /// Closed when the client has left.
    connection: mpsc::Sender<Infallible>,
}

/// Held for as long as the client waits. Dropping it tells the [`Caller`] that nobody reads the answer.
#[derive(Debug)]
pub struct Presence {
    _connection: mpsc::Receiver<Infallible>,
}

impl Caller {
    /// A client at `address`: the one that trusted proxies name, never a proxy.
    #[must_use]
    pub fn new(address: IpAddr) -> (Self, Presence) {
        let (connection, presence) = mpsc::channel(1);
        (Self { address, account: OnceLock::new(), connection }, Presence { _connection: presence })
    }

    /// Its address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Notes the account that the request is about, or that no such account exists; only the first note counts.
    pub(in crate::decision) fn identify(&self, account: Option<PrincipalId>) {
        // Known already: an OAuth client was proved before its token was looked at.
        let _ = self.account.set(account.map_or(Sought::None, Sought::Found));
    }

    /// Whose account it turned out to be about, whatever came of it.
    #[must_use]
    pub fn account(&self) -> Sought {
        self.account.get().copied().unwrap_or(Sought::NotYet)
    }

    /// Whether it has left.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.connection.is_closed()
    }

    /// Ends when it has left.
    pub async fn left(&self) {
        self.connection.closed().await;
    }

    /// What comes of `work`, unless the client leaves first; then the work is dropped.
    pub async fn unless_left<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.left() => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_with_the_client() {
        let (caller, presence) = Caller::new([192, 0, 2, 1].into());
        assert_eq!(caller.unless_left(async { 7 }).await, Some(7));
        let never = caller.unless_left(std::future::pending::<()>());
        let leaves = async {
            tokio::task::yield_now().await;
            drop(presence);
        };
        assert_eq!(tokio::join!(never, leaves).0, None);
        assert!(caller.has_left());
    }
}
