//! Client, gateway and upstream take turns.
//!
//! The thread that serves looks for more bytes, registers a waker and sleeps, in that order. Bytes that arrive
//! meanwhile save it a part of that. Which of them is early depends on how busy the machine is, so nobody here writes
//! before that thread sleeps.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
};

use crate::wait::{Deadline, PATIENCE};

/// The name of the thread that serves; a gateway under test has one.
const SERVING: &str = "proxy-0";

/// The numbers of `epoll_wait`, `epoll_pwait` and `epoll_pwait2` on x86-64.
const EPOLL: [&str; 3] = ["232", "281", "441"];

/// The thread that serves, once it is known.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Option<PathBuf>>);

impl Turns {
    /// Takes turns with the gateway of this process id from now on, or with nobody.
    pub(crate) fn with(&self, gateway: Option<u32>) {
        *self.0.lock().unwrap() = gateway.map(|id| serving(id).unwrap());
    }

    /// Waits until the thread sleeps. What it has been sent before must have had an effect already: it sleeps before it
    /// notices, too.
    pub(crate) fn wait(&self) {
        let thread = self.0.lock().unwrap().clone();
        let Some(thread) = thread else { return };
        let deadline = Deadline::after(PATIENCE);
        while !sleeps(&thread) {
            assert!(deadline.left().is_some(), "the gateway's thread never sleeps");
            thread::yield_now();
        }
    }
}

fn serving(process: u32) -> io::Result<PathBuf> {
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        // A thread that has ended meanwhile is skipped.
        if fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim_end() == SERVING) {
            return Ok(thread);
        }
    }
    Err(io::Error::other(format!("process {process} has no thread {SERVING}")))
}

/// Whether the thread waits for an event. The kernel says `running`, or the number of the call that the thread is in.
fn sleeps(thread: &Path) -> bool {
    let call = fs::read_to_string(thread.join("syscall")).unwrap();
    call.split(' ').next().is_some_and(|number| EPOLL.contains(&number))
}
