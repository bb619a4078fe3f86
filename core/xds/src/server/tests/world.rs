//! Small configurations whose resources carry a mark: another mark is another version, some marks are bad.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::names::virtual_host_resource;
use mesh_ir::*;
use proptest::prelude::*;

use crate::ResourceType;
use crate::resource::{self, DiscoveredHost, Encoder, Resource, ResourceSnapshot};
use mesh_ir::ProxyTables;

/// What a control plane serves: marks by the names of the resources. A route refers to the cluster of its own number, a listener to
/// the route that it names; a virtual host that is a resource of its own to the cluster of its own number.
#[derive(Clone, Debug, Default)]
pub(super) struct Spec {
    pub(super) clusters: BTreeMap<u8, u8>,
    pub(super) endpoints: BTreeMap<u8, u8>,
    pub(super) listeners: BTreeMap<u8, (u8, u8)>,
    pub(super) routes: BTreeMap<u8, u8>,
    /// By route and own number; only routes from [`DISCOVERS`] on have any.
    pub(super) hosts: BTreeMap<(u8, u8), u8>,
    pub(super) secrets: BTreeMap<u8, u8>,
    /// Of the name table, of which there is one.
    pub(super) names: u8,
}

/// The first route whose virtual hosts are resources of their own.
const DISCOVERS: u8 = 2;

/// Anything, also references to what is not there, with marks up to a limit.
pub(super) fn any_spec(marks: u8) -> impl Strategy<Value = Spec> {
    let map = move || proptest::collection::btree_map(0u8..5, 0..marks, 0..5);
    let listeners = proptest::collection::btree_map(0u8..4, (0..marks, 0u8..5), 0..4);
    let hosts = proptest::collection::btree_map((DISCOVERS..5, 0u8..5), 0..marks, 0..6);
    let all = (map(), map(), listeners, map(), hosts, map(), 0..marks);
    all.prop_map(
        |(clusters, endpoints, listeners, routes, hosts, secrets, names)| Spec {
            clusters,
            endpoints,
            listeners,
            routes,
            hosts,
            secrets,
            names,
        },
    )
}

/// Only references to what is there, and no bad marks.
pub(super) fn whole_spec() -> impl Strategy<Value = Spec> {
    any_spec(3).prop_map(|mut spec| {
        for (_, route) in spec.listeners.values() {
            spec.routes.entry(*route).or_insert(1);
        }
        for route in spec.routes.keys() {
            spec.clusters.entry(*route).or_insert(1);
        }
        for (_, host) in spec.hosts.keys() {
            spec.clusters.entry(*host).or_insert(1);
        }
        for cluster in spec.clusters.keys() {
            spec.endpoints.entry(*cluster).or_insert(1);
        }
        spec
    })
}

/// Whether clients refuse resources with this mark.
pub(super) fn is_bad(mark: u8) -> bool {
    mark >= 3
}

impl Spec {
    pub(super) fn snapshot(&self, version: u64) -> ResourceSnapshot {
        let config = ProxyConfig {
            listeners: arcs(&self.listeners, |name, (mark, route)| {
                listener(name, *mark, *route)
            })
            .into(),
            routes: arcs(&self.routes, |name, mark| route(name, *mark)).into(),
            clusters: arcs(&self.clusters, |name, mark| cluster(name, *mark)).into(),
            endpoints: arcs(&self.endpoints, |name, mark| endpoints(name, *mark)).into(),
            secrets: arcs(&self.secrets, |name, mark| secret(name, *mark)).into(),
            names: vec![Arc::new(name_table(self.names))].into(),
        };
        let hosts = self.hosts.iter().map(|((route, host), mark)| {
            let value = virtual_host(*host, *mark);
            let table = numbered('r', *route);
            let name = virtual_host_resource(&table, &value.name);
            (name, Arc::new(value))
        });
        let mut tables = ProxyTables::from(&config);
        tables.virtual_hosts = Table::new(Layer::new(hosts));
        Encoder::default().encode(&tables).with_version(version)
    }

    /// Marks by name, of one type.
    pub(super) fn marks(&self, kind: ResourceType) -> BTreeMap<String, u8> {
        let plain = |map: &BTreeMap<u8, u8>, prefix| {
            map.iter()
                .map(|(name, mark)| (numbered(prefix, *name), *mark))
                .collect()
        };
        match kind {
            ResourceType::Cluster => plain(&self.clusters, 'c'),
            ResourceType::Endpoints => plain(&self.endpoints, 'c'),
            ResourceType::Route => plain(&self.routes, 'r'),
            ResourceType::VirtualHost => {
                let name =
                    |route, host| format!("{}/{}", numbered('r', route), numbered('h', host));
                let hosts = self.hosts.iter();
                hosts
                    .map(|((route, host), mark)| (name(*route, *host), *mark))
                    .collect()
            }
            ResourceType::Listener => self
                .listeners
                .iter()
                .map(|(name, (mark, _))| (numbered('l', *name), *mark))
                .collect(),
            ResourceType::Secret => plain(&self.secrets, 's'),
            ResourceType::NameTable => [("default".to_owned(), self.names)].into(),
        }
    }
}

