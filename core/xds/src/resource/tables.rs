//! What is encoded: values of each type in layers, as translation shares them between proxies.

use std::sync::Arc;

use mesh_ir::names::virtual_host_resource;
use mesh_ir::{
    Cluster, Endpoints, Layer, LayerEdit, Listener, NameTable, ProxyConfig, ProxyTables,
    RouteConfig, Secret, Table, VirtualHost,
};
use rustc_hash::FxHashSet;

use super::XdsResource;

/// A configuration of lists as one layer for each type. The next one is made from it, so that what stays is known to have stayed.
#[derive(Clone, Debug, Default)]
pub struct ConfigLayers {
    listeners: Arc<Layer<Listener>>,
    routes: Arc<Layer<RouteConfig>>,
    virtual_hosts: Arc<Layer<VirtualHost>>,
    clusters: Arc<Layer<Cluster>>,
    endpoints: Arc<Layer<Endpoints>>,
    secrets: Arc<Layer<Secret>>,
    names: Arc<Layer<NameTable>>,
}

/// How a client gets the virtual hosts of a route table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VirtualHosts {
    /// With the table.
    Inline,
    /// One by one (VHDS).
    Discovered,
}

fn over<T>(table: &Table<T>, layer: &Arc<Layer<T>>) -> Table<T> {
    if layer.is_empty() {
        return table.clone();
    }
    table.over(layer.clone())
}

// === impl ConfigLayers ===

impl ConfigLayers {
    /// Tables with these layers over them.
    pub fn over(&self, below: &ProxyTables) -> ProxyTables {
        ProxyTables {
            listeners: over(&below.listeners, &self.listeners),
            routes: over(&below.routes, &self.routes),
            virtual_hosts: over(&below.virtual_hosts, &self.virtual_hosts),
            clusters: over(&below.clusters, &self.clusters),
            endpoints: over(&below.endpoints, &self.endpoints),
            secrets: over(&below.secrets, &self.secrets),
            names: over(&below.names, &self.names),
        }
    }

    /// The layers of the next configuration; where nothing has changed, the very same ones. `hosts` says of each route table how its
    /// virtual hosts are to be sent.
    pub fn next(&self, config: &ProxyConfig, hosts: impl Fn(&RouteConfig) -> VirtualHosts) -> Self {
        let ProxyConfig {
            listeners,
            routes,
            clusters,
            endpoints,
            secrets,
            names,
        } = config;
        let mut heads = Vec::with_capacity(routes.len());
        let mut discovered = Vec::new();
        for routes in &**routes {
            if hosts(routes) == VirtualHosts::Inline {
                heads.push(routes.clone());
                continue;
            }
            heads.push(Arc::new(head(routes)));
            discovered.extend(routes.virtual_hosts.iter().map(|host| {
                let name = virtual_host_resource(&routes.name, &host.name);
                (name, host.clone())
            }));
        }
        Self {
            listeners: follow(&self.listeners, named(listeners)),
            routes: follow(&self.routes, named(&heads)),
            virtual_hosts: follow(&self.virtual_hosts, discovered),
            clusters: follow(&self.clusters, named(clusters)),
            endpoints: follow(&self.endpoints, named(endpoints)),
            secrets: follow(&self.secrets, named(secrets)),
            names: follow(&self.names, named(names)),
        }
    }
}

/// A route table that leaves its virtual hosts to discovery.
fn head(routes: &RouteConfig) -> RouteConfig {
    RouteConfig {
        name: routes.name.clone(),
        virtual_hosts: Vec::new(),
        discovers_virtual_hosts: true,
        ignore_port_in_host: routes.ignore_port_in_host,
    }
}

fn named<T: XdsResource>(values: &[Arc<T>]) -> Vec<(Arc<str>, Arc<T>)> {
    let values = values.iter();
    values
        .map(|value| (value.name().into(), value.clone()))
        .collect()
}

/// The layer of these values, made from an earlier one.
fn follow<T: std::hash::Hash + Eq>(
    earlier: &Arc<Layer<T>>,
    values: Vec<(Arc<str>, Arc<T>)>,
) -> Arc<Layer<T>> {
    let mut edit = LayerEdit::new(earlier);
    let there: FxHashSet<Arc<str>> = values.iter().map(|(name, _)| name.clone()).collect();
    for (name, value) in values {
        edit.put(name, value);
    }
    for (name, _) in earlier.iter() {
        if !there.contains(name) {
            edit.remove(name);
        }
    }
    edit.finish()
}
