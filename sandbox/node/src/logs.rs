//! Container logs: what a process writes, line by line with its time, in files of bounded size.
//!
//! The format is that of container runtimes, `TIME STREAM TAG TEXT`, where the tag is `F` for a whole line and `P` for
//! a piece of one that was too long. A file that reaches its bound is set aside as `.1`, replacing the one before.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::sync::Mutex;

/// A log file is set aside at this size, so a container keeps at most twice as much per run.
const FILE_BOUND: u64 = 8 << 20;

/// Longer lines are cut into pieces of this size.
const LINE_BOUND: usize = 16 << 10;

/// The log of one run of a container.
#[derive(Clone)]
pub struct Log {
    sink: Arc<Mutex<Sink>>,
}

struct Sink {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Log {
    /// Opens the log at `path` for appending; its directory is created.
    pub async fn open(path: PathBuf) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            tokio::fs::create_dir_all(directory).await?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .await?;
        let size = file.metadata().await?.len();
        Ok(Self {
            sink: Arc::new(Mutex::new(Sink { path, file, size })),
        })
    }

    /// Writes one line of the node's own.
    pub async fn note(&self, text: &str) {
        self.write("stderr", 'F', text.as_bytes()).await;
    }

    /// Copies a stream into the log until it ends.
    pub async fn copy(self, stream: impl AsyncRead + Unpin, name: &'static str) {
        let mut reader = BufReader::with_capacity(LINE_BOUND, stream);
        let mut line = Vec::new();
        while let Ok(buffer) = reader.fill_buf().await {
            if buffer.is_empty() {
                break;
            }
            let newline = buffer.iter().position(|byte| *byte == b'\n');
            let room = LINE_BOUND - line.len();
            let taken = newline.unwrap_or(buffer.len()).min(room);
            line.extend_from_slice(&buffer[..taken]);
            let ended = newline == Some(taken);
            reader.consume(taken + usize::from(ended));
            if ended || line.len() == LINE_BOUND {
                self.write(name, if ended { 'F' } else { 'P' }, &line).await;
                line.clear();
            }
        }
        if !line.is_empty() {
            self.write(name, 'F', &line).await;
        }
    }

    async fn write(&self, stream: &str, tag: char, text: &[u8]) {
        let mut entry = format!("{} {stream} {tag} ", Timestamp::now()).into_bytes();
        entry.extend_from_slice(text);
        entry.push(b'\n');
        let mut sink = self.sink.lock().await;
        if let Err(error) = sink.append(&entry).await {
            tracing::debug!(path = %sink.path.display(), %error, "failed to write a container log");
        }
    }
}

impl Sink {
    async fn append(&mut self, entry: &[u8]) -> io::Result<()> {
        if self.size >= FILE_BOUND {
            tokio::fs::rename(&self.path, aside(&self.path)).await?;
            self.file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)
                .await?;
            self.size = 0;
        }
        self.size += entry.len() as u64;
        self.file.write_all(entry).await?;
        self.file.flush().await
    }
}

/// Where a full log file goes.
pub fn aside(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// One entry of a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was written, in RFC 3339.
    pub time: &'a str,
    /// True when the text ends a line.
    pub whole: bool,
    /// The text without its line end.
    pub text: &'a [u8],
}

/// Reads an entry from a line of a log file; `None` for anything that is none.
pub fn entry(line: &[u8]) -> Option<Entry<'_>> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(fields.next()?).ok()?;
    let _stream = fields.next()?;
    let whole = fields.next()? == b"F";
    Some(Entry {
        time,
        whole,
        text: fields.next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn logged(input: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c").join("0.log");
        let log = Log::open(path.clone()).await.unwrap();
        log.copy(input, "stdout").await;
        let content = std::fs::read(path).unwrap();
        let lines = content
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| {
                entry(line)
                    .map(|entry| (entry.whole, entry.text.to_vec()))
                    .unwrap()
            })
            .collect()
    }

    #[tokio::test]
    async fn lines_keep_their_text() {
        let got = logged(b"one\n\ntwo three\nlast").await;
        let expected = [&b"one"[..], b"", b"two three", b"last"];
        assert_eq!(got, expected.map(|text| (true, text.to_vec())));
    }

    #[tokio::test]
    async fn long_lines_are_cut() {
        let long = vec![b'x'; LINE_BOUND + 5];
        let got = logged(&long).await;
        let lengths: Vec<_> = got
            .iter()
            .map(|(whole, text)| (*whole, text.len()))
            .collect();
        assert_eq!(lengths, [(false, LINE_BOUND), (true, 5)]);
    }
}
