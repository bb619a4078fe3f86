//! Which objects proxies refuse: a refused resource is looked up in the configuration of its proxy, which says what object it comes
//! from.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::resource::{Kind, ResourceKey};
use mesh_ir::{ConfigRef, ProxyConfig};
use mesh_xds::ResourceType;

use crate::ads::{Connection, Connections};
use crate::publish::Published;

/// Proxies that are looked at in one round; the same resource is usually refused by all of its kind.
const MOST_PROXIES: usize = 16;
/// Sentences about one object.
const MOST_SENTENCES: usize = 4;

/// What proxies say about objects.
pub type Refusals = BTreeMap<ResourceKey, Vec<String>>;

/// What the connected proxies refuse now, by the object that it comes from.
pub fn refusals(published: &Published, connections: &Connections) -> Refusals {
    let mut refusals = Refusals::new();
    let proxies = connections.proxies();
    let refusing = proxies
        .iter()
        .filter(|(_, connection)| refuses(connection))
        .take(MOST_PROXIES);
    for (proxy, connection) in refusing {
        let config = published
            .translator
            .translate(&connection.node.scope())
            .config;
        for (kind, status) in &connection.progress().types {
            for (name, refusal) in &status.refused {
                let sentence = format!(
                    "proxy {proxy} refuses {} {name}: {}",
                    kind.short(),
                    refusal.reason
                );
                for key in origins(&config, *kind, name) {
                    let about = refusals.entry(key).or_default();
                    if about.len() < MOST_SENTENCES {
                        about.push(sentence.clone());
                    }
                }
            }
        }
    }
    refusals
}

fn refuses(connection: &Arc<Connection>) -> bool {
    let types = connection.progress().types;
    types.values().any(|status| !status.refused.is_empty())
}

/// The objects that a resource comes from.
fn origins(config: &ProxyConfig, kind: ResourceType, name: &str) -> Vec<ResourceKey> {
    let mut found: Vec<ResourceKey> = match kind {
        ResourceType::Cluster => {
            let clusters = config
                .clusters
                .iter()
                .filter(|cluster| &*cluster.name == name);
            clusters
                .filter_map(|cluster| key(cluster.origin.as_ref()?))
                .collect()
        }
        ResourceType::Route => {
            let tables = config.routes.iter().filter(|table| &*table.name == name);
            let hosts = tables.flat_map(|table| &table.virtual_hosts);
            let routes = hosts.flat_map(|host| &host.routes);
            routes
                .filter_map(|route| key(route.origin.as_ref()?))
                .collect()
        }
        _ => Vec::new(),
    };
    found.sort();
    found.dedup();
    found
}

/// `virtual-service` is the kind `VirtualService`.
fn key(origin: &ConfigRef) -> Option<ResourceKey> {
    let name: String = origin.kind.split('-').collect();
    let group = origin.api_version.split('/').next().unwrap_or_default();
    let kind = Kind::all()
        .find(|kind| kind.row().group() == group && kind.name().eq_ignore_ascii_case(&name))?;
    Some(ResourceKey {
        kind,
        namespace: origin.namespace.clone(),
        name: origin.name.clone(),
    })
}
