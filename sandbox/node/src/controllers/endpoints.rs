//! Endpoints: Services with a selector get EndpointSlices and, for older clients, Endpoints.
//!
//! A named target port is looked up in each pod, so pods that answer on different numbers fall into different slices.
//! Terminating pods stay in a slice as such until they are gone; unready ones stay with `ready: false`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort as LegacyPort, EndpointSubset, Endpoints, ObjectReference, Pod,
    Service, ServicePort,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde_json::json;

use super::action::{Action, Kind};
use super::observed::Observed;
use super::pods;

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// All Services with a selector.
pub fn reconcile(observed: &Observed) -> Vec<Action> {
    observed
        .services
        .iter()
        .flat_map(|service| one(service, observed))
        .collect()
}

/// Whether every Service with a selector has the endpoints that its pods make.
pub fn are_endpoints_settled(observed: &Observed) -> bool {
    reconcile(observed).is_empty()
}

/// A port of a slice, in the order slices are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    name: String,
    protocol: String,
    number: i32,
    app_protocol: Option<String>,
}

fn one(service: &Service, observed: &Observed) -> Vec<Action> {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let Some(selector) = spec
        .selector
        .as_ref()
        .filter(|selector| !selector.is_empty())
    else {
        return Vec::new();
    };
    if service.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let namespace = service.namespace().unwrap_or_default();
    let chosen = observed.pods.iter().filter(|pod| {
        pod.namespace().as_deref() == Some(&namespace)
            && selects(selector, pod)
            && !pods::is_finished(pod)
    });
    let mut groups: BTreeMap<Vec<Port>, Vec<&Pod>> = BTreeMap::new();
    for pod in chosen.filter(|pod| address(pod).is_some()) {
        groups.entry(ports(service, pod)).or_default().push(pod);
    }
    let mut actions = slices(service, &groups, observed);
    actions.extend(legacy(service, &groups, observed));
    actions
}

fn selects(selector: &BTreeMap<String, String>, pod: &Pod) -> bool {
    selector
        .iter()
        .all(|(key, value)| pod.labels().get(key) == Some(value))
}

fn address(pod: &Pod) -> Option<&str> {
    pod.status
        .as_ref()?
        .pod_ip
        .as_deref()
        .filter(|ip| !ip.is_empty())
}

/// The ports of a service as one pod has them; a named port that the pod lacks is left out.
fn ports(service: &Service, pod: &Pod) -> Vec<Port> {
    let declared = service
        .spec
        .as_ref()
        .and_then(|spec| spec.ports.as_deref())
        .unwrap_or_default();
    let resolved = declared.iter().filter_map(|port| {
        Some(Port {
            name: port.name.clone().unwrap_or_default(),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            number: target_port(port, pod)?,
            app_protocol: port.app_protocol.clone(),
        })
    });
    let mut ports: Vec<Port> = resolved.collect();
    ports.sort();
    ports
}

fn target_port(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let spec = pod.spec.as_ref()?;
            let sidecars = spec.init_containers.iter().flatten();
            let sidecars =
                sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
            let mut declared = spec
                .containers
                .iter()
                .chain(sidecars)
                .flat_map(|c| c.ports.iter().flatten());
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            declared
                .find(|candidate| {
                    candidate.name.as_ref() == Some(name)
                        && candidate.protocol.as_deref().unwrap_or("TCP") == protocol
                })
                .map(|candidate| candidate.container_port)
        }
    }
}

// === EndpointSlices ===

fn slices(
    service: &Service,
    groups: &BTreeMap<Vec<Port>, Vec<&Pod>>,
    observed: &Observed,
) -> Vec<Action> {
    let mut wanted: BTreeMap<String, EndpointSlice> = BTreeMap::new();
    let publish = service
        .spec
        .as_ref()
        .and_then(|spec| spec.publish_not_ready_addresses)
        .unwrap_or(false);
    for (ports, members) in groups {
        let endpoints = members
            .iter()
            .filter_map(|pod| endpoint(pod, publish))
            .collect();
        let slice = slice(service, ports, endpoints);
        wanted.insert(slice.name_any(), slice);
    }
    if wanted.is_empty() {
        let slice = slice(service, &[], Vec::new());
        wanted.insert(slice.name_any(), slice);
    }
    let namespace = service.namespace().unwrap_or_default();
    let name = service.name_any();
    let present: BTreeMap<String, &Arc<EndpointSlice>> = observed
        .endpoint_slices
        .iter()
        .filter(|slice| {
            slice.namespace().as_deref() == Some(&namespace)
                && slice.labels().get(SERVICE_LABEL) == Some(&name)
                && slice.labels().get(MANAGER_LABEL).map(String::as_str) == Some(MANAGER)
        })
        .map(|slice| (slice.name_any(), slice))
        .collect();

    let mut actions = Vec::new();
    let obsolete: BTreeSet<_> = present
        .keys()
        .filter(|name| !wanted.contains_key(*name))
        .cloned()
        .collect();
    for (name, slice) in wanted {
        match present.get(&name) {
            None => actions.push(Action::Create(slice.into())),
            Some(known) => actions.extend(update_slice(known, &slice)),
        }
    }
    for name in obsolete {
        actions.push(Action::delete(Kind::EndpointSlice, &**present[&name]));
    }
    actions
}

