//! The connection that hears when the feed has grown, and that notices when it hears nothing any more.
//!
//! A connection that is lost without a word (a machine without power, a firewall that forgets) looks like a quiet one.
//! So a listener that heard nothing for a while has the server tell it something, through another connection. What does
//! not arrive was lost with the connection, and another listener is to be made.

use std::{pin::Pin, time::Duration};

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    super::error::{StoreError, Trouble},
    connections::{CALL_DEADLINE, Connections},
    notices::{CHANNEL, Notices},
};
use crate::domain::{id::hex, random};

/// How long a listener hears nothing before it has itself told something.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// How long that may take to arrive once the server has taken it.
const ECHO_WITHIN: Duration = Duration::from_secs(2);

/// A connection that hears when the feed has grown.
#[derive(Debug)]
pub(in crate::state::store) struct Listener {
    inner: PgListener,
    notices: Notices,
    echo: Echo,
}

/// What a listener tells itself through another connection.
struct Echo {
    connections: Connections,
    /// A channel of its own: nobody else is woken by it.
    channel: String,
    state: State,
}

enum State {
    /// Something was heard; if nothing more is until then, it is time.
    Quiet(Instant),
    /// The server is told to say it.
    Telling {
        told: Pin<Box<dyn Future<Output = Result<u64, sqlx::Error>> + Send>>,
        /// It may be heard before the other connection knows that it was said.
        heard: bool,
    },
    /// It was said, and is to be heard until then.
    Awaited(Instant),
}

impl Listener {
    /// Listens on a connection of its own; `connections` are those by which it tells itself something.
    pub(super) async fn connect(
        options: sqlx::postgres::PgConnectOptions,
        notices: Notices,
        connections: Connections,
    ) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(CALL_DEADLINE)
            .connect_lazy_with(options);
        let echo = Echo::new(connections);
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // A follower that lost its connection makes another listener, and reads the feed.
            listener.eager_reconnect(false);
            listener.listen_all([CHANNEL, &echo.channel]).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let inner = timeout(CALL_DEADLINE, listening).await.map_err(|_| StoreError::unresponsive())??;
        Ok(Self { inner, notices, echo })
    }

    /// Waits until anybody, here or elsewhere, changed something. After an error a new one is to be made: the
    /// connection has ended, or nothing arrives by it any more.
    pub(in crate::state::store) async fn woken(&mut self) -> Result<(), StoreError> {
        loop {
            tokio::select! {
                () = self.notices.woken() => return Ok(()),
                heard = self.inner.try_recv() => {
                    let Some(notice) = heard? else { return Err(sqlx::Error::PoolClosed.into()) };
                    self.echo.hear();
                    if notice.channel() == CHANNEL {
                        return Ok(());
                    }
                }
                alive = self.echo.turn() => alive?,
            }
        }
    }
}

impl Echo {
    fn new(connections: Connections) -> Self {
        let channel = format!("portero_echo_{}", hex(&random::bytes::<8>()));
        Self { connections, channel, state: State::Quiet(Instant::now() + QUIET_MAX) }
    }

    /// Something was heard, whatever it was.
    fn hear(&mut self) {
        match &mut self.state {
            // The call is brought to its end: its connection is of use to others.
            State::Telling { heard, .. } => *heard = true,
            state => *state = State::Quiet(Instant::now() + QUIET_MAX),
        }
    }

    /// Waits for what comes next, and does it. It may be dropped at any point.
    async fn turn(&mut self) -> Result<(), StoreError> {
        self.state = match &mut self.state {
            State::Quiet(until) => {
                sleep_until(*until).await;
                let (connections, channel) = (self.connections.clone(), self.channel.clone());
                let told =
                    async move { connections.execute(sqlx::query("SELECT pg_notify($1, '')").bind(channel)).await };
                State::Telling { told: Box::pin(told), heard: false }
            }
            State::Telling { told, heard } => {
                let is_told = told.as_mut().await.is_ok();
                // What could not be said says nothing of who listens: the server is away.
                let is_due = is_told && !*heard;
                let now = Instant::now();
                if is_due { State::Awaited(now + ECHO_WITHIN) } else { State::Quiet(now + QUIET_MAX) }
            }
            State::Awaited(until) => {
                sleep_until(*until).await;
                return Err(sqlx::Error::from(Trouble::Unresponsive).into());
            }
        };
        Ok(())
    }
}

impl std::fmt::Debug for Echo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Echo").field("channel", &self.channel).finish_non_exhaustive()
    }
}
