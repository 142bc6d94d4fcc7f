//! Requests with a body: who keeps whom waiting, so that a client that is slow never counts as a failure of its server.
//!
//! pingora's read timeout towards a server runs whatever the client owes, and cannot be stopped. So an exchange with a
//! body has none: [`Progress`] knows what both sides sent and who is waited for, and its verdict reaches pingora as an
//! error of the client's connection. pingora then answers as after any other error.
//!
//! ```text
//! progress  who is waited for, until when (pure); the watch over an exchange
//! stream    the connection of an HTTP/1 client
//! session   the stream of an HTTP/2 client
//! ```

mod progress;
mod session;
mod stream;

use std::future::Future;

pub(in crate::edge) use progress::Progress;
pub(in crate::edge) use progress::{Overdue, Waits};
pub(in crate::edge) use session::watched_session;
pub(in crate::edge) use stream::{unwatched, watched_stream};

/// Serves an exchange; where it has a body, until somebody's time is over and pingora could not be told.
pub(in crate::edge) async fn serve<T>(
    upload: Option<&Progress>,
    exchange: impl Future<Output = T>,
) -> Result<T, Overdue> {
    match upload {
        Some(progress) => progress.watch(exchange).await,
        None => Ok(exchange.await),
    }
}