fn update_slice(known: &EndpointSlice, wanted: &EndpointSlice) -> Option<Action> {
    let same = known.endpoints == wanted.endpoints
        && known.ports.as_deref().unwrap_or_default()
            == wanted.ports.as_deref().unwrap_or_default()
        && known.metadata.labels == wanted.metadata.labels;
    (!same).then(|| {
        let body = json!({
            "metadata": {"labels": wanted.metadata.labels},
            "endpoints": wanted.endpoints, "ports": wanted.ports,
        });
        Action::merge(Kind::EndpointSlice, known, body)
    })
}

fn slice(service: &Service, ports: &[Port], endpoints: Vec<Endpoint>) -> EndpointSlice {
    let name = service.name_any();
    let mut labels = service.labels().clone();
    labels.insert(SERVICE_LABEL.to_owned(), name.clone());
    labels.insert(MANAGER_LABEL.to_owned(), MANAGER.to_owned());
    let cluster_ip = service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref());
    if cluster_ip == Some("None") {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    let v6 = endpoints
        .iter()
        .flat_map(|e| &e.addresses)
        .any(|a| matches!(a.parse(), Ok(IpAddr::V6(_))));
    // The name depends on the ports alone, so that members come and go within one slice.
    let identity: Vec<_> = ports
        .iter()
        .map(|p| (&p.name, &p.protocol, p.number))
        .collect();
    let prefix: String = name.chars().take(57).collect();
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(format!(
                "{prefix}-{}",
                pods::short_hash(&(service.uid(), identity), 5)
            )),
            namespace: service.namespace(),
            labels: Some(labels),
            owner_references: Some(vec![pods::owner_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: if v6 { "IPv6" } else { "IPv4" }.to_owned(),
        endpoints,
        ports: Some(ports.iter().map(slice_port).collect()),
    }
}

fn slice_port(port: &Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone()),
        protocol: Some(port.protocol.clone()),
        port: Some(port.number),
        app_protocol: port.app_protocol.clone(),
    }
}

fn endpoint(pod: &Pod, publish_not_ready: bool) -> Option<Endpoint> {
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let serving = publish_not_ready || pods::is_ready(pod);
    let spec = pod.spec.as_ref();
    let in_domain = spec.is_some_and(|spec| spec.subdomain.is_some());
    Some(Endpoint {
        addresses: vec![address(pod)?.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(publish_not_ready || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: spec
            .and_then(|spec| spec.hostname.clone())
            .filter(|_| in_domain),
        node_name: spec.and_then(|spec| spec.node_name.clone()),
        target_ref: Some(reference(pod)),
        ..Endpoint::default()
    })
}

fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        name: Some(pod.name_any()),
        namespace: pod.namespace(),
        uid: pod.uid(),
        ..ObjectReference::default()
    }
}

// === Endpoints ===

fn legacy(
    service: &Service,
    groups: &BTreeMap<Vec<Port>, Vec<&Pod>>,
    observed: &Observed,
) -> Option<Action> {
    let subsets: Vec<EndpointSubset> = groups
        .iter()
        .filter_map(|(ports, members)| subset(ports, members))
        .collect();
    let (name, namespace) = (service.name_any(), service.namespace());
    let known = observed
        .endpoints
        .iter()
        .find(|endpoints| endpoints.name_any() == name && endpoints.namespace() == namespace);
    match known {
        None => {
            let metadata = ObjectMeta {
                name: Some(name),
                namespace,
                labels: Some(service.labels().clone()),
                // They go with their Service.
                owner_references: Some(vec![pods::owner_reference(service)]),
                ..ObjectMeta::default()
            };
            Some(Action::Create(
                Endpoints {
                    metadata,
                    subsets: Some(subsets),
                }
                .into(),
            ))
        }
        Some(known) if known.subsets.as_deref().unwrap_or_default() == subsets => None,
        Some(known) => Some(Action::merge(
            Kind::Endpoints,
            &**known,
            json!({"subsets": subsets}),
        )),
    }
}