fn numbered(prefix: char, number: u8) -> String {
    format!("{prefix}{number}")
}

fn arcs<V, T>(map: &BTreeMap<u8, V>, make: impl Fn(u8, &V) -> T) -> Vec<Arc<T>> {
    map.iter()
        .map(|(name, value)| Arc::new(make(*name, value)))
        .collect()
}

fn cluster(name: u8, mark: u8) -> Cluster {
    let mut cluster = Cluster::new(numbered('c', name), ClusterKind::Eds);
    cluster.client.connect_timeout = Duration::from_secs(mark.into());
    cluster
}

fn endpoints(name: u8, mark: u8) -> Endpoints {
    Endpoints {
        cluster: numbered('c', name).into(),
        localities: vec![LocalityEndpoints {
            priority: mark.into(),
            ..LocalityEndpoints::new(Locality::default(), vec![])
        }],
    }
}

fn listener(name: u8, mark: u8, route: u8) -> Listener {
    let routes = Routes::Discovered(numbered('r', route).into());
    let manager = HttpConnectionManager::new("".into(), Direction::Outbound, routes);
    let network = Network::Http(manager);
    let trust = TrustSource::Discovered(numbered('s', route).into());
    let tls = ServerTls {
        certificates: vec![],
        client: ClientCertificate::Required(PeerValidation {
            trust: Some(trust),
            ..PeerValidation::default()
        }),
        alpn: vec![],
        parameters: TlsParameters::default(),
    };
    Listener {
        default_chain: Some(FilterChain {
            tls: Some(Arc::new(tls)),
            ..FilterChain::new("", ChainMatch::default(), network)
        }),
        ..Listener::new(
            numbered('l', name).into(),
            ([0, 0, 0, 0], u16::from(mark)).into(),
            Direction::Outbound,
        )
    }
}

fn route(name: u8, mark: u8) -> RouteConfig {
    RouteConfig {
        name: numbered('r', name).into(),
        virtual_hosts: vec![Arc::new(VirtualHost {
            name: mark.to_string().into(),
            domains: vec!["*".into()],
            routes: vec![],
        })],
        discovers_virtual_hosts: name >= DISCOVERS,
        ignore_port_in_host: true,
    }
}

fn virtual_host(name: u8, mark: u8) -> VirtualHost {
    let name = numbered('h', name);
    VirtualHost {
        domains: vec![format!("{mark}.{name}").into()],
        name: name.into(),
        routes: vec![],
    }
}

fn secret(name: u8, mark: u8) -> Secret {
    Secret {
        name: numbered('s', name).into(),
        kind: SecretKind::Trust {
            roots: mark.to_string().into(),
        },
    }
}

fn name_table(mark: u8) -> NameTable {
    let named = NamedHost {
        addresses: vec![[127, 0, 0, mark].into()],
        service: None,
    };
    NameTable {
        namespace: "default".into(),
        hosts: [("n".into(), named)].into(),
    }
}

/// The mark of a resource.
pub(super) fn mark(resource: &Resource) -> u8 {
    match resource {
        Resource::Cluster(cluster) => cluster.client.connect_timeout.as_secs() as u8,
        Resource::Endpoints(endpoints) => endpoints.localities[0].priority as u8,
        Resource::Listener(listener) => listener.address.port() as u8,
        Resource::Route(route) => {
            let own = route.virtual_hosts.iter().find(|host| is_own(host));
            own.unwrap().name.parse().unwrap()
        }
        Resource::VirtualHost(discovered) => {
            let (mark, _) = discovered.host.domains[0].split_once('.').unwrap();
            mark.parse().unwrap()
        }
        Resource::Secret(secret) => match &secret.kind {
            SecretKind::Trust { roots } => roots.parse().unwrap(),
            SecretKind::Certificate { .. } => panic!("there is no such secret"),
        },
        Resource::NameTable(table) => match table.hosts["n"].addresses[..] {
            [std::net::IpAddr::V4(address)] => address.octets()[3],
            _ => panic!("there is no such table"),
        },
    }
}

/// Whether a virtual host is part of its table.
fn is_own(host: &VirtualHost) -> bool {
    host.domains.iter().any(|domain| &**domain == "*")
}

/// Decodes as a client that refuses bad marks.
pub(super) fn decode(kind: ResourceType, any: &[u8]) -> Result<Resource, String> {
    let resource = resource::decode(kind, any).map_err(|error| error.to_string())?;
    if is_bad(mark(&resource)) {
        return Err("the mark is bad".to_owned());
    }
    Ok(resource)
}

