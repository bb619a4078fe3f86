//! The tables of a view, kept up to date.
//!
//! ```text
//! Difference --> hosts to look at --> units --> claims to listeners and domains --> items of the tables
//! ```
//!
//! The public side is what clients see of whom nothing is known. A namespace's side lies over it: it has only the hosts that the
//! namespace sees otherwise, and of the tables only the items that come out otherwise.

mod edit;
mod units;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::names::virtual_host_resource;
use mesh_ir::{
    Cluster, Endpoints, Layer, LayerEdit, Listener, NameTable, ProxyKind, ProxyTables, RouteConfig,
    Table, VirtualHost,
};

use edit::Edit;

use super::fixed::fixed_clusters;
use super::index::{Index, Layered};
use super::listeners::listener;
use super::names::name_table;
use super::routes;
use super::slots::HttpSlot;
use super::unit::ANY;
use crate::snapshot::{Difference, Snapshot, is_wildcard};
use crate::translate::naming::{host_port, listener_name};
use crate::translate::telemetry::WorkloadTelemetry;
use crate::translate::view::View;

/// What a view has, beside what is below it.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    index: Index,
    /// Ports that have a route table here and not below, or below and not here.
    apart: BTreeSet<u16>,
    listeners: Arc<Layer<Listener>>,
    routes: Arc<Layer<RouteConfig>>,
    virtual_hosts: Arc<Layer<VirtualHost>>,
    clusters: Arc<Layer<Cluster>>,
    endpoints: Arc<Layer<Endpoints>>,
    names: Arc<Layer<NameTable>>,
    /// What is told about traffic, a part of each listener.
    telemetry: Arc<WorkloadTelemetry>,
    /// What the last update looked at, for the sides above.
    touched: Touched,
}

/// What has to be made again.
#[derive(Clone, Debug, Default)]
struct Touched {
    virtual_hosts: BTreeSet<(u16, Arc<str>)>,
    slots: BTreeSet<(IpAddr, u16)>,
    domains: BTreeSet<(u16, Arc<str>)>,
    /// Namespaces of services with other addresses.
    names: BTreeSet<Arc<str>>,
}

/// An update of a side.
struct Update<'a> {
    view: &'a View<'a>,
    kind: ProxyKind,
    public: Option<&'a Side>,
    next: Side,
}

// === impl Side ===

impl Side {
    /// The side for clients of whom nothing is known, from nothing.
    pub(super) fn public(view: &View<'_>, kind: ProxyKind) -> Self {
        let mut hosts: BTreeSet<Arc<str>> = view.snapshot.hosts().cloned().collect();
        let rules = view.snapshot.virtual_services();
        hosts.extend(rules.flat_map(|rules| &rules.hosts).cloned());
        let mut first = Self::default();
        let mut edit = LayerEdit::new(&first.clusters);
        for cluster in fixed_clusters(view.snapshot.mesh().connect_timeout()) {
            edit.put(cluster.name.clone(), cluster);
        }
        first.clusters = edit.finish();
        first
            .update(view, kind, None, &hosts, Touched::default())
            .untouched()
    }

    /// The side of a namespace over the public one, from nothing.
    pub(super) fn over(view: &View<'_>, kind: ProxyKind, public: &Self) -> Self {
        let hosts = public.index.may_be_special(view);
        let first = Self {
            telemetry: public.telemetry.clone(),
            ..Self::default()
        };
        first
            .update(view, kind, Some(public), &hosts, Touched::default())
            .untouched()
    }

    /// The side in a newer snapshot. `public` is the public side of that snapshot, made from the one that this side was over.
    pub(super) fn next(
        &self,
        view: &View<'_>,
        kind: ProxyKind,
        public: Option<&Self>,
        difference: &Difference,
    ) -> Self {
        let mut hosts = self.index.concerned(view.snapshot, difference);
        if let Some(public) = public {
            hosts.extend(public.index.concerned(view.snapshot, difference));
        }
        // What the public side made again may come out otherwise here.
        let touched = public.map(|public| public.touched.clone());
        let last = self.clone();
        last.update(view, kind, public, &hosts, touched.unwrap_or_default())
    }

    /// The tables of the view.
    pub(super) fn tables(&self, public: Option<&Self>) -> ProxyTables {
        let below = public.map_or_else(ProxyTables::default, |public| public.tables(None));
        ProxyTables {
            listeners: below.listeners.over(self.listeners.clone()),
            routes: below.routes.over(self.routes.clone()),
            virtual_hosts: below.virtual_hosts.over(self.virtual_hosts.clone()),
            clusters: below.clusters.over(self.clusters.clone()),
            endpoints: below.endpoints.over(self.endpoints.clone()),
            secrets: Table::default(),
            names: below.names.over(self.names.clone()),
        }
    }