fn subset(ports: &[Port], members: &[&Pod]) -> Option<EndpointSubset> {
    let alive = members
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let (ready, unready): (Vec<&Pod>, Vec<&Pod>) =
        alive.copied().partition(|pod| pods::is_ready(pod));
    let addresses = |pods: Vec<&Pod>| {
        let addresses: Vec<_> = pods.into_iter().filter_map(legacy_address).collect();
        (!addresses.is_empty()).then_some(addresses)
    };
    let (ready, unready) = (addresses(ready), addresses(unready));
    if ready.is_none() && unready.is_none() {
        return None;
    }
    let ports = ports.iter().map(|port| LegacyPort {
        name: Some(port.name.clone()).filter(|name| !name.is_empty()),
        port: port.number,
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    });
    Some(EndpointSubset {
        addresses: ready,
        not_ready_addresses: unready,
        ports: Some(ports.collect()),
    })
}

fn legacy_address(pod: &Pod) -> Option<EndpointAddress> {
    Some(EndpointAddress {
        ip: address(pod)?.to_owned(),
        hostname: None,
        node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        target_ref: Some(reference(pod)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::action::Object;

    fn world(pods: Vec<serde_json::Value>) -> Observed {
        let service = json!({
            "metadata": {"name": "web", "namespace": "n", "uid": "svc", "labels": {"app": "web"}},
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
        });
        let service = Arc::new(serde_json::from_value(service).unwrap());
        let pods = pods
            .into_iter()
            .map(|pod| Arc::new(serde_json::from_value(pod).unwrap()))
            .collect();
        Observed {
            services: vec![service],
            pods,
            ..Observed::default()
        }
    }

    fn pod(name: &str, port: u16, ready: &str) -> serde_json::Value {
        json!({
            "metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"app": "web", "v": "1"}},
            "spec": {"nodeName": "sandbox",
                     "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": port}]}]},
            "status": {"phase": "Running", "podIP": format!("127.9.1.{port}"),
                       "conditions": [{"type": "Ready", "status": ready}]},
        })
    }

    fn created(actions: &[Action]) -> Vec<EndpointSlice> {
        let slices = actions.iter().filter_map(|action| match action {
            Action::Create(Object::EndpointSlice(slice)) => Some(*slice.clone()),
            _ => None,
        });
        slices.collect()
    }

    #[test]
    fn named_ports_resolve_per_pod_into_slices_of_their_own() {
        let slices = created(&reconcile(&world(vec![
            pod("a", 8, "True"),
            pod("b", 9, "False"),
        ])));
        let mut summary: Vec<_> = slices
            .iter()
            .map(|slice| {
                let conditions = slice.endpoints[0].conditions.clone().unwrap();
                (
                    slice.ports.as_ref().unwrap()[0].port.unwrap(),
                    conditions.ready.unwrap(),
                )
            })
            .collect();
        summary.sort_unstable();
        assert_eq!(summary, [(8, true), (9, false)]);
        assert_eq!(slices[0].labels()[SERVICE_LABEL], "web");
        assert_eq!(slices[0].labels()[MANAGER_LABEL], MANAGER);
        assert_eq!(
            slices[0].endpoints[0]
                .target_ref
                .as_ref()
                .unwrap()
                .kind
                .as_deref(),
            Some("Pod")
        );
    }

    #[test]
    fn nothing_changes_twice_and_a_terminating_pod_is_not_ready() {
        let mut observed = world(vec![pod("a", 8, "True")]);
        for action in reconcile(&observed) {
            match action {
                Action::Create(Object::EndpointSlice(slice)) => {
                    observed.endpoint_slices.push(Arc::from(slice))
                }
                Action::Create(Object::Endpoints(endpoints)) => {
                    observed.endpoints.push(Arc::from(endpoints))
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(reconcile(&observed), []);
        let pod = Arc::make_mut(&mut observed.pods[0]);
        pod.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        let actions = reconcile(&observed);
        let Action::Merge {
            kind: Kind::EndpointSlice,
            body,
            ..
        } = &actions[0]
        else {
            panic!("{actions:?}")
        };
        let conditions = json!({"ready": false, "serving": true, "terminating": true});
        assert_eq!(body["endpoints"][0]["conditions"], conditions);
        assert_eq!(
            actions[1],
            Action::Merge {
                kind: Kind::Endpoints,
                namespace: "n".into(),
                name: "web".into(),
                body: json!({"subsets": []}),
            }
        );
    }

    #[test]
    fn a_service_without_pods_has_one_empty_slice() {
        let slices = created(&reconcile(&world(Vec::new())));
        assert_eq!(slices.len(), 1);
        assert!(slices[0].endpoints.is_empty());
    }
}
