//! Access logs: one entry for each request or connection.
//!
//! ```text
//! AccessLog::open(config) --compile once--> AccessLog (kept in the runtime)
//!                                              | write(&Record), where the filter holds
//!                                              +--> bounded queue --> writer thread, one per file --> file
//!                                              +--> bounded queue --> task --> access log service, OpenTelemetry collector
//! ```
//!
//! A worker never waits: when a queue is full, entries are dropped and counted.

mod files;
mod format;
mod grpc;
mod open_telemetry;
mod writer;

pub use files::AccessLogs;

use std::sync::Arc;
use std::time::SystemTime;

use mesh_ir::LogSink;
use mesh_ir::expression::Expression;

use super::Reporter;
use crate::record::Record;
use files::FileLog;
use format::Format;
use grpc::GrpcLog;
use open_telemetry::OtlpLog;

/// One configured log.
#[derive(Debug)]
pub struct AccessLog {
    filter: Option<Expression>,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    File(FileLog),
    Grpc(GrpcLog),
    OpenTelemetry(OtlpLog),
}

/// Whether a log's format and filter can be understood, without opening anything.
///
/// # Errors
/// With what cannot.
pub(super) fn check(config: &mesh_ir::AccessLog) -> Result<(), String> {
    if let Some(filter) = &config.filter {
        Expression::parse(filter)?;
    }
    match &config.sink {
        LogSink::File(file) => Format::compile(file).map(drop),
        LogSink::Grpc(_) => Ok(()),
        LogSink::OpenTelemetry(log) => open_telemetry::check(log),
    }
}

// === impl AccessLog ===

impl AccessLog {
    /// Compiles a log's format and opens its file, or takes part in the one that is open.
    ///
    /// # Errors
    /// When the format or the filter cannot be understood. A file that cannot be opened is tried again and again, and its lines count as
    /// dropped.
    pub(super) fn open(config: &mesh_ir::AccessLog, reporter: &Reporter) -> Result<Self, String> {
        let filter = config.filter.as_deref().map(Expression::parse);
        Ok(Self {
            filter: filter.transpose()?,
            sink: match &config.sink {
                LogSink::File(file) => Sink::File(reporter.files.open(file)?),
                LogSink::Grpc(log) => Sink::Grpc(GrpcLog::open(log, reporter)),
                LogSink::OpenTelemetry(log) => Sink::OpenTelemetry(OtlpLog::open(log, reporter)?),
            },
        })
    }

    /// Logs a request or connection that has ended.
    pub fn write(&self, record: &Record<'_>) {
        if self
            .filter
            .as_ref()
            .is_some_and(|filter| !filter.holds(record))
        {
            return;
        }
        let now = SystemTime::now();
        match &self.sink {
            Sink::File(file) => file.write(record, now),
            Sink::Grpc(log) => log.write(record, now),
            Sink::OpenTelemetry(log) => log.write(record, now),
        }
    }
}

/// A service name, which may be shared.
type Text = Arc<str>;

#[cfg(test)]
mod tests;
