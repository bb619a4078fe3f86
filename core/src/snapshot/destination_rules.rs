//! DestinationRules merged per namespace and host, and found for a client.
//!
//! ```text
//! client's namespace (unless it is the root) -> service's namespace -> root namespace
//! ```
//!
//! The first namespace that has a rule decides alone; inside it the most specific host does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_ir::PersistentMap;

use super::policy::EffectiveTrafficPolicy;
use super::report::{conflict, no_effect, partial_effect};
use super::visibility::visibility;
use super::{ChangeSet, HostMap, Visibility, expand_host};
use crate::diag::{Diagnostic, FieldPath};
use crate::model::{DestinationRuleSpec, LocalityLbSetting, MeshConfig, Subset, TrafficPolicy};
use crate::resource::{Kind, Object, Resource};

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
    by_namespace: PersistentMap<Arc<str>, HostMap<Arc<HostRules>>>,
    root: Arc<str>,
    /// Objects by namespace and host, the oldest first.
    objects: PersistentMap<(Arc<str>, Arc<str>, Age), Arc<Resource>>,
    /// Hosts and patterns of rules that are not for all clients, with their namespaces.
    conditional: PersistentMap<(Arc<str>, Arc<str>), ()>,
    /// Hosts and patterns of rules that prefer endpoints by where clients are, with their namespaces.
    by_topology: PersistentMap<(Arc<str>, Arc<str>), ()>,
    /// The labels that such rules order endpoints by, for those with any.
    failover_labels: PersistentMap<(Arc<str>, Arc<str>), BTreeSet<String>>,
    /// What is wrong with rules by namespace and host, for those with which something is.
    findings: PersistentMap<(Arc<str>, Arc<str>), Findings>,
}

/// The rules of one namespace for one host: with a workload selector before those without, private before public, the oldest first.
#[derive(Clone, Debug)]
struct HostRules {
    host: Arc<str>,
    rules: Vec<Arc<EffectiveDestinationRule>>,
}

/// What is wrong with objects, with their age.
type Findings = Arc<[(Age, Diagnostic)]>;

/// Creation time, then name; those without a time come first.
type Age = (Option<i64>, Arc<str>);

// === impl EffectiveDestinationRule ===

impl EffectiveDestinationRule {
    /// The subset of a name.
    pub fn subset(&self, name: &str) -> Option<&Subset> {
        self.subsets
            .iter()
            .map(|(subset, _)| subset)
            .find(|subset| subset.name == name)
    }

    /// Whether endpoints are preferred by where clients are: some block asks for it, or ejects endpoints where the mesh has it so.
    pub(crate) fn looks_at_topology(&self, mesh: &MeshConfig) -> bool {
        self.blocks().any(|block| {
            let balancer = block.load_balancer;
            match balancer.and_then(|balancer| balancer.locality_lb_setting.as_ref()) {
                Some(setting) => setting.enabled != Some(false),
                None => {
                    block.outlier_detection.is_some()
                        && mesh.locality_lb_setting().enabled != Some(false)
                }
            }
        })
    }

    /// The labels that endpoints are ordered by.
    fn failover_labels(&self) -> impl Iterator<Item = &str> {
        let settings = self
            .blocks()
            .filter_map(|block| block.load_balancer?.locality_lb_setting.as_ref());
        settings.flat_map(failover_labels)
    }

    /// All blocks of the policies: of the rule, of its subsets, and of the ports of both.
    fn blocks(&self) -> impl Iterator<Item = EffectiveTrafficPolicy<'_>> {
        let subsets = self.subsets.iter();
        let policies = subsets.filter_map(|(subset, _)| subset.traffic_policy.as_ref());
        policies.chain(&self.traffic_policy).flat_map(|policy| {
            let ports = policy.port_level_settings.iter();
            ports
                .map(EffectiveTrafficPolicy::of_port)
                .chain([EffectiveTrafficPolicy::of(policy)])
        })
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
    pub(super) fn new(mesh: &MeshConfig) -> Self {
        Self {
            root: mesh.root_namespace().into(),
            ..Self::default()
        }
    }

    /// Brings the rules up to date; gives the hosts and patterns of those that differ.
    pub(super) fn update(
        &mut self,
        changes: &ChangeSet,
        mesh: &MeshConfig,
        domain: &str,
    ) -> BTreeSet<Arc<str>> {
        let mut groups = BTreeSet::new();
        for (key, change) in changes.of(Kind::DestinationRule) {
            let group = |resource: &Arc<Resource>| match &resource.object {
                Object::DestinationRule(spec) => {
                    let host: Arc<str> = expand_host(&spec.host, &key.namespace, domain).into();
                    Some((host, (resource.meta.created, key.name.clone())))
                }
                _ => None,
            };
            if let Some((host, age)) = change.before.as_ref().and_then(group) {
                groups.insert((key.namespace.clone(), host.clone()));
                self.objects.remove(&(key.namespace.clone(), host, age));
            }
            if let Some(resource) = &change.after
                && let Some((host, age)) = group(resource)
            {
                groups.insert((key.namespace.clone(), host.clone()));
                self.objects
                    .insert((key.namespace.clone(), host, age), resource.clone());
            }
        }
        for (namespace, host) in &groups {
            self.rebuild(namespace, host, mesh);
        }
        groups.into_iter().map(|(_, host)| host).collect()
    }

