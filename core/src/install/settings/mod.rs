//! What an installation consists of, decided: every default applied, every setting in one place.
//!
//! ```text
//! InstallSpec --> Settings { mesh, inject (injector.rs), pilot, gateways (gateway.rs) }; how programs run: workload.rs
//! ```

mod gateway;
mod injector;
mod workload;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub(in crate::install) use gateway::{Gateway, GatewayService};
pub(in crate::install) use workload::{Autoscale, Workload};

use self::workload::{OfChart, over};
use super::revision::DEFAULT_REVISION;
use super::spec::InstallSpec;
use crate::inject::{InjectConfig, ProxyValues};
use crate::model::MeshConfig;

/// Everything that the objects are built from.
pub(in crate::install) struct Settings {
    /// Namespace of the control plane.
    pub(in crate::install) namespace: String,
    /// Name of the control plane among several.
    pub(in crate::install) revision: String,
    /// Whether namespace and CRDs are installed.
    pub(in crate::install) base: bool,
    /// Whether the CRDs of Istio's first API versions are among them.
    pub(in crate::install) legacy: bool,
    /// The mesh's settings as they are written down: also fields that this version does not know.
    pub(in crate::install) mesh: Map<String, Value>,
    /// What injection, and with it the gateways' proxies, depend on.
    pub(in crate::install) inject: InjectConfig,
    /// The control plane.
    pub(in crate::install) pilot: Option<Pilot>,
    /// The gateways.
    pub(in crate::install) gateways: Vec<Gateway>,
}

/// The control plane.
pub(in crate::install) struct Pilot {
    /// Image reference.
    pub(in crate::install) image: String,
    /// Log filter.
    pub(in crate::install) log_level: String,
    /// Annotations of its Service.
    pub(in crate::install) service_annotations: BTreeMap<String, String>,
    /// How it runs.
    pub(in crate::install) workload: Workload,
}
// === impl Settings ===

impl Settings {
    /// Decides. `mesh` is the typed form of the merged mesh configuration.
    pub(in crate::install) fn decide(
        spec: &InstallSpec,
        mut mesh: Map<String, Value>,
        mut typed: MeshConfig,
    ) -> Self {
        let namespace = namespace(spec);
        let global = &spec.values.global;
        let domain = global.proxy.cluster_domain.as_deref();
        let domain = domain.unwrap_or("cluster.local").to_owned();
        typed.trust_domain.get_or_insert_with(|| domain.clone());
        typed
            .root_namespace
            .get_or_insert_with(|| namespace.clone());
        for (key, value) in [
            ("trustDomain", &typed.trust_domain),
            ("rootNamespace", &typed.root_namespace),
        ] {
            mesh.entry(key).or_insert_with(|| json!(value));
        }
        let inject = InjectConfig {
            injector: injector::decide(spec, &namespace, domain),
            mesh: typed,
            has_native_sidecars: false,
        };
        let pilot = spec.components.pilot.enabled.unwrap_or(false);
        let pilot = pilot.then(|| Pilot::decide(spec, &inject.injector.values));
        let gateways = gateway::decide(spec, &namespace);
        Self {
            base: spec.components.base.enabled.unwrap_or(false),
            legacy: spec.values.legacy.enabled.unwrap_or(false),
            namespace,
            revision: revision(spec),
            mesh,
            inject,
            pilot,
            gateways,
        }
    }
}
/// Namespace of the control plane.
fn namespace(spec: &InstallSpec) -> String {
    let given = spec.values.global.istio_namespace.as_ref();
    let given = given.or(spec.namespace.as_ref());
    given.map_or_else(|| "istio-system".to_owned(), String::clone)
}

/// Name of the control plane among several.
fn revision(spec: &InstallSpec) -> String {
    let given = spec.revision.as_ref().or(spec.values.revision.as_ref());
    let given = given.filter(|given| !given.is_empty());
    given.map_or_else(|| DEFAULT_REVISION.to_owned(), String::clone)
}

// === impl Pilot ===

impl Pilot {
    fn decide(spec: &InstallSpec, proxy: &ProxyValues) -> Self {
        let chart = &spec.values.pilot;
        let images = ProxyValues {
            hub: chart.hub.clone().unwrap_or_else(|| proxy.hub.clone()),
            tag: chart.tag.clone().unwrap_or_else(|| proxy.tag.clone()),
            ..ProxyValues::default()
        };
        let level = spec.values.global.logging.level.as_deref();
        // Istio writes `default:info`, with a scope of its own before the level.
        let level = level.map(|text| text.strip_prefix("default:").unwrap_or(text));
        let k8s = &spec.components.pilot.k8s;
        let of_chart = OfChart {
            replicas: chart.replica_count,
            autoscale: chart.autoscale_enabled,
            bounds: (chart.autoscale_min, chart.autoscale_max),
            cpu: &chart.cpu,
            resources: &chart.resources,
            env: &chart.env,
            pod_annotations: &chart.pod_annotations,
            pod_labels: chart.pod_labels.clone(),
            node_selector: &chart.node_selector,
            tolerations: &chart.tolerations,
            affinity: &chart.affinity,
        };
        Self {
            image: images.image_reference(chart.image.as_deref().unwrap_or("pilot")),
            log_level: level.unwrap_or("info").to_owned(),
            service_annotations: over(&chart.service_annotations, &k8s.service_annotations),
            workload: Workload::decide(spec, k8s, of_chart),
        }
    }
}
