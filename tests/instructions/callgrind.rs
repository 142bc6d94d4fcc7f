//! Programs under callgrind, and what it counted of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Keeps glibc from copying with `rep movsb`, whose every byte counts as an instruction, from a size on that it derives
/// from the processor's caches.
const TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000:\
                        glibc.cpu.x86_non_temporal_threshold=0x40000000";

/// What [`command`] is told where [`Threads`] is to count.
pub(crate) const BY_THREAD: &[&str] = &["--separate-threads=yes", "--instr-atstart=no"];

/// `program` under callgrind with these options, which writes what it counts to `out`.
pub(crate) fn command(options: &[&str], program: &Path, out: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]).args(options);
    command.arg(format!("--callgrind-out-file={}", out.display())).arg(program);
    command.env("GLIBC_TUNABLES", TUNABLES).env_remove("RUST_LOG").env_remove("PORTERO_MASTER_KEY_FILE");
    command
}

/// The instructions in a file that callgrind has written.
pub(crate) fn instructions(out: &Path) -> u64 {
    let text = fs::read_to_string(out).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.unwrap_or_else(|| panic!("{}: no totals", out.display())).parse().unwrap()
}

/// A running process whose threads callgrind counts each by itself.
pub(crate) struct Threads {
    pid: u32,
    out: PathBuf,
    dumps: usize,
}

impl Threads {
    /// Begins to count in the process of this id, which writes to `out`.
    pub(crate) fn count(pid: u32, out: PathBuf) -> Self {
        order(pid, &["instrumentation", "on"]);
        Self { pid, out, dumps: 0 }
    }

    /// Instructions of the thread that had most of them since the last call.
    pub(crate) fn busiest(&mut self) -> u64 {
        order(self.pid, &["dump"]);
        self.dumps += 1;
        let name = format!("{}.{}-", self.out.file_name().unwrap().display(), self.dumps);
        let entries = fs::read_dir(self.out.parent().unwrap()).unwrap().map(Result::unwrap);
        let threads = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name));
        threads.map(|entry| instructions(&entry.path())).max().unwrap()
    }
}

/// Asks the callgrind of a running process for something.
fn order(pid: u32, words: &[&str]) {
    let ran = Command::new("vgdb").arg(format!("--pid={pid}")).args(words).output().unwrap();
    assert!(ran.status.success(), "vgdb {words:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
