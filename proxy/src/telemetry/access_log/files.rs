//! The files that are logged to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::format::Format;
use super::writer::Writer;
use crate::record::Record;

/// Every log file of this process.
#[derive(Debug)]
pub struct AccessLogs {
    root: PathBuf,
    writers: Mutex<BTreeMap<Arc<str>, Arc<Writer>>>,
}

/// A compiled format and the file that it goes to.
#[derive(Clone, Debug)]
pub(super) struct FileLog {
    format: Arc<Format>,
    writer: Arc<Writer>,
}

// === impl AccessLogs ===

impl AccessLogs {
    /// No files yet. Paths are found below `root`, but for the standard streams.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            writers: Mutex::default(),
        }
    }

    /// # Errors
    /// When the format cannot be understood.
    pub(super) fn open(&self, config: &mesh_ir::FileLog) -> Result<FileLog, String> {
        let format = Arc::new(Format::compile(config)?);
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = writers
            .entry(config.path.clone())
            .or_insert_with(|| Arc::new(Writer::start(&self.root, &config.path)));
        Ok(FileLog {
            format,
            writer: writer.clone(),
        })
    }

    /// How many lines were written and how many dropped.
    pub fn counts(&self) -> (u64, u64) {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.values().fold((0, 0), |(written, dropped), writer| {
            let (more_written, more_dropped) = writer.counts();
            (written + more_written, dropped + more_dropped)
        })
    }

    /// Waits until everything that was logged so far is in its file, but no longer than `limit` for each.
    pub fn flush(&self, limit: Duration) {
        let writers: Vec<Arc<Writer>> = {
            let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
            writers.values().cloned().collect()
        };
        for writer in writers {
            writer.flush(limit);
        }
    }
}

// === impl FileLog ===

impl FileLog {
    pub(super) fn write(&self, record: &Record<'_>, now: SystemTime) {
        let mut line = Vec::with_capacity(512);
        self.format.write(&mut line, record, now);
        line.push(b'\n');
        self.writer.write(line);
    }
}
