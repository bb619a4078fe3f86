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
    /// VHDS: the virtual hosts of route configurations that leave them to a resource each. Its resources are named
    /// `ROUTE CONFIGURATION/VIRTUAL HOST`, and who subscribes to the name of a route configuration gets all of its hosts.
    VirtualHost,
    /// Istio's NDS.
    NameTable,
}

// === impl ResourceType ===

impl ResourceType {
    /// Every type in push order.
    pub const ALL: [ResourceType; 7] = [
        ResourceType::Cluster,
        ResourceType::Endpoints,
        ResourceType::Secret,
        ResourceType::Listener,
        ResourceType::Route,
        ResourceType::VirtualHost,
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
            Self::VirtualHost => "type.googleapis.com/envoy.config.route.v3.VirtualHost",
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
            Self::VirtualHost => "VHDS",
            Self::NameTable => "NDS",
        }
    }

    /// Whether a client that names nothing wants everything. The other types are sent by name only.
    pub const fn is_wildcard(self) -> bool {
        match self {
            Self::Cluster | Self::Listener | Self::NameTable => true,
            Self::Endpoints | Self::Secret | Self::Route | Self::VirtualHost => false,
        }
    }

    /// Whether state-of-the-world responses must hold everything that is subscribed, because what is missing counts as removed.
    pub const fn is_full_state(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

impl ResourceType {
    /// The name of the collection that a resource belongs to, for types whose resources may be subscribed to together: of a virtual
    /// host its route configuration, which ends at the last slash (as in Envoy).
    pub fn collection(self, name: &str) -> Option<&str> {
        let (collection, _) = name.rsplit_once('/').filter(|_| self.has_collections())?;
        Some(collection)
    }

    /// Whether resources may be subscribed to together, by the name of their [collection](Self::collection).
    pub const fn has_collections(self) -> bool {
        matches!(self, Self::VirtualHost)
    }

    /// Whether state-of-the-world streams serve the type. Envoy discovers virtual hosts by delta streams only.
    pub const fn has_state_of_the_world(self) -> bool {
        !matches!(self, Self::VirtualHost)
    }

    /// Whether removals go out together with additions. A domain may pass from one virtual host to another, and a route configuration
    /// that has a domain twice is refused.
    pub const fn is_atomic(self) -> bool {
        matches!(self, Self::VirtualHost)
    }
}

/// Something for each type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PerType<T>([T; ResourceType::ALL.len()]);

// === impl PerType ===

impl<T> PerType<T> {
    pub(crate) fn new(make: impl FnMut(ResourceType) -> T) -> Self {
        Self(ResourceType::ALL.map(make))
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "there is one element for each type"
    )]
    pub(crate) fn get(&self, kind: ResourceType) -> &T {
        &self.0[kind.index()]
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "there is one element for each type"
    )]
    pub(crate) fn get_mut(&mut self, kind: ResourceType) -> &mut T {
        &mut self.0[kind.index()]
    }
}

impl<T: Default> Default for PerType<T> {
    fn default() -> Self {
        Self::new(|_| T::default())
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}
