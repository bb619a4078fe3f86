//! Log records for OpenTelemetry.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mesh_ir::TraceProvider;
use prost::Message as _;

use super::Text;
use crate::record::Record;
use crate::telemetry::Reporter;
use crate::telemetry::export::{Call, Destination, Kind, Queue};
use crate::telemetry::otlp::{
    self, AnyValue, ExportLogs, KeyValue, LogRecord, ResourceLogs, ScopeLogs,
};
use crate::telemetry::substitution::Substitution;

/// A log with its formats compiled.
#[derive(Debug)]
pub(super) struct OtlpLog {
    body: Substitution,
    attributes: Vec<(Text, Substitution)>,
    records: Queue<LogRecord>,
}

/// Whether the formats can be understood.
///
/// # Errors
/// With what cannot.
pub(super) fn check(config: &mesh_ir::OtlpLog) -> Result<(), String> {
    compile(config).map(drop)
}

type Formats = (Substitution, Vec<(Text, Substitution)>);

fn compile(config: &mesh_ir::OtlpLog) -> Result<Formats, String> {
    let attributes = config.attributes.iter().map(|(name, format)| {
        let format = Substitution::compile(format);
        let format = format.map_err(|reason| format!("the attribute {name}: {reason}"))?;
        Ok((name.clone(), format))
    });
    let attributes = attributes.collect::<Result<_, String>>()?;
    Ok((Substitution::compile(&config.body)?, attributes))
}

// === impl OtlpLog ===

impl OtlpLog {
    pub(super) fn open(config: &mesh_ir::OtlpLog, reporter: &Reporter) -> Result<Self, String> {
        let (body, attributes) = compile(config)?;
        let destination = Destination {
            cluster: config.cluster.clone(),
            call: Call::Grpc(otlp::LOGS),
            timeout: TraceProvider::DEFAULT_TIMEOUT,
            headers: Vec::new(),
        };
        let (service, name) = (reporter.service.clone(), config.name.clone());
        let encode = move |records| export(records, &service, &name).encode_to_vec();
        Ok(Self {
            body,
            attributes,
            records: reporter
                .exports
                .queue(Kind::OpenTelemetryLog, destination, encode),
        })
    }

    pub(super) fn write(&self, record: &Record<'_>, now: SystemTime) {
        let text = |format: &Substitution| {
            let mut out = Vec::new();
            format.write(&mut out, record, now, b"-");
            String::from_utf8_lossy(&out).into_owned()
        };
        let attributes = self.attributes.iter();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (trace_id, span_id) = match record.trace {
            Some((trace, span)) => (trace.to_be_bytes().to_vec(), span.to_be_bytes().to_vec()),
            None => Default::default(),
        };
        self.records.send(LogRecord {
            time_unix_nano: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            body: Some(AnyValue::text(text(&self.body))),
            attributes: attributes
                .map(|(name, format)| KeyValue::text(&**name, text(format)))
                .collect(),
            trace_id,
            span_id,
        });
    }
}

fn export(log_records: Vec<LogRecord>, service: &str, name: &Arc<str>) -> ExportLogs {
    let mut resource = otlp::Resource::service(service);
    resource
        .attributes
        .push(KeyValue::text("log_name", &**name));
    ExportLogs {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource),
            scope_logs: vec![ScopeLogs { log_records }],
        }],
    }
}
