//! Reading container logs back: the last lines, those since a time, and what comes after.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::logs::{aside, entry};

/// How often a followed log is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Lines under way to a reader that is slower than the log.
const QUEUE: usize = 64;

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
        let mut reader = Reader {
            path,
            offset: 0,
            pending: Vec::new(),
        };
        let _ = reader.run(&selection, &ended, &sender).await;
    });
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|line| (line, receiver))
    })
}

struct Reader {
    path: PathBuf,
    offset: u64,
    /// The beginning of an entry whose end is not written yet.
    pending: Vec<u8>,
}

/// The reader of the stream has gone.
struct Gone;

impl Reader {
    async fn run(
        &mut self,
        selection: &Selection,
        ended: &(impl Fn() -> bool + Send + Sync),
        sender: &mpsc::Sender<Bytes>,
    ) -> Result<(), Gone> {
        let mut left = selection.limit.unwrap_or(usize::MAX);
        let mut text = content(&aside(&self.path), 0).await;
        text.extend(self.fresh().await);
        let mut lines = self.lines(&text, selection);
        if let Some(tail) = selection.tail {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        loop {
            for line in lines {
                let line = line.slice(..line.len().min(left));
                left -= line.len();
                sender.send(line).await.map_err(|_| Gone)?;
                if left == 0 {
                    return Ok(());
                }
            }
            if !selection.follow {
                return Ok(());
            }
            // Asked before reading: what was written before the end is then surely read.
            let over = ended();
            let text = self.fresh().await;
            lines = self.lines(&text, selection);
            if lines.is_empty() {
                if over {
                    return Ok(());
                }
                tokio::select! {
                    () = sleep(POLL) => {}
                    () = sender.closed() => return Err(Gone),
                }
            }
        }
    }

    /// What was written since the last look, across a change of files.
    async fn fresh(&mut self) -> Vec<u8> {
        let length = tokio::fs::metadata(&self.path)
            .await
            .map_or(0, |metadata| metadata.len());
        let mut text = Vec::new();
        if length < self.offset {
            text = content(&aside(&self.path), self.offset).await;
            self.offset = 0;
        }
        let more = content(&self.path, self.offset).await;
        self.offset += more.len() as u64;
        text.extend(more);
        text
    }

    /// The selected lines of a piece of the log.
    fn lines(&mut self, text: &[u8], selection: &Selection) -> Vec<Bytes> {
        self.pending.extend_from_slice(text);
        let end = self
            .pending
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let complete: Vec<u8> = self.pending.drain(..end).collect();
        let mut lines = Vec::new();
        let mut line = Vec::new();
        for entry in complete.split(|byte| *byte == b'\n').filter_map(entry) {
            let early = selection.since.is_some_and(|since| {
                entry
                    .time
                    .parse::<Timestamp>()
                    .is_ok_and(|time| time < since)
            });
            if early {
                continue;
            }
            if line.is_empty() && selection.timestamps {
                line.extend_from_slice(entry.time.as_bytes());
                line.push(b' ');
            }
            line.extend_from_slice(entry.text);
            if entry.whole {
                line.push(b'\n');
                lines.push(Bytes::from(std::mem::take(&mut line)));
            }
        }
        if !line.is_empty() {
            lines.push(Bytes::from(line));
        }
        lines
    }
}

async fn content(path: &Path, from: u64) -> Vec<u8> {
    let mut text = Vec::new();
    if let Ok(mut file) = tokio::fs::File::open(path).await
        && file.seek(SeekFrom::Start(from)).await.is_ok()
    {
        // A log that vanishes while it is read is as long as what was read.
        let _ = file.read_to_end(&mut text).await;
    }
    text
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
}
