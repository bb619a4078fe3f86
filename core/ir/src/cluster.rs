//! Upstreams.

use std::sync::Arc;

use crate::{ClientPolicy, ConfigRef, Endpoints, LoadBalancing};

/// One upstream: a service port, a subset of it, or one of the fixed clusters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// Unique name. It has no meaning of its own: what [`crate::ClusterName`] writes into it is for people.
    pub name: Arc<str>,
    /// Where its endpoints come from.
    pub kind: ClusterKind,
    /// How to talk to it.
    pub client: ClientPolicy,
    /// The services behind it as metrics name them (`destination_service`); the first one counts. The fixed clusters go by their own
    /// names.
    pub services: Vec<ServiceRef>,
    /// The `DestinationRule` that shaped it.
    pub origin: Option<ConfigRef>,
}

/// Where endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClusterKind {
    /// Discovered, under the cluster's own name.
    Eds,
    /// Part of the cluster.
    Static(Arc<Endpoints>),
    /// Host names (as endpoint addresses) that the proxy resolves.
    StrictDns(Vec<(Arc<str>, u16)>),
    /// The original destination of the connection.
    OriginalDestination,
}

/// A service as metrics name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceRef {
    /// Fully qualified host.
    pub host: Arc<str>,
    /// Short name.
    pub name: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
}

// === impl Cluster ===

impl Cluster {
    /// A cluster of no service, with the default policy.
    pub fn new(name: impl Into<Arc<str>>, kind: ClusterKind) -> Self {
        let balancing = match &kind {
            ClusterKind::OriginalDestination => LoadBalancing::ClusterProvided,
            ClusterKind::Eds | ClusterKind::Static(_) | ClusterKind::StrictDns(_) => {
                LoadBalancing::LeastRequest
            }
        };
        Self {
            name: name.into(),
            kind,
            client: ClientPolicy {
                balancing,
                ..ClientPolicy::default()
            },
            services: Vec::new(),
            origin: None,
        }
    }
}

// === impl ServiceRef ===

impl ServiceRef {
    /// What metrics call a cluster without a service.
    pub fn unnamed(cluster: &str) -> Self {
        Self {
            host: cluster.into(),
            name: cluster.into(),
            namespace: "".into(),
        }
    }
}
