//! The thread that writes a gateway's chain: what waits is one batch, one code after the other, one write.

use std::{
    io, mem,
    path::Path,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    chain::{ChainId, ChainKey, Mac},
    event::Event,
    file::{AuditFile, Found, Rotation},
    line::{self, Draft, Place, ReadLine, Record},
    queue::{Job, Point, Shared},
    sums::Sums,
};
use crate::domain::{Clock, Timestamp, random};

/// How long the thread waits for something to write before it looks at the time.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Events that are written at once.
const BATCH_MAX: usize = 1024;

/// Between two attempts on a file that cannot be written.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// What a chain has come to.
#[derive(Clone, Copy, Debug)]
struct Head {
    line: i64,
    mac: Mac,
    /// Events until here, written or not.
    count: i64,
    /// When it was written.
    at: Timestamp,
}

/// Writes one chain.
#[derive(Debug)]
pub(super) struct Writer {
    file: AuditFile,
    found: Option<Found>,
    chain: ChainId,
    key: Arc<ChainKey>,
    head: Head,
    sums: Sums,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    /// When the file could not be written, the last time.
    failed: Option<Instant>,
    /// Whether the next line is the first of its file.
    is_elsewhere: bool,
}

/// What one look at the queue gave.
#[derive(Default)]
struct Batch {
    records: Vec<(Record, i64)>,
    waiting: Vec<oneshot::Sender<()>>,
    points: Vec<oneshot::Sender<Point>>,
    ends: Option<oneshot::Sender<Point>>,
    reopens: bool,
}

impl Writer {
    pub(super) fn open(
        path: &Path,
        rotation: Rotation,
        key: Arc<ChainKey>,
        clock: Arc<dyn Clock>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let (file, found) = AuditFile::open(path, rotation, clock.now())?;
        let sums = Sums::new(clock.instant());
        let head = Head { line: 0, mac: Mac::BEGINNING, count: 0, at: clock.now() };
        let chain = ChainId::of(random::bytes());
        Ok(Self { file, found: Some(found), chain, key, head, sums, clock, shared, failed: None, is_elsewhere: false })
    }

    /// Writes the first line.
    pub(super) fn begin(&mut self, gateway: &str) -> io::Result<()> {
        let Found { last_line, torn } = self.found.take().unwrap_or_default();
        if torn > 0 {
            tracing::warn!(torn, "an unfinished line at the end of the audit file was removed");
        }
        let last = last_line.as_deref().and_then(ReadLine::read);
        let after = last.map(|last| Place { chain: last.chain, line: last.line, mac: last.mac });
        let key = self.key.id().to_owned();
        self.write(vec![(Record::Begin { gateway: gateway.to_owned(), key, after, torn }, 0)])
    }

