//! The gateways: which ones, and the Service of each.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServicePort;

use super::workload::{OfChart, Workload, over, unchecked};
use crate::install::object::Component;
use crate::install::spec::{
    GatewayComponent, InstallSpec, KubernetesOverrides, ServiceType, TrafficPolicy,
};
use crate::install::values;

/// A gateway.
pub(in crate::install) struct Gateway {
    /// Which one.
    pub(in crate::install) component: Component,
    /// Namespace.
    pub(in crate::install) namespace: String,
    /// Labels by which Gateway objects select it.
    pub(in crate::install) labels: BTreeMap<String, String>,
    /// Its Service.
    pub(in crate::install) service: GatewayService,
    /// How it runs.
    pub(in crate::install) workload: Workload,
}

/// The Service of a gateway.
pub(in crate::install) struct GatewayService {
    /// Type.
    pub(in crate::install) type_: ServiceType,
    /// Ports.
    pub(in crate::install) ports: Vec<ServicePort>,
    /// Annotations.
    pub(in crate::install) annotations: BTreeMap<String, String>,
    /// Address that is asked for.
    pub(in crate::install) load_balancer_ip: Option<String>,
    /// Which clients reach it.
    pub(in crate::install) source_ranges: Vec<String>,
    /// How traffic from outside is spread.
    pub(in crate::install) external_traffic_policy: Option<TrafficPolicy>,
}
/// The gateways that are enabled.
pub(super) fn decide(spec: &InstallSpec, namespace: &str) -> Vec<Gateway> {
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
                || crate::install::gateway::usual_ports(ingress),
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