/// All resources of a configuration by type and name.
pub(super) fn resources(config: &ProxyConfig) -> BTreeMap<(ResourceType, String), Resource> {
    let ProxyConfig {
        listeners,
        routes,
        clusters,
        endpoints,
        secrets,
        names,
    } = config;
    let secrets = secrets.iter().cloned().map(Resource::Secret);
    let names = names.iter().cloned().map(Resource::NameTable);
    let listeners = listeners.iter().cloned().map(Resource::Listener);
    let hosts = routes.iter().flat_map(|table| {
        let discovered = table.virtual_hosts.iter().filter(|host| !is_own(host));
        discovered.map(|host| {
            let name = virtual_host_resource(&table.name, &host.name);
            let host = host.clone();
            Resource::VirtualHost(Arc::new(DiscoveredHost { name, host }))
        })
    });
    let routes = routes.iter().cloned().map(Resource::Route);
    let clusters = clusters.iter().cloned().map(Resource::Cluster);
    let endpoints = endpoints.iter().cloned().map(Resource::Endpoints);
    let kind = |resource: &Resource| match resource {
        Resource::Listener(_) => ResourceType::Listener,
        Resource::Route(_) => ResourceType::Route,
        Resource::VirtualHost(_) => ResourceType::VirtualHost,
        Resource::Cluster(_) => ResourceType::Cluster,
        Resource::Endpoints(_) => ResourceType::Endpoints,
        Resource::Secret(_) => ResourceType::Secret,
        Resource::NameTable(_) => ResourceType::NameTable,
    };
    listeners
        .chain(routes)
        .chain(hosts)
        .chain(clusters)
        .chain(endpoints)
        .chain(secrets)
        .chain(names)
        .map(|resource| ((kind(&resource), resource.name().to_owned()), resource))
        .collect()
}

/// Names of the routes that listeners refer to.
pub(super) fn route_names<'a>(
    listeners: impl IntoIterator<Item = &'a Arc<Listener>>,
) -> BTreeSet<String> {
    listeners
        .into_iter()
        .filter_map(|listener| match &listener.default_chain.as_ref()?.network {
            Network::Http(http) => match &http.routes {
                Routes::Discovered(name) => Some(name.to_string()),
                Routes::Inline(_) => None,
            },
            Network::Tcp(_) => None,
        })
        .collect()
}

/// Names of the secrets that listeners refer to.
pub(super) fn secret_names<'a>(
    listeners: impl IntoIterator<Item = &'a Arc<Listener>>,
) -> BTreeSet<String> {
    let chains = listeners.into_iter().flat_map(|one| one.all_chains());
    chains
        .filter_map(|chain| chain.tls.as_ref())
        .flat_map(|tls| tls.sources().secrets)
        .map(|name| name.to_string())
        .collect()
}

/// Checks that a client has what it should: good resources in their last version, of bad ones an older good version or nothing, and
/// nothing that is not served or not wanted.
pub(super) fn check_converged(
    spec: &Spec,
    kinds: &[ResourceType],
    has: &BTreeMap<(ResourceType, String), Resource>,
) -> Result<(), TestCaseError> {
    let of = |kind: ResourceType| {
        has.iter()
            .filter(move |((other, _), _)| *other == kind)
            .map(|((_, name), resource)| (name.clone(), resource))
    };
    let clusters: BTreeSet<String> = of(ResourceType::Cluster).map(|(name, _)| name).collect();
    let listeners: Vec<_> = of(ResourceType::Listener)
        .filter_map(|(_, resource)| match resource {
            Resource::Listener(listener) => Some(listener),
            _ => None,
        })
        .collect();
    let secrets = secret_names(listeners.iter().copied());
    let routes = route_names(listeners);
    for &kind in kinds {
        let served: BTreeMap<String, u8> = spec
            .marks(kind)
            .into_iter()
            .filter(|(name, _)| match kind {
                ResourceType::Endpoints => clusters.contains(name),
                ResourceType::Route => routes.contains(name),
                ResourceType::VirtualHost => {
                    let table = kind.collection(name).unwrap_or_default();
                    has.contains_key(&(ResourceType::Route, table.to_owned()))
                }
                ResourceType::Secret => secrets.contains(name),
                _ => true,
            })
            .collect();
        for (name, resource) in of(kind) {
            prop_assert!(
                served.contains_key(&name),
                "{kind} {name} should not be there"
            );
            prop_assert!(!is_bad(mark(resource)));
        }
        for (name, expect) in served {
            let found = has.get(&(kind, name.clone())).map(mark);
            prop_assert!(
                is_bad(expect) || found == Some(expect),
                "{kind} {name} is {found:?}, expected {expect}"
            );
        }
    }
    Ok(())
}
