//! The access log: one line per request or connection.
//!
//! ```text
//! AccessLogs::open(config) --compile once--> AccessLog (kept in the runtime)
//!                                               | write(&Record)
//!                                               v
//!                              bounded queue --> writer thread, one per file --> file
//! ```
//!
//! A worker never waits for a file: when the queue is full, lines are dropped and counted.

mod format;
mod writer;

pub use format::InvalidFormat;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use format::Format;
use writer::Writer;

use crate::record::Record;

/// Every log file of this process.
#[derive(Debug)]
pub struct AccessLogs {
    root: PathBuf,
    writers: Mutex<BTreeMap<Arc<str>, Arc<Writer>>>,
}

/// One configured log: a compiled format and the file that it goes to.
#[derive(Clone, Debug)]
pub struct AccessLog {
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

    /// Compiles a log's format and opens its file, or takes part in the one that is open.
    ///
    /// # Errors
    /// When the format cannot be understood. A file that cannot be opened is tried again and again, and its lines count as dropped.
    pub fn open(&self, config: &mesh_ir::AccessLog) -> Result<AccessLog, InvalidFormat> {
        let format = Arc::new(Format::compile(config)?);
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = writers
            .entry(config.path.clone())
            .or_insert_with(|| Arc::new(Writer::start(&self.root, &config.path)));
        Ok(AccessLog {
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

/// Whether a log's format can be understood, without opening anything.
///
/// # Errors
/// When it cannot.
pub fn check(config: &mesh_ir::AccessLog) -> Result<(), InvalidFormat> {
    Format::compile(config).map(drop)
}

// === impl AccessLog ===

impl AccessLog {
    /// Logs a request or connection that has ended.
    pub fn write(&self, record: &Record<'_>) {
        let mut line = Vec::with_capacity(512);
        self.format.write(&mut line, record, SystemTime::now());
        line.push(b'\n');
        self.writer.write(line);
    }
}

#[cfg(test)]
mod tests;
