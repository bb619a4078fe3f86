//! The services of a snapshot by host, with where their endpoints come from.
//!
//! What a host is depends on the objects that name it and on nothing else, so that only the hosts of a changed object are built
//! again.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::PersistentMap;

use super::entries::{self, EntryPlan, PlannedEndpoints};
use super::{
    Change, ChangeSet, HostMap, MeshService, Registry, ServicePort, TrafficDistribution,
    Visibility, kubernetes,
};
use crate::diag::Diagnostic;
use crate::model::{MeshConfig, WorkloadEntrySpec};
use crate::resource::{Kind, Object, Resource, ResourceKey};

/// All services.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    by_host: HostMap<Arc<HostServices>>,
    /// The objects that name a host.
    objects: PersistentMap<(Arc<str>, ResourceKey), Arc<Resource>>,
    /// Hosts by the namespaces of their services.
    by_namespace: PersistentMap<(Arc<str>, Arc<str>), ()>,
    /// Hosts by namespace and the first label of their services' selectors.
    by_label: PersistentMap<LabelKey, ()>,
    /// Hosts by the addresses that their ServiceEntries list as endpoints.
    by_address: PersistentMap<(IpAddr, Arc<str>), ()>,
    /// Hosts that not all namespaces see alike.
    conditional: PersistentMap<Arc<str>, ()>,
    /// Hosts whose endpoints clients prefer by where they are.
    distributed: PersistentMap<Arc<str>, ()>,
    /// What is wrong with ServiceEntries, for those with which something is.
    findings: PersistentMap<ResourceKey, Arc<[Diagnostic]>>,
    len: usize,
}

/// Namespace, label and host.
type LabelKey = (Arc<str>, (String, String), Arc<str>);

/// The services of one host.
#[derive(Debug, PartialEq)]
pub(super) struct HostServices {
    pub(super) host: Arc<str>,
    /// In the order of preference.
    pub(super) services: Vec<Arc<MeshService>>,
    /// Where their endpoints come from, for those of ServiceEntries.
    pub(super) plans: Vec<EntryPlan>,
}

/// What has changed.
#[derive(Debug, Default)]
pub(super) struct ServiceChanges {
    /// Hosts whose services differ.
    pub(super) services: BTreeSet<Arc<str>>,
    /// Hosts whose endpoints come from somewhere else now.
    pub(super) plans: BTreeSet<Arc<str>>,
    /// Namespaces of the services that differ.
    pub(super) namespaces: BTreeSet<Arc<str>>,
    /// Addresses that services that differ list, or listed, as endpoints.
    pub(super) addresses: BTreeSet<IpAddr>,
}

// === impl Services ===

impl Services {
    /// Brings the services up to date.
    pub(super) fn update(
        &mut self,
        changes: &ChangeSet,
        mesh: &MeshConfig,
        domain: &str,
    ) -> ServiceChanges {
        let mut hosts = BTreeSet::new();
        for kind in [Kind::Service, Kind::ServiceEntry] {
            for (key, change) in changes.of(kind) {
                self.name_hosts(key, change, domain, &mut hosts);
            }
        }
        self.add_related(&mut hosts, domain);
        let mut changed = ServiceChanges::default();
        for host in hosts {
            self.rebuild(&host, mesh, domain, &mut changed);
        }
        changed
    }

    /// Notes which hosts an object names, and collects those that it named or names.
    fn name_hosts(
        &mut self,
        key: &ResourceKey,
        change: &Change,
        domain: &str,
        hosts: &mut BTreeSet<Arc<str>>,
    ) {
        for host in change
            .before
            .iter()
            .flat_map(|before| hosts_of(before, domain))
        {
            self.objects.remove(&(host.clone(), key.clone()));
            hosts.insert(host);
        }
        if let Some(resource) = &change.after {
            for host in hosts_of(resource, domain) {
                self.objects
                    .insert((host.clone(), key.clone()), resource.clone());
                hosts.insert(host);
            }
        }
        let findings = change.after.iter().flat_map(|entry| entries::check(entry));
        let findings: Arc<[Diagnostic]> = findings.collect();
        if findings.is_empty() {
            self.findings.remove(key);
        } else {
            self.findings.insert(key.clone(), findings);
        }
    }

    fn rebuild(
        &mut self,
        host: &Arc<str>,
        mesh: &MeshConfig,
        domain: &str,
        changed: &mut ServiceChanges,
    ) {
        let old = self.by_host.get(host).cloned();
        let new = self.build(host, (mesh, domain), old.as_deref());
        if old.as_deref() == new.as_ref() {
            return;
        }
        let services = |host: Option<&HostServices>| {
            host.map(|host| host.services.clone()).unwrap_or_default()
        };
        let (before, after) = (services(old.as_deref()), services(new.as_ref()));
        if before == after {
            changed.plans.insert(host.clone());
        } else {
            changed.services.insert(host.clone());
            let both = before.iter().chain(&after);
            changed
                .namespaces
                .extend(both.map(|service| service.namespace.clone()));
        }
        self.index(host, &before, &after);
        let listed = |host: Option<&HostServices>| -> BTreeSet<IpAddr> {
            host.into_iter().flat_map(HostServices::listed).collect()
        };
        let (before, after) = (listed(old.as_deref()), listed(new.as_ref()));
        for address in &before {
            self.by_address.remove(&(*address, host.clone()));
        }
        for address in &after {
            self.by_address.insert((*address, host.clone()), ());
        }
        changed.addresses.extend(before.into_iter().chain(after));
        match new {
            Some(new) => self.by_host.insert(host, Arc::new(new)),
            None => {
                self.by_host.remove(host);
            }
        }
    }

