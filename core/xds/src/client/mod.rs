//! The client's side of a delta stream, without I/O.
//!
//! ```text
//! connect --> next_request --> (stream) --> receive --> Event::Changed --> config
//!                  ^                           |
//!                  +------- ACK, NACK, wants --+
//! ```
//!
//! The client wants all clusters, listeners and names, and by name the endpoints of its clusters, the routes of its listeners, the
//! virtual hosts of routes that do not have them, and the secrets of listeners and clusters but for those of the mesh's own certificates,
//! which come from the proxy's agent.
//! Each resource is applied or refused on its own; of a refused one the last good version stays. A new cluster counts once its
//! endpoints are known, a changed listener once its routes and secrets are, a route table once its virtual hosts are. What was received survives
//! the stream: after a reconnect only changes come.
//!
//! A configuration is complete when everything that was asked for is answered. A server that never answers a name holds this up for a
//! limited time only. Time is what has passed since some moment that the caller chooses, and never goes backwards.

mod lists;
mod store;
mod tables;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::names::{ROOT_CERTIFICATES, WORKLOAD_CERTIFICATE};
use mesh_ir::{Listener, Network, Routes};

use crate::ResourceType;
use crate::discovery::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Resource as Wire, Status,
};
use crate::resource::{self, Resource};
use lists::Lists;
use store::Store;
use tables::Tables;

/// gRPC's code for refused content.
const INVALID_ARGUMENT: i32 = 3;

/// Longest text of a refusal.
const MESSAGE_LIMIT: usize = 16 * 1024;

