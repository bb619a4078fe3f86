//! What an installation consists of, decided: every default applied, every setting in one place.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, EnvVar, ResourceRequirements, ServicePort, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Map, Value, json};

use super::object::Component;
use super::spec::{
    Amount, Checked, GatewayComponent, InstallSpec, KubernetesOverrides, Resources, ServiceType,
    TrafficPolicy,
};
use super::values::{self, AutoInject, CpuTarget};
use crate::inject::{InjectConfig, InjectorSettings, Policy, ProxyValues};
use crate::model::MeshConfig;

/// Everything that the objects are built from.
pub(super) struct Settings {
    /// Namespace of the control plane.
    pub(super) namespace: String,
    /// Whether namespace and CRDs are installed.
    pub(super) base: bool,
    /// The mesh's settings as they are written down: also fields that this version does not know.
    pub(super) mesh: Map<String, Value>,
    /// What injection, and with it the gateways' proxies, depend on.
    pub(super) inject: InjectConfig,
    /// The control plane.
    pub(super) pilot: Option<Pilot>,
    /// The gateways.
    pub(super) gateways: Vec<Gateway>,
}

/// The control plane.
pub(super) struct Pilot {
    /// Image reference.
    pub(super) image: String,
    /// Log filter.
    pub(super) log_level: String,
    /// Annotations of its Service.
    pub(super) service_annotations: BTreeMap<String, String>,
    /// How it runs.
    pub(super) workload: Workload,
}

/// A gateway.
pub(super) struct Gateway {
    /// Which one.
    pub(super) component: Component,
    /// Namespace.
    pub(super) namespace: String,
    /// Labels by which Gateway objects select it.
    pub(super) labels: BTreeMap<String, String>,
    /// Its Service.
    pub(super) service: GatewayService,
    /// How it runs.
    pub(super) workload: Workload,
}

/// The Service of a gateway.
pub(super) struct GatewayService {
    /// Type.
    pub(super) type_: ServiceType,
    /// Ports.
    pub(super) ports: Vec<ServicePort>,
    /// Annotations.
    pub(super) annotations: BTreeMap<String, String>,
    /// Address that is asked for.
    pub(super) load_balancer_ip: Option<String>,
    /// Which clients reach it.
    pub(super) source_ranges: Vec<String>,
    /// How traffic from outside is spread.
    pub(super) external_traffic_policy: Option<TrafficPolicy>,
}

/// How a program runs.
pub(super) struct Workload {
    /// Number of pods; none leaves it to others.
    pub(super) replicas: Option<u32>,
    /// Bounds within which the number follows the load.
    pub(super) autoscale: Option<Autoscale>,
    /// Resources.
    pub(super) resources: ResourceRequirements,
    /// Environment over the usual one.
    pub(super) env: Vec<EnvVar>,
    /// When the image is pulled; empty for Kubernetes' default.
    pub(super) pull_policy: String,
    /// Annotations of the pods.
    pub(super) pod_annotations: BTreeMap<String, String>,
    /// Labels of the pods.
    pub(super) pod_labels: BTreeMap<String, String>,
    /// Labels of the nodes.
    pub(super) node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub(super) tolerations: Vec<Toleration>,
    /// Rules for the choice of nodes.
    pub(super) affinity: Option<Affinity>,
    /// Priority.
    pub(super) priority_class: Option<String>,
}

/// Bounds within which the number of pods follows the load.
pub(super) struct Autoscale {
    /// Least pods.
    pub(super) min: u32,
    /// Most pods.
    pub(super) max: u32,
    /// Percent of the requested CPU that is aimed at.
    pub(super) cpu: u32,
}

/// The settings of a program in the words of the charts, alike for all programs.
struct OfChart<'a> {
    replicas: Option<u32>,
    autoscale: Option<bool>,
    bounds: (Option<u32>, Option<u32>),
    cpu: &'a CpuTarget,
    resources: &'a Option<Resources>,
    env: &'a BTreeMap<String, String>,
    pod_annotations: &'a BTreeMap<String, String>,
    pod_labels: BTreeMap<String, String>,
    node_selector: &'a BTreeMap<String, String>,
    tolerations: &'a [Checked<Toleration>],
    affinity: &'a Option<Checked<Affinity>>,
}

// === impl Settings ===

