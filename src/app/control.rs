//! What listens to the operating system: signals, and the limit on open files.

use std::io;

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use super::StartError;

/// Threads that talk to the store.
const CONTROL_THREADS: usize = 2;

/// Open files beside connections: the store, listeners, the admin's own.
const OPEN_FILES_RESERVED: u64 = 512;

/// The control runtime, and the signals it listens to: from before anything is made, so that none of
/// them ends the process in the middle of something.
#[derive(Debug)]
pub struct Control {
    pub(super) runtime: Runtime,
    pub(super) signals: Signals,
}

/// The signals that end or reload a gateway, or have it open its audit file anew.
#[derive(Debug)]
pub(super) struct Signals {
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
    pub(super) hang_up: Signal,
    pub(super) user_defined: Signal,
}

impl Control {
    /// Starts the runtime and begins to listen.
    ///
    /// # Errors
    /// Fails when the system gives no thread, or does not let this process listen to a signal.
    pub fn start() -> Result<Self, StartError> {
        let runtime = runtime("control", CONTROL_THREADS)?;
        let signals = runtime.block_on(async {
            // Where the system limits how large a file may grow, a write fails then, as on a full disk. By itself the
            // signal ends the process; who listens to it once goes on for ever.
            drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
            Ok::<_, io::Error>(Signals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hang_up: signal(SignalKind::hangup())?,
                user_defined: signal(SignalKind::user_defined1())?,
            })
        })?;
        Ok(Self { runtime, signals })
    }

    /// Runs something to its end.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// Raises the number of files that may be open as far as the system lets us, and says how many
/// client connections that bears: each may need one to an upstream too, and the store and the admin
/// listener must never be without.
pub(super) fn connections_possible() -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(OPEN_FILES_RESERVED);
    usize::try_from(limit.saturating_sub(OPEN_FILES_RESERVED) / 2).unwrap_or(usize::MAX).max(1)
}

/// A runtime of its own for one part of the gateway.
pub(super) fn runtime(name: &str, threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
}
