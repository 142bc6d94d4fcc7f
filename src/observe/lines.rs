//! Standard output, a line at a time: for the access log and for events.
//!
//! Lines are copied into a bounded buffer, which a thread of its own writes: some milliseconds' worth at once, so that
//! a request neither wakes anybody nor costs a system call. A slow reader of standard output costs lines, which are
//! counted, and never a request, nor the end of the process.

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Bytes that may wait to be written.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// How long lines are gathered that are written at once.
const GATHERING: Duration = Duration::from_millis(10);

/// Room that a buffer keeps while it is empty.
const ROOM_BYTES: usize = 256 << 10;

/// How long the last lines are waited for when the process ends.
const FLUSH: Duration = Duration::from_secs(1);

/// The way to standard output. Cloning it is cheap.
#[derive(Clone)]
pub struct Lines(Arc<Writer>);

/// Ends the writing when nobody can log any more.
struct Writer(Arc<Queue>);

struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to write, at once or soon.
    filled: Condvar,
    /// Something was written.
    emptied: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Bytes that the thread has taken and not yet written.
    in_hand: usize,
    /// Bytes that ever waited, and that were written of them.
    queued: u64,
    written: u64,
    /// Whether somebody waits for what is there to be written.
    hurried: bool,
    /// Nobody reads, or nobody logs.
    closed: bool,
}

impl Lines {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// Fails when the system gives no thread.
    pub fn start() -> io::Result<Self> {
        Self::to(io::stdout())
    }

    fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let lines = Self(Arc::new(Writer(Arc::clone(&queue))));
        thread::Builder::new().name("lines".to_owned()).spawn(move || queue.write_to(out))?;
        Ok(lines)
    }

    /// Queues a line, with its newline; when there is no room, the line is dropped and counted.
    pub fn push(&self, line: &[u8]) {
        let queue = self.queue();
        let mut waiting = queue.lock();
        if waiting.closed || waiting.in_hand + waiting.lines.len() + line.len() > WAITING_BYTES_MAX {
            queue.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        waiting.queued += line.len() as u64;
        drop(waiting);
        if was_empty {
            queue.filled.notify_one();
        }
    }

    /// Lines that were dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue().dropped.load(Ordering::Relaxed)
    }

    /// Waits until what is queued is written, but not for a reader who has stopped reading.
    pub fn flush(&self) {
        let queue = self.queue();
        let mut waiting = queue.lock();
        let end = waiting.queued;
        if waiting.written < end {
            waiting.hurried = true;
            queue.filled.notify_one();
        }
        // When the time is over, nobody reads.
        let _ = queue.emptied.wait_timeout_while(waiting, FLUSH, |waiting| !waiting.closed && waiting.written < end);
    }

    fn queue(&self) -> &Queue {
        &self.0.0
    }
}

impl Queue {
    /// Writes until nobody reads or nobody logs any more.
    fn write_to(&self, mut out: impl Write) {
        let mut batch = vec![];
        while self.take(&mut batch) {
            if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
                // Nobody reads any more: there is nowhere left to say so.
                self.close();
                return;
            }
            let mut waiting = self.lock();
            waiting.written += batch.len() as u64;
            waiting.in_hand = 0;
            drop(waiting);
            self.emptied.notify_all();
            batch.clear();
            batch.shrink_to(ROOM_BYTES);
        }
    }

    /// Waits for lines and takes them into `batch`, which is empty; false when there are none and will be none.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let is_idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closed;
        let waiting = self.filled.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let is_gathering = |waiting: &mut Waiting| !waiting.hurried && !waiting.closed;
        let gathered = self.filled.wait_timeout_while(waiting, GATHERING, is_gathering);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut waiting.lines, batch);
        waiting.in_hand = batch.len();
        waiting.hurried = false;
        !batch.is_empty()
    }

    fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
        self.emptied.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// An event's formatter writes each event at once.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const FLUSHES_MAX: usize = 60;

    /// Takes what is written, and each time waits for a word before it takes more.
    struct Reader {
        took: Sender<Vec<u8>>,
        goes_on: Receiver<()>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.took.send(bytes.to_vec()).map_err(io::Error::other)?;
            self.goes_on.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines_and_reader() -> (Lines, Receiver<Vec<u8>>, Sender<()>) {
        let ((took, taken), (go_on, goes_on)) = (channel(), channel());
        (Lines::to(Reader { took, goes_on }).unwrap(), taken, go_on)
    }

    /// Flushes until so many bytes are written: a flush waits for [`FLUSH`] at most, and a thread may stand still for
    /// longer.
    fn flushed(lines: &Lines, taken: &Receiver<Vec<u8>>, bytes: usize) -> Vec<u8> {
        let mut written = vec![];
        for _ in 0..FLUSHES_MAX {
            lines.flush();
            written.extend(taken.try_iter().flatten());
            if written.len() >= bytes {
                break;
            }
        }
        written
    }

    #[test]
    fn lines_are_written_whole_and_in_order() {
        let (lines, taken, go_on) = lines_and_reader();
        (0..4).for_each(|_| go_on.send(()).unwrap());
        lines.push(b"one\n");
        lines.push(b"two\n");
        assert_eq!(flushed(&lines, &taken, 8), b"one\ntwo\n");
        lines.push(b"three\n");
        assert_eq!(flushed(&lines, &taken, 6), b"three\n");
        assert_eq!(lines.dropped(), 0);
    }

    #[test]
    fn a_reader_who_stops_costs_lines_and_nobody_waits() {
        let (lines, taken, go_on) = lines_and_reader();
        let line = vec![b'x'; WAITING_BYTES_MAX / 4];
        lines.push(&line);
        // It is in hand now, and counts with what waits.
        taken.recv().unwrap();
        (0..5).for_each(|_| lines.push(&line));
        assert_eq!(lines.dropped(), 2);
        drop(go_on);
        lines.flush();
        lines.push(b"nobody\n");
        assert_eq!(lines.dropped(), 3);
    }
}
