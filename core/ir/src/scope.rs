//! The only per-proxy input of translation, and therefore its cache key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::endpoint::Locality;

/// What kind of proxy asks for configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProxyKind {
    /// Beside one workload (`sidecar~...` node ids).
    Sidecar,
    /// Stand-alone, selected by `Gateway` resources (`router~...` node ids).
    Gateway,
}

/// How traffic reaches the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Capture {
    /// The kernel redirects to 15001 and 15006; the original destination comes from the socket.
    Redirect,
    /// Without rights over the network: outbound by the HTTP proxy variables, inbound on the pod's own address.
    Loopback {
        /// Address that other pods know and where the proxy's listeners bind.
        pod: IpAddr,
        /// Address where the application binds; inbound traffic is forwarded there.
        app: IpAddr,
    },
}

/// Everything about a proxy that its configuration may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProxyScope {
    /// Sidecar or gateway.
    pub kind: ProxyKind,
    /// Namespace of the workload.
    pub namespace: String,
    /// Labels of the workload's pod.
    pub labels: BTreeMap<String, String>,
    /// Address of the workload's pod, where it is known: services may list it as an endpoint.
    pub address: Option<IpAddr>,
    /// How traffic reaches the proxy.
    pub capture: Capture,
    /// Whether the proxy resolves names for its workload, so that connections go to addresses that only the mesh knows.
    pub captures_dns: bool,
    /// Where the proxy runs, for locality-aware balancing.
    pub locality: Option<Locality>,
    /// Cluster (in the sense of Kubernetes) that the proxy belongs to, `Kubernetes` unless told otherwise.
    pub cluster_id: String,
    /// Network of the proxy in multi-network meshes; empty when there is one.
    pub network: String,
    /// DNS domain of the cluster, `cluster.local` unless told otherwise.
    pub dns_domain: String,
    /// Version of the proxy; empty if it does not say. Only patches depend on it.
    pub version: String,
    /// Texts of the proxy's metadata that it has in common with others. Only patches depend on them.
    pub metadata: BTreeMap<String, String>,
}

impl ProxyScope {
    /// A scope with the defaults of a single cluster: redirect capture, no locality, `cluster.local`.
    pub fn new(
        kind: ProxyKind,
        namespace: impl Into<String>,
        labels: BTreeMap<String, String>,
    ) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            labels,
            address: None,
            capture: Capture::Redirect,
            captures_dns: false,
            locality: None,
            cluster_id: "Kubernetes".into(),
            network: String::new(),
            dns_domain: "cluster.local".into(),
            version: String::new(),
            metadata: BTreeMap::new(),
        }
    }
}
