//! Who sends and who gets a request, and where a host's address is.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use mesh_ir::policy::PeerIdentity;
use mesh_ir::{ProxyKind, ProxyScope};
use serde_json::Value;

use crate::inject::{PROXY_CONTAINER, pod_template};
use crate::resource::{Kind, Object, Resource, ResourceKey};
use crate::snapshot::Snapshot;

/// Kinds by which workloads are named, in the order in which a name without a kind is looked for.
const WORKLOADS: [Kind; 8] = [
    Kind::Pod,
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::ReplicaSet,
    Kind::ReplicationController,
    Kind::Job,
    Kind::CronJob,
];

/// Stands for what is not known: an address that nobody has (TEST-NET-1, RFC 5737).
const UNKNOWN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A workload with the proxy that decides about its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxiedWorkload {
    /// What people call it: `productpage-v1.default`.
    pub name: String,
    /// The proxy beside it, or the gateway that the request comes to.
    pub scope: ProxyScope,
    /// Who it is to others; none if that is not known.
    pub identity: Option<PeerIdentity>,
}

/// Why there is no such workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// The kind has no pods and is no Gateway.
    #[error(
        "{0:?} is no kind of workload: use pod, deployment, statefulset, daemonset, replicaset, job, cronjob or gateway"
    )]
    UnknownKind(String),
    /// There is no such object.
    #[error("there is no {what} {name:?} in namespace {namespace}")]
    NotFound {
        /// `workload`, or the kind that was asked for.
        what: String,
        /// Name that was asked for.
        name: String,
        /// Namespace that was looked in.
        namespace: String,
        /// Names of workloads that are there.
        there: Vec<String>,
    },
}

// === impl ProxiedWorkload ===

impl ProxiedWorkload {
    /// A workload of which nothing but its namespace is known.
    pub fn anybody(snapshot: &Snapshot, namespace: &str) -> Self {
        let labels = BTreeMap::new();
        Self {
            name: format!("a workload of namespace {namespace}"),
            scope: scope(snapshot, ProxyKind::Sidecar, namespace, labels),
            identity: identity(snapshot, namespace, "default"),
        }
    }

    /// The workload of a name, or (by the kind `gateway`) whoever applies a Gateway.
    ///
    /// # Errors
    /// When there is no such kind or object.
    pub fn find(
        snapshot: &Snapshot,
        kind: Option<&str>,
        name: &str,
        namespace: &str,
    ) -> Result<Self, WorkloadError> {
        let kinds = match kind {
            Some("gateway" | "gateways" | "gw") => vec![Kind::Gateway],
            Some(kind) => vec![workload_kind(kind)?],
            None => WORKLOADS.to_vec(),
        };
        let found = kinds.into_iter().find_map(|kind| {
            snapshot.get(&ResourceKey {
                kind,
                namespace: namespace.into(),
                name: name.into(),
            })
        });
        let workload = found.and_then(|resource| Self::of(snapshot, resource));
        workload.ok_or_else(|| WorkloadError::NotFound {
            what: kind.unwrap_or("workload").to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            there: workloads_in(snapshot, namespace),
        })
    }

    /// All workloads that have a proxy, and whoever applies a Gateway. Where pods are known, only workloads with a pod that has a
    /// proxy; without any pod, all of them.
    pub fn all(snapshot: &Snapshot) -> Vec<Self> {
        let pods = snapshot.resources(Kind::Pod);
        let proxied: Vec<&Resource> = pods
            .iter()
            .map(|pod| &**pod)
            .filter(|pod| has_proxy(&pod.raw))
            .collect();
        let is_there = |workload: &Self| {
            let mut pods = proxied.iter();
            pods.any(|pod| {
                *pod.key.namespace == *workload.scope.namespace
                    && crate::snapshot::selects(&workload.scope.labels, &pod.meta.labels)
            })
        };
        let own = [
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::ReplicationController,
            Kind::Job,
            Kind::CronJob,
        ];
        let resources = own.into_iter().flat_map(|kind| snapshot.resources(kind));
        let workloads = resources.filter_map(|resource| Self::of(snapshot, resource));
        let mut all: Vec<Self> = workloads
            .filter(|workload| proxied.is_empty() || is_there(workload))
            // Gateways are asked as such, by the objects that they apply.
            .filter(|workload| workload.scope.kind == ProxyKind::Sidecar)
            .collect();
        let alone = proxied
            .iter()
            .filter(|pod| pod.raw.pointer("/metadata/ownerReferences").is_none());
        all.extend(alone.filter_map(|pod| Self::of(snapshot, pod)));
        let gateways = snapshot.resources(Kind::Gateway);
        let gateways = gateways
            .iter()
            .filter_map(|gateway| Self::of(snapshot, gateway));
        all.extend(gateways);
        all
    }

    /// The pod that has an address, if it has a proxy.
    pub fn at(snapshot: &Snapshot, address: IpAddr) -> Option<Self> {
        let pod = snapshot.pod_at(address)?;
        has_proxy(&pod.raw)
            .then(|| Self::of(snapshot, pod))
            .flatten()
    }