    fn rebuild(&mut self, namespace: &Arc<str>, host: &Arc<str>, mesh: &MeshConfig) {
        let objects = self
            .objects
            .iter_from(|(a, b, _)| (a, b) < (namespace, host))
            .take_while(|((a, b, _), _)| (a, b) == (namespace, host));
        let (mut rules, mut findings) = (Vec::<EffectiveDestinationRule>::new(), Vec::new());
        for ((_, _, age), resource) in objects {
            let Object::DestinationRule(spec) = &resource.object else {
                continue;
            };
            let mut found = check(resource, spec);
            let mut rule = unmerged(resource, spec, host, mesh);
            let older = rules.iter_mut().find(|older| {
                older.workload_selector == rule.workload_selector
                    && older.visibility == rule.visibility
            });
            match older {
                Some(older) => found.extend(older.merge(spec, resource)),
                None => {
                    found.extend(rule.merge(spec, resource));
                    rules.push(rule);
                }
            }
            findings.extend(found.into_iter().map(|found| (age.clone(), found)));
        }
        let key = (namespace.clone(), host.clone());
        if findings.is_empty() {
            self.findings.remove(&key);
        } else {
            self.findings.insert(key.clone(), findings.into());
        }
        if rules.iter().any(|rule| rule.looks_at_topology(mesh)) {
            self.by_topology.insert(key.clone(), ());
        } else {
            self.by_topology.remove(&key);
        }
        let labels = rules.iter().flat_map(|rule| rule.failover_labels());
        let labels: BTreeSet<String> = labels.map(str::to_owned).collect();
        if labels.is_empty() {
            self.failover_labels.remove(&key);
        } else {
            self.failover_labels.insert(key.clone(), labels);
        }
        let for_all = |rule: &EffectiveDestinationRule| {
            rule.visibility == Visibility::Public && rule.workload_selector.is_none()
        };
        if rules.iter().all(for_all) {
            self.conditional.remove(&key);
        } else {
            self.conditional.insert(key, ());
        }
        self.set(namespace, host, rules);
    }

    fn set(
        &mut self,
        namespace: &Arc<str>,
        host: &Arc<str>,
        mut rules: Vec<EffectiveDestinationRule>,
    ) {
        rules.sort_by_key(|rule| {
            let public = rule.visibility == Visibility::Public;
            (rule.workload_selector.is_none(), public)
        });
        let by_host = self.by_namespace.get(namespace);
        let mut by_host = by_host.cloned().unwrap_or_default();
        if rules.is_empty() {
            by_host.remove(host);
        } else {
            let rules = rules.into_iter().map(Arc::new).collect();
            let host_rules = HostRules {
                host: host.clone(),
                rules,
            };
            by_host.insert(host, Arc::new(host_rules));
        }
        self.by_namespace.insert(namespace.clone(), by_host);
    }

    /// The hosts and patterns for which clients of a namespace may have other rules than those of a namespace without any.
    pub(super) fn conditional<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Arc<str>> {
        let own = self.by_namespace.get(namespace).into_iter();
        let own = own.flat_map(HostMap::values).map(|rules| &rules.host);
        own.chain(self.conditional.keys().map(|(_, host)| host))
    }

    /// The hosts and patterns for which endpoints are preferred by where clients are.
    pub(super) fn by_topology(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_topology.keys().map(|(_, host)| host)
    }

    /// The labels that endpoints are ordered by.
    pub(super) fn failover_labels(&self) -> impl Iterator<Item = &str> {
        let labels = self.failover_labels.values().flatten();
        labels.map(String::as_str)
    }

    /// What is wrong with rules, the oldest first.
    pub(super) fn findings(&self) -> Vec<Diagnostic> {
        let mut findings: Vec<(&Age, &Arc<str>, &Diagnostic)> = self
            .findings
            .iter()
            .flat_map(|((namespace, _), found)| {
                found
                    .iter()
                    .map(move |(age, found)| (age, namespace, found))
            })
            .collect();
        findings.sort_by_key(|(age, namespace, _)| (*age, *namespace));
        findings
            .into_iter()
            .map(|(_, _, found)| found.clone())
            .collect()
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
                .find_map(|rules| rules.rules.iter().find(applies).cloned())
        })
    }
}

/// The labels of clients that `failoverPriority` looks at; entries with a value look at none.
pub(super) fn failover_labels(setting: &LocalityLbSetting) -> impl Iterator<Item = &str> {
    let entries = setting.failover_priority.iter().map(String::as_str);
    entries.filter(|entry| !entry.contains('='))
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

/// Fields of a rule that nothing acts on yet.
fn check(resource: &Resource, spec: &DestinationRuleSpec) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let selector = spec.workload_selector.as_ref();
    let has_selector = selector.is_some_and(|selector| !selector.match_labels.is_empty());
    let base = FieldPath::parse("spec.trafficPolicy");
    if let Some(policy) = &spec.traffic_policy {
        check_policy(resource, &base, policy, has_selector, &mut diagnostics);
    }
    for (index, subset) in spec.subsets.iter().enumerate() {
        if let Some(policy) = &subset.traffic_policy {
            let base = FieldPath::parse("spec.subsets").index(index);
            check_policy(
                resource,
                &base.key("trafficPolicy"),
                policy,
                has_selector,
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
    has_selector: bool,
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
        (
            "retryBudget.budgetInterval",
            policy
                .retry_budget
                .as_ref()
                .is_some_and(|budget| budget.budget_interval.is_some()),
        ),
    ] {
        if set {
            let mut path = base.clone();
            path.0.extend(FieldPath::parse(field).0);
            diagnostics.push(no_effect(resource, path));
        }
    }
    for (path, block) in blocks {
        let below = |field: &str| {
            let mut path = path.clone();
            path.0.extend(FieldPath::parse(field).0);
            path
        };
        if let Some(shortcoming) = block.tls_shortcoming(has_selector) {
            let path = below("tls");
            diagnostics.push(partial_effect(resource, path, shortcoming));
        }
        for field in block.unsupported() {
            diagnostics.push(no_effect(resource, below(field)));
        }
    }
}
