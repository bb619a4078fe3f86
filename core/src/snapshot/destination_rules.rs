//! DestinationRules merged per namespace and host, and found for a client.
//!
//! ```text
//! client's namespace (unless it is the root) -> service's namespace -> root namespace
//! ```
//!
//! The first namespace that has a rule decides alone; inside it the most specific host does.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::policy::EffectiveTrafficPolicy;
use super::report::{conflict, no_effect};
use super::visibility::visibility;
use super::{HostMap, MeshService, Visibility, expand_host};
use crate::diag::{Diagnostic, FieldPath};
use crate::model::{DestinationRuleSpec, MeshConfig, Subset, TrafficPolicy};
use crate::resource::{Object, Resource};

/// One or more DestinationRules of one namespace for one host, as one.
#[derive(Clone, Debug)]
pub struct EffectiveDestinationRule {
    /// Fully qualified lower-case host or pattern.
    pub host: Arc<str>,
    /// Namespace of the objects.
    pub namespace: Arc<str>,
    /// The objects, the oldest first; it gives the traffic policy.
    pub resources: Vec<Arc<Resource>>,
    /// Policy for all endpoints.
    pub traffic_policy: Option<TrafficPolicy>,
    /// Subsets with the objects that define them; names are unique.
    pub subsets: Vec<(Subset, Arc<Resource>)>,
    /// Who sees it.
    pub visibility: Visibility,
    /// Labels of the clients that it is for; none is all.
    pub workload_selector: Option<BTreeMap<String, String>>,
}

/// All rules by namespace and host.
#[derive(Clone, Debug, Default)]
pub(super) struct DestinationRules {
    by_namespace: BTreeMap<Arc<str>, HostMap<Vec<Arc<EffectiveDestinationRule>>>>,
    root: Arc<str>,
    /// Namespace and host of every object, and whether it is for all clients.
    all: Vec<(Arc<str>, Arc<str>, bool)>,
}

// === impl EffectiveDestinationRule ===

impl EffectiveDestinationRule {
    /// The subset of a name.
    pub fn subset(&self, name: &str) -> Option<&Subset> {
        self.subsets
            .iter()
            .map(|(subset, _)| subset)
            .find(|subset| subset.name == name)
    }

    /// Whether both come from the same values: the same objects in memory.
    pub fn same(&self, other: &Self) -> bool {
        self.resources.len() == other.resources.len()
            && self
                .resources
                .iter()
                .zip(&other.resources)
                .all(|(a, b)| Arc::ptr_eq(a, b))
    }

    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.workload_selector.as_ref().is_none_or(|selector| {
            selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        })
    }

    fn merge(&mut self, spec: &DestinationRuleSpec, resource: &Arc<Resource>) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let first = self.resources.first().map(|first| first.key.to_string());
        let first = first.unwrap_or_default();
        for (index, subset) in spec.subsets.iter().enumerate() {
            if self.subset(&subset.name).is_none() {
                self.subsets.push((subset.clone(), resource.clone()));
                continue;
            }
            let path = FieldPath::parse("spec.subsets").index(index).key("name");
            let message = format!(
                "subset {} of host {} is defined before, by {first} or in this object",
                subset.name, self.host
            );
            diagnostics.push(conflict(resource, path, message));
        }
        match (&self.traffic_policy, &spec.traffic_policy) {
            (None, Some(policy)) => self.traffic_policy = Some(policy.clone()),
            (Some(_), Some(_)) if !self.resources.is_empty() => {
                let message = format!(
                    "the traffic policy for host {} is given by the older {first}",
                    self.host
                );
                let path = FieldPath::parse("spec.trafficPolicy");
                diagnostics.push(conflict(resource, path, message));
            }
            _ => {}
        }
        self.resources.push(resource.clone());
        diagnostics
    }
}

// === impl DestinationRules ===

impl DestinationRules {
    pub(super) fn build(
        resources: &[Arc<Resource>],
        mesh: &MeshConfig,
        domain: &str,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut rules: BTreeMap<Arc<str>, HostMap<Vec<EffectiveDestinationRule>>> = BTreeMap::new();
        let mut hosts: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        let mut all = Vec::new();
        for resource in super::oldest_first(resources) {
            let Object::DestinationRule(spec) = &resource.object else {
                continue;
            };
            let namespace = &resource.key.namespace;
            let host: Arc<str> = expand_host(&spec.host, namespace, domain).into();
            let rule = unmerged(resource, spec, &host, mesh);
            let for_all = rule.visibility == Visibility::Public && rule.workload_selector.is_none();
            all.push((namespace.clone(), host.clone(), for_all));
            diagnostics.extend(check(resource, spec));
            let of_host = rules
                .entry(namespace.clone())
                .or_default()
                .entry(&host, Vec::new);
            let older = of_host.iter_mut().find(|older| {
                older.workload_selector == rule.workload_selector
                    && older.visibility == rule.visibility
            });
            match older {
                Some(older) => diagnostics.extend(older.merge(spec, resource)),
                None => {
                    hosts.entry(namespace.clone()).or_default().push(host);
                    let mut rule = rule;
                    diagnostics.extend(rule.merge(spec, resource));
                    of_host.push(rule);
                }
            }
        }
        Self {
            by_namespace: share(rules, &hosts),
            root: mesh.root_namespace().into(),
            all,
        }
    }

