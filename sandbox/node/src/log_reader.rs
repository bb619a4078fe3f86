//! Reading container logs back: the last lines, those since a time, and what comes after.
//!
//! A log is read entry by entry, so that a reader needs no more memory for a large one than for a small one.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use jiff::Timestamp;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::logs::{aside, entry};

/// How often a followed log is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Pieces under way to a reader that is slower than the log.
const QUEUE: usize = 64;

/// No entry is longer: a piece of a line, and what stands before it.
const LONGEST: u64 = 64 << 10;

/// What of a log is wanted, in the terms of the API's `pods/log`.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Go on until the container's run has ended.
    pub follow: bool,
    /// Only the last lines of what is there.
    pub tail: Option<usize>,
    /// Only lines written at this time or later.
    pub since: Option<Timestamp>,
    /// Every line with its time in front.
    pub timestamps: bool,
    /// No more than about so many bytes.
    pub limit: Option<usize>,
}

/// Reads a log. `ended` tells whether the run that writes it is over.
pub fn read(
    path: PathBuf,
    selection: Selection,
    ended: impl Fn() -> bool + Send + Sync + 'static,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let (sender, receiver) = mpsc::channel(QUEUE);
    // The task ends with the log, or at its next line after the reader has gone.
    tokio::spawn(async move {
        let reader = Reader {
            path,
            left: selection.limit.unwrap_or(usize::MAX),
            at_line_start: true,
            selection,
            sender,
        };
        let _ = reader.run(&ended).await;
    });
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|line| (line, receiver))
    })
}

struct Reader {
    path: PathBuf,
    selection: Selection,
    sender: mpsc::Sender<Bytes>,
    /// Bytes that may still be sent.
    left: usize,
    at_line_start: bool,
}

/// One file of a log.
struct Source {
    file: BufReader<File>,
    /// What tells it from the file that takes its place.
    inode: u64,
    /// The beginning of an entry whose end is not written yet.
    pending: Vec<u8>,
}

/// Nothing more is wanted, or its reader has gone.
struct Over;

impl Reader {
    async fn run(mut self, ended: &(impl Fn() -> bool + Send + Sync)) -> Result<(), Over> {
        let mut sources = self.sources().await;
        let mut skip = match self.selection.tail {
            Some(tail) => self.count().await.saturating_sub(tail),
            None => 0,
        };
        loop {
            // Asked before reading: what was written before the end is then surely read.
            let over = ended();
            let mut any = false;
            while let Some(source) = sources.front_mut() {
                while let Some(line) = source.next().await {
                    any = true;
                    self.send(&line, &mut skip).await?;
                }
                // The newest file may grow, until another one takes its place.
                if sources.len() == 1 && !self.has_moved(&sources).await {
                    break;
                }
                sources.pop_front();
                if sources.is_empty() {
                    sources.extend(Source::open(&self.path).await);
                }
            }
            if sources.is_empty() {
                sources = self.sources().await;
            }
            if !self.selection.follow || (over && !any) {
                return Ok(());
            }
            if !any {
                tokio::select! {
                    () = sleep(POLL) => {}
                    () = self.sender.closed() => return Err(Over),
                }
            }
        }
    }

    /// The files of the log, the oldest first.
    async fn sources(&self) -> VecDeque<Source> {
        // The newest first: it is then the other one that was moved aside meanwhile, and not missing.
        let newest = Source::open(&self.path).await;
        let older = Source::open(&aside(&self.path)).await;
        let is_same = |older: &Source| {
            let newest = newest.as_ref();
            newest.is_some_and(|newest| newest.inode == older.inode)
        };
        let older = older.filter(|older| !is_same(older));
        older.into_iter().chain(newest).collect()
    }

    /// The lines that are there and are old or new enough.
    async fn count(&self) -> usize {
        let mut count = 0;
        for mut source in self.sources().await {
            while let Some(line) = source.next().await {
                let counts =
                    entry(&line).is_some_and(|entry| entry.whole && self.is_wanted(entry.time));
                count += usize::from(counts);
            }
        }
        count
    }

    fn is_wanted(&self, time: &str) -> bool {
        let Some(since) = self.selection.since else {
            return true;
        };
        !time.parse::<Timestamp>().is_ok_and(|time| time < since)
    }

    async fn has_moved(&self, sources: &VecDeque<Source>) -> bool {
        let present = tokio::fs::metadata(&self.path).await;
        let known = sources.front().map(|source| source.inode);
        present.is_ok_and(|present| Some(present.ino()) != known)
    }

