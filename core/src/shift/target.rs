//! The service that is shifted: its pods, the subsets that are defined and those that its pods' `version` labels suggest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_ir::EndpointHealth;

use super::backends::Backends;
use super::http_routes::{DecidingRoutes, deciding};
use super::refusal::{list, nearest};
use super::{Refusal, Section};
use crate::resource::{Kind, Object};
use crate::snapshot::{
    EffectiveDestinationRule, MeshService, Protocol, Snapshot, expand_host, is_wildcard, selects,
};

/// The label that tells versions of a workload apart.
pub(super) const VERSION: &str = "version";
const PROXY: &str = "istio-proxy";

/// A service with what its clients see of it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The service.
    pub service: Arc<MeshService>,
    /// Whether requests or connections are split.
    pub section: Section,
    /// Its pods, sorted by name.
    pub pods: Vec<PodSeen>,
    /// Subsets that are defined, and versions of ready pods that are not, sorted by name.
    pub subsets: BTreeMap<Arc<str>, SubsetSeen>,
    /// Namespaces with proxies, whose view counts.
    pub clients: BTreeSet<Arc<str>>,
    /// The hosts that requests to it are counted for: its own, and those of the Services that are its versions.
    pub hosts: Vec<Arc<str>>,
    /// The HTTPRoutes that decide about it, if some do.
    pub(super) http_routes: Option<DecidingRoutes>,
    /// The rules that these clients apply.
    pub(super) rules: Vec<Arc<EffectiveDestinationRule>>,
}

/// A pod of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSeen {
    /// Name.
    pub name: Arc<str>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it takes requests.
    pub ready: bool,
}

/// A subset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubsetSeen {
    /// Labels of its pods.
    pub labels: BTreeMap<String, String>,
    /// Whether a DestinationRule, or a Service of its own, defines it.
    pub defined: bool,
    /// How many ready endpoints it has.
    pub ready: usize,
    /// Name, namespace and version of the workloads that it consists of.
    pub workloads: BTreeSet<WorkloadVersion>,
}

/// Name, namespace and version of a workload.
pub type WorkloadVersion = (Arc<str>, Arc<str>, Arc<str>);

// === impl Target ===

impl Target {
    /// Finds the service of a name (`reviews`, `reviews.prod`, or a whole host). A name without a namespace is of the given one.
    pub fn find(snapshot: &Snapshot, name: &str, namespace: &str) -> Result<Self, Refusal> {
        let service = find_service(snapshot, name, namespace)?;
        if is_wildcard(&service.host) {
            let message = format!("{} stands for several hosts", service.host);
            return Err(Refusal::state(message).hint("name a single service"));
        }
        let has = |wanted: &dyn Fn(Protocol) -> bool| {
            service.ports.iter().any(|port| wanted(port.protocol))
        };
        let mut section = if has(&|protocol| is_split_by(Section::Http, protocol)) {
            Section::Http
        } else if has(&|protocol| is_split_by(Section::Tcp, protocol)) {
            Section::Tcp
        } else {
            return Err(Refusal::state(format!(
                "service {} in namespace {} has neither an HTTP nor a TCP port, so nothing can be split by weight",
                service.name, service.namespace
            ))
            .hint("name the port http, http2, grpc or tcp in the Service (or set its appProtocol), if that is what it speaks"));
        };
        let clients = clients(snapshot, &service);
        let http_routes = match section {
            Section::Http => deciding(snapshot, &service, &clients),
            Section::Tcp | Section::Rules => None,
        };
        let mut hosts = vec![service.host.clone()];
        let mut rules = Vec::new();
        match &http_routes {
            Some(deciding) => {
                section = Section::Rules;
                hosts.extend(
                    deciding
                        .versions
                        .values()
                        .map(|version| version.host.clone()),
                );
            }
            None => rules = effective_rules(snapshot, &service, &clients),
        }
        let mut target = Self {
            hosts,
            http_routes,
            pods: pods(snapshot, &service),
            subsets: BTreeMap::new(),
            section,
            clients,
            rules,
            service,
        };
        target.subsets = target.find_subsets(snapshot);
        Ok(target)
    }

