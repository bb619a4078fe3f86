//! The plan of a shift: which objects change to what, in the order in which they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::memory::{Memory, RuleMemory};
use super::routed::{RuleRef, routed_rules};
use super::routes::{ExactShare, Reader};
use super::subsets::{define, free_key, own_host};
use super::{Refusal, Target, WeightRequest, apportion};
use crate::resource::{Kind, Resource, ResourceKey};
use crate::snapshot::Snapshot;

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The service's host.
    pub host: Arc<str>,
    /// Objects in the order in which they are written: subsets before routes.
    pub changes: Vec<Change>,
    /// The rules that carry the service's requests, with their shares before and after.
    pub rules: Vec<RuleChange>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// One object that changes.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which.
    pub key: ResourceKey,
    /// How.
    pub action: Action,
    /// As it is now, with the resource version that it must still have when it is written.
    pub before: Option<Arc<Value>>,
    /// As it will be.
    pub after: Option<Value>,
}

/// How an object changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It does not exist yet.
    Create,
    /// It is replaced.
    Replace,
    /// It is deleted.
    Delete,
}

/// The shares of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleChange {
    /// The VirtualService.
    pub key: ResourceKey,
    /// Position in `spec.http`.
    pub index: usize,
    /// Now.
    pub before: Vec<Share>,
    /// Afterwards; the weights of all destinations add up to 100.
    pub after: Vec<Share>,
}

/// What a destination gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Subset of the service; none for destinations that are other services.
    pub subset: Option<Arc<str>>,
    /// Of 100.
    pub weight: u32,
}

/// What the rest is in proportion to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// To what is routed now, which becomes the state to go back to.
    Now,
    /// To what was routed before the shift that is under way; the state to go back to stays the same.
    BeforeThisShift,
}

/// Plans a shift.
pub fn plan(
    snapshot: &Snapshot,
    target: &Target,
    ask: &WeightRequest,
    base: Base,
) -> Result<Plan, Refusal> {
    for (subset, weight) in ask.shares() {
        if *weight > 0 || !target.subsets.contains_key(subset) {
            target.subset(subset)?;
        }
    }
    Planner {
        snapshot,
        target,
        ask,
        base,
        versions: target.versions(snapshot),
    }
    .plan()
}

struct Planner<'a> {
    snapshot: &'a Snapshot,
    target: &'a Target,
    ask: &'a WeightRequest,
    base: Base,
    versions: (Vec<(Arc<str>, u64)>, u64),
}

/// The routes of a VirtualService that a rule is based on, and what its object remembers.
struct Basis {
    routes: Vec<Value>,
    memory: Memory,
}

// === impl Planner ===

