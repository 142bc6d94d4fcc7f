//! The processes of a server.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};

use super::{
    super::{PATIENCE, wait_until},
    programs::Programs,
};

/// Ends a server and removes its folder, `$1`, when its standard input ends: when the test drops the server, and as
/// well when the test's process is killed. The last line that it read is the postmaster's process id, or nothing.
/// A stopped postmaster starts no more processes, so none escapes. PostgreSQL keeps a segment of shared memory, which
/// outlives processes that are killed: `postmaster.pid` names it.
const WATCHER: &str = r#"
while read -r line; do postmaster=$line; done
if [ -n "$postmaster" ]; then
    while kill -STOP "$postmaster" && grep -q '^State:.[RSD]' "/proc/$postmaster/status"; do :; done
    for child in $(grep -l "^PPid:.$postmaster\$" /proc/[0-9]*/status | cut -d / -f 3); do kill -KILL "$child"; done
    kill -KILL "$postmaster"
fi
[ -e "$1/data/postmaster.pid" ] && ipcrm -m "$(sed -n '7s/.* //p' "$1/data/postmaster.pid")"
umount -l "$1/data"
rm -rf "$1"
"#;

/// Starts a program when a line comes, and never when its starter died before: the watcher must know it first. In a
/// session of its own: the system continues stopped processes of a session when the parent of their group dies.
const GATE: &str = r#"read -r _ && exec setsid "$@""#;

/// The processes of one server, which never outlive the test. Its folder goes with them.
#[derive(Debug)]
pub(super) struct Server {
    watcher: Child,
    postmaster: Option<Child>,
}

impl Server {
    /// A server that does not run yet.
    pub(super) fn new(folder: &Path) -> Self {
        let mut watcher = Command::new("sh");
        // Not in the group of the test: who kills that must not kill the watcher.
        watcher.args(["-c", WATCHER, "watcher"]).arg(folder).process_group(0).stdin(Stdio::piped());
        let watcher = watcher.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { watcher, postmaster: None }
    }

    /// Starts the server on the folder `data`. What it says goes to the log.
    pub(super) fn start(&mut self, programs: &Programs, data: &Path, port: u16, log: File) {
        assert!(self.has_ended(), "it runs");
        let mut command = Command::new("sh");
        command.args(["-c", GATE, "gate"]).arg(programs.path("postgres")).arg("-D").arg(data);
        command.args(["-p", &port.to_string()]).current_dir(data);
        programs.run_as_owner(&mut command);
        let (out, err) = (log.try_clone().unwrap(), log);
        let mut postmaster = command.stdin(Stdio::piped()).stdout(out).stderr(err).spawn().unwrap();
        self.watch(&postmaster.id().to_string());
        postmaster.stdin.take().unwrap().write_all(b"go\n").unwrap();
        self.postmaster = Some(postmaster);
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.postmaster.as_mut().is_none_or(|postmaster| postmaster.try_wait().unwrap().is_some())
    }

    /// A fast shutdown: transactions are rolled back, everything is written.
    pub(super) fn stop(&mut self) {
        signal(self.postmaster(), Signal::INT);
        wait_until("PostgreSQL stops", PATIENCE, || self.has_ended());
        self.forget();
    }

    /// Kills all of its processes. They are gone when it returns.
    pub(super) fn kill(&mut self) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock();
        let postmaster = self.postmaster();
        stop_one(postmaster);
        let children = children(postmaster);
        // Orphans come to this process, which collects them: the first process of a container may not.
        set_child_subreaper(Some(getpid())).unwrap();
        for process in children.iter().copied().chain([postmaster]) {
            signal(process, Signal::KILL);
        }
        self.postmaster.as_mut().unwrap().wait().unwrap();
        for child in children {
            let _ = waitpid(Some(child), WaitOptions::empty());
        }
        set_child_subreaper(None).unwrap();
        self.forget();
    }

    /// Stops all of its processes where they are. The postmaster is the first, so that it starts no more.
    pub(super) fn freeze(&self) {
        let postmaster = self.postmaster();
        stop_one(postmaster);
        children(postmaster).into_iter().for_each(stop_one);
    }

    pub(super) fn thaw(&self) {
        let postmaster = self.postmaster();
        for process in children(postmaster).into_iter().chain([postmaster]) {
            signal(process, Signal::CONT);
        }
    }

    fn postmaster(&self) -> Pid {
        Pid::from_child(self.postmaster.as_ref().expect("it runs"))
    }

    fn forget(&mut self) {
        self.watch("");
        self.postmaster = None;
    }

    fn watch(&self, postmaster: &str) {
        writeln!(self.watcher.stdin.as_ref().unwrap(), "{postmaster}").unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.postmaster.is_some() {
            self.kill();
        }
        // The end of the watcher's input makes it remove the folder.
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

fn stop_one(process: Pid) {
    signal(process, Signal::STOP);
    wait_until("a process is stopped", PATIENCE, || !matches!(state(process), Some('R' | 'S' | 'D')));
}

fn signal(process: Pid, signal: Signal) {
    // A backend may have ended meanwhile.
    let _ = kill_process(process, signal);
}

fn children(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_child = |id: &Pid| stat(*id).is_some_and(|(_, its_parent)| its_parent == parent.as_raw_nonzero().get());
    ids.filter_map(Pid::from_raw).filter(is_child).collect()
}

/// Its state as `proc_pid_stat(5)` has it; `None` when there is no such process.
fn state(process: Pid) -> Option<char> {
    stat(process).map(|(state, _)| state)
}

/// Its state, and its parent.
fn stat(process: Pid) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // The name before them, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
