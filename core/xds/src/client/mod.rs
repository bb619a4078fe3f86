//! The client's side of a delta stream, without I/O.
//!
//! ```text
//! connect --> next_request --> (stream) --> receive --> Event::Changed --> config
//!                  ^                           |
//!                  +------- ACK, NACK, wants --+
//! ```
//!
//! The client wants all clusters, listeners and names, and by name the endpoints of its clusters, the routes of its listeners, and the
//! secrets that the caller tells.
//! Each resource is applied or refused on its own; of a refused one the last good version stays. A new cluster counts once its
//! endpoints are known, a changed listener once its routes are. What was received survives the stream: after a reconnect only changes
//! come.

mod store;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use mesh_ir::{Listener, Network, ProxyConfig, Routes};

use crate::ResourceType;
use crate::discovery::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Resource as Wire, Status,
};
use crate::resource::{self, Resource};
use store::Store;

/// gRPC's code for refused content.
const INVALID_ARGUMENT: i32 = 3;

/// Longest text of a refusal.
const MESSAGE_LIMIT: usize = 16 * 1024;

/// The types that are wanted as a whole.
const WILDCARDS: [ResourceType; 3] = [
    ResourceType::Cluster,
    ResourceType::Listener,
    ResourceType::NameTable,
];

/// The client's side of delta streams, over reconnects.
#[derive(Debug)]
pub struct Client {
    node: Node,
    stores: BTreeMap<ResourceType, Store>,
    outbox: VecDeque<DeltaDiscoveryRequest>,
    /// Whether something was applied since the last [`Event::Changed`].
    dirty: bool,
}

/// What became of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// [`Client::config`] is complete and differs from before.
    Changed,
    /// A resource was refused; its last good version stays, if there is one.
    Refused {
        /// Its type.
        kind: ResourceType,
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A response of an unknown type was ignored.
    UnknownType(String),
}

// === impl Client ===

impl Client {
    /// A client that has nothing yet.
    pub fn new(node: Node) -> Self {
        Self {
            node,
            stores: ResourceType::ALL
                .into_iter()
                .map(|kind| (kind, Store::default()))
                .collect(),
            outbox: VecDeque::new(),
            dirty: false,
        }
    }

    /// Begins a stream: requests of an earlier one are forgotten, what is known is told.
    pub fn connect(&mut self) {
        self.outbox.clear();
        for (kind, store) in &self.stores {
            let names = if WILDCARDS.contains(kind) {
                vec!["*".to_owned()]
            } else {
                store.wanted.iter().map(ToString::to_string).collect()
            };
            if names.is_empty() {
                continue;
            }
            self.outbox.push_back(DeltaDiscoveryRequest {
                node: self.outbox.is_empty().then(|| self.node.clone()),
                type_url: kind.type_url().to_owned(),
                resource_names_subscribe: names,
                initial_resource_versions: store.versions(),
                ..DeltaDiscoveryRequest::default()
            });
        }
    }

