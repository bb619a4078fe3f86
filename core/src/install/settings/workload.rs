//! How a program runs, whichever words said it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, EnvVar, ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::install::spec::{Amount, Checked, InstallSpec, KubernetesOverrides, Resources};
use crate::install::values::CpuTarget;

/// How a program runs.
pub(in crate::install) struct Workload {
    /// Number of pods; none leaves it to others.
    pub(in crate::install) replicas: Option<u32>,
    /// Bounds within which the number follows the load.
    pub(in crate::install) autoscale: Option<Autoscale>,
    /// Resources.
    pub(in crate::install) resources: ResourceRequirements,
    /// Environment over the usual one.
    pub(in crate::install) env: Vec<EnvVar>,
    /// When the image is pulled; empty for Kubernetes' default.
    pub(in crate::install) pull_policy: String,
    /// Annotations of the pods.
    pub(in crate::install) pod_annotations: BTreeMap<String, String>,
    /// Labels of the pods.
    pub(in crate::install) pod_labels: BTreeMap<String, String>,
    /// Labels of the nodes.
    pub(in crate::install) node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub(in crate::install) tolerations: Vec<Toleration>,
    /// Rules for the choice of nodes.
    pub(in crate::install) affinity: Option<Affinity>,
    /// Priority.
    pub(in crate::install) priority_class: Option<String>,
}

/// Bounds within which the number of pods follows the load.
pub(in crate::install) struct Autoscale {
    /// Least pods.
    pub(in crate::install) min: u32,
    /// Most pods.
    pub(in crate::install) max: u32,
    /// Percent of the requested CPU that is aimed at.
    pub(in crate::install) cpu: u32,
}

/// The settings of a program in the words of the charts, alike for all programs.
pub(super) struct OfChart<'a> {
    pub(super) replicas: Option<u32>,
    pub(super) autoscale: Option<bool>,
    pub(super) bounds: (Option<u32>, Option<u32>),
    pub(super) cpu: &'a CpuTarget,
    pub(super) resources: &'a Option<Resources>,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) pod_annotations: &'a BTreeMap<String, String>,
    pub(super) pod_labels: BTreeMap<String, String>,
    pub(super) node_selector: &'a BTreeMap<String, String>,
    pub(super) tolerations: &'a [Checked<Toleration>],
    pub(super) affinity: &'a Option<Checked<Affinity>>,
}
// === impl Workload ===

impl Workload {
    pub(super) fn decide(
        spec: &InstallSpec,
        k8s: &KubernetesOverrides,
        chart: OfChart<'_>,
    ) -> Self {
        let global = &spec.values.global;
        let resources = k8s.resources.as_ref().or(chart.resources.as_ref());
        let mut env: Vec<EnvVar> = unchecked(&k8s.env);
        for (name, value) in chart.env {
            if !env.iter().any(|other| other.name == *name) {
                env.push(crate::inject::env(name, value.as_str()));
            }
        }
        let autoscale = autoscale(&chart);
        let tolerations = match k8s.tolerations.is_empty() {
            true => chart.tolerations,
            false => &k8s.tolerations,
        };
        let affinity = k8s.affinity.as_ref().or(chart.affinity.as_ref());
        let pull_policy = k8s.image_pull_policy.as_ref();
        let pull_policy = pull_policy.or(global.image_pull_policy.as_ref());
        let priority = k8s.priority_class_name.as_ref();
        Self {
            // With an autoscaler the number is its business.
            replicas: k8s
                .replica_count
                .or(chart.replicas)
                .filter(|_| autoscale.is_none()),
            autoscale,
            resources: resources.map(requirements).unwrap_or_default(),
            env,
            pull_policy: pull_policy.cloned().unwrap_or_default(),
            pod_annotations: over(chart.pod_annotations, &k8s.pod_annotations),
            pod_labels: chart.pod_labels,
            node_selector: over(chart.node_selector, &k8s.node_selector),
            tolerations: unchecked(tolerations),
            affinity: affinity.map(|Checked(affinity)| affinity.clone()),
            priority_class: priority.or(global.priority_class_name.as_ref()).cloned(),
        }
    }
}

fn autoscale(chart: &OfChart<'_>) -> Option<Autoscale> {
    let min = chart.bounds.0.unwrap_or(1);
    let max = chart.bounds.1.unwrap_or(5);
    let wanted = chart.autoscale.unwrap_or(false) && max > min;
    wanted.then(|| Autoscale {
        min,
        max,
        cpu: chart.cpu.target_average_utilization.unwrap_or(80),
    })
}
pub(super) fn unchecked<T: Clone>(all: &[Checked<T>]) -> Vec<T> {
    all.iter().map(|Checked(one)| one.clone()).collect()
}
pub(super) fn requirements(given: &Resources) -> ResourceRequirements {
    let quantities = |all: &BTreeMap<String, Amount>| {
        let pairs = all.iter();
        let pairs = pairs.map(|(name, Amount(text))| (name.clone(), Quantity(text.clone())));
        (!all.is_empty()).then(|| pairs.collect())
    };
    ResourceRequirements {
        requests: quantities(&given.requests),
        limits: quantities(&given.limits),
        claims: None,
    }
}
/// One mapping over another.
pub(super) fn over(
    below: &BTreeMap<String, String>,
    above: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut merged = below.clone();
    merged.extend(above.clone());
    merged
}
