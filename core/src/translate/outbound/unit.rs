//! All that one host gives to the clients of a view: clusters with their endpoints, addresses, and for each port a virtual host and a
//! claim to listeners. It is made as a whole again when something that it was made from has changed; what comes out equal stays the
//! very same `Arc`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use mesh_ir::{NamedHost, ProxyKind, VirtualHost};

use super::clusters::ServiceClusters;
use super::names;
use super::routes;
use super::slots;
use crate::snapshot::{MeshService, Protocol, Registry, is_wildcard};
use crate::translate::connections::Connections;
use crate::translate::view::View;

/// Port on which hosts are routed that only a VirtualService knows.
const UNKNOWN_HOSTS_PORT: u16 = 80;

/// What a host gives to the clients of a view.
#[derive(Debug)]
pub(super) struct HostUnit {
    pub(super) host: Arc<str>,
    /// None for hosts that only VirtualServices know.
    pub(super) service: Option<(Arc<MeshService>, Arc<ServiceClusters>)>,
    /// What the host stands for where names are resolved; without addresses if it is not.
    pub(super) name: NamedHost,
    /// For sidecars only.
    pub(super) ports: Vec<PortUnit>,
    /// Hosts, and patterns of them, whose services and destination rules decide about it.
    pub(super) reads: BTreeSet<Arc<str>>,
}

/// What a host gives on one port.
#[derive(Debug, PartialEq)]
pub(super) struct PortUnit {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    /// With all domains that it may have.
    pub(super) virtual_host: Option<Arc<VirtualHost>>,
    /// Addresses that it listens at.
    pub(super) claims: Vec<IpAddr>,
    /// Where connections go that are not routed by request.
    pub(super) connections: Connections,
}

/// Everywhere.
pub(super) const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

// === impl HostUnit ===

