//! Handing over to another process: the binary that lies at our path now is started with our
//! arguments and all our listening sockets, and takes over when it says that it serves.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use tokio::{io::AsyncReadExt, time::timeout};

use super::sockets::{NAMES_VARIABLE, PREDECESSOR, READY, Sockets};

/// The first descriptor that is handed over, as `sd_listen_fds(3)` has it.
const FIRST_DESCRIPTOR: i32 = 3;

/// Bytes of what a successor says that are read: the report about a config may be long.
const SAID_BYTES_MAX: usize = 64 << 10;

/// What this process was started as.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// The program and arguments of this process. The path is the one that it was started by, links
    /// not followed: what lies there later is what an upgrade starts.
    ///
    /// # Errors
    /// Fails when the system does not say which program this process runs, or in which folder.
    pub fn of_this_process() -> io::Result<Self> {
        let mut arguments = env::args_os();
        let given = arguments.next().map(PathBuf::from).unwrap_or_default();
        let path = if given.components().count() > 1 {
            env::current_dir()?.join(given)
        } else {
            let folders = env::var_os("PATH").unwrap_or_default();
            let found = env::split_paths(&folders).map(|folder| folder.join(&given)).find(|path| path.is_file());
            found.map_or_else(env::current_exe, Ok)?
        };
        Ok(Self { path, arguments: arguments.collect() })
    }

    /// Starts the successor and waits until it serves. Whatever else happens, the successor is ended
    /// and this process has changed nothing.
    ///
    /// # Errors
    /// Why there is no successor, as the operator is told.
    pub(super) async fn hand_over(&self, sockets: &Sockets, patience: Duration) -> Result<u32, String> {
        let (ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
        let mut successor = self.start(sockets, theirs).map_err(|error| start_failed(&self.path, &error))?;
        let said = timeout(patience, listen(ours)).await;
        match said {
            Ok(Ok(said)) if said == READY => Ok(successor.keep()),
            Ok(Ok(said)) => {
                let why = String::from_utf8_lossy(&said).trim().to_owned();
                let ended = successor.end();
                Err(if why.is_empty() { format!("the new process ended before it served ({ended})") } else { why })
            }
            Ok(Err(error)) => Err(format!("the new process cannot be heard: {error}")),
            Err(_) => Err(format!("the new process did not serve within {patience:?}; it was ended")),
        }
    }

    fn start(&self, sockets: &Sockets, theirs: UnixStream) -> io::Result<Successor> {
        let mut handed = sockets.named()?;
        handed.push((PREDECESSOR, theirs.into()));
        let names = handed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(":");
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).stdin(Stdio::null());
        // Without `LISTEN_PID`, which nobody knows before the process is there.
        command
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS_FIRST_FD")
            .env("LISTEN_FDS", handed.len().to_string())
            .env(NAMES_VARIABLE, names);
        let mappings = (FIRST_DESCRIPTOR..).zip(handed);
        let mappings = mappings.map(|(child_fd, (_, parent_fd))| FdMapping { parent_fd, child_fd }).collect();
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        // Everything else that is open closes itself in the new process (CLOEXEC).
        Ok(Successor(Some(command.spawn()?)))
    }
}

fn start_failed(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be started: {error}", path.display())
}

/// Reads until the successor is ready, or has nothing more to say.
async fn listen(ours: UnixStream) -> io::Result<Vec<u8>> {
    ours.set_nonblocking(true)?;
    let mut ours = tokio::net::UnixStream::from_std(ours)?;
    let mut said = vec![];
    while said != READY && said.len() < SAID_BYTES_MAX {
        let mut chunk = [0; 4096];
        match ours.read(&mut chunk).await? {
            0 => break,
            read => said.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(said)
}

/// A process that is to take over. It is ended when this is dropped: nobody else knows of it.
struct Successor(Option<Child>);

impl Successor {
    /// Lets it live.
    fn keep(&mut self) -> u32 {
        self.0.take().map_or(0, |child| child.id())
    }

    /// Ends it, and says how it ended.
    fn end(&mut self) -> String {
        let Some(mut child) = self.0.take() else { return String::new() };
        // One that ended by itself already is not killed, and says how.
        let _ = child.kill();
        child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        self.end();
    }
}
