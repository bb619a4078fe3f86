//! Patches of a proxy's configuration in the form of Envoy's messages (`EnvoyFilter`). They are laid over what is encoded, last of all.
//!
//! A value is an encoded message: what it means is no matter of the mesh. Which objects select a proxy is already resolved.

use std::sync::Arc;

use crate::{ConfigRef, ProxyKind, version_of};

/// The patches of a proxy, in the order in which they are applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PatchSet {
    kind: ProxyKind,
    patches: Vec<Patch>,
}

/// One patch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Patch {
    /// Which traffic of which kind of proxy; none is any.
    pub context: Option<PatchContext>,
    /// What is patched.
    pub target: PatchTarget,
    /// How.
    pub operation: PatchOperation,
    /// The encoded message of the target's type; empty for removals.
    pub value: Arc<[u8]>,
    /// Where it is written.
    pub origin: ConfigRef,
}

/// Which traffic of which kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatchContext {
    /// To the workload of a sidecar.
    SidecarInbound,
    /// From the workload of a sidecar.
    SidecarOutbound,
    /// Through a gateway.
    Gateway,
}

/// What is patched, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PatchTarget {
    /// Listeners.
    Listener(ListenerPatch),
    /// Chains of listeners.
    FilterChain(ListenerPatch),
    /// What finds out about connections before a chain is chosen.
    ListenerFilter(ListenerPatch),
    /// Network filters of chains.
    NetworkFilter(ListenerPatch),
    /// HTTP filters of chains that serve HTTP.
    HttpFilter(ListenerPatch),
    /// Route tables.
    RouteConfiguration(RoutePatch),
    /// Virtual hosts of route tables.
    VirtualHost(RoutePatch),
    /// Routes of virtual hosts.
    HttpRoute(RoutePatch),
    /// Clusters.
    Cluster(ClusterPatch),
}

/// What is done with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatchOperation {
    /// It is laid over what is there.
    Merge,
    /// It is added at the end.
    Add,
    /// What is there is removed.
    Remove,
    /// It is put before what is there.
    InsertBefore,
    /// It is put behind what is there.
    InsertAfter,
    /// It is put before all others.
    InsertFirst,
    /// It replaces what is there.
    Replace,
}

/// Which listeners, and what in them; what is not said is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListenerPatch {
    /// Name.
    pub name: Option<Arc<str>>,
    /// Port of its address, or in the listeners of captured traffic that of the chain.
    pub port: Option<u32>,
    /// Chains.
    pub chain: ChainPatch,
    /// Name of a listener filter.
    pub listener_filter: Option<Arc<str>>,
    /// Name of a network filter.
    pub filter: Option<Arc<str>>,
    /// Name of an HTTP filter.
    pub http_filter: Option<Arc<str>>,
}

/// Which chains; what is not said is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChainPatch {
    /// Name.
    pub name: Option<Arc<str>>,
    /// One of its server names.
    pub server_name: Option<Arc<str>>,
    /// Its transport.
    pub transport: Option<Arc<str>>,
    /// Protocols, all of which it has.
    pub application_protocols: Vec<Arc<str>>,
    /// Its destination port.
    pub destination_port: Option<u32>,
}

/// Which route tables, and what in them; what is not said is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RoutePatch {
    /// Name.
    pub name: Option<Arc<str>>,
    /// Port of the service, or of the gateway's server.
    pub port: Option<u32>,
    /// Name of the gateway's port.
    pub port_name: Option<Arc<str>>,
    /// Gateway, `NAMESPACE/NAME`.
    pub gateway: Option<Arc<str>>,
    /// Name of virtual hosts.
    pub host: Option<Arc<str>>,
    /// A domain of virtual hosts.
    pub domain: Option<Arc<str>>,
    /// Routes; none if they are not told apart.
    pub route: Option<RouteNamePatch>,
}

/// Which routes; what is not said is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteNamePatch {
    /// Name.
    pub name: Option<Arc<str>>,
    /// What they do.
    pub action: Option<RouteActionKind>,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteActionKind {
    /// It forwards.
    Forward,
    /// It redirects.
    Redirect,
    /// It answers.
    Direct,
}

/// Which clusters; what is not said is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClusterPatch {
    /// Name. The rest does not count where it is said.
    pub name: Option<Arc<str>>,
    /// Port of the service.
    pub port: Option<u32>,
    /// Host of the service.
    pub service: Option<Arc<str>>,
    /// Subset of the service.
    pub subset: Option<Arc<str>>,
}

// === impl PatchSet ===

impl PatchSet {
    /// The patches of a kind of proxy.
    pub fn new(kind: ProxyKind, patches: Vec<Patch>) -> Self {
        Self { kind, patches }
    }

    /// Whose they are.
    pub fn kind(&self) -> ProxyKind {
        self.kind
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.patches.is_empty()
    }

    /// All in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Patch> {
        self.patches.iter()
    }

    /// Those that are for a context.
    pub fn of(&self, context: PatchContext) -> impl Iterator<Item = &Patch> {
        let fits = move |patch: &&Patch| patch.context.is_none_or(|wanted| wanted == context);
        self.iter().filter(fits)
    }

    /// A hash of them all.
    pub fn version(&self) -> u64 {
        version_of(self)
    }
}
