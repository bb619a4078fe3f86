//! What watches over the number of pods: an autoscaler where the values ask for one, and a disruption budget where there are
//! always at least two pods. With one pod a budget would only keep nodes from being emptied.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::object::{Component, Object, Phase, metadata};
use super::settings::{Autoscale, Settings, Workload};

pub(super) fn objects(
    settings: &Settings,
    component: &Component,
    namespace: &str,
    selector: &BTreeMap<String, String>,
    workload: &Workload,
) -> Vec<Object> {
    let name = &component.name(&settings.revision);
    let named = || metadata(component, settings, Some(namespace), name);
    let mut objects = Vec::new();
    let autoscale = workload.autoscale.as_ref();
    let least = autoscale.map(|bounds| bounds.min).or(workload.replicas);
    if least.is_some_and(|least| least > 1) {
        let budget = PodDisruptionBudget {
            metadata: named(),
            spec: Some(PodDisruptionBudgetSpec {
                min_available: Some(IntOrString::Int(1)),
                selector: Some(LabelSelector {
                    match_labels: Some(selector.clone()),
                    match_expressions: None,
                }),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: None,
        };
        objects.push(Object::new(component, Phase::Workloads, &budget));
    }
    if let Some(bounds) = autoscale {
        let autoscaler = HorizontalPodAutoscaler {
            metadata: named(),
            spec: Some(autoscaler(name, bounds)),
            status: None,
        };
        objects.push(Object::new(component, Phase::Workloads, &autoscaler));
    }
    objects
}

fn autoscaler(name: &str, bounds: &Autoscale) -> HorizontalPodAutoscalerSpec {
    let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    HorizontalPodAutoscalerSpec {
        min_replicas: Some(number(bounds.min)),
        max_replicas: number(bounds.max),
        scale_target_ref: CrossVersionObjectReference {
            api_version: Some("apps/v1".into()),
            kind: "Deployment".into(),
            name: name.to_owned(),
        },
        metrics: Some(vec![MetricSpec {
            type_: "Resource".into(),
            resource: Some(ResourceMetricSource {
                name: "cpu".into(),
                target: MetricTarget {
                    type_: "Utilization".into(),
                    average_utilization: Some(number(bounds.cpu)),
                    ..MetricTarget::default()
                },
            }),
            ..MetricSpec::default()
        }]),
        ..HorizontalPodAutoscalerSpec::default()
    }
}