    /// The service and its versions as backends, where HTTPRoutes decide.
    pub(super) fn backends(&self) -> Option<Backends<'_>> {
        let deciding = self.http_routes.as_ref()?;
        Some(Backends {
            service: &self.service,
            versions: &deciding.versions,
        })
    }

    /// The subset of a name, with ready endpoints.
    pub fn subset(&self, name: &str) -> Result<&SubsetSeen, Refusal> {
        let known = self.subsets.get(name).ok_or_else(|| self.unknown(name))?;
        if known.ready > 0 {
            return Ok(known);
        }
        let labels: Vec<String> = known
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let message = format!(
            "subset {name} of {} has no ready pod: its labels are {}, and the service's pods are {}",
            self.service.host,
            list(&labels),
            self.pods_seen()
        );
        Err(Refusal::state(message).hint(format!(
            "start pods with these labels and wait until they are ready: kubectl get pods -n {} -l {}",
            self.service.namespace,
            labels.join(",")
        )))
    }

    fn unknown(&self, name: &str) -> Refusal {
        let known: Vec<&str> = self.subsets.keys().map(|name| &**name).collect();
        if self.http_routes.is_some() {
            return self.unknown_version(name, &known);
        }
        let message = format!(
            "{} has no subset {name}: no DestinationRule defines it, and no pod has the label version={name}; the service's pods are {}",
            self.service.host,
            self.pods_seen()
        );
        let refusal = Refusal::not_found(message);
        match (nearest(name, known.iter().copied()), known.as_slice()) {
            (Some(near), _) => refusal.hint(format!("did you mean {near}?")),
            (None, []) => refusal.hint("give the pods of each version a label version"),
            (None, known) => refusal.hint(format!("known are {}", list(known))),
        }
    }

    /// Versions are Services where HTTPRoutes decide.
    fn unknown_version(&self, name: &str, known: &[&str]) -> Refusal {
        let service = &self.service;
        let mut selector: Vec<String> = service
            .selector
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        selector.push(format!("{VERSION}: {name}"));
        let refusal = Refusal::not_found(format!(
            "HTTPRoutes decide about {}, whose backends are Services, and no Service of namespace {} selects version {name} ({})",
            service.host,
            service.namespace,
            selector.join(", ")
        ));
        match nearest(name, known.iter().copied()) {
            Some(near) => refusal.hint(format!("did you mean {near}?")),
            None => refusal.hint(format!(
                "add a Service {}-{name} with that selector; known are {}",
                service.name,
                list(known)
            )),
        }
    }

    /// The pods for a sentence: at most eight of them with version and readiness.
    fn pods_seen(&self) -> String {
        const SHOWN: usize = 8;
        if self.pods.is_empty() {
            return "none".to_owned();
        }
        let mut seen: Vec<String> = self
            .pods
            .iter()
            .take(SHOWN)
            .map(|pod| {
                let version = match pod.labels.get(VERSION) {
                    Some(version) => format!("version={version}"),
                    None => "no version label".to_owned(),
                };
                let ready = if pod.ready { "ready" } else { "not ready" };
                format!("{} ({version}, {ready})", pod.name)
            })
            .collect();
        if self.pods.len() > SHOWN {
            seen.push(format!("{} more", self.pods.len() - SHOWN));
        }
        list(&seen)
    }

    /// Names of the subsets that the ready endpoints are of, with how many there are of each, and how many are of none. Each
    /// endpoint counts once: for the subset with the most labels.
    pub(super) fn versions(&self, snapshot: &Snapshot) -> (Vec<(Arc<str>, u64)>, u64) {
        let mut counts: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        let mut without = 0;
        for instance in endpoints(snapshot, &self.service, self.section) {
            let of = self
                .subsets
                .iter()
                .filter(|(_, subset)| selects(&subset.labels, &instance.labels))
                .max_by_key(|(_, subset)| (subset.labels.len(), subset.defined));
            match of {
                Some((name, _)) => *counts.entry(name.clone()).or_default() += 1,
                None => without += 1,
            }
        }
        (counts.into_iter().collect(), without)
    }

    fn find_subsets(&self, snapshot: &Snapshot) -> BTreeMap<Arc<str>, SubsetSeen> {
        let mut found: BTreeMap<Arc<str>, SubsetSeen> = BTreeMap::new();
        let versions = self.http_routes.iter().flat_map(|routes| &routes.versions);
        for (name, version) in versions {
            let seen = SubsetSeen {
                labels: version.selector.clone(),
                defined: true,
                ..SubsetSeen::default()
            };
            found.insert(name.clone(), seen);
        }
        for (subset, _) in self.rules.iter().flat_map(|rule| &rule.subsets) {
            found
                .entry(subset.name.as_str().into())
                .or_insert_with(|| SubsetSeen {
                    labels: subset.labels.clone(),
                    defined: true,
                    ..SubsetSeen::default()
                });
        }
        let endpoints = endpoints(snapshot, &self.service, self.section);
        let labels = endpoints.iter().map(|instance| &*instance.labels);
        let labels = labels.chain(self.pods.iter().map(|pod| &pod.labels));
        // A version without a Service cannot be a backend.
        for labels in labels.filter(|_| self.http_routes.is_none()) {
            let Some(version) = labels.get(VERSION).filter(|version| !version.is_empty()) else {
                continue;
            };
            let labels = BTreeMap::from([(VERSION.to_owned(), version.clone())]);
            if !found.values().any(|subset| subset.labels == labels) {
                found
                    .entry(version.as_str().into())
                    .or_insert_with(|| SubsetSeen {
                        labels,
                        ..SubsetSeen::default()
                    });
            }
        }
        for subset in found.values_mut() {
            for instance in &endpoints {
                // A subset without labels is the whole service.
                if subset.labels.is_empty() || selects(&subset.labels, &instance.labels) {
                    let workload = &instance.workload;
                    subset.ready += 1;
                    subset.workloads.insert((
                        workload.name.clone(),
                        workload.namespace.clone(),
                        workload.canonical_revision.clone(),
                    ));
                }
            }
        }
        found
    }
}

