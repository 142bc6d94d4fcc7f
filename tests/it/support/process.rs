//! The real binary as a process, with everything that it writes.

use std::{
    env, fs,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
};

use serde_json::Value;

use super::wait::{Deadline, PATIENCE};

/// Lines that a process wrote last, which a test that fails shows.
const SHOWN: usize = 40;

/// Names another binary that the tests are to run in the place of the one that was built with them.
const BINARY: &str = "PORTERO_BINARY";

/// A running `portero`. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Whether it leads a group of its own, which ends with it: those that it started and that outlive it.
    leads: bool,
    written: Arc<Written>,
}

/// What a finished `portero` left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

#[derive(Debug, Default)]
struct Written {
    streams: Mutex<Streams>,
    grew: Condvar,
}

#[derive(Debug, Default)]
struct Streams {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    ended: usize,
}

/// Runs `portero` to its end with this standard input.
pub(crate) fn portero(arguments: &[&str], stdin: &str) -> Ran {
    Process::spawn(&mut command(arguments), stdin).finish()
}

/// `portero` with these arguments, and nothing of this process's environment that it would read. It is
/// asked to log all it can, which must not make it say more.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let built = env!("CARGO_BIN_EXE_portero").into();
    let mut command = Command::new(env::var_os(BINARY).unwrap_or(built));
    command.args(arguments).env_remove("PORTERO_MASTER_KEY_FILE").env_remove("PORTERO_CONFIG").env("RUST_LOG", "trace");
    command
}

/// The same with the civil clock put forward or back (`+600s`). What counts elapsed time stays as it is.
pub(crate) fn command_at(shift: &str, arguments: &[&str]) -> Command {
    // Debian's package has it in a folder of the machine's kind.
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let library = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists());
    let library = library.expect("libfaketime is there: deploy/tools faketime");
    let mut command = command(arguments);
    command.env("LD_PRELOAD", library).env("FAKETIME", shift).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

impl Process {
    pub(crate) fn spawn(command: &mut Command, stdin: &str) -> Self {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        let written = Arc::new(Written::default());
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        collect(stdout, &written, |streams| &mut streams.stdout);
        collect(stderr, &written, |streams| &mut streams.stderr);
        // A process that reads nothing and is gone already breaks the pipe: its output says why.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        Self { child, leads: false, written }
    }

    /// A process that may start others in its place: they are killed with it, and write what it writes.
    pub(crate) fn spawn_with_successors(command: &mut Command) -> Self {
        let mut process = Self::spawn(command.process_group(0), "");
        process.leads = true;
        process
    }

    /// The first event with this message, waiting for it.
    #[track_caller]
    pub(crate) fn event(&self, message: &str) -> Value {
        self.log_line(message, |line| line["message"] == message)
    }

    /// The first access line that fits, waiting for it.
    #[track_caller]
    pub(crate) fn access_line(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.log_line(what, |line| line["kind"] == "access" && fits(line))
    }

    /// The first line that fits, waiting for it.
    #[track_caller]
    pub(crate) fn log_line(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.wait_for(what, |text| text.lines().filter_map(json_line).find(&fits))
    }