    pub(super) fn layered<'a>(&'a self, public: Option<&'a Self>) -> Layered<'a> {
        Layered {
            own: &self.index,
            public: public.map(|public| &public.index),
        }
    }

    /// A side made from nothing has looked at everything. Nobody lies over it yet, so nobody has to look at that again.
    fn untouched(self) -> Self {
        Self {
            touched: Touched::default(),
            ..self
        }
    }

    fn update(
        self,
        view: &View<'_>,
        kind: ProxyKind,
        public: Option<&Self>,
        hosts: &BTreeSet<Arc<str>>,
        touched: Touched,
    ) -> Self {
        let telemetry = view.http_server.telemetry().clone();
        let tells_otherwise = self.telemetry != telemetry;
        let next = Self {
            touched,
            telemetry,
            ..self
        };
        let mut update = Update {
            view,
            kind,
            public,
            next,
        };
        update.units(hosts);
        if tells_otherwise {
            let all = update.layered().all_slots();
            update.next.touched.slots.extend(all);
        }
        if kind == ProxyKind::Sidecar {
            update.listeners();
            update.virtual_hosts();
        }
        update.names();
        update.next
    }
}

// === impl Index ===

impl Index {
    /// The hosts that a difference of snapshots may concern.
    fn concerned(&self, snapshot: &Snapshot, difference: &Difference) -> BTreeSet<Arc<str>> {
        let mut hosts = BTreeSet::new();
        for host in &difference.services {
            hosts.insert(host.clone());
            hosts.extend(self.readers(host).cloned());
        }
        hosts.extend(difference.instances.iter().cloned());
        for pattern in &difference.virtual_services {
            hosts.extend(covered(snapshot, pattern));
        }
        for pattern in &difference.destination_rules {
            for host in covered(snapshot, pattern) {
                hosts.extend(self.readers(&host).cloned());
                hosts.insert(host);
            }
        }
        hosts
    }

    /// The hosts that the view may see otherwise than the public does, of which this is the index.
    fn may_be_special(&self, view: &View<'_>) -> BTreeSet<Arc<str>> {
        let snapshot = view.snapshot;
        let mut hosts: BTreeSet<Arc<str>> = snapshot.hosts_in(view.namespace).cloned().collect();
        if view.topology.is_some() && snapshot.mesh().locality_lb_setting().has_shares() {
            hosts.extend(snapshot.hosts().cloned());
        }
        let by_topology = snapshot.hosts_by_topology();
        let by_topology = by_topology.filter(|_| view.topology.is_some());
        for pattern in snapshot
            .conditional_hosts(view.namespace)
            .chain(by_topology)
        {
            for host in covered(snapshot, pattern) {
                hosts.extend(self.readers(&host).cloned());
                hosts.insert(host);
            }
        }
        hosts
    }
}

/// A host or pattern, and the hosts of services that it covers.
fn covered(snapshot: &Snapshot, pattern: &Arc<str>) -> BTreeSet<Arc<str>> {
    let mut hosts = BTreeSet::from([pattern.clone()]);
    if is_wildcard(pattern) {
        hosts.extend(snapshot.hosts_covered_by(pattern).cloned());
    }
    hosts
}

// === impl Update: listeners, virtual hosts and names ===

