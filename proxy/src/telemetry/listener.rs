//! What is told about the traffic of a listener, compiled.

use std::sync::Arc;

use mesh_ir::MetricsPolicy;
use mesh_ir::expression::Expression;

use super::access_log::AccessLog;
use super::metrics::TagValues;
use super::tracing::{RequestTrace, Tracer};
use crate::record::Record;

/// What is told about the traffic of a listener.
#[derive(Debug, Default)]
pub struct ListenerTelemetry {
    /// Where it is logged.
    pub logs: Vec<AccessLog>,
    /// Which requests leave spans.
    pub tracer: Option<Tracer>,
    /// How its metrics differ; none where they do not.
    pub metrics: Option<MetricTags>,
}

/// How metrics differ, with what computes the values of labels.
#[derive(Debug)]
pub struct MetricTags {
    policy: Arc<MetricsPolicy>,
    expressions: Vec<(Arc<str>, Expression)>,
}

/// Longest value of a label that a request decides.
const LONGEST_VALUE: usize = 256;

// === impl ListenerTelemetry ===

impl ListenerTelemetry {
    /// Whether the head of a response is needed when it has ended.
    pub fn needs_head(&self) -> bool {
        !self.logs.is_empty() || self.tracer.is_some() || self.metrics.is_some()
    }

    /// Logs a request or a connection that has ended, and sends its span.
    pub fn report(&self, record: &Record<'_>, trace: Option<&RequestTrace>) {
        for log in &self.logs {
            log.write(record);
        }
        if let (Some(tracer), Some(trace)) = (&self.tracer, trace) {
            tracer.finish(trace, record);
        }
    }
}

// === impl MetricTags ===

impl MetricTags {
    /// # Errors
    /// With the expression that cannot be understood.
    pub(super) fn compile(policy: &MetricsPolicy) -> Result<Option<Self>, String> {
        if policy.is_default() {
            return Ok(None);
        }
        let expressions = policy.expressions().into_iter().map(|text| {
            let expression = Expression::parse(text);
            expression
                .map(|expression| (text.clone(), expression))
                .map_err(|reason| format!("{text:?}: {reason}"))
        });
        Ok(Some(Self {
            expressions: expressions.collect::<Result<_, String>>()?,
            policy: Arc::new(policy.clone()),
        }))
    }

    /// What a request or a connection decides of its labels. What cannot be computed is unknown.
    pub fn values(&self, record: &Record<'_>) -> TagValues {
        let values = self.expressions.iter().map(|(text, expression)| {
            let value = expression.text(record);
            let value = value.map(|value| value.chars().take(LONGEST_VALUE).collect::<String>());
            (text.clone(), value.unwrap_or_default().into())
        });
        TagValues {
            policy: self.policy.clone(),
            values: values.collect(),
        }
    }
}