    /// The objects that name a host.
    pub(super) fn objects_of<'a>(
        &'a self,
        host: &'a Arc<str>,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.objects
            .iter_from(move |(known, _)| known < host)
            .take_while(move |((known, _), _)| known == host)
            .map(|(_, resource)| resource)
    }

    /// The services that objects make of a host; nothing if they make none. Services that are as they were stay the same `Arc`s.
    fn build(
        &self,
        host: &Arc<str>,
        (mesh, domain): (&MeshConfig, &str),
        old: Option<&HostServices>,
    ) -> Option<HostServices> {
        let objects: Vec<&Arc<Resource>> = self.objects_of(host).collect();
        let mut all: Vec<(MeshService, EntryPlan)> = Vec::new();
        for resource in &objects {
            let service = kubernetes::kubernetes_service(resource, mesh, domain);
            // Others name the host as what they stand for.
            if let Some(mut service) = service.filter(|service| service.host == *host) {
                self.resolve_aliases(&mut service, resource, (mesh, domain));
                all.push((service, EntryPlan::default()));
            }
        }
        for (mut service, plan) in entries::services(host, &objects, mesh) {
            if let Some(resource) = objects.iter().find(|found| found.key == service.object) {
                self.resolve_aliases(&mut service, resource, (mesh, domain));
            }
            all.push((service, plan));
        }
        HostServices::of(host, all, old)
    }

    fn index(&mut self, host: &Arc<str>, before: &[Arc<MeshService>], after: &[Arc<MeshService>]) {
        for service in before {
            for namespace in namespaces(service) {
                self.by_namespace.remove(&(namespace.clone(), host.clone()));
            }
            if let Some(key) = label_key(service) {
                self.by_label.remove(&key);
            }
        }
        for service in after {
            for namespace in namespaces(service) {
                self.by_namespace
                    .insert((namespace.clone(), host.clone()), ());
            }
            if let Some(key) = label_key(service) {
                self.by_label.insert(key, ());
            }
        }
        let alike = match after {
            [] => true,
            [only] => {
                let mut aliases = only.aliases.iter();
                only.visibility == Visibility::Public
                    && aliases.all(|alias| alias.visibility == Visibility::Public)
            }
            _ => false,
        };
        if alike {
            self.conditional.remove(host);
        } else {
            self.conditional.insert(host.clone(), ());
        }
        let near = |service: &Arc<MeshService>| service.distribution != TrafficDistribution::Any;
        if after.iter().any(near) {
            self.distributed.insert(host.clone(), ());
        } else {
            self.distributed.remove(host);
        }
        self.len = self.len + after.len() - before.len();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All hosts with their services.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Arc<HostServices>> {
        self.by_host.values()
    }

    /// The services of exactly a host.
    pub(super) fn of_host(&self, host: &str) -> Option<&Arc<HostServices>> {
        self.by_host.get(host)
    }

    /// The services of a host and of the patterns that cover it, the most specific first.
    pub(super) fn matches<'a, 'h>(
        &'a self,
        host: &'h str,
    ) -> impl Iterator<Item = &'a Arc<HostServices>> + use<'a, 'h> {
        self.by_host.matches(host)
    }

    /// The services of the hosts that a pattern covers.
    pub(super) fn covered_by<'a>(
        &'a self,
        pattern: &'a str,
    ) -> impl Iterator<Item = &'a Arc<HostServices>> {
        self.by_host.covered_by(pattern)
    }

    /// The hosts with a service of a namespace, or with another name from there.
    pub(super) fn hosts_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        self.by_namespace
            .iter_from(move |(known, _)| **known < *namespace)
            .map(|((known, host), ())| (known, host))
            .take_while(move |(known, _)| ***known == *namespace)
            .map(|(_, host)| host)
    }

    /// The hosts whose ServiceEntries list an address as an endpoint.
    pub(super) fn listing(&self, address: IpAddr) -> impl Iterator<Item = &Arc<HostServices>> {
        self.by_address
            .iter_from(move |(known, _)| *known < address)
            .map(|((known, host), ())| (known, host))
            .take_while(move |(known, _)| **known == address)
            .filter_map(|(_, host)| self.by_host.get(host))
    }

    /// The hosts that not all namespaces see alike.
    pub(super) fn conditional(&self) -> impl Iterator<Item = &Arc<str>> {
        self.conditional.keys()
    }

    /// The hosts whose endpoints clients prefer by where they are.
    pub(super) fn distributed(&self) -> impl Iterator<Item = &Arc<str>> {
        self.distributed.keys()
    }

    /// The services whose selector begins with a label.
    pub(super) fn with_label<'a>(
        &'a self,
        namespace: &'a str,
        (key, value): (&'a str, &'a str),
    ) -> impl Iterator<Item = &'a Arc<MeshService>> {
        let order = move |(known, (a, b), _): &LabelKey| {
            (&**known, a.as_str(), b.as_str()).cmp(&(namespace, key, value))
        };
        let selects = move |service: &&Arc<MeshService>| {
            let first = service.selector.first_key_value();
            *service.namespace == *namespace && first.is_some_and(|(a, b)| a == key && b == value)
        };
        self.by_label
            .iter_from(move |known| order(known).is_lt())
            .take_while(move |(known, ())| order(known).is_eq())
            .filter_map(|((_, _, host), ())| self.by_host.get(host))
            .flat_map(|host| &host.services)
            .filter(selects)
    }

    /// What is wrong with ServiceEntries, by object.
    pub(super) fn findings(&self) -> impl Iterator<Item = (&ResourceKey, &Arc<[Diagnostic]>)> {
        self.findings.iter()
    }
}

