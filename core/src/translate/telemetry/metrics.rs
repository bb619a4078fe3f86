//! Metrics: changes of all levels together, the lower ones over the higher ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::expression::Expression;
use mesh_ir::{Metric, MetricsPolicy};

use super::{Mode, Sources};
use crate::model::{
    IstioMetric, MetricSelector, MetricsOverrides, ModeSelector, TagOperation, TagOverride,
};

/// What has been said of a metric so far.
#[derive(Default)]
struct Merged<'t> {
    disabled: bool,
    tags: BTreeMap<&'t str, &'t TagOverride>,
}

pub(super) fn metrics(sources: &Sources<'_>, mode: Mode) -> MetricsPolicy {
    let Sources { objects, providers } = sources;
    let is_prometheus = |name: &str| {
        let provider = providers.get(name);
        provider.is_some_and(|provider| provider.prometheus.is_some())
    };
    let defaults = providers.mesh().default_providers.as_ref();
    let mut gets_some = defaults.is_none_or(|defaults| {
        let metrics = &defaults.metrics;
        metrics.is_empty() || metrics.iter().any(|name| is_prometheus(name))
    });
    let mut merged: BTreeMap<Metric, Merged<'_>> = BTreeMap::new();
    for said in objects.iter().flat_map(|(_, spec)| &spec.metrics) {
        if !said.providers.is_empty() {
            let mut named = said.providers.iter();
            gets_some = named.any(|provider| is_prometheus(&provider.name));
        }
        // What is said to others is none of Prometheus' business.
        for change in said.overrides.iter().filter(|_| gets_some) {
            overlay(&mut merged, change, mode);
        }
    }
    if !gets_some {
        return MetricsPolicy::nothing();
    }
    let mut policy = MetricsPolicy::default();
    for (metric, merged) in merged {
        let mut change = mesh_ir::MetricChange {
            dropped: merged.disabled,
            ..Default::default()
        };
        for (label, tag) in merged.tags {
            match (tag.operation, &tag.value) {
                (Some(TagOperation::Remove), _) => {
                    change.removed.insert(label.into());
                }
                (_, Some(value)) if Expression::parse(value).is_ok() => {
                    change.set.insert(label.into(), Arc::from(value.as_str()));
                }
                _ => {}
            }
        }
        if change != Default::default() {
            policy.changes.insert(metric, change);
        }
    }
    policy
}

fn overlay<'t>(
    merged: &mut BTreeMap<Metric, Merged<'t>>,
    change: &'t MetricsOverrides,
    mode: Mode,
) {
    let MetricsOverrides {
        matches,
        disabled,
        tag_overrides,
    } = change;
    let selector = matches.as_ref();
    let side = ModeSelector {
        mode: selector.and_then(|selector| selector.mode),
    };
    if !mode.is_meant(Some(&side)) {
        return;
    }
    for metric in selected(selector) {
        let known = merged.entry(metric).or_default();
        if let Some(disabled) = disabled {
            known.disabled = *disabled;
        }
        let tags = tag_overrides.iter();
        known
            .tags
            .extend(tags.map(|(label, tag)| (label.as_str(), tag)));
    }
}

/// The metrics that are meant; none for one that is not Istio's.
fn selected(selector: Option<&MetricSelector>) -> Vec<Metric> {
    let Some(selector) = selector else {
        return Metric::ALL.to_vec();
    };
    if let Some(name) = &selector.custom_metric {
        // Istio's own may be meant by their names in Prometheus.
        return Metric::of_filter(name.strip_prefix("istio_").unwrap_or(name))
            .into_iter()
            .collect();
    }
    let one = match selector.metric {
        None | Some(IstioMetric::AllMetrics) => return Metric::ALL.to_vec(),
        Some(IstioMetric::RequestCount) => Metric::RequestCount,
        Some(IstioMetric::RequestDuration) => Metric::RequestDuration,
        Some(IstioMetric::RequestSize) => Metric::RequestSize,
        Some(IstioMetric::ResponseSize) => Metric::ResponseSize,
        Some(IstioMetric::TcpOpenedConnections) => Metric::TcpOpenedConnections,
        Some(IstioMetric::TcpClosedConnections) => Metric::TcpClosedConnections,
        Some(IstioMetric::TcpSentBytes) => Metric::TcpSentBytes,
        Some(IstioMetric::TcpReceivedBytes) => Metric::TcpReceivedBytes,
        Some(IstioMetric::GrpcRequestMessages) => Metric::GrpcRequestMessages,
        Some(IstioMetric::GrpcResponseMessages) => Metric::GrpcResponseMessages,
    };
    vec![one]
}
