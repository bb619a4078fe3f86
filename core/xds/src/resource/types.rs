//! The kinds of resources, in the order in which they are pushed.

use std::fmt;

/// A kind of resource.
///
/// The order of the variants is the order of pushes: what is referred to comes before what refers to it, so that a listener never
/// names a route whose clusters are unknown (make before break).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceType {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoints,
    /// SDS.
    Secret,
    /// LDS.
    Listener,
    /// RDS.
    Route,
    /// Istio's NDS.
    NameTable,
}

// === impl ResourceType ===

impl ResourceType {
    /// Every type in push order.
    pub const ALL: [ResourceType; 6] = [
        ResourceType::Cluster,
        ResourceType::Endpoints,
        ResourceType::Secret,
        ResourceType::Listener,
        ResourceType::Route,
        ResourceType::NameTable,
    ];

    /// Position in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The type URL of requests, responses and resources.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::NameTable => "type.googleapis.com/istio.networking.nds.v1.NameTable",
        }
    }

    /// The type of a URL.
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// The name of its discovery service, as status tables print it.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Cluster => "CDS",
            Self::Endpoints => "EDS",
            Self::Secret => "SDS",
            Self::Listener => "LDS",
            Self::Route => "RDS",
            Self::NameTable => "NDS",
        }
    }

    /// Whether a client that names nothing wants everything. The other types are sent by name only.
    pub const fn is_wildcard(self) -> bool {
        match self {
            Self::Cluster | Self::Listener | Self::NameTable => true,
            Self::Endpoints | Self::Secret | Self::Route => false,
        }
    }

    /// Whether state-of-the-world responses must hold everything that is subscribed, because what is missing counts as removed.
    pub const fn is_full_state(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}