/// How long the first configuration waits for a name that the server does not answer. A server that many clients return to at once
/// lets them wait before it answers anything.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long later changes wait for a name that the server does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// Whether there was a complete configuration.
    had_config: bool,
    tables: Tables,
    lists: Lists,
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
                .map(|kind| (kind, Store::new(kind)))
                .collect(),
            outbox: VecDeque::new(),
            dirty: false,
            had_config: false,
            tables: Tables::default(),
            lists: Lists::default(),
        }
    }

    /// Begins a stream: requests of an earlier one are forgotten, what is known is told.
    pub fn connect(&mut self, now: Duration) {
        self.outbox.clear();
        for (kind, store) in &mut self.stores {
            store.wait_again(now);
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

    /// The next request to send, if there is one now.
    pub fn next_request(&mut self) -> Option<DeltaDiscoveryRequest> {
        self.outbox.pop_front()
    }

    /// Takes a response.
    pub fn receive(&mut self, response: DeltaDiscoveryResponse, now: Duration) -> Vec<Event> {
        self.receive_with(response, now, |kind, any| {
            resource::decode(kind, any).map_err(|error| error.to_string())
        })
    }

    /// Takes a response, with a decoder that may refuse more than [`resource::decode`] does. It returns the reason.
    pub fn receive_with(
        &mut self,
        response: DeltaDiscoveryResponse,
        now: Duration,
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
        let store = store_mut(&mut self.stores, kind);
        store.answered_all = true;
        let mut refused = vec![];
        for wire in resources {
            let Wire {
                version,
                resource,
                name,
            } = wire;
            if !store.is_wanted(&name) {
                // On its way while the subscription ended.
                continue;
            }
            let decoded = decode(kind, &resource).and_then(|value| match value.name() {
                // Istio's name tables have no name.
                inner if inner == name || kind == ResourceType::NameTable => Ok(value),
                inner => Err(format!("the resource calls itself {inner:?}")),
            });
            match decoded {
                Ok(value) => {
                    if let Some(table) = table_of(kind, &name) {
                        self.tables.note(table);
                    }
                    if store.insert(name.into(), version, value) {
                        self.dirty = true;
                        self.lists.note(kind);
                    }
                }
                Err(reason) => {
                    // It is known that it exists, even if it cannot be used.
                    store.note_answered(&name);
                    refused.push((name, reason));
                }
            }
        }
        for name in removed_resources {
            if let Some(table) = table_of(kind, &name) {
                self.tables.note(table);
            }
            if store.remove(&name) {
                self.dirty = true;
                self.lists.note(kind);
            }
        }
        self.note_readiness(kind);
        self.refresh_wants(kind, now);
        self.complete_tables();
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
        events.extend(self.change(now));
        events
    }

    /// When [`Self::give_up`] has something to do, unless responses come first.
    pub fn deadline(&self) -> Option<Duration> {
        let since = self
            .stores
            .values()
            .filter_map(Store::waiting_since)
            .min()?;
        Some(since + self.answer_timeout())
    }

    /// Waits no longer for names that the server has not answered in time; to be called at the [`deadline`](Self::deadline). What
    /// refers to them stays out of the configuration, or in the version before, until they are answered.
    pub fn give_up(&mut self, now: Duration) -> Option<Event> {
        if let Some(asked_before) = now.checked_sub(self.answer_timeout()) {
            for store in self.stores.values_mut() {
                store.give_up(asked_before);
            }
        }
        self.change(now)
    }

    fn answer_timeout(&self) -> Duration {
        if self.had_config {
            ANSWER_TIMEOUT
        } else {
            FIRST_ANSWER_TIMEOUT
        }
    }

    /// The event of a configuration that is complete and new.
    fn change(&mut self, now: Duration) -> Option<Event> {
        if !self.dirty || !self.is_settled() {
            return None;
        }
        self.dirty = false;
        self.had_config = true;
        self.settle(now);
        Some(Event::Changed)
    }

    /// Whether nothing is waited for any more, and so [`Self::config`] is complete.
    pub fn is_settled(&self) -> bool {
        let answered_all = [ResourceType::Cluster, ResourceType::Listener]
            .iter()
            .all(|kind| self.store(*kind).is_some_and(|store| store.answered_all));
        answered_all && !self.stores.values().any(Store::is_waiting)
    }

    /// What was asked for and is not answered, for logs.
    pub fn unanswered(&self) -> impl Iterator<Item = (ResourceType, &Arc<str>)> {
        self.stores
            .iter()
            .flat_map(|(kind, store)| store.unanswered().map(|name| (*kind, name)))
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
        if !matches!(kind, ResourceType::Listener | ResourceType::Route) {
            return;
        }
        let Some(store) = self.store(kind) else {
            return;
        };
        let ready: Vec<(&str, Resource)> = resources
            .iter()
            .filter_map(|wire| Some((&*wire.name, store.resources.get(wire.name.as_str())?)))
            .filter(|(_, stored)| self.is_ready(&stored.value))
            .map(|(name, stored)| (name, stored.value.clone()))
            .collect();
        let store = store_mut(&mut self.stores, kind);
        for (name, value) in ready {
            store.keep_before(name, value);
        }
    }

    /// Has the lists made again that depend on which names of a type are answered, if that is different.
    fn note_readiness(&mut self, kind: ResourceType) {
        if store_mut(&mut self.stores, kind).take_readiness_changed() {
            self.lists.note_readiness(kind);
        }
    }

    /// Whether what a resource refers to has been answered.
    fn is_ready(&self, value: &Resource) -> bool {
        let answered = |kind, name: &str| {
            self.store(kind)
                .is_some_and(|store| store.answered.contains(name))
        };
        match value {
            Resource::Cluster(cluster) => {
                let is_discovered = cluster.kind == mesh_ir::ClusterKind::Eds;
                let mut secrets = secret_names(value);
                (!is_discovered || answered(ResourceType::Endpoints, &cluster.name))
                    && secrets.all(|name| answered(ResourceType::Secret, name))
            }
            Resource::Listener(listener) => {
                let mut secrets = secret_names(value);
                route_names(listener)
                    .all(|name| answered(ResourceType::Route, name) && self.has_hosts(name))
                    && secrets.all(|name| answered(ResourceType::Secret, name))
            }
            Resource::Route(config) if config.discovers_virtual_hosts => {
                answered(ResourceType::VirtualHost, &config.name)
            }
            _ => true,
        }
    }

    /// Whether nothing is missing of a route table, if there is one.
    fn has_hosts(&self, table: &str) -> bool {
        let stored = self
            .store(ResourceType::Route)
            .and_then(|store| store.resources.get(table));
        stored.is_none_or(|stored| {
            let mut versions = std::iter::once(&stored.value).chain(&stored.before);
            versions.any(|value| self.is_ready(value))
        })
    }

    /// Brings the route tables up to date with their virtual hosts.
    fn complete_tables(&mut self) {
        let (routes, hosts) = (
            self.stores.get(&ResourceType::Route),
            self.stores.get(&ResourceType::VirtualHost),
        );
        let (Some(routes), Some(hosts)) = (routes, hosts) else {
            return;
        };
        self.tables.update(|name| {
            let (name, stored) = routes.resources.get_key_value(name)?;
            match &stored.value {
                Resource::Route(config) if config.discovers_virtual_hosts => {
                    Some((&**config, hosts.members(name)))
                }
                _ => None,
            }
        });
    }

    /// Versions that were kept for the time of waiting are no longer needed.
    fn settle(&mut self, now: Duration) {
        for (kind, store) in &mut self.stores {
            if store.forget_before() {
                self.lists.note(*kind);
            }
        }
        self.refresh_wants(ResourceType::Listener, now);
    }

    /// Subscribes to what new resources of a type refer to, and unsubscribes from what nothing refers to any more.
    fn refresh_wants(&mut self, kind: ResourceType, now: Duration) {
        if kind == ResourceType::Cluster {
            self.want(ResourceType::Endpoints, self.wanted_endpoints(), now);
        }
        if kind == ResourceType::Listener {
            self.want(ResourceType::Route, self.wanted_routes(), now);
        }
        if matches!(kind, ResourceType::Listener | ResourceType::Route) {
            self.want(ResourceType::VirtualHost, self.wanted_hosts(), now);
        }
        if matches!(kind, ResourceType::Listener | ResourceType::Cluster) {
            self.want(ResourceType::Secret, self.wanted_secrets(), now);
        }
    }

    fn want(&mut self, target: ResourceType, wanted: BTreeSet<Arc<str>>, now: Duration) {
        let (subscribe, unsubscribe) = store_mut(&mut self.stores, target).want(wanted, now);
        if subscribe.is_empty() && unsubscribe.is_empty() {
            return;
        }
        if !unsubscribe.is_empty() {
            self.lists.note(target);
            self.note_readiness(target);
        }
        if matches!(target, ResourceType::Route | ResourceType::VirtualHost) {
            for table in &unsubscribe {
                self.tables.note(table);
            }
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

    fn wanted_secrets(&self) -> BTreeSet<Arc<str>> {
        let listeners = self.values(ResourceType::Listener);
        let clusters = self.values(ResourceType::Cluster);
        listeners
            .chain(clusters)
            .flat_map(secret_names)
            .cloned()
            .collect()
    }

    /// The names of the route tables whose virtual hosts are resources of their own.
    fn wanted_hosts(&self) -> BTreeSet<Arc<str>> {
        self.values(ResourceType::Route)
            .filter_map(|value| match value {
                Resource::Route(config) if config.discovers_virtual_hosts => {
                    Some(config.name.clone())
                }
                _ => None,
            })
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

fn store_mut(stores: &mut BTreeMap<ResourceType, Store>, kind: ResourceType) -> &mut Store {
    stores.entry(kind).or_insert_with(|| Store::new(kind))
}

/// The route table that a resource belongs to.
fn table_of(kind: ResourceType, name: &str) -> Option<&str> {
    match kind {
        ResourceType::Route => Some(name),
        _ => kind.collection(name),
    }
}

/// Names of the secrets that a listener or cluster discovers, but for those that come from the proxy's agent.
fn secret_names(value: &Resource) -> impl Iterator<Item = &Arc<str>> {
    let (listener, cluster) = match value {
        Resource::Listener(listener) => (Some(listener), None),
        Resource::Cluster(cluster) => (None, Some(cluster)),
        _ => (None, None),
    };
    let chains = listener.into_iter().flat_map(|one| one.all_chains());
    let servers = chains.filter_map(|chain| Some(chain.tls.as_ref()?.sources()));
    let clients = cluster
        .into_iter()
        .filter_map(|one| one.client.tls.client());
    let sources = servers.chain(clients.map(|client| client.sources()));
    sources
        .flat_map(|sources| sources.secrets)
        .filter(|name| ![WORKLOAD_CERTIFICATE, ROOT_CERTIFICATES].contains(&&***name))
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

#[cfg(test)]
mod tests;