    /// Writes until nobody can ask any more, or the chain is ended.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let first = match jobs.recv_timeout(LOOK_EVERY) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut batch = Batch::default();
            let jobs = first.into_iter().chain(jobs.try_iter()).take(BATCH_MAX);
            for job in jobs {
                self.take(job, &mut batch);
                if batch.ends.is_some() {
                    break;
                }
            }
            let ends = batch.ends.take();
            self.add_sums(&mut batch, ends.is_some());
            if mem::take(&mut batch.reopens) {
                self.reopen();
            }
            self.carry_out(batch);
            if let Some(end) = ends {
                if self.write(vec![(Record::End, 0)]).and_then(|()| self.file.sync()).is_ok() {
                    let _ = end.send(self.point(true));
                }
                return;
            }
        }
    }

    fn take(&mut self, job: Job, batch: &mut Batch) {
        match job {
            // Its place in the queue is free from here on.
            Job::Write(event, _permit, waiting) => {
                batch.waiting.extend(waiting);
                self.take_event(*event, batch);
            }
            Job::Reopen => batch.reopens = true,
            Job::Point(answer) => batch.points.push(answer),
            Job::Anchored(line, store) => batch.records.push((Record::Anchor { line, store }, 0)),
            Job::End(answer) => batch.ends = Some(answer),
        }
    }

    fn take_event(&mut self, event: Event, batch: &mut Batch) {
        if event.refused.is_none_or(|reason| self.sums.has_line(reason, event.client)) {
            batch.records.push((Record::Event(event), 1));
        } else {
            self.shared.metrics.summed.inc();
        }
    }

    fn add_sums(&mut self, batch: &mut Batch, at_once: bool) {
        for sum in self.sums.due(self.clock.instant(), at_once) {
            batch.records.push((Record::Sum(sum), i64::try_from(sum.events).unwrap_or(i64::MAX)));
        }
    }

    fn reopen(&mut self) {
        match self.file.reopen(self.clock.now()) {
            Ok(()) => {
                self.is_elsewhere = true;
                tracing::info!("the audit file was opened anew");
            }
            Err(error) => self.note_failure(&error),
        }
    }

    fn carry_out(&mut self, batch: Batch) {
        let Batch { mut records, waiting, points, .. } = batch;
        // What found no room is a gap in front of what comes next.
        let dropped = self.shared.dropped.swap(0, Ordering::Relaxed);
        self.head.count += i64::try_from(dropped).unwrap_or(i64::MAX);
        let retries = self.failed.is_some_and(|failed| self.clock.instant().duration_since(failed) >= RETRY_EVERY);
        if self.failed.is_some() && (retries || !records.is_empty()) {
            records.insert(0, (Record::Resume, 0));
        }
        let written = if records.is_empty() && !self.is_elsewhere { Ok(()) } else { self.write(records) };
        let done = written.and_then(|()| if points.is_empty() { Ok(()) } else { self.file.sync() });
        match done {
            Ok(()) if self.failed.is_none() => {
                for asked in waiting {
                    // The one that asked may have left.
                    let _ = asked.send(());
                }
                for asked in points {
                    let _ = asked.send(self.point(false));
                }
            }
            Ok(()) => {}
            // A waiting task hears it by the dropping of the channel.
            Err(error) => self.note_failure(&error),
        }
    }

    /// Writes some lines, or none of them: then what they are about is a gap.
    fn write(&mut self, records: Vec<(Record, i64)>) -> io::Result<()> {
        let now = self.clock.now();
        let events: i64 = records.iter().map(|(_, events)| events).sum();
        let tried = self.try_write(records, now);
        if let Ok(head) = &tried {
            self.head = *head;
            self.is_elsewhere = false;
            self.shared.metrics.written.inc_by(events.unsigned_abs());
            if self.failed.take().is_some() {
                self.shared.failing.store(false, Ordering::Release);
                self.shared.metrics.failing.set(0);
                tracing::info!("the audit file is written again");
            }
        } else {
            self.head.count += events;
            self.shared.metrics.lost.inc_by(events.unsigned_abs());
        }
        tried.map(drop)
    }

    fn try_write(&mut self, records: Vec<(Record, i64)>, now: Timestamp) -> io::Result<Head> {
        if self.file.prepare(now)? {
            self.is_elsewhere = true;
            self.shared.rotated.notify_one();
        }
        let (mut head, mut text) = (self.head, vec![]);
        let continues = self.is_elsewhere.then_some((Record::Continue(head.mac, head.at), 0));
        for (record, events) in continues.into_iter().chain(records) {
            head.line += 1;
            head.count += events;
            let at = if let Record::Event(event) = &record { event.at } else { now };
            let draft = Draft { at, line: head.line, count: head.count, record };
            head.mac = line::write(&mut text, &self.key, self.chain, &head.mac, &draft);
        }
        self.file.append(&text)?;
        head.at = now;
        Ok(head)
    }

    fn note_failure(&mut self, error: &io::Error) {
        if self.failed.replace(self.clock.instant()).is_none() {
            tracing::error!(%error, "the audit file cannot be written; what happens meanwhile is a gap in it");
        }
        self.shared.failing.store(true, Ordering::Release);
        self.shared.metrics.failing.set(1);
    }

    fn point(&self, ended: bool) -> Point {
        let summed = i64::try_from(self.sums.waiting()).unwrap_or(i64::MAX);
        Point { chain: self.chain, line: self.head.line, mac: self.head.mac, events: self.head.count + summed, ended }
    }
}