    /// Sets the names of the secrets that are wanted; nothing else that is received says which those are. [`Self::is_settled`] waits for
    /// them, as for everything that was asked for.
    pub fn want_secrets<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.want(
            ResourceType::Secret,
            names.into_iter().map(Arc::from).collect(),
        );
    }

    /// The next request to send, if there is one now.
    pub fn next_request(&mut self) -> Option<DeltaDiscoveryRequest> {
        self.outbox.pop_front()
    }

    /// Takes a response.
    pub fn receive(&mut self, response: DeltaDiscoveryResponse) -> Vec<Event> {
        self.receive_with(response, |kind, any| {
            resource::decode(kind, any).map_err(|error| error.to_string())
        })
    }

    /// Takes a response, with a decoder that may refuse more than [`resource::decode`] does. It returns the reason.
    pub fn receive_with(
        &mut self,
        response: DeltaDiscoveryResponse,
        mut decode: impl FnMut(ResourceType, &[u8]) -> Result<Resource, String>,
    ) -> Vec<Event> {
        let DeltaDiscoveryResponse {
            system_version_info: _,
            resources,
            type_url,
            nonce,
            removed_resources,
            control_plane: _,
        } = response;
        let Some(kind) = ResourceType::from_type_url(&type_url) else {
            return vec![Event::UnknownType(type_url)];
        };
        self.keep_ready(kind, &resources);
        let store = self.stores.entry(kind).or_default();
        store.answered_all = true;
        let mut refused = vec![];
        for wire in resources {
            let Wire {
                version,
                resource,
                name,
            } = wire;
            if !store.is_wanted(kind, &name) {
                // On its way while the subscription ended.
                continue;
            }
            let decoded = decode(kind, &resource).and_then(|value| match value.name() {
                // Istio's name tables have no name.
                inner if inner == name || kind == ResourceType::NameTable => Ok(value),
                inner => Err(format!("the resource calls itself {inner:?}")),
            });
            match decoded {
                Ok(value) => self.dirty |= store.insert(name.into(), version, value),
                Err(reason) => {
                    // It is known that it exists, even if it cannot be used.
                    store.answered.insert(name.as_str().into());
                    refused.push((name, reason));
                }
            }
        }
        for name in removed_resources {
            self.dirty |= store.remove(&name);
        }
        self.refresh_wants(kind);
        self.outbox.push_back(DeltaDiscoveryRequest {
            type_url,
            response_nonce: nonce,
            error_detail: refusal(&refused),
            ..DeltaDiscoveryRequest::default()
        });
        let mut events: Vec<Event> = refused
            .into_iter()
            .map(|(name, reason)| Event::Refused { kind, name, reason })
            .collect();
        if self.dirty && self.is_settled() {
            self.dirty = false;
            self.settle();
            events.push(Event::Changed);
        }
        events
    }

    /// Whether everything that was asked for has been answered, and so [`Self::config`] is complete.
    pub fn is_settled(&self) -> bool {
        let answered_all = [ResourceType::Cluster, ResourceType::Listener]
            .iter()
            .all(|kind| self.store(*kind).is_some_and(|store| store.answered_all));
        answered_all && self.unanswered().next().is_none()
    }

    /// What was asked for and is not answered, for logs.
    pub fn unanswered(&self) -> impl Iterator<Item = (ResourceType, &Arc<str>)> {
        self.stores
            .iter()
            .flat_map(|(kind, store)| store.unanswered().map(|name| (*kind, name)))
    }

    /// The configuration: the last good version of everything that is complete. Valid at any time; clusters and listeners that still
    /// wait for endpoints or routes are left out, or there in their version before.
    pub fn config(&self) -> ProxyConfig {
        let mut config = ProxyConfig::default();
        for store in self.stores.values() {
            for stored in store.resources.values() {
                let value = match &stored.before {
                    _ if self.is_ready(&stored.value) => &stored.value,
                    Some(before) if self.is_ready(before) => before,
                    _ => continue,
                };
                match value.clone() {
                    Resource::Cluster(value) => config.clusters.push(value),
                    Resource::Endpoints(value) => config.endpoints.push(value),
                    Resource::Secret(value) => config.secrets.push(value),
                    Resource::Listener(value) => config.listeners.push(value),
                    Resource::Route(value) => config.routes.push(value),
                    Resource::NameTable(value) => config.names = value,
                }
            }
        }
        config
    }

    /// The version of each good resource of a type.
    pub fn versions(&self, kind: ResourceType) -> BTreeMap<String, String> {
        self.store(kind).map(Store::versions).unwrap_or_default()
    }

    /// The version of one good resource.
    pub fn version(&self, kind: ResourceType, name: &str) -> Option<&str> {
        let stored = self.store(kind)?.resources.get(name)?;
        Some(&stored.version)
    }

    /// How many good resources of a type there are.
    pub fn count(&self, kind: ResourceType) -> usize {
        self.store(kind).map_or(0, |store| store.resources.len())
    }

    fn store(&self, kind: ResourceType) -> Option<&Store> {
        self.stores.get(&kind)
    }

    /// Keeps versions that are in use while newer ones, which are about to be stored, wait.
    fn keep_ready(&mut self, kind: ResourceType, resources: &[Wire]) {
        if kind != ResourceType::Listener {
            return;
        }
        let Some(store) = self.store(kind) else {
            return;
        };
        let ready: Vec<(Arc<str>, Resource)> = resources
            .iter()
            .filter_map(|wire| store.resources.get_key_value(wire.name.as_str()))
            .filter(|(_, stored)| self.is_ready(&stored.value))
            .map(|(name, stored)| (name.clone(), stored.value.clone()))
            .collect();
        let store = self.stores.entry(kind).or_default();
        for (name, value) in ready {
            if let Some(stored) = store.resources.get_mut(&name) {
                stored.before = Some(value);
            }
        }
    }

    /// Whether what a resource refers to has been answered.
    fn is_ready(&self, value: &Resource) -> bool {
        let answered = |kind, name: &str| {
            self.store(kind)
                .is_some_and(|store| store.answered.contains(name))
        };
        match value {
            Resource::Cluster(cluster) => match cluster.kind {
                mesh_ir::ClusterKind::Eds => answered(ResourceType::Endpoints, &cluster.name),
                _ => true,
            },
            Resource::Listener(listener) => {
                route_names(listener).all(|name| answered(ResourceType::Route, name))
            }
            _ => true,
        }
    }

    /// Versions that were kept for the time of waiting are no longer needed.
    fn settle(&mut self) {
        for store in self.stores.values_mut() {
            for stored in store.resources.values_mut() {
                stored.before = None;
            }
        }
        self.refresh_wants(ResourceType::Listener);
    }

    /// Subscribes to what new resources of a type refer to, and unsubscribes from what nothing refers to any more.
    fn refresh_wants(&mut self, kind: ResourceType) {
        match kind {
            ResourceType::Cluster => self.want(ResourceType::Endpoints, self.wanted_endpoints()),
            ResourceType::Listener => self.want(ResourceType::Route, self.wanted_routes()),
            _ => {}
        }
    }

    fn want(&mut self, target: ResourceType, wanted: BTreeSet<Arc<str>>) {
        let store = self.stores.entry(target).or_default();
        let (subscribe, unsubscribe) = store.want(wanted);
        if subscribe.is_empty() && unsubscribe.is_empty() {
            return;
        }
        self.outbox.push_back(DeltaDiscoveryRequest {
            type_url: target.type_url().to_owned(),
            resource_names_subscribe: subscribe,
            resource_names_unsubscribe: unsubscribe,
            ..DeltaDiscoveryRequest::default()
        });
    }

    fn wanted_endpoints(&self) -> BTreeSet<Arc<str>> {
        self.values(ResourceType::Cluster)
            .filter_map(|value| match value {
                Resource::Cluster(cluster) if cluster.kind == mesh_ir::ClusterKind::Eds => {
                    Some(cluster.name.clone())
                }
                _ => None,
            })
            .collect()
    }

    fn wanted_routes(&self) -> BTreeSet<Arc<str>> {
        self.values(ResourceType::Listener)
            .filter_map(|value| match value {
                Resource::Listener(listener) => Some(listener),
                _ => None,
            })
            .flat_map(|listener| route_names(listener).cloned())
            .collect()
    }

    /// The values of a type with those that are kept while new ones wait.
    fn values(&self, kind: ResourceType) -> impl Iterator<Item = &Resource> {
        self.store(kind)
            .into_iter()
            .flat_map(|store| store.resources.values())
            .flat_map(|stored| std::iter::once(&stored.value).chain(&stored.before))
    }
}

/// Names of the route tables that a listener discovers.
fn route_names(listener: &Listener) -> impl Iterator<Item = &Arc<str>> {
    listener
        .chains
        .iter()
        .chain(&listener.default_chain)
        .filter_map(|chain| match &chain.network {
            Network::Http(http) => match &http.routes {
                Routes::Discovered(name) => Some(name),
                Routes::Inline(_) => None,
            },
            Network::Tcp(_) => None,
        })
}

/// The error of a NACK: each refused resource by its name. None for an ACK.
fn refusal(refused: &[(String, String)]) -> Option<Status> {
    if refused.is_empty() {
        return None;
    }
    let mut message = String::new();
    for (index, (name, reason)) in refused.iter().enumerate() {
        if message.len() + name.len() + reason.len() > MESSAGE_LIMIT {
            let rest = refused.len() - index;
            message.push_str(&format!("; and {rest} more"));
            break;
        }
        let separator = if index == 0 { "" } else { "; " };
        message.push_str(&format!("{separator}\"{name}\": {reason}"));
    }
    Some(Status {
        code: INVALID_ARGUMENT,
        message,
    })
}
