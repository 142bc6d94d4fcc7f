//! The network between a client and PostgreSQL.

use std::{net::Ipv4Addr, sync::Mutex, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    super::{PATIENCE, port::Port},
    Postgres, url,
};

/// How many reads may be under way in one direction of a connection.
const CHUNKS_MAX: usize = 64;
const CHUNK_BYTES_MAX: usize = 16 * 1024;

/// A port that leads to a server until the test says otherwise.
#[derive(Debug)]
pub(crate) struct Link {
    port: Port,
    state: watch::Sender<State>,
    /// Its listener and connections live in it, and end with it.
    runtime: Mutex<Option<Runtime>>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    server: u16,
    is_silent: bool,
    delay: Duration,
    /// Connections with a lower number are lost.
    generation: u64,
}

impl Link {
    pub(crate) fn to(postgres: &Postgres) -> Self {
        let state = State { server: postgres.port(), is_silent: false, delay: Duration::ZERO, generation: 0 };
        let link = Self { port: Port::hold(), state: watch::Sender::new(state), runtime: Mutex::default() };
        link.heal();
        link
    }

    /// Where a gateway connects, as the role `portero`.
    pub(crate) fn url(&self) -> String {
        url(self.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number
    }

    /// Ends every connection, and refuses new ones.
    pub(crate) fn cut(&self) {
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            // Its tasks are gone when this returns, and their sockets closed.
            runtime.shutdown_timeout(PATIENCE);
        }
    }

    /// Lets no byte through in either direction, as a firewall that drops packets. Connections stay, and new ones
    /// are accepted. Both ends notice nothing, not even that the other one hangs up.
    pub(crate) fn drop_silently(&self) {
        self.state.send_modify(|state| state.is_silent = true);
    }

    /// Loses the connections that there are, as a machine without power, or a firewall that forgets: no byte of them
    /// comes through any more, and neither end is told. New ones are not affected.
    pub(crate) fn lose(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Lets everything through again. What waited since `drop_silently` arrives now, as TCP sends it again.
    pub(crate) fn heal(&self) {
        self.state.send_modify(|state| state.is_silent = false);
        let mut runtime = self.runtime.lock().unwrap();
        if runtime.is_none() {
            let new = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let listener = new.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, self.port()))).unwrap();
            new.spawn(serve(listener, self.state.subscribe()));
            *runtime = Some(new);
        }
    }

    /// Delays every byte by this in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Leads new connections to another server, as an address that moves.
    pub(crate) fn lead_to(&self, postgres: &Postgres) {
        self.state.send_modify(|state| state.server = postgres.port());
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cut();
    }
}

async fn serve(listener: TcpListener, state: watch::Receiver<State>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, state.clone()));
    }
}

async fn connect(client: TcpStream, mut state: watch::Receiver<State>) {
    let Ok(State { server: reached, generation, .. }) =
        state.wait_for(|state| !state.is_silent).await.map(|state| *state)
    else {
        return;
    };
    // A server that is down refuses: the client sees its connection end.
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, reached)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((client_reads, client_writes), (server_reads, server_writes)) = (client.into_split(), server.into_split());
    tokio::join!(
        forward(client_reads, server_writes, state.clone(), generation),
        forward(server_reads, client_writes, state.clone(), generation),
    );
}

/// Forwards one direction to its end.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    generation: u64,
) {
    let (sender, mut receiver) = mpsc::channel(CHUNKS_MAX);
    let reading = async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES_MAX];
            // An error is an end, too.
            let read = from.read(&mut chunk).await.unwrap_or(0);
            chunk.truncate(read);
            if sender.send((Instant::now(), chunk)).await.is_err() || read == 0 {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((read_at, chunk)) = receiver.recv().await {
            let delay = state.borrow().delay;
            sleep_until(read_at + delay).await;
            let passes = |state: &State| !state.is_silent && state.generation == generation;
            let reached = state.wait_for(passes).await.is_ok();
            let written = if chunk.is_empty() { to.shutdown().await } else { to.write_all(&chunk).await };
            if !reached || written.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