impl Update<'_> {
    fn listeners(&mut self) {
        let mut listeners = Edit::new(
            &self.next.listeners,
            self.public.map(|side| &side.listeners),
        );
        let slots = std::mem::take(&mut self.next.touched.slots);
        let mut ports = BTreeSet::new();
        for &(address, port) in &slots {
            let slot = self.layered().slot(address, port);
            let made = slot.map(|slot| Arc::new(listener(self.view, address, port, &slot)));
            listeners.set(&listener_name(address, port), made);
            let claimants = self.layered().claimants(address, port);
            let claimants: Vec<_> = claimants
                .into_iter()
                .map(|host| (port, host.clone()))
                .collect();
            self.next.touched.virtual_hosts.extend(claimants);
            if address == ANY {
                ports.insert(port);
            }
        }
        self.next.touched.slots = slots;
        self.next.listeners = listeners.finish();
        let catch_all = self.next.touched.domains.iter();
        let catch_all = catch_all.filter(|(_, domain)| &**domain == "*");
        ports.extend(catch_all.map(|(port, _)| *port));
        self.port_tables(&ports);
    }

    /// The route tables of ports. Where one comes or goes, so do all its virtual hosts.
    fn port_tables(&mut self, ports: &BTreeSet<u16>) {
        let mut routes = Edit::new(&self.next.routes, self.public.map(|side| &side.routes));
        let mut hosts = Edit::new(
            &self.next.virtual_hosts,
            self.public.map(|side| &side.virtual_hosts),
        );
        for &port in ports {
            let name: Arc<str> = port.to_string().into();
            let has = self.has_table(port);
            let had = self
                .next
                .routes
                .get(&name)
                .is_some_and(|item| item.value.is_some());
            let below = self.public.map(|side| side.layered(None).has_table(port));
            let is_apart = below.is_some_and(|below| below != has);
            let was_apart = if is_apart {
                !self.next.apart.insert(port)
            } else {
                self.next.apart.remove(&port)
            };
            // Where the table comes or goes below, it does so for the hosts that only this side knows.
            let routed = if is_apart || was_apart || below.is_none() && had != has {
                self.layered().routed_on(port)
            } else if below.is_some() {
                self.next.layered(None).routed_on(port)
            } else {
                BTreeSet::new()
            };
            let routed = routed.into_iter().map(|host| (port, host));
            self.next.touched.virtual_hosts.extend(routed);
            routes.set(&name, has.then(|| Arc::new(routes::of_port(port))));
            let mut claimants = self.layered().claimants_of_domain(port, "*");
            let fallback = routes::fallback(self.view);
            let resource = virtual_host_resource(&name, &fallback.name);
            let is_needed = has && claimants.next().is_none();
            hosts.set(&resource, is_needed.then(|| Arc::new(fallback)));
        }
        self.next.virtual_hosts = hosts.finish();
        self.next.routes = routes.finish();
    }

    fn has_table(&self, port: u16) -> bool {
        self.layered().has_table(port)
    }

    fn virtual_hosts(&mut self) {
        let domains = std::mem::take(&mut self.next.touched.domains);
        for (port, domain) in &domains {
            let claimants = self.layered().claimants_of_domain(*port, domain);
            let claimants: Vec<_> = claimants.map(|host| (*port, host.clone())).collect();
            self.next.touched.virtual_hosts.extend(claimants);
        }
        self.next.touched.domains = domains;
        let mut hosts = Edit::new(
            &self.next.virtual_hosts,
            self.public.map(|side| &side.virtual_hosts),
        );
        let mut routes = Edit::new(&self.next.routes, self.public.map(|side| &side.routes));
        for (port, host) in &self.next.touched.virtual_hosts {
            let layered = self.layered();
            let name = host_port(host, *port);
            let in_port = layered
                .has_table(*port)
                .then(|| layered.virtual_host(host, *port));
            let table = port.to_string();
            hosts.set(&virtual_host_resource(&table, &name), in_port.flatten());
            routes.set(&name, layered.alone(host, *port).map(Arc::new));
        }
        self.next.virtual_hosts = hosts.finish();
        self.next.routes = routes.finish();
    }

    fn names(&mut self) {
        let mut names = Edit::new(&self.next.names, self.public.map(|side| &side.names));
        for namespace in &self.next.touched.names {
            let hosts = self.view.snapshot.hosts_in(namespace);
            let units = hosts.filter_map(|host| self.layered().unit(host));
            let table = name_table(namespace, units.map(|unit| &**unit));
            names.set(namespace, table.map(Arc::new));
        }
        self.next.names = names.finish();
    }
}

// === impl Layered ===

impl Layered<'_> {
    /// Whether there is a route table of a port.
    fn has_table(self, port: u16) -> bool {
        let slot = self.slot(ANY, port);
        slot.is_some_and(|slot| slot.http == Some(HttpSlot::Port))
    }

    /// The virtual host of a host in the table of a port, with the domains that are its own: those of the exact host before short
    /// forms of others, whatever the order of names, and then the first by name.
    fn virtual_host(self, host: &str, port: u16) -> Option<Arc<VirtualHost>> {
        let all = self.unit(host)?.port(port)?.virtual_host.as_ref()?;
        let is_own = |domain: &Arc<str>| {
            if **domain == *host {
                return true;
            }
            let mut claimants = self.claimants_of_domain(port, domain);
            claimants.all(|other| {
                **other == *host
                    || **other != **domain && host_port(host, port) < host_port(other, port)
            })
        };
        if all.domains.iter().all(is_own) {
            return Some(all.clone());
        }
        Some(Arc::new(VirtualHost {
            name: all.name.clone(),
            domains: all
                .domains
                .iter()
                .filter(|domain| is_own(domain))
                .cloned()
                .collect(),
            routes: all.routes.clone(),
        }))
    }

    /// The route table that a host has to itself on a port, where some listener has that.
    fn alone(self, host: &str, port: u16) -> Option<RouteConfig> {
        let unit = self.unit(host)?.port(port)?;
        let all = unit.virtual_host.as_ref()?;
        if unit.is_plain_http() {
            return None;
        }
        let own = HttpSlot::Service(all.name.clone());
        let claims = unit.claims.iter();
        let mut slots = claims.filter_map(|address| self.slot(*address, port));
        let has = slots.any(|slot| slot.http.as_ref() == Some(&own));
        has.then(|| routes::of_service(all))
    }
}