impl Planner<'_> {
    fn plan(&self) -> Result<Plan, Refusal> {
        let routed = routed_rules(self.snapshot, self.target)?;
        let mut plan = Plan {
            host: self.target.service.host.clone(),
            changes: Vec::new(),
            rules: Vec::new(),
            notes: routed.notes,
        };
        if routed.rules.is_empty() {
            self.create_routes(&mut plan)?;
        } else {
            self.change_routes(&routed.rules, &mut plan)?;
        }
        let needed: BTreeSet<Arc<str>> = plan
            .rules
            .iter()
            .flat_map(|rule| &rule.after)
            .filter_map(|share| share.subset.clone())
            .collect();
        for name in &needed {
            if !self.target.subsets.contains_key(name) {
                plan.notes.push(format!(
                    "subset {name} is routed but not defined, and no pod has the label version={name}"
                ));
            }
        }
        let known = needed
            .into_iter()
            .filter(|name| self.target.subsets.contains_key(name))
            .collect();
        let mut changes = define(self.snapshot, self.target, &known)?;
        changes.append(&mut plan.changes);
        plan.changes = changes;
        Ok(plan)
    }

    fn create_routes(&self, plan: &mut Plan) -> Result<(), Refusal> {
        let host = own_host(self.target);
        let key = free_key(self.snapshot, self.target, Kind::VirtualService);
        let whole = vec![json!({"destination": {"host": host}})];
        let reader = self.reader(&key.namespace);
        let routes = reader.reweighted(&whole, self.ask)?;
        let mut after = json!({
            "apiVersion": Kind::VirtualService.api_version(),
            "kind": Kind::VirtualService.name(),
            "metadata": {"name": &*key.name, "namespace": &*key.namespace},
            "spec": {"hosts": [host], "http": [{"route": routes}]},
        });
        let memory = Memory {
            host: plan.host.clone(),
            created: true,
            rules: BTreeMap::from([(
                0,
                RuleMemory {
                    before: Vec::new(),
                    after: routes.clone(),
                },
            )]),
            subsets: Vec::new(),
        };
        memory.write(&mut after);
        plan.rules.push(RuleChange {
            key: key.clone(),
            index: 0,
            before: in_percent(&reader.shares(&whole)?),
            after: in_percent(&reader.shares(&routes)?),
        });
        plan.changes.push(Change {
            key,
            action: Action::Create,
            before: None,
            after: Some(after),
        });
        Ok(())
    }

    fn change_routes(&self, rules: &[RuleRef], plan: &mut Plan) -> Result<(), Refusal> {
        let mut by_object: BTreeMap<&ResourceKey, Vec<&RuleRef>> = BTreeMap::new();
        for rule in rules {
            let key = &rule.virtual_service.resource.key;
            by_object.entry(key).or_default().push(rule);
        }
        for (key, rules) in by_object {
            let Some(first) = rules.first() else {
                continue;
            };
            let resource = &first.virtual_service.resource;
            let indices: Vec<usize> = rules.iter().map(|rule| rule.index).collect();
            self.change_object(key, resource, &indices, plan)?;
        }
        Ok(())
    }

    fn change_object(
        &self,
        key: &ResourceKey,
        resource: &Arc<Resource>,
        indices: &[usize],
        plan: &mut Plan,
    ) -> Result<(), Refusal> {
        let reader = self.reader(&key.namespace);
        let mut after = (*resource.raw).clone();
        let mut memory = Memory {
            host: plan.host.clone(),
            ..Memory::default()
        };
        for index in indices {
            let now = routes_of(&resource.raw, *index);
            let basis = self.basis(resource, *index, &now)?;
            let routes = reader.reweighted(&basis.routes, self.ask)?;
            set_routes(&mut after, *index, &routes);
            plan.rules.push(RuleChange {
                key: key.clone(),
                index: *index,
                before: in_percent(&reader.shares(&now)?),
                after: in_percent(&reader.shares(&routes)?),
            });
            let before = match basis.memory.rules.get(index) {
                Some(remembered) => remembered.before.clone(),
                None => now,
            };
            memory.created = basis.memory.created;
            let rule = RuleMemory {
                before,
                after: routes,
            };
            memory.rules.insert(*index, rule);
        }
        let same =
            |(index, rule): (&usize, &RuleMemory)| routes_of(&resource.raw, *index) == rule.after;
        if memory.rules.iter().all(same) {
            return Ok(());
        }
        if !memory.write(&mut after) {
            plan.notes.push(format!(
                "the routes of {key} are too long to be remembered, so --undo will not bring them back"
            ));
        }
        plan.changes.push(Change {
            key: key.clone(),
            action: Action::Replace,
            before: Some(resource.raw.clone()),
            after: Some(after),
        });
        Ok(())
    }

    /// What a rule's new routes are computed from.
    fn basis(&self, resource: &Resource, index: usize, now: &[Value]) -> Result<Basis, Refusal> {
        let fresh = || Basis {
            routes: now.to_vec(),
            memory: Memory::default(),
        };
        if self.base == Base::Now {
            return Ok(fresh());
        }
        let Some(memory) = Memory::read(&resource.meta, &self.target.service.host) else {
            return Ok(fresh());
        };
        let Some(rule) = memory.rules.get(&index) else {
            return Ok(fresh());
        };
        if rule.after != now {
            return Err(changed_since(&resource.key, index));
        }
        let routes = if memory.created {
            vec![json!({"destination": {"host": own_host(self.target)}})]
        } else {
            rule.before.clone()
        };
        Ok(Basis { routes, memory })
    }

    fn reader<'b>(&'b self, namespace: &'b str) -> Reader<'b> {
        Reader {
            host: &self.target.service.host,
            namespace,
            domain: &self.snapshot.options().dns_domain,
            versions: &self.versions.0,
            without_version: self.versions.1,
        }
    }
}

// === impl Plan ===

impl Plan {
    /// The weight that a subset has now in the rules that change: the first rule's.
    pub fn weight_before(&self, subset: &str) -> u32 {
        let shares = self.rules.first().map(|rule| &rule.before);
        shares
            .into_iter()
            .flatten()
            .filter(|share| share.subset.as_deref() == Some(subset))
            .map(|share| share.weight)
            .sum()
    }

    /// Whether nothing has to be written.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The objects' routes are not what the shift left.
pub(super) fn changed_since(key: &ResourceKey, index: usize) -> Refusal {
    Refusal::state(format!(
        "the routes of {key} (http[{index}]) were changed by somebody else since the shift"
    ))
    .hint("look at the object, and shift to the weights that you want")
}

/// The destinations of an HTTP rule of a raw VirtualService.
pub(super) fn routes_of(object: &Value, index: usize) -> Vec<Value> {
    let routes = object.pointer(&format!("/spec/http/{index}/route"));
    routes
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

pub(super) fn set_routes(object: &mut Value, index: usize, routes: &[Value]) {
    if let Some(Value::Object(rule)) = object.pointer_mut(&format!("/spec/http/{index}")) {
        rule.insert("route".to_owned(), Value::Array(routes.to_vec()));
    }
}

fn in_percent(shares: &[ExactShare]) -> Vec<Share> {
    let weights: Vec<u64> = shares.iter().map(|(_, weight)| *weight).collect();
    let parts = apportion(100, &weights).unwrap_or_else(|| vec![0; weights.len()]);
    shares
        .iter()
        .zip(parts)
        .map(|((subset, _), weight)| Share {
            subset: subset.clone(),
            weight,
        })
        .collect()
}
