//! When it is worth while to read what others changed.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, task::JoinSet, time::sleep};

use super::{
    engine::{Engine, Store},
    error::StoreError,
    postgres::PostgresStore,
    sqlite::ChangeWatch,
};

/// Between two attempts to listen again, after a connection was lost.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Between two notices that are passed on.
const NOTICE_PAUSE: Duration = Duration::from_millis(5);

/// How often the feed is read where nobody says that it has grown: a notice may be lost.
pub const FEED_POLL: Duration = Duration::from_millis(250);

/// Looks whether others committed something.
#[derive(Debug)]
pub struct Watch(Kind);

#[derive(Debug)]
enum Kind {
    /// A counter in shared memory.
    File(Box<ChangeWatch>),
    /// Notices, and a poll now and then.
    Feed {
        woken: Arc<Notify>,
        /// Listens; it ends with this.
        _listening: JoinSet<()>,
    },
}

impl Store {
    /// A watch that tells when anyone, in this process or another, committed a change.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn watch(&self) -> Result<Watch, StoreError> {
        Watch::open(&self.engine).await
    }
}

impl Watch {
    async fn open(engine: &Engine) -> Result<Self, StoreError> {
        Ok(Self(match engine {
            Engine::Sqlite(sqlite) => Kind::File(Box::new(sqlite.watch().await?)),
            Engine::Postgres(postgres) => {
                let woken = Arc::<Notify>::default();
                let mut listening = JoinSet::new();
                listening.spawn(listen(postgres.clone(), Arc::clone(&woken)));
                Kind::Feed { woken, _listening: listening }
            }
        }))
    }

    /// Whether anything was committed since the last call, or since the watch was made; of a server, whether it may
    /// have been. After an error the next success answers true, since nobody looked meanwhile.
    ///
    /// # Errors
    /// Also that a file of the store is gone, or another one than was opened: nothing is read from that one.
    pub async fn changed(&mut self) -> Result<bool, StoreError> {
        match &mut self.0 {
            Kind::File(watch) => watch.changed().await,
            Kind::Feed { .. } => Ok(true),
        }
    }

    /// Waits until somebody says that the feed has grown; for a file it waits for ever: there the counter says it.
    pub fn woken(&self) -> impl Future<Output = ()> + Send + use<> {
        let woken = match &self.0 {
            Kind::File(_) => None,
            Kind::Feed { woken, .. } => Some(Arc::clone(woken)),
        };
        async move {
            match woken {
                Some(woken) => woken.notified().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Closes its connection.
    pub async fn close(self) {
        match self.0 {
            Kind::File(watch) => watch.close().await,
            Kind::Feed { .. } => {}
        }
    }
}

/// Passes notices on, for ever. The poll does without them while there is no connection.
async fn listen(postgres: PostgresStore, woken: Arc<Notify>) {
    loop {
        if let Ok(mut listener) = postgres.listen().await {
            // What was told before it listened is read now.
            woken.notify_one();
            while listener.woken().await.is_ok() {
                woken.notify_one();
                // What comes meanwhile is read at once: hundreds of notices a second are not as many looks.
                sleep(NOTICE_PAUSE).await;
            }
        }
        tokio::select! {
            () = sleep(LISTEN_AGAIN_AFTER) => {}
            // Of what this process changes itself it hears without a connection.
            () = postgres.woken() => woken.notify_one(),
        }
    }
}
