//! Standard output, a line at a time: for the access log and for events.
//!
//! Lines are written by a thread of their own through a bounded queue: a slow reader of standard
//! output costs lines, which are counted, and never a request, nor the end of the process.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

/// Lines that may wait to be written.
const QUEUE_LINES_MAX: usize = 16_384;

/// Bytes that they may have together.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Bytes that are collected before they are written at once.
const BATCH_BYTES_MAX: usize = 64 << 10;

/// How long the last lines are waited for when the process ends.
const FLUSH: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    /// Everything before this is written: say so.
    Flush(SyncSender<()>),
}

/// The way to standard output. Cloning it is cheap.
#[derive(Clone)]
pub struct Lines {
    queue: SyncSender<Message>,
    queued_bytes: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    /// Starts the thread that writes.
    pub fn start() -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE_LINES_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&queued_bytes);
        thread::Builder::new().name("lines".to_owned()).spawn(move || write_lines(&messages, &counted))?;
        Ok(Self { queue, queued_bytes, dropped: Arc::new(AtomicU64::new(0)) })
    }

    /// Queues a line, with its newline; when the queue is full, the line is dropped and counted.
    pub fn push(&self, line: Vec<u8>) {
        let bytes = line.len();
        let fits = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= QUEUE_BYTES_MAX;
        if !fits || self.queue.try_send(Message::Line(line)).is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what is queued is written, but not for a reader who has stopped reading.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        match self.queue.try_send(Message::Flush(done)) {
            // An error is the time that is over, or a reader who has gone.
            Ok(()) => drop(written.recv_timeout(FLUSH)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// An event's formatter writes each event at once.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
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

fn write_lines(messages: &Receiver<Message>, queued_bytes: &AtomicUsize) {
    while let Ok(first) = messages.recv() {
        let (mut batch, mut flushed) = (vec![], vec![]);
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => batch.extend_from_slice(&line),
                Message::Flush(done) => flushed.push(done),
            }
            next = if batch.len() < BATCH_BYTES_MAX { messages.try_recv().ok() } else { None };
        }
        let mut out = io::stdout().lock();
        // Nobody reads any more: there is nowhere left to say so.
        if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
            return;
        }
        queued_bytes.fetch_sub(batch.len(), Ordering::Relaxed);
        for done in flushed {
            // Whoever asked may have stopped waiting.
            let _ = done.try_send(());
        }
    }
}