/// Whether rules of this kind split what comes to a port of this protocol.
fn is_split_by(section: Section, protocol: Protocol) -> bool {
    match section {
        Section::Tcp => protocol == Protocol::Tcp,
        Section::Http | Section::Rules => protocol.is_http() || protocol == Protocol::Detect,
    }
}

/// The endpoints that take requests, one for each address.
fn endpoints<'a>(
    snapshot: &'a Snapshot,
    service: &MeshService,
    section: Section,
) -> Vec<&'a crate::snapshot::Instance> {
    let mut addresses = BTreeSet::new();
    service
        .ports
        .iter()
        .filter(|port| is_split_by(section, port.protocol))
        .flat_map(|port| snapshot.instances(service, port))
        .filter(|instance| instance.health == EndpointHealth::Healthy)
        .filter(|instance| addresses.insert(instance.address))
        .collect()
}

fn find_service(
    snapshot: &Snapshot,
    name: &str,
    namespace: &str,
) -> Result<Arc<MeshService>, Refusal> {
    let domain = &snapshot.options().dns_domain;
    let mut hosts = vec![expand_host(name, namespace, domain)];
    let (short, of) = match name.split_once('.') {
        Some((short, of)) => {
            hosts.push(expand_host(short, of, domain));
            hosts.push(format!("{name}.{domain}"));
            (short, of)
        }
        None => (name, namespace),
    };
    let exact = |host: &String| snapshot.services().find(|service| *service.host == **host);
    if let Some(service) = hosts.iter().find_map(exact) {
        return Ok(service.clone());
    }
    let message = format!("there is no service {short} in namespace {of}");
    let elsewhere = snapshot.services().find(|service| *service.name == *short);
    let own = snapshot
        .services()
        .filter(|service| *service.namespace == *of)
        .map(|service| &*service.name);
    let refusal = Refusal::not_found(message);
    Err(match (elsewhere, nearest(short, own)) {
        (Some(service), _) => refusal.hint(format!(
            "there is one in namespace {}: {}.{}",
            service.namespace, service.name, service.namespace
        )),
        (None, Some(near)) => refusal.hint(format!("did you mean {near}?")),
        (None, None) => refusal.hint("list the services: kubectl get services -A"),
    })
}

/// Namespaces with proxies; the service's own if there are none.
fn clients(snapshot: &Snapshot, service: &MeshService) -> BTreeSet<Arc<str>> {
    let has_proxy = |resource: &&Arc<crate::resource::Resource>| {
        let Object::Pod(pod) = &resource.object else {
            return false;
        };
        pod.spec.iter().any(|spec| {
            let init = spec.init_containers.iter().flatten();
            spec.containers
                .iter()
                .chain(init)
                .any(|container| container.name == PROXY)
        })
    };
    let found: BTreeSet<Arc<str>> = snapshot
        .resources(Kind::Pod)
        .iter()
        .filter(has_proxy)
        .map(|pod| pod.key.namespace.clone())
        .collect();
    if found.is_empty() {
        BTreeSet::from([service.namespace.clone()])
    } else {
        found
    }
}

fn effective_rules(
    snapshot: &Snapshot,
    service: &MeshService,
    clients: &BTreeSet<Arc<str>>,
) -> Vec<Arc<EffectiveDestinationRule>> {
    let mut rules: Vec<Arc<EffectiveDestinationRule>> = Vec::new();
    for client in clients {
        let found = snapshot.destination_rule_for(
            &service.host,
            client,
            &BTreeMap::new(),
            &service.namespace,
        );
        if let Some(rule) = found
            && !rules.iter().any(|known| known.same(&rule))
        {
            rules.push(rule);
        }
    }
    rules
}

fn pods(snapshot: &Snapshot, service: &MeshService) -> Vec<PodSeen> {
    snapshot
        .resources(Kind::Pod)
        .iter()
        .filter(|pod| pod.key.namespace == service.namespace)
        .filter(|pod| selects(&service.selector, &pod.meta.labels))
        .map(|pod| PodSeen {
            name: pod.key.name.clone(),
            labels: pod.meta.labels.clone(),
            ready: !pod.meta.deleting && is_ready(&pod.object),
        })
        .collect()
}

fn is_ready(object: &Object) -> bool {
    let Object::Pod(pod) = object else {
        return false;
    };
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    conditions
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
