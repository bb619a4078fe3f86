//! The objects that a resource of a proxy's configuration comes from.
//!
//! | resource | its objects |
//! | --- | --- |
//! | cluster, endpoints | the DestinationRule, and the ServiceEntry of its service |
//! | route table, virtual host | those of its routes |
//! | listener | those of its own routes and of the clusters it forwards to, and Gateways with a server on its port |
//! | secret | Gateways that name it as their credential |

use std::collections::BTreeSet;

use mesh_core::model::Server;
use mesh_core::resource::{Kind, ResourceKey};
use mesh_core::snapshot::{MeshGateway, Snapshot};
use mesh_ir::names::virtual_host_resource;
use mesh_ir::{
    Cluster, ConfigRef, HttpConnectionManager, Listener, Network, ProxyConfig, ProxyKind,
    RouteConfig, Routes, VirtualHost,
};
use mesh_xds::{NodeInfo, ResourceType};

/// Where it is looked.
pub(super) struct Origins<'a> {
    /// The proxy's configuration.
    pub(super) config: &'a ProxyConfig,
    /// What that was made from.
    pub(super) snapshot: &'a Snapshot,
    /// The proxy.
    pub(super) node: &'a NodeInfo,
}

type Found = BTreeSet<ResourceKey>;

impl Origins<'_> {
    /// The objects of a resource; none when they are not known.
    pub(super) fn of(&self, kind: ResourceType, name: &str) -> Found {
        let config = self.config;
        match kind {
            // Endpoints go by the name of their cluster.
            ResourceType::Cluster | ResourceType::Endpoints => self.of_clusters([name]),
            ResourceType::Route => {
                let tables = config.routes.iter().filter(|table| &*table.name == name);
                tables.flat_map(|table| of_table(table)).collect()
            }
            ResourceType::VirtualHost => self.of_virtual_host(name),
            ResourceType::Listener => {
                let all = config.listeners.iter();
                let listeners = all.filter(|listener| &*listener.name == name);
                listeners
                    .flat_map(|listener| self.of_listener(listener))
                    .collect()
            }
            ResourceType::Secret => self.gateways_with(|server| names_secret(server, name)),
            ResourceType::NameTable => Found::new(),
        }
    }

    fn of_clusters<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Found {
        let names: BTreeSet<&str> = names.into_iter().collect();
        let clusters = self.config.clusters.iter();
        let clusters = clusters.filter(|cluster| names.contains(&*cluster.name));
        clusters
            .flat_map(|cluster| self.of_cluster(cluster))
            .collect()
    }

    fn of_cluster(&self, cluster: &Cluster) -> Found {
        let services = cluster.services.iter().flat_map(|service| {
            let found = self.snapshot.services_of(&service.host).iter();
            found.filter(|found| found.namespace == service.namespace)
        });
        // Services of Kubernetes have no status of ours.
        let entries = services
            .map(|service| &service.object)
            .filter(|object| object.kind == Kind::ServiceEntry);
        let rule = cluster.origin.as_ref().and_then(key);
        rule.into_iter().chain(entries.cloned()).collect()
    }

    fn of_virtual_host(&self, name: &str) -> Found {
        let table = ResourceType::VirtualHost.collection(name);
        let tables = self.config.routes.iter();
        let tables = tables.filter(|found| Some(&*found.name) == table);
        let hosts = tables.flat_map(|table| {
            let hosts = table.virtual_hosts.iter();
            hosts.filter(|host| *virtual_host_resource(&table.name, &host.name) == *name)
        });
        hosts.flat_map(|host| of_host(host)).collect()
    }

    fn of_listener(&self, listener: &Listener) -> Found {
        let chains = listener.chains.iter().chain(&listener.default_chain);
        let mut found: Found = chains
            .flat_map(|chain| match &chain.network {
                Network::Http(HttpConnectionManager {
                    routes: Routes::Inline(table),
                    ..
                }) => of_table(table).collect(),
                Network::Http(_) => Found::new(),
                Network::Tcp(proxy) => {
                    self.of_clusters(proxy.clusters.iter().map(|(name, _)| &**name))
                }
            })
            .collect();
        let port = listener.address.port();
        let numbers = self.gateway_ports(port);
        found.extend(self.gateways_with(|server| numbers.contains(&server.port.number)));
        found
    }

    /// The numbers that Gateways may call a port by: its own, and those of the Services that lead to it.
    fn gateway_ports(&self, port: u16) -> BTreeSet<u32> {
        let labels = self.node.labels();
        let services = self
            .snapshot
            .services_selecting(&self.node.namespace, &labels);
        let mut numbers = BTreeSet::from([u32::from(port)]);
        for service in &services {
            for exposed in &service.ports {
                let targets = self.snapshot.target_ports(service, exposed, &labels);
                if targets.contains(&port) {
                    numbers.insert(u32::from(exposed.port));
                }
            }
        }
        numbers
    }

    /// The Gateways that the proxy applies and of which some server is such a one.
    fn gateways_with(&self, wanted: impl Fn(&Server) -> bool) -> Found {
        if self.node.kind != ProxyKind::Gateway {
            return Found::new();
        }
        let gateways = self
            .snapshot
            .gateways_for(&self.node.namespace, &self.node.labels());
        let has = |gateway: &MeshGateway| gateway.spec.servers.iter().any(&wanted);
        let gateways = gateways.iter().filter(|gateway| has(gateway));
        gateways
            .map(|gateway| gateway.resource.key.clone())
            .collect()
    }
}

fn of_table(table: &RouteConfig) -> impl Iterator<Item = ResourceKey> {
    table.virtual_hosts.iter().flat_map(|host| of_host(host))
}

fn of_host(host: &VirtualHost) -> impl Iterator<Item = ResourceKey> {
    let origins = host.routes.iter().filter_map(|route| route.origin.as_ref());
    origins.filter_map(key)
}

/// Whether a server takes its certificates from a secret: `kubernetes://NAME`, and the same with `-cacert` for the trusted ones.
fn names_secret(server: &Server, secret: &str) -> bool {
    let Some(tls) = &server.tls else {
        return false;
    };
    let name = secret.rsplit('/').next().unwrap_or(secret);
    let plain = name.strip_suffix("-cacert").unwrap_or(name);
    let named = [&tls.credential_name, &tls.ca_cert_credential_name];
    let named = named.into_iter().flatten().chain(&tls.credential_names);
    let named = named.map(|text| text.rsplit('/').next().unwrap_or(text));
    named.into_iter().any(|text| text == name || text == plain)
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

#[cfg(test)]
mod tests;