    #[track_caller]
    fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Deadline::after(PATIENCE);
        let mut streams = self.written.streams.lock().unwrap();
        loop {
            if let Some(found) = find(&String::from_utf8_lossy(&streams.stdout)) {
                return found;
            }
            let left = deadline.left().filter(|_| streams.ended < 2);
            let Some(left) = left else {
                drop(streams);
                panic!("'{what}' was never written, but:\n{}", self.written());
            };
            streams = self.written.grew.wait_timeout(streams, left).unwrap().0;
        }
    }

    /// Everything on standard output and standard error until now.
    pub(crate) fn written(&self) -> String {
        let streams = self.written.streams.lock().unwrap();
        [String::from_utf8_lossy(&streams.stdout), String::from_utf8_lossy(&streams.stderr)].concat()
    }

    /// Sends a signal by its name: `TERM`, `HUP`, `INT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, id.as_str()]).status().unwrap();
        assert!(sent.success(), "kill -s {name} {id}");
    }

    /// Sets how many files it may have open; those beyond stay open. The limit until now.
    pub(crate) fn set_open_files(&self, allowed: u64) -> u64 {
        self.set_limit(rlimit::Resource::NOFILE, allowed)
    }

    /// Sets how large a file may grow by what it writes. The limit until now.
    pub(crate) fn set_file_bytes(&self, allowed: u64) -> u64 {
        self.set_limit(rlimit::Resource::FSIZE, allowed)
    }

    fn set_limit(&self, of: rlimit::Resource, allowed: u64) -> u64 {
        let id = i32::try_from(self.id()).unwrap();
        let (mut soft, mut hard) = (0, 0);
        rlimit::prlimit(id, of, None, Some((&mut soft, &mut hard))).unwrap();
        rlimit::prlimit(id, of, Some((allowed, hard)), None).unwrap();
        soft
    }

    /// Whether SIGSTOP has reached each of its threads.
    pub(crate) fn is_stopped(&self) -> bool {
        self.threads().iter().all(|(_, state)| *state == 'T')
    }

    /// Whether the threads whose names begin with this wait for something, and there is one: what they were told before
    /// has had its effect.
    pub(crate) fn rests(&self, thread: &str) -> bool {
        let threads = self.threads();
        let mut named = threads.iter().filter(|(name, _)| name.starts_with(thread)).peekable();
        named.peek().is_some() && named.all(|(_, state)| *state == 'S')
    }

    /// The name and the state of each of its threads (`proc_pid_stat(5)`).
    fn threads(&self) -> Vec<(String, char)> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        // A thread that has ended meanwhile is skipped.
        let stats = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        let read = |stat: String| {
            // The name stands in parentheses, and may hold anything.
            let (before, rest) = stat.rsplit_once(") ")?;
            Some((before.split_once('(')?.1.to_owned(), rest.chars().next()?))
        };
        stats.filter_map(read).collect()
    }

    /// Whether nobody can write to its output any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.written.streams.lock().unwrap().ended == 2
    }

    /// The processes that it started and that these started, each after its parent.
    pub(crate) fn descendants(&self) -> Vec<u32> {
        let mut found = vec![self.id()];
        let mut at = 0;
        while let Some(id) = found.get(at) {
            // One that has ended has none.
            let list = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            found.extend(list.split_whitespace().map(|id| id.parse::<u32>().unwrap()));
            at += 1;
        }
        found.split_off(1)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end. A process that a signal ended has the code -1.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Ran {
        let deadline = Deadline::after(PATIENCE);
        let mut streams = self.written.streams.lock().unwrap();
        while streams.ended < 2 {
            let Some(left) = deadline.left() else {
                drop(streams);
                panic!("portero does not end; it wrote:\n{}", self.written());
            };
            streams = self.written.grew.wait_timeout(streams, left).unwrap().0;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&streams.stdout), text(&streams.stderr));
        drop(streams);
        Ran { code: self.child.wait().unwrap().code().unwrap_or(-1), stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            let written = self.written();
            let hidden = written.lines().count().saturating_sub(SHOWN);
            let last: Vec<_> = written.lines().skip(hidden).collect();
            eprintln!("portero ({}) wrote last:\n{}", self.id(), last.join("\n"));
        }
        if self.leads {
            let group = format!("-{}", self.id());
            // Nobody of it may be left.
            let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    /// Its standard output as JSON, when it succeeded.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Asserts that it did what it was asked.
    #[track_caller]
    pub(crate) fn succeeded(&self) {
        assert_eq!(self.code, 0, "{self:?}");
    }
}

fn json_line(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

fn collect(mut from: impl Read + Send + 'static, written: &Arc<Written>, into: fn(&mut Streams) -> &mut Vec<u8>) {
    let written = Arc::clone(written);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        loop {
            let read = from.read(&mut chunk).unwrap_or(0);
            let mut streams = written.streams.lock().unwrap();
            into(&mut streams).extend_from_slice(&chunk[..read]);
            streams.ended += usize::from(read == 0);
            written.grew.notify_all();
            if read == 0 {
                return;
            }
        }
    });
}