impl Settings {
    /// Decides. `mesh` is the typed form of the merged mesh configuration.
    pub(super) fn decide(
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
            injector: injector(spec, &namespace, domain),
            mesh: typed,
        };
        let pilot = spec.components.pilot.enabled.unwrap_or(false);
        let pilot = pilot.then(|| Pilot::decide(spec, &inject.injector.values));
        let gateways = gateways(spec, &namespace);
        Self {
            base: spec.components.base.enabled.unwrap_or(false),
            namespace,
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

fn injector(spec: &InstallSpec, namespace: &str, cluster_domain: String) -> InjectorSettings {
    let global = &spec.values.global;
    let proxy = &global.proxy;
    let webhook = &spec.values.sidecar_injector_webhook;
    let defaults = ProxyValues::default();
    let or = |given: &Option<String>, default: String| given.clone().unwrap_or(default);
    let hub = spec.hub.clone().or_else(|| global.hub.clone());
    let tag = spec.tag.clone().or_else(|| global.tag.clone());
    let native = spec.values.pilot.env.get("ENABLE_NATIVE_SIDECARS");
    InjectorSettings {
        policy: match proxy.auto_inject {
            Some(AutoInject::Disabled) => Policy::Disabled,
            Some(AutoInject::Enabled) | None => Policy::Enabled,
        },
        always_inject_selector: unchecked(&webhook.always_inject_selector),
        never_inject_selector: unchecked(&webhook.never_inject_selector),
        revision: super::REVISION.to_owned(),
        values: ProxyValues {
            hub: hub.unwrap_or(defaults.hub),
            tag: tag.unwrap_or(defaults.tag),
            image: or(&proxy.image, defaults.image),
            image_pull_policy: or(&global.image_pull_policy, defaults.image_pull_policy),
            image_pull_secrets: global.image_pull_secrets.clone(),
            cluster_domain,
            cluster_id: or(&global.multi_cluster.cluster_name, defaults.cluster_id),
            istio_namespace: namespace.to_owned(),
            log_level: or(&proxy.log_level, defaults.log_level),
            rewrite_app_http_probe: webhook
                .rewrite_app_http_probe
                .unwrap_or(defaults.rewrite_app_http_probe),
            native_sidecar: native.map_or(defaults.native_sidecar, |value| value == "true"),
            resources: match &proxy.resources {
                Some(given) => requirements(given),
                None => defaults.resources,
            },
            include_ip_ranges: or(&proxy.include_ip_ranges, defaults.include_ip_ranges),
            exclude_ip_ranges: or(&proxy.exclude_ip_ranges, defaults.exclude_ip_ranges),
            include_inbound_ports: or(&proxy.include_inbound_ports, defaults.include_inbound_ports),
            exclude_inbound_ports: or(&proxy.exclude_inbound_ports, defaults.exclude_inbound_ports),
            include_outbound_ports: or(
                &proxy.include_outbound_ports,
                defaults.include_outbound_ports,
            ),
            exclude_outbound_ports: or(
                &proxy.exclude_outbound_ports,
                defaults.exclude_outbound_ports,
            ),
        },
    }
}

fn unchecked<T: Clone>(all: &[Checked<T>]) -> Vec<T> {
    all.iter().map(|Checked(one)| one.clone()).collect()
}

fn requirements(given: &Resources) -> ResourceRequirements {
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

fn gateways(spec: &InstallSpec, namespace: &str) -> Vec<Gateway> {
    let components = &spec.components;
    let of_charts = &spec.values.gateways;
    let ingress = components.ingress_gateways.iter().map(|component| {
        let name = named(component, "istio-ingressgateway");
        let chart = &of_charts.istio_ingressgateway;
        (component, chart, Component::IngressGateway(name))
    });
    let egress = components.egress_gateways.iter().map(|component| {
        let name = named(component, "istio-egressgateway");
        let chart = &of_charts.istio_egressgateway;
        (component, chart, Component::EgressGateway(name))
    });
    ingress
        .chain(egress)
        .filter(|(component, ..)| component.enabled.unwrap_or(false))
        .map(|(component, chart, which)| Gateway::decide(spec, component, chart, which, namespace))
        .collect()
}

fn named(component: &GatewayComponent, usual: &str) -> String {
    component.name.clone().unwrap_or_else(|| usual.to_owned())
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

// === impl Gateway ===

impl Gateway {
    fn decide(
        spec: &InstallSpec,
        component: &GatewayComponent,
        chart: &values::Gateway,
        which: Component,
        control_plane: &str,
    ) -> Self {
        let k8s = &component.k8s;
        let role = match &which {
            Component::EgressGateway(_) => "egressgateway",
            _ => "ingressgateway",
        };
        let usual = [("app", which.app()), ("istio", role)];
        let usual = usual.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let labels = over(&over(&usual.into(), &chart.labels), &component.label);
        let of_chart = OfChart {
            replicas: chart.replica_count,
            autoscale: chart.autoscale_enabled,
            bounds: (chart.autoscale_min, chart.autoscale_max),
            cpu: &chart.cpu,
            resources: &chart.resources,
            env: &chart.env,
            pod_annotations: &chart.pod_annotations,
            pod_labels: BTreeMap::new(),
            node_selector: &chart.node_selector,
            tolerations: &chart.tolerations,
            affinity: &chart.affinity,
        };
        let namespace = component.namespace.as_deref();
        Self {
            namespace: namespace.unwrap_or(control_plane).to_owned(),
            labels,
            service: GatewayService::decide(k8s, chart, &which),
            workload: Workload::decide(spec, k8s, of_chart),
            component: which,
        }
    }
}

// === impl GatewayService ===

impl GatewayService {
    fn decide(k8s: &KubernetesOverrides, chart: &values::Gateway, which: &Component) -> Self {
        let ingress = matches!(which, Component::IngressGateway(_));
        let given = &k8s.service;
        let usual = match ingress {
            true => ServiceType::LoadBalancer,
            false => ServiceType::ClusterIP,
        };
        let ports = [&given.ports, &chart.ports]
            .into_iter()
            .find(|ports| !ports.is_empty());
        let ranges = [
            &given.load_balancer_source_ranges,
            &chart.load_balancer_source_ranges,
        ];
        let address = given.load_balancer_ip.as_ref();
        Self {
            type_: given.type_.or(chart.type_).unwrap_or(usual),
            ports: ports.map_or_else(
                || super::gateway::usual_ports(ingress),
                |ports| unchecked(ports),
            ),
            annotations: over(&chart.service_annotations, &k8s.service_annotations),
            load_balancer_ip: address.or(chart.load_balancer_ip.as_ref()).cloned(),
            source_ranges: ranges
                .into_iter()
                .find(|ranges| !ranges.is_empty())
                .cloned()
                .unwrap_or_default(),
            external_traffic_policy: given
                .external_traffic_policy
                .or(chart.external_traffic_policy),
        }
    }
}

// === impl Workload ===

impl Workload {
    fn decide(spec: &InstallSpec, k8s: &KubernetesOverrides, chart: OfChart<'_>) -> Self {
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

/// One mapping over another.
fn over(
    below: &BTreeMap<String, String>,
    above: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut merged = below.clone();
    merged.extend(above.clone());
    merged
}
