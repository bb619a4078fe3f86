//! One thread that owns a file, behind a bounded queue.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

/// Most lines that wait.
const QUEUE: usize = 8 * 1024;

/// Lines are joined up to this size, so that a busy log takes few system calls.
const CHUNK: usize = 64 * 1024;

/// The sending end.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Item>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
}

enum Item {
    Line(Vec<u8>),
    /// Everything before has been written when this is dropped.
    Flush(SyncSender<()>),
}

/// Where lines go.
enum Target {
    Stdout,
    Stderr,
    File(PathBuf, Option<File>),
}

// === impl Writer ===

impl Writer {
    /// Starts the thread. It ends when the last handle is gone.
    pub(super) fn start(root: &Path, path: &str) -> Self {
        let (queue, items) = mpsc::sync_channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let target = match path {
            "/dev/stdout" => Target::Stdout,
            "/dev/stderr" => Target::Stderr,
            path => Target::File(root.join(path.trim_start_matches('/')), None),
        };
        let shared = counts.clone();
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        if let Err(error) = thread.spawn(move || run(items, target, &shared)) {
            // Lines find the queue closed, and count as dropped.
            tracing::error!(%error, path, "failed to start the writer of an access log");
        }
        Self { queue, counts }
    }

    /// Queues a line, or drops it when the queue is full.
    pub(super) fn write(&self, line: Vec<u8>) {
        if self.queue.try_send(Item::Line(line)).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Lines written and dropped.
    pub(super) fn counts(&self) -> (u64, u64) {
        (
            self.counts.written.load(Relaxed),
            self.counts.dropped.load(Relaxed),
        )
    }

    /// Waits until everything before is written.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.queue.try_send(Item::Flush(done)).is_ok() {
            // The end of the sender says the same as a message.
            let _ = wait.recv_timeout(limit);
        }
    }
}

fn run(items: Receiver<Item>, mut target: Target, counts: &Counts) {
    let mut chunk = Vec::new();
    while let Ok(first) = items.recv() {
        let mut lines = 0;
        let mut flush = None;
        let mut next = Some(first);
        while let Some(item) = next.take() {
            match item {
                Item::Line(line) => {
                    chunk.extend_from_slice(&line);
                    lines += 1;
                }
                Item::Flush(done) => {
                    flush = Some(done);
                    break;
                }
            }
            if chunk.len() < CHUNK {
                next = items.try_recv().ok();
            }
        }
        match target.write(&chunk) {
            Ok(()) => counts.written.fetch_add(lines, Relaxed),
            Err(_) => counts.dropped.fetch_add(lines, Relaxed),
        };
        chunk.clear();
        if let Some(done) = flush {
            let _ = done.try_send(());
        }
    }
}

// === impl Target ===

impl Target {
    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => write_all(&mut io::stdout().lock(), chunk),
            Self::Stderr => write_all(&mut io::stderr().lock(), chunk),
            Self::File(path, file) => {
                let open = match file.take() {
                    Some(open) => open,
                    None => OpenOptions::new().append(true).create(true).open(path)?,
                };
                // A file that failed is opened anew for the next chunk.
                write_all(&mut &open, chunk)?;
                *file = Some(open);
                Ok(())
            }
        }
    }
}

fn write_all(out: &mut impl Write, chunk: &[u8]) -> io::Result<()> {
    out.write_all(chunk)?;
    out.flush()
}
