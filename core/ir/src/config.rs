//! What one kind of proxy must do, as shared values: proxies whose scopes lead to the same resource hold the same `Arc`.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::names::virtual_host_resource;
use crate::{
    Cluster, Endpoints, LayerEdit, Listener, NameTable, RouteConfig, Secret, Table, VirtualHost,
};

/// Values that configurations share as a whole: one that follows another has the very same list where nothing in it is different.
pub type List<T> = Arc<[Arc<T>]>;

/// The result of translation: every list is sorted by name and free of duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyConfig {
    /// Where to listen and what to do with connections.
    pub listeners: List<Listener>,
    /// Route tables that listeners name.
    pub routes: List<RouteConfig>,
    /// Upstreams.
    pub clusters: List<Cluster>,
    /// Endpoints of the clusters that discover them.
    pub endpoints: List<Endpoints>,
    /// Keys and certificates that listeners or clusters name.
    pub secrets: List<Secret>,
    /// Addresses of host names, by the namespaces of their services.
    pub names: List<NameTable>,
}

/// What one kind of proxy must do as tables of layers, in which proxies share what they have alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyTables {
    /// Where to listen and what to do with connections.
    pub listeners: Table<Listener>,
    /// Route tables that listeners name. Virtual hosts that lie in `virtual_hosts` are not repeated in them.
    pub routes: Table<RouteConfig>,
    /// Virtual hosts by [`virtual_host_resource`]. Domains of one route table do
    /// not overlap.
    pub virtual_hosts: Table<VirtualHost>,
    /// Upstreams.
    pub clusters: Table<Cluster>,
    /// Endpoints of the clusters that discover them, by the names of those.
    pub endpoints: Table<Endpoints>,
    /// Keys and certificates that listeners or clusters name.
    pub secrets: Table<Secret>,
    /// Addresses of host names, by the namespaces of their services.
    pub names: Table<NameTable>,
}

/// The configuration object that a route or cluster came from, for `VIRTUAL SERVICE` columns and explanations.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigRef {
    /// API group and version, `networking.istio.io/v1alpha3` (the one Istio writes into its metadata).
    pub api_version: Arc<str>,
    /// Kind in kebab case, `virtual-service`.
    pub kind: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

// === impl ProxyTables ===

impl ProxyTables {
    /// Lists as tables of one layer each. Layers that are as they were in `before` are the very same.
    pub fn of(config: &ProxyConfig, before: Option<&Self>) -> Self {
        let ProxyConfig {
            listeners,
            routes,
            clusters,
            endpoints,
            secrets,
            names,
        } = config;
        let none = Self::default();
        let before = before.unwrap_or(&none);
        Self {
            listeners: table(listeners, &before.listeners, |listener| &listener.name),
            routes: table(routes, &before.routes, |routes| &routes.name),
            virtual_hosts: Table::default(),
            clusters: table(clusters, &before.clusters, |cluster| &cluster.name),
            endpoints: table(endpoints, &before.endpoints, |endpoints| &endpoints.cluster),
            secrets: table(secrets, &before.secrets, |secret| &secret.name),
            names: table(names, &before.names, |names| &names.namespace),
        }
    }

    /// The tables with the layers of others over them.
    pub fn over(&self, above: &Self) -> Self {
        Self {
            listeners: over(&self.listeners, &above.listeners),
            routes: over(&self.routes, &above.routes),
            virtual_hosts: over(&self.virtual_hosts, &above.virtual_hosts),
            clusters: over(&self.clusters, &above.clusters),
            endpoints: over(&self.endpoints, &above.endpoints),
            secrets: over(&self.secrets, &above.secrets),
            names: over(&self.names, &above.names),
        }
    }

    /// The whole as lists.
    pub fn to_config(&self) -> ProxyConfig {
        ProxyConfig {
            listeners: list(&self.listeners),
            routes: self
                .routes
                .iter()
                .map(|(_, routes, _)| self.whole_routes(routes))
                .collect(),
            clusters: list(&self.clusters),
            endpoints: list(&self.endpoints),
            secrets: list(&self.secrets),
            names: list(&self.names),
        }
    }

    /// The virtual hosts of a route table that are resources of their own, in the order of their names.
    pub fn virtual_hosts_of(&self, routes: &str) -> impl Iterator<Item = &Arc<VirtualHost>> {
        let prefix = virtual_host_resource(routes, "");
        self.virtual_hosts
            .iter_from(&prefix)
            .map_while(move |(name, host, _)| name.starts_with(&*prefix).then_some(host))
    }

    /// A route table with all its virtual hosts; those that take any domain come last.
    pub fn whole_routes(&self, routes: &Arc<RouteConfig>) -> Arc<RouteConfig> {
        if !routes.discovers_virtual_hosts {
            return routes.clone();
        }
        let own = routes.virtual_hosts.iter();
        Arc::new(routes.with_all(self.virtual_hosts_of(&routes.name).chain(own)))
    }
}

impl From<&ProxyConfig> for ProxyTables {
    /// Tables of one layer, with whole route tables.
    fn from(config: &ProxyConfig) -> Self {
        Self::of(config, None)
    }
}

fn table<T: Hash + Eq>(
    values: &[Arc<T>],
    before: &Table<T>,
    name: impl Fn(&T) -> &Arc<str>,
) -> Table<T> {
    if values.is_empty() {
        return Table::default();
    }
    let before = before.layers().first().cloned().unwrap_or_default();
    let mut edit = LayerEdit::new(&before);
    let names: BTreeSet<&Arc<str>> = values.iter().map(|value| name(value)).collect();
    for (gone, _) in before.iter().filter(|(known, _)| !names.contains(known)) {
        edit.remove(gone);
    }
    for value in values {
        edit.put(name(value).clone(), value.clone());
    }
    Table::new(edit.finish())
}

fn over<T>(below: &Table<T>, above: &Table<T>) -> Table<T> {
    let layers = above.layers().iter();
    layers.fold(below.clone(), |table, layer| table.over(layer.clone()))
}

fn list<T>(table: &Table<T>) -> List<T> {
    table.iter().map(|(_, value, _)| value.clone()).collect()
}

impl fmt::Display for ConfigRef {
    /// The path form that Istio stores under `filter_metadata.istio.config`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            api_version,
            kind,
            namespace,
            name,
        } = self;
        write!(
            f,
            "/apis/{api_version}/namespaces/{namespace}/{kind}/{name}"
        )
    }
}

impl std::str::FromStr for ConfigRef {
    type Err = InvalidConfigRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [
                "",
                "apis",
                group,
                version,
                "namespaces",
                namespace,
                kind,
                name,
            ] => Ok(Self {
                api_version: [*group, *version].join("/").into(),
                kind: (*kind).into(),
                namespace: (*namespace).into(),
                name: (*name).into(),
            }),
            _ => Err(InvalidConfigRef(text.to_owned())),
        }
    }
}

/// Why a string does not name a configuration object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form /apis/GROUP/VERSION/namespaces/NAMESPACE/KIND/NAME")]
pub struct InvalidConfigRef(pub String);