    /// Whether every client gets the same rule for a service: all rules are public, for all workloads, and lie in the namespace of
    /// the service or in the root namespace.
    pub(super) fn are_alike_for_clients(&self, services: &[Arc<MeshService>]) -> bool {
        self.all.iter().all(|(namespace, host, for_all)| {
            let of_service = || {
                services
                    .binary_search_by(|service| service.host.cmp(host))
                    .ok()
                    .and_then(|position| services.get(position))
                    .is_some_and(|service| service.namespace == *namespace)
            };
            *for_all && (*namespace == self.root || of_service())
        })
    }

    pub(super) fn find(
        &self,
        host: &str,
        client_namespace: &str,
        client_labels: &BTreeMap<String, String>,
        service_namespace: &str,
    ) -> Option<Arc<EffectiveDestinationRule>> {
        let in_client = (client_namespace != &*self.root).then_some(client_namespace);
        let mut namespaces: Vec<&str> = in_client.into_iter().collect();
        for namespace in [service_namespace, &*self.root] {
            if !namespace.is_empty() && !namespaces.contains(&namespace) {
                namespaces.push(namespace);
            }
        }
        namespaces.into_iter().find_map(|namespace| {
            let applies = |rule: &&Arc<EffectiveDestinationRule>| {
                let private = rule.workload_selector.is_some();
                rule.visibility.sees(client_namespace)
                    && rule.selects(client_labels)
                    && (!private || namespace == client_namespace)
            };
            self.by_namespace
                .get(namespace)?
                .matches(host)
                .find_map(|rules| rules.iter().find(applies).cloned())
        })
    }
}

fn unmerged(
    resource: &Arc<Resource>,
    spec: &DestinationRuleSpec,
    host: &Arc<str>,
    mesh: &MeshConfig,
) -> EffectiveDestinationRule {
    let selector = spec.workload_selector.as_ref();
    EffectiveDestinationRule {
        host: host.clone(),
        namespace: resource.key.namespace.clone(),
        resources: Vec::new(),
        traffic_policy: None,
        subsets: Vec::new(),
        visibility: visibility(
            spec.export_to.iter().map(String::as_str),
            &mesh.default_destination_rule_export_to,
            &resource.key.namespace,
        ),
        workload_selector: selector
            .map(|selector| selector.match_labels.clone())
            .filter(|labels| !labels.is_empty()),
    }
}

/// Rules with a workload selector come first, then private ones, then the oldest.
fn share(
    rules: BTreeMap<Arc<str>, HostMap<Vec<EffectiveDestinationRule>>>,
    hosts: &BTreeMap<Arc<str>, Vec<Arc<str>>>,
) -> BTreeMap<Arc<str>, HostMap<Vec<Arc<EffectiveDestinationRule>>>> {
    let mut shared: BTreeMap<Arc<str>, HostMap<Vec<Arc<EffectiveDestinationRule>>>> =
        BTreeMap::new();
    for (namespace, by_host) in rules {
        let target = shared.entry(namespace.clone()).or_default();
        for host in hosts.get(&namespace).into_iter().flatten() {
            let mut of_host: Vec<Arc<EffectiveDestinationRule>> = by_host
                .get(host)
                .into_iter()
                .flatten()
                .cloned()
                .map(Arc::new)
                .collect();
            of_host.sort_by_key(|rule| {
                let public = rule.visibility == Visibility::Public;
                (rule.workload_selector.is_none(), public)
            });
            *target.entry(host, Vec::new) = of_host;
        }
    }
    shared
}

/// Fields of a rule that nothing acts on yet.
fn check(resource: &Resource, spec: &DestinationRuleSpec) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let base = FieldPath::parse("spec.trafficPolicy");
    if let Some(policy) = &spec.traffic_policy {
        check_policy(resource, &base, policy, &mut diagnostics);
    }
    for (index, subset) in spec.subsets.iter().enumerate() {
        if let Some(policy) = &subset.traffic_policy {
            let base = FieldPath::parse("spec.subsets").index(index);
            check_policy(
                resource,
                &base.key("trafficPolicy"),
                policy,
                &mut diagnostics,
            );
        }
    }
    diagnostics
}

fn check_policy(
    resource: &Resource,
    base: &FieldPath,
    policy: &TrafficPolicy,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut blocks = vec![(base.clone(), EffectiveTrafficPolicy::of(policy))];
    for (index, port) in policy.port_level_settings.iter().enumerate() {
        let path = base.key("portLevelSettings").index(index);
        blocks.push((path, EffectiveTrafficPolicy::of_port(port)));
    }
    for (field, set) in [
        ("tunnel", policy.tunnel.is_some()),
        ("proxyProtocol", policy.proxy_protocol.is_some()),
        ("retryBudget", policy.retry_budget.is_some()),
    ] {
        if set {
            diagnostics.push(no_effect(resource, base.key(field)));
        }
    }
    for (path, block) in blocks {
        let below = |field: &str| {
            let mut path = path.clone();
            path.0.extend(FieldPath::parse(field).0);
            path
        };
        for field in block.unsupported() {
            diagnostics.push(no_effect(resource, below(field)));
        }
    }
}
