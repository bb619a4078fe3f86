//! Services and their instances as the mesh sees them, whether they come from Kubernetes or from a `ServiceEntry`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::{EndpointHealth, Locality, Workload};

use crate::resource::ResourceKey;

/// One host with its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshService {
    /// Fully qualified lower-case host, or a wildcard of a `ServiceEntry`.
    pub host: Arc<str>,
    /// Short name: the Service's, or the host itself for entries.
    pub name: Arc<str>,
    /// Namespace of the object.
    pub namespace: Arc<str>,
    /// The object it comes from.
    pub object: ResourceKey,
    /// Kubernetes or `ServiceEntry`.
    pub registry: Registry,
    /// Ports that the mesh handles (UDP ones are left out), in the object's order.
    pub ports: Vec<ServicePort>,
    /// Virtual addresses; none for headless services and entries without addresses.
    pub addresses: Vec<IpAddr>,
    /// Virtual addresses that a control plane has given to a host without own ones. Only clients whose proxies resolve names for them
    /// know them.
    pub allocated: Vec<IpAddr>,
    /// How endpoints are found.
    pub resolution: Resolution,
    /// Who sees it.
    pub visibility: Visibility,
    /// Pod labels that select its instances; empty selects none.
    pub selector: BTreeMap<String, String>,
    /// Names that the certificates of its servers have, for clients that speak TLS to them; none where nothing is said.
    pub subject_alt_names: Vec<Arc<str>>,
    /// Whether the service is outside the mesh (`MESH_EXTERNAL`).
    pub external: bool,
    /// Which endpoints clients prefer where no DestinationRule says it.
    pub distribution: TrafficDistribution,
    /// Creation time in seconds since 1970, for conflicts: the oldest wins.
    pub created: Option<i64>,
    /// The host that this one only is another name of: of a Service of type ExternalName that names a service of the mesh. It has then
    /// no ports of its own.
    pub alias_of: Option<Arc<str>>,
    /// Other names of the host, sorted.
    pub aliases: Vec<Alias>,
}

/// Another name of a host, from a Service of type ExternalName.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alias {
    /// Fully qualified host.
    pub host: Arc<str>,
    /// Name of the Service.
    pub name: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Who sees it.
    pub visibility: Visibility,
}

/// Which endpoints clients prefer by where they are, as a Service says it (`trafficDistribution`). What is not near is used when nothing
/// near is healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TrafficDistribution {
    /// All alike.
    #[default]
    Any,
    /// Those of the same subzone, then of the same zone, region and network (`PreferSameZone`, and `PreferClose` of old).
    SameZone,
    /// The same with those of the same node first (`PreferSameNode`).
    SameNode,
}

/// Where a service comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Registry {
    /// A Kubernetes Service.
    Kubernetes,
    /// A `ServiceEntry`.
    ServiceEntry,
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; may be empty.
    pub name: Arc<str>,
    /// Number.
    pub port: u16,
    /// Port of the instances.
    pub target: TargetPort,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// Port of the instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By the name of a container port.
    Name(Arc<str>),
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 without TLS.
    Http2,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// TLS whose inside is HTTP; not terminated in a sidecar.
    Https,
    /// TLS; not terminated in a sidecar.
    Tls,
    /// Bytes; includes MongoDB, MySQL, Redis.
    Tcp,
    /// Nobody said: the first bytes decide.
    Detect,
}

/// How endpoints of a service are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// The control plane knows them.
    Endpoints,
    /// The proxy resolves the host or the entries' names.
    Dns,
    /// The original destination is used (headless TCP, `NONE`).
    Passthrough,
}

/// Who sees a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// These namespaces; none at all when empty.
    Namespaces(BTreeSet<Arc<str>>),
}

/// One address that serves a service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Address.
    pub address: IpAddr,
    /// Port there.
    pub port: u16,
    /// Labels, for subsets.
    pub labels: Arc<BTreeMap<String, String>>,
    /// What runs there.
    pub workload: Workload,
    /// Where it is.
    pub locality: Locality,
    /// Name of its node, where that is known.
    pub node: Option<Arc<str>>,
    /// Readiness.
    pub health: EndpointHealth,
    /// Relative weight, at least 1.
    pub weight: u32,
    /// Whether it takes the mesh's mutual TLS: a proxy is there that does, and no PeerAuthentication turns that off.
    pub offers_mtls: bool,
    /// Namespace and name of the service account that it runs as, where that is known: `NAMESPACE/NAME`.
    pub account: Option<Arc<str>>,
}

/// One host name that serves a service port and that the proxy resolves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsEndpoint {
    /// Host name, or an address in text form.
    pub host: Arc<str>,
    /// Port there.
    pub port: u16,
    /// Labels, for subsets.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Where it is.
    pub locality: Locality,
    /// Relative weight, at least 1.
    pub weight: u32,
}

impl Visibility {
    /// Whether a namespace sees it.
    pub fn sees(&self, namespace: &str) -> bool {
        match self {
            Visibility::Public => true,
            Visibility::Namespaces(namespaces) => namespaces.contains(namespace),
        }
    }
}

impl Protocol {
    /// Whether requests are routed one by one.
    pub fn is_http(self) -> bool {
        matches!(
            self,
            Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb
        )
    }
}