impl HostUnit {
    /// What a host gives to the clients of a view; nothing if it has no service, and no rule that routes it. Clusters are taken from
    /// units that are known already where they would be the same.
    pub(super) fn build<'k>(
        view: &View<'_>,
        kind: ProxyKind,
        host: &Arc<str>,
        known: impl IntoIterator<Item = &'k Arc<Self>>,
    ) -> Option<Self> {
        let service = view.snapshot.service_of(host, view.namespace);
        // Another name of a host is a domain of that host's, unless rules of its own route it.
        let Some(service) = service.filter(|service| service.alias_of.is_none()) else {
            return (kind == ProxyKind::Sidecar)
                .then(|| Self::unknown(view, host))
                .flatten();
        };
        let known = known.into_iter().filter_map(|unit| unit.service.as_ref());
        let clusters =
            ServiceClusters::of(view, service, kind, known.map(|(_, clusters)| clusters));
        view.take_reads();
        let ports = match kind {
            ProxyKind::Sidecar => ports(view, service),
            ProxyKind::Gateway => Vec::new(),
        };
        Some(Self {
            host: host.clone(),
            name: names::named_host(view, service),
            service: Some((service.clone(), clusters)),
            ports,
            reads: view.take_reads(),
        })
    }

    /// A host that only a VirtualService knows. It is routed on the ports of the services that the same object routes, or else on
    /// port 80.
    fn unknown(view: &View<'_>, host: &Arc<str>) -> Option<Self> {
        let source = view.snapshot.rules_of_host(host, view.namespace)?;
        let mut ports = BTreeSet::new();
        view.take_reads();
        for other in &source.hosts {
            view.note_read(other);
            let mut covered = view
                .snapshot
                .services_covered_by(other, view.namespace)
                .filter_map(|service| view.unaliased(service))
                .peekable();
            if other == host && is_wildcard(host) && covered.peek().is_some() {
                // Services that the pattern covers have virtual hosts of their own.
                return Some(Self::nothing(host, view.take_reads()));
            }
            let all = covered.flat_map(|service| &service.ports);
            ports.extend(
                all.filter(|port| port.protocol.is_http())
                    .map(|port| port.port),
            );
        }
        if ports.is_empty() {
            ports.insert(UNKNOWN_HOSTS_PORT);
        }
        let compiled = view.cache.rules(view.snapshot, source);
        let ports = ports
            .into_iter()
            .filter_map(|port| {
                let virtual_host = routes::unknown_host(view, &compiled, host, port)?;
                Some(PortUnit {
                    port,
                    protocol: Protocol::Http,
                    virtual_host: Some(Arc::new(virtual_host)),
                    claims: Vec::new(),
                    connections: Connections::default(),
                })
            })
            .collect();
        Some(Self {
            ports,
            ..Self::nothing(host, view.take_reads())
        })
    }

    fn nothing(host: &Arc<str>, reads: BTreeSet<Arc<str>>) -> Self {
        Self {
            host: host.clone(),
            service: None,
            name: NamedHost::default(),
            ports: Vec::new(),
            reads,
        }
    }

    pub(super) fn clusters(&self) -> Option<&Arc<ServiceClusters>> {
        self.service.as_ref().map(|(_, clusters)| clusters)
    }

    /// The namespace of its service, and what it stands for, if its name is resolved.
    pub(super) fn named(&self) -> Option<(&Arc<str>, &NamedHost)> {
        let (service, _) = self.service.as_ref()?;
        (!self.name.addresses.is_empty()).then_some((&service.namespace, &self.name))
    }

    pub(super) fn port(&self, port: u16) -> Option<&PortUnit> {
        self.ports.iter().find(|known| known.port == port)
    }

    /// Whether the view sees the host otherwise than clients do of whom nothing is known, whose unit of the host is `public`.
    pub(super) fn is_special(
        view: &View<'_>,
        kind: ProxyKind,
        host: &str,
        public: Option<&Self>,
    ) -> bool {
        let (snapshot, namespace) = (view.snapshot, view.namespace);
        let same = |a: Option<&Arc<MeshService>>, b: Option<&Arc<MeshService>>| match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let service = snapshot.service_of(host, namespace);
        if !same(service, snapshot.service_of(host, "")) {
            return true;
        }
        let same_rule = |service: &MeshService| {
            let none = BTreeMap::new();
            let theirs =
                snapshot.destination_rule_for(&service.host, "", &none, &service.namespace);
            match (view.destination_rule(service), theirs) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(&a, &b),
                _ => false,
            }
        };
        if let Some(service) = service {
            // In the own namespace there are shorter names.
            let own = service.registry == Registry::Kubernetes && *service.namespace == *namespace;
            let own_alias = service.aliases.iter().any(|alias| {
                *alias.namespace == *namespace
                    || alias.visibility.sees(namespace) != alias.visibility.sees("")
            });
            if !same_rule(service) || own || own_alias || view.prefers_by_topology(service) {
                return true;
            }
        }
        if kind == ProxyKind::Gateway {
            return false;
        }
        let rules = |namespace| match service {
            Some(_) => snapshot.rules_for_host(host, namespace),
            None => snapshot.rules_of_host(host, namespace),
        };
        let special_rules = match (rules(namespace), rules("")) {
            (None, None) => false,
            (Some(a), Some(b)) => {
                !Arc::ptr_eq(a, b) || !view.cache.rules(snapshot, a).is_for_all_clients()
            }
            _ => true,
        };
        let reads = public.into_iter().flat_map(|public| &public.reads);
        special_rules
            || reads.into_iter().any(|read| {
                let covered = |namespace| snapshot.services_covered_by(read, namespace);
                let differ = || {
                    let (mut ours, mut theirs) = (covered(namespace), covered(""));
                    loop {
                        match (ours.next(), theirs.next()) {
                            (None, None) => return false,
                            (a, b) if same(a, b) => {}
                            _ => return true,
                        }
                    }
                };
                let service = snapshot.find_service(read, namespace);
                !same(service, snapshot.find_service(read, ""))
                    || service.is_some_and(|service| !same_rule(service))
                    || is_wildcard(read) && differ()
            })
    }
}

fn ports(view: &View<'_>, service: &Arc<MeshService>) -> Vec<PortUnit> {
    let compiled = view.rules_for(&service.host);
    let compiled = compiled.as_deref();
    service
        .ports
        .iter()
        .map(|port| {
            let protocol = port.protocol;
            let is_routed = protocol.is_http() || protocol == Protocol::Detect;
            PortUnit {
                port: port.port,
                protocol,
                virtual_host: is_routed
                    .then(|| Arc::new(routes::virtual_host(view, compiled, service, port))),
                connections: if protocol.is_http() {
                    Connections::default()
                } else {
                    slots::connections(view, compiled, service, port)
                },
                claims: slots::addresses(view, service, port),
            }
        })
        .collect()
}