    fn of(snapshot: &Snapshot, resource: &Resource) -> Option<Self> {
        let (namespace, name) = (&*resource.key.namespace, &resource.key.name);
        if let Object::Gateway(gateway) = &resource.object {
            let labels = gateway.selector.clone();
            return Some(Self {
                name: format!("gateway {name}.{namespace}"),
                scope: scope(snapshot, ProxyKind::Gateway, namespace, labels),
                identity: None,
            });
        }
        let pod = pod_template(&resource.raw)?;
        let labels: BTreeMap<String, String> = pod
            .pointer("/metadata/labels")
            .and_then(|labels| serde_json::from_value(labels.clone()).ok())
            .unwrap_or_default();
        let account = pod
            .pointer("/spec/serviceAccountName")
            .and_then(Value::as_str);
        let kind = if is_gateway(pod) {
            ProxyKind::Gateway
        } else {
            ProxyKind::Sidecar
        };
        let mut scope = scope(snapshot, kind, namespace, labels);
        let address = pod.pointer("/status/podIP").and_then(Value::as_str);
        scope.address = address.and_then(|address| address.parse().ok());
        Some(Self {
            name: format!("{name}.{namespace}"),
            scope,
            identity: identity(snapshot, namespace, account.unwrap_or("default")),
        })
    }

    /// Where its connections come from, as far as it is known.
    pub fn address(&self) -> IpAddr {
        self.scope.address.unwrap_or(UNKNOWN_ADDRESS)
    }

    /// The port of the proxy that a request to a port comes to: of gateways the port behind the Service's.
    pub fn port(&self, snapshot: &Snapshot, port: u16) -> u16 {
        if self.scope.kind == ProxyKind::Sidecar {
            return port;
        }
        let labels = &self.scope.labels;
        let services = snapshot
            .services()
            .filter(|service| crate::snapshot::selects(&service.selector, labels));
        let ports = services.flat_map(|service| {
            let ports = service.ports.iter().filter(|known| known.port == port);
            ports.flat_map(|known| snapshot.target_ports(service, known, labels))
        });
        ports.min().unwrap_or(port)
    }
}

fn has_proxy(pod: &Value) -> bool {
    let containers = ["/spec/containers", "/spec/initContainers"];
    let mut containers = containers
        .into_iter()
        .filter_map(|list| pod.pointer(list)?.as_array())
        .flatten();
    containers.any(|it| it["name"] == PROXY_CONTAINER)
}

fn scope(
    snapshot: &Snapshot,
    kind: ProxyKind,
    namespace: &str,
    labels: BTreeMap<String, String>,
) -> ProxyScope {
    let options = snapshot.options();
    ProxyScope {
        cluster_id: options.cluster_id.to_string(),
        dns_domain: options.dns_domain.to_string(),
        ..ProxyScope::new(kind, namespace, labels)
    }
}

fn identity(snapshot: &Snapshot, namespace: &str, account: &str) -> Option<PeerIdentity> {
    let domain = snapshot.mesh().trust_domain();
    PeerIdentity::parse(&format!("spiffe://{domain}/ns/{namespace}/sa/{account}")).ok()
}

/// Whether the proxy of a pod is the pod's only purpose: it is injected as a gateway, or runs as a router.
fn is_gateway(pod: &Value) -> bool {
    let templates = pod.pointer("/metadata/annotations/inject.istio.io~1templates");
    let is_injected = templates
        .and_then(Value::as_str)
        .is_some_and(|templates| templates.split(',').any(|it| it.trim() == "gateway"));
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let mut arguments = containers.into_iter().flatten().flat_map(|container| {
        let arguments = container.get("args").and_then(Value::as_array);
        arguments.into_iter().flatten().filter_map(Value::as_str)
    });
    is_injected || arguments.any(|argument| argument == "router")
}

fn workload_kind(text: &str) -> Result<Kind, WorkloadError> {
    let known = WORKLOADS.into_iter().find(|kind| {
        let short = match kind {
            Kind::Pod => "po",
            Kind::Deployment => "deploy",
            Kind::StatefulSet => "sts",
            Kind::DaemonSet => "ds",
            Kind::ReplicaSet => "rs",
            Kind::ReplicationController => "rc",
            Kind::CronJob => "cj",
            _ => "",
        };
        kind.name().eq_ignore_ascii_case(text) || kind.plural() == text || text == short
    });
    known.ok_or_else(|| WorkloadError::UnknownKind(text.to_owned()))
}

fn workloads_in(snapshot: &Snapshot, namespace: &str) -> Vec<String> {
    let all = WORKLOADS
        .into_iter()
        .flat_map(|kind| snapshot.resources(kind));
    let own = all.filter(|resource| *resource.key.namespace == *namespace);
    own.map(|resource| {
        let kind = resource.key.kind.name().to_ascii_lowercase();
        format!("{kind}/{}", resource.key.name)
    })
    .collect()
}

/// Where a connection to a host goes: the address that is written, that of the service, or of an instance of a service without one. Of
/// what the mesh does not know, an address that nobody has.
pub fn address_of(snapshot: &Snapshot, host: &str, namespace: &str) -> IpAddr {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return address;
    }
    let Some(service) = snapshot.find_service(host, namespace) else {
        return UNKNOWN_ADDRESS;
    };
    let instances = service
        .ports
        .iter()
        .flat_map(|port| snapshot.instances(service, port));
    let mut instances = instances.map(|instance| instance.address);
    let address = service.addresses.first().copied();
    address
        .or_else(|| instances.next())
        .unwrap_or(UNKNOWN_ADDRESS)
}
