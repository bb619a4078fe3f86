//! What `Telemetry` objects and the mesh's providers ask for that no proxy does.

use mesh_ir::expression::Expression;

use super::access_logs::{defaults, sink};
use super::providers::{Providers, find};
use super::tracing::trace_provider;
use crate::diag::{Diagnostic, FieldPath};
use crate::model::{ExtensionProvider, MetricSelector, TelemetrySpec};
use crate::resource::Resource;
use crate::snapshot::{Snapshot, report};

/// The findings of all objects.
pub(in crate::translate) fn findings(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let all = snapshot.telemetries();
    all.flat_map(|(resource, spec)| {
        let providers = Providers {
            snapshot,
            namespace: &resource.key.namespace,
        };
        let mut found = Found {
            resource,
            providers,
            diagnostics: Vec::new(),
        };
        found.look_at(spec);
        found.diagnostics
    })
    .collect()
}

struct Found<'s> {
    resource: &'s Resource,
    providers: Providers<'s>,
    diagnostics: Vec<Diagnostic>,
}

/// Why an expression cannot be evaluated, unless it is none at all, which is told elsewhere.
fn unreadable(expression: &str) -> Option<String> {
    let reason = Expression::parse(expression).err()?;
    let is_one = crate::schema::check_expression(expression).is_ok();
    is_one.then_some(reason)
}

// === impl Found ===

impl Found<'_> {
    fn look_at(&mut self, spec: &TelemetrySpec) {
        let path = FieldPath::parse("spec");
        self.access_logs(spec, &path.key("accessLogging"));
        self.tracing(spec, &path.key("tracing"));
        self.metrics(spec, &path.key("metrics"));
    }

    fn access_logs(&mut self, spec: &TelemetrySpec, path: &FieldPath) {
        for (index, log) in spec.access_logging.iter().enumerate() {
            let path = path.index(index);
            let filter = log
                .filter
                .as_ref()
                .and_then(|filter| filter.expression.as_deref());
            if let Some(reason) = filter.and_then(unreadable) {
                let message = format!(
                    "the expression cannot be evaluated ({reason}); nothing is logged by this entry"
                );
                self.unsupported(path.key("filter").key("expression"), message);
            }
            for (index, provider) in log.providers.iter().enumerate() {
                let path = path.key("providers").index(index);
                self.provider(
                    &provider.name,
                    path,
                    "access logs",
                    |providers, provider| sink(providers, provider).is_some(),
                );
            }
        }
        let named = spec
            .access_logging
            .iter()
            .any(|log| !log.providers.is_empty());
        let logs = spec
            .access_logging
            .iter()
            .any(|log| log.disabled != Some(true));
        if logs && !named && defaults(self.providers.mesh()).is_empty() {
            let message = "no provider is named here or in the mesh's defaultProviders.accessLogging, so nothing is logged unless another Telemetry names one";
            self.partial(path.clone(), message.to_owned());
        }
    }

    fn tracing(&mut self, spec: &TelemetrySpec, path: &FieldPath) {
        for (index, tracing) in spec.tracing.iter().enumerate() {
            for (position, provider) in tracing.providers.iter().enumerate().take(1) {
                let path = path.index(index).key("providers").index(position);
                self.provider(&provider.name, path, "spans", |providers, provider| {
                    trace_provider(providers, provider).is_some()
                });
            }
        }
    }

    fn metrics(&mut self, spec: &TelemetrySpec, path: &FieldPath) {
        for (index, metrics) in spec.metrics.iter().enumerate() {
            let path = path.index(index);
            if metrics.reporting_interval.is_some() {
                let message = "reportingInterval has no effect: metrics are counted as requests end, and those of connections as bytes pass";
                self.partial(path.key("reportingInterval"), message.to_owned());
            }
            for (index, provider) in metrics.providers.iter().enumerate() {
                let path = path.key("providers").index(index);
                self.provider(&provider.name, path, "metrics", |_, provider| {
                    provider.prometheus.is_some()
                });
            }
            for (index, change) in metrics.overrides.iter().enumerate() {
                let path = path.key("overrides").index(index);
                let custom = |selector: &MetricSelector| selector.custom_metric.clone();
                if let Some(name) = change.matches.as_ref().and_then(custom)
                    && mesh_ir::Metric::of_filter(name.strip_prefix("istio_").unwrap_or(&name))
                        .is_none()
                {
                    let message = format!("there is no metric {name}");
                    self.partial(path.key("match").key("customMetric"), message);
                }
                for (label, tag) in &change.tag_overrides {
                    if let Some(reason) = tag.value.as_deref().and_then(unreadable) {
                        let message = format!(
                            "the expression cannot be evaluated ({reason}); the label is left as it is"
                        );
                        let path = path.key("tagOverrides").key(label.as_str()).key("value");
                        self.unsupported(path, message);
                    }
                }
            }
        }
    }

    fn provider(
        &mut self,
        name: &str,
        path: FieldPath,
        what: &str,
        takes: impl Fn(&Providers<'_>, &ExtensionProvider) -> bool,
    ) {
        let message = match find(self.providers.mesh(), name) {
            // Without the mesh's settings nobody knows what providers there are.
            None if !self.providers.snapshot.has_mesh_config() => return,
            None => {
                format!("the mesh has no extension provider {name:?}, so {what} are not sent there")
            }
            Some(provider) if !takes(&self.providers, &provider) => format!(
                "the extension provider {name:?} takes no {what} that proxies here can send, or its service is not known; {what} are not sent there"
            ),
            Some(_) => return,
        };
        self.diagnostics
            .push(report::unsupported(self.resource, path, message));
    }

    fn unsupported(&mut self, path: FieldPath, message: String) {
        self.diagnostics
            .push(report::unsupported(self.resource, path, message));
    }

    fn partial(&mut self, path: FieldPath, message: String) {
        self.diagnostics
            .push(report::partial_effect(self.resource, path, message));
    }
}
