//! Endpoints of a cluster by locality.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The endpoints of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// Name of the cluster they belong to.
    pub cluster: Arc<str>,
    /// Endpoints by locality, sorted.
    pub localities: Vec<LocalityEndpoints>,
}

/// The endpoints of one locality.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalityEndpoints {
    /// Where they are.
    pub locality: Locality,
    /// 0 is used first.
    pub priority: u32,
    /// Share of the traffic of its priority, relative to other localities; only with [`crate::ClientPolicy::weighted_localities`].
    pub weight: Option<u32>,
    /// Endpoints, sorted by address.
    pub endpoints: Vec<Endpoint>,
}

/// One address that serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// Relative weight, at least 1.
    pub weight: u32,
    /// What the control plane knows of its health.
    pub health: EndpointHealth,
    /// Whether it accepts the mesh's mutual TLS (label `security.istio.io/tlsMode: istio`).
    pub offers_mtls: bool,
    /// What runs there, for metrics.
    pub workload: Option<Workload>,
}

/// Health as the control plane tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EndpointHealth {
    /// May take traffic.
    Healthy,
    /// Must not take new traffic.
    Draining,
    /// Must not take traffic.
    Unhealthy,
}

/// Region, zone and subzone; parts may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Locality {
    /// `topology.kubernetes.io/region`.
    pub region: Arc<str>,
    /// `topology.kubernetes.io/zone`.
    pub zone: Arc<str>,
    /// `topology.istio.io/subzone`.
    pub subzone: Arc<str>,
}

/// What runs at an address, as metrics name it. Written as Istio does: `name;namespace;canonical-name;canonical-revision;cluster`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Workload {
    /// Name of the Deployment or other owner.
    pub name: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Canonical service: label `service.istio.io/canonical-name`, `app.kubernetes.io/name`, `app`, or the workload's name.
    pub canonical_name: Arc<str>,
    /// Canonical revision: label `service.istio.io/canonical-revision`, `app.kubernetes.io/version`, `version`, or `latest`.
    pub canonical_revision: Arc<str>,
    /// Kubernetes cluster.
    pub cluster: Arc<str>,
}

// === impl LocalityEndpoints ===

impl LocalityEndpoints {
    /// Endpoints of the first priority.
    pub fn new(locality: Locality, endpoints: Vec<Endpoint>) -> Self {
        Self {
            locality,
            priority: 0,
            weight: None,
            endpoints,
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// A healthy endpoint of weight 1 of which nothing else is known.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            weight: 1,
            health: EndpointHealth::Healthy,
            offers_mtls: false,
            workload: None,
        }
    }
}

// === impl Workload ===

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            namespace,
            canonical_name,
            canonical_revision,
            cluster,
        } = self;
        write!(
            f,
            "{name};{namespace};{canonical_name};{canonical_revision};{cluster}"
        )
    }
}

/// Why a string does not describe a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form name;namespace;canonical-name;canonical-revision;cluster")]
pub struct InvalidWorkload(pub String);

impl FromStr for Workload {
    type Err = InvalidWorkload;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(';').collect();
        let [name, namespace, canonical_name, canonical_revision, cluster] = parts.as_slice()
        else {
            return Err(InvalidWorkload(text.to_owned()));
        };
        Ok(Self {
            name: (*name).into(),
            namespace: (*namespace).into(),
            canonical_name: (*canonical_name).into(),
            canonical_revision: (*canonical_revision).into(),
            cluster: (*cluster).into(),
        })
    }
}