/// The namespaces that know a service by a short name.
fn namespaces(service: &MeshService) -> impl Iterator<Item = &Arc<str>> {
    let aliases = service.aliases.iter().map(|alias| &alias.namespace);
    std::iter::once(&service.namespace).chain(aliases)
}

fn label_key(service: &MeshService) -> Option<LabelKey> {
    let (key, value) = service.selector.first_key_value()?;
    let label = (key.clone(), value.clone());
    Some((service.namespace.clone(), label, service.host.clone()))
}

fn is_at(endpoint: &WorkloadEntrySpec, address: IpAddr) -> bool {
    let listed = endpoint.address.as_deref();
    listed.and_then(|text| text.parse().ok()) == Some(address)
}

/// The hosts that an object names.
fn hosts_of(resource: &Resource, domain: &str) -> BTreeSet<Arc<str>> {
    match &resource.object {
        Object::Service(_) => {
            let own = kubernetes::host(&resource.key, domain);
            let target = kubernetes::external_name(resource);
            target.into_iter().chain([own]).collect()
        }
        Object::ServiceEntry(spec) => entries::hosts(spec).collect(),
        _ => BTreeSet::new(),
    }
}

// === impl HostServices ===

impl HostServices {
    fn of(
        host: &Arc<str>,
        mut all: Vec<(MeshService, EntryPlan)>,
        old: Option<&Self>,
    ) -> Option<Self> {
        all.sort_by(|(a, _), (b, _)| {
            (a.registry, a.created, &a.namespace, &a.object).cmp(&(
                b.registry,
                b.created,
                &b.namespace,
                &b.object,
            ))
        });
        if all.is_empty() {
            return None;
        }
        let known = |service: MeshService| {
            let old = old.into_iter().flat_map(|old| &old.services);
            let same = old.into_iter().find(|old| ***old == service);
            same.cloned().unwrap_or_else(|| Arc::new(service))
        };
        let (services, plans) = all
            .into_iter()
            .map(|(service, plan)| (known(service), plan))
            .unzip();
        Some(Self {
            host: host.clone(),
            services,
            plans,
        })
    }

    /// The services and ports that an address serves, with the number of its own port.
    pub(super) fn listing(
        &self,
        address: IpAddr,
    ) -> impl Iterator<Item = (&Arc<MeshService>, &ServicePort, u16)> {
        let services = self.services.iter().zip(&self.plans);
        services.flat_map(move |(service, plan)| {
            service.ports.iter().flat_map(move |port| {
                let planned = plan.by_port.get(&port.port).into_iter();
                planned
                    .flat_map(PlannedEndpoints::listed)
                    .filter(move |endpoint| is_at(endpoint, address))
                    .filter_map(move |endpoint| {
                        Some((service, port, entries::endpoint_port(endpoint, port)?))
                    })
            })
        })
    }

    /// The addresses that ServiceEntries list as endpoints.
    fn listed(&self) -> impl Iterator<Item = IpAddr> {
        let plans = self.plans.iter().flat_map(|plan| plan.by_port.values());
        plans
            .flat_map(PlannedEndpoints::listed)
            .filter_map(|endpoint| endpoint.address.as_deref()?.parse().ok())
    }

    /// The first choice among the services for a namespace: Kubernetes' own comes first, then the namespace's own, then the oldest.
    pub(super) fn preferred(&self, namespace: &str) -> Option<&Arc<MeshService>> {
        let mut visible = self
            .services
            .iter()
            .filter(|service| service.visibility.sees(namespace));
        let first = visible.next()?;
        if first.registry == Registry::Kubernetes || &*first.namespace == namespace {
            return Some(first);
        }
        visible
            .find(|service| &*service.namespace == namespace)
            .or(Some(first))
    }
}