    /// Sends an entry, if it is wanted; of those that are to be left out one line less.
    async fn send(&mut self, line: &[u8], skip: &mut usize) -> Result<(), Over> {
        let Some(entry) = entry(line).filter(|entry| self.is_wanted(entry.time)) else {
            return Ok(());
        };
        if *skip > 0 {
            *skip -= usize::from(entry.whole);
            return Ok(());
        }
        let mut piece = Vec::with_capacity(entry.text.len() + entry.time.len() + 2);
        if self.at_line_start && self.selection.timestamps {
            piece.extend_from_slice(entry.time.as_bytes());
            piece.push(b' ');
        }
        piece.extend_from_slice(entry.text);
        if entry.whole {
            piece.push(b'\n');
        }
        self.at_line_start = entry.whole;
        piece.truncate(self.left);
        self.left -= piece.len();
        self.sender.send(piece.into()).await.map_err(|_| Over)?;
        match self.left {
            0 => Err(Over),
            _ => Ok(()),
        }
    }
}

// === impl Source ===

impl Source {
    /// A log that is not there yet, or no longer, is empty.
    async fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).await.ok()?;
        let inode = file.metadata().await.ok()?.ino();
        Some(Self {
            file: BufReader::new(file),
            inode,
            pending: Vec::new(),
        })
    }

    /// The next complete line of the file; none at its present end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let room = LONGEST - self.pending.len() as u64;
        let read: io::Result<usize> = (&mut self.file)
            .take(room)
            .read_until(b'\n', &mut self.pending)
            .await;
        read.ok()?;
        let is_complete = self.pending.ends_with(b"\n");
        if !is_complete && (self.pending.len() as u64) < LONGEST {
            return None;
        }
        let mut line = std::mem::take(&mut self.pending);
        line.truncate(line.len() - usize::from(is_complete));
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::StreamExt;

    use super::*;
    use crate::logs::Log;

    async fn all(path: &Path, selection: Selection) -> String {
        let lines: Vec<Bytes> = read(path.to_owned(), selection, || true).collect().await;
        String::from_utf8(lines.concat()).unwrap()
    }

    #[tokio::test]
    async fn tail_and_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let log = Log::open(path.clone()).await.unwrap();
        log.copy(&b"one\ntwo\nthree\n"[..], "stdout").await;
        assert_eq!(all(&path, Selection::default()).await, "one\ntwo\nthree\n");
        assert_eq!(
            all(
                &path,
                Selection {
                    tail: Some(1),
                    ..Selection::default()
                }
            )
            .await,
            "three\n"
        );
        assert_eq!(
            all(
                &path,
                Selection {
                    limit: Some(5),
                    ..Selection::default()
                }
            )
            .await,
            "one\nt"
        );
        let future = Timestamp::now() + jiff::SignedDuration::from_secs(60);
        assert_eq!(
            all(
                &path,
                Selection {
                    since: Some(future),
                    ..Selection::default()
                }
            )
            .await,
            ""
        );
        let stamped = all(
            &path,
            Selection {
                timestamps: true,
                tail: Some(1),
                ..Selection::default()
            },
        )
        .await;
        assert!(stamped.ends_with("Z three\n"), "{stamped}");
    }

    #[tokio::test]
    async fn following_sees_what_comes_and_then_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let log = Log::open(path.clone()).await.unwrap();
        log.note("first").await;
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let selection = Selection {
            follow: true,
            ..Selection::default()
        };
        let stream = read(path, selection, move || ended.load(Ordering::SeqCst));
        let mut stream = std::pin::pin!(stream);
        assert_eq!(stream.next().await.unwrap(), "first\n");
        log.note("second").await;
        assert_eq!(stream.next().await.unwrap(), "second\n");
        over.store(true, Ordering::SeqCst);
        assert_eq!(stream.next().await, None);
    }

    #[tokio::test]
    async fn pieces_of_long_lines_are_one_line_and_files_are_read_in_their_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let entries = |lines: &[&str]| {
            let lines = lines
                .iter()
                .map(|line| format!("2026-01-01T00:00:00Z stdout {line}\n"));
            lines.collect::<String>()
        };
        std::fs::write(aside(&path), entries(&["F old", "P long ", "P and "])).unwrap();
        std::fs::write(&path, entries(&["F longer", "F new"])).unwrap();
        let whole = all(&path, Selection::default()).await;
        assert_eq!(whole, "old\nlong and longer\nnew\n");
        let stamped = Selection {
            timestamps: true,
            tail: Some(2),
            ..Selection::default()
        };
        let time = "2026-01-01T00:00:00Z";
        let expected = format!("{time} long and longer\n{time} new\n");
        assert_eq!(all(&path, stamped).await, expected);
    }

    #[tokio::test]
    async fn following_goes_on_in_the_file_that_takes_the_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        Log::open(path.clone()).await.unwrap().note("first").await;
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let selection = Selection {
            follow: true,
            ..Selection::default()
        };
        let stream = read(path.clone(), selection, move || {
            ended.load(Ordering::SeqCst)
        });
        let mut stream = std::pin::pin!(stream);
        assert_eq!(stream.next().await.unwrap(), "first\n");
        std::fs::rename(&path, aside(&path)).unwrap();
        Log::open(path).await.unwrap().note("second").await;
        assert_eq!(stream.next().await.unwrap(), "second\n");
        over.store(true, Ordering::SeqCst);
        assert_eq!(stream.next().await, None);
    }
}
