//! The plan of a shift: which objects change to what, in the order in which they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::first::{FirstRule, first_rules};
use super::memory::{History, Memory, RuleMemory};
use super::routed::{RuleRef, routed_rules};
use super::routes::{ExactShare, Reader};
use super::subsets::{define, free_key, own_host};
use super::{Refusal, Section, Target, WeightRequest, apportion, shifts_of};
use crate::resource::{Kind, Resource, ResourceKey};
use crate::snapshot::Snapshot;

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The service's host.
    pub host: Arc<str>,
    /// Which shift of the host it is; higher is later.
    pub level: u32,
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
    /// The object.
    pub key: ResourceKey,
    /// Which of its lists of rules.
    pub section: Section,
    /// Position there.
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
    /// Exactly, in a unit that all shares of a rule have in common.
    pub exact: u64,
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
    if ask.first().is_some() && target.section == Section::Tcp {
        let message = format!(
            "connections to {} have no headers that could be matched",
            target.service.host
        );
        return Err(Refusal::usage(message).hint("shift by weight only"));
    }
    if ask.first().is_some() && target.section == Section::Rules {
        let message = format!(
            "HTTPRoutes decide about {}, and --match puts rules into VirtualServices only",
            target.service.host
        );
        return Err(Refusal::usage(message)
            .hint("add a rule that matches the header to the HTTPRoute, or shift by weight only"));
    }
    Planner {
        snapshot,
        target,
        ask,
        level: level(snapshot, &target.service.host, base),
        versions: target.versions(snapshot),
        base,
    }
    .plan()
}

/// What the rules that a shift would change send where now.
pub fn shares_now(snapshot: &Snapshot, target: &Target) -> Result<Vec<RuleChange>, Refusal> {
    let versions = target.versions(snapshot);
    let section = target.section;
    let rules = routed_rules(snapshot, target)?.rules.into_iter();
    let shares = rules.map(|rule| {
        let resource = &rule.resource;
        let reader = reader(snapshot, target, &versions, &resource.key.namespace);
        let now = section.routes_of(&resource.raw, rule.index);
        let now = in_percent(&shares(target, &reader, &now)?);
        Ok(RuleChange {
            key: resource.key.clone(),
            section,
            index: rule.index,
            before: now.clone(),
            after: now,
        })
    });
    shares.collect()
}

/// The number of the shift: the last one's when it goes on, else the next.
pub(super) fn level(snapshot: &Snapshot, host: &str, base: Base) -> u32 {
    let rules = snapshot.resources(Kind::DestinationRule).iter();
    let of_rules = rules.flat_map(|rule| History::read(&rule.meta).levels(host));
    let last = of_rules.chain(shifts_of(snapshot, host)).max();
    match (base, last) {
        (Base::Now, last) => last.unwrap_or(0).saturating_add(1),
        (Base::BeforeThisShift, last) => last.unwrap_or(1),
    }
}

struct Planner<'a> {
    snapshot: &'a Snapshot,
    target: &'a Target,
    ask: &'a WeightRequest,
    base: Base,
    /// The number of this shift.
    level: u32,
    versions: (Vec<(Arc<str>, u64)>, u64),
}

// === impl Planner ===

impl Planner<'_> {
    fn plan(&self) -> Result<Plan, Refusal> {
        let routed = routed_rules(self.snapshot, self.target)?;
        let mut plan = Plan::new(&self.target.service.host);
        plan.level = self.level;
        plan.notes = routed.notes;
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
        // Versions in an HTTPRoute are Services, and need no subsets.
        if self.target.section != Section::Rules {
            let mut changes = define(self.snapshot, self.target, &known, self.level)?;
            changes.append(&mut plan.changes);
            plan.changes = changes;
        }
        Ok(plan)
    }

    fn create_routes(&self, plan: &mut Plan) -> Result<(), Refusal> {
        let host = own_host(self.target);
        let key = free_key(self.snapshot, self.target, Kind::VirtualService);
        let whole = vec![json!({"destination": {"host": host}})];
        let reader = reader(self.snapshot, self.target, &self.versions, &key.namespace);
        let routes = reader.reweighted(&whole, self.ask)?;
        let section = self.target.section;
        let mut rules = vec![json!({"route": routes})];
        let mut memory = Memory {
            created: true,
            section,
            ..Memory::new(&plan.host, self.level)
        };
        if let Some((name, value)) = self.ask.first() {
            rules.insert(
                0,
                json!({"match": [{"headers": {name: {"exact": value}}}], "route": routes}),
            );
            if let Some(Value::Object(everybody)) = rules.get_mut(1) {
                everybody.insert("route".to_owned(), json!(whole));
            }
        }
        let mut after = json!({
            "apiVersion": Kind::VirtualService.api_version(),
            "kind": Kind::VirtualService.name(),
            "metadata": {"name": &*key.name, "namespace": &*key.namespace},
            "spec": {"hosts": [host], section.name(): rules},
        });
        memory.rules = (0..rules.len())
            .map(|index| {
                let remembered = RuleMemory {
                    before: Vec::new(),
                    after: section.routes_of(&after, index),
                };
                (index, remembered)
            })
            .collect();
        let mut history = History::default();
        history.put(memory);
        history.write(&mut after);
        plan.rules.push(RuleChange {
            key: key.clone(),
            section,
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
            let key = &rule.resource.key;
            by_object.entry(key).or_default().push(rule);
        }
        for (key, rules) in by_object {
            let Some(first) = rules.first() else {
                continue;
            };
            let resource = &first.resource;
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
        let section = self.target.section;
        let mut after = (*resource.raw).clone();
        let mut history = History::read(&resource.meta);
        let known = match self.base {
            Base::Now => None,
            Base::BeforeThisShift => history.at(&plan.host, self.level).cloned(),
        };
        let mut memory = known.unwrap_or_else(|| Memory {
            section,
            ..Memory::new(&plan.host, self.level)
        });
        let rules: Vec<FirstRule> = match self.ask.first() {
            Some(header) => first_rules(&mut after, indices, header),
            None => indices
                .iter()
                .map(|index| FirstRule {
                    index: *index,
                    everybody: *index,
                    inserted: false,
                })
                .collect(),
        };
        for rule in &rules {
            if rule.inserted {
                history.moved(&plan.host, section, rule.index, true);
            }
            self.change_rule(key, rule, &mut after, &mut memory, plan)?;
        }
        if Section::rules(section, &after) == Section::rules(section, &resource.raw) {
            return Ok(());
        }
        history.put(memory);
        if !history.write(&mut after) {
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

    fn change_rule(
        &self,
        key: &ResourceKey,
        rule: &FirstRule,
        object: &mut Value,
        memory: &mut Memory,
        plan: &mut Plan,
    ) -> Result<(), Refusal> {
        let (section, index) = (self.target.section, rule.index);
        let reader = reader(self.snapshot, self.target, &self.versions, &key.namespace);
        let everybody = section.routes_of(object, rule.everybody);
        let now = match rule.inserted {
            true => Vec::new(),
            false => section.routes_of(object, index),
        };
        let known = memory.rules.get(&index);
        if known.is_some_and(|known| known.after != now) {
            return Err(changed_since(key, section, index));
        }
        let (before, basis) = match known {
            Some(_) if memory.created => {
                let host = own_host(self.target);
                (Vec::new(), vec![json!({"destination": {"host": host}})])
            }
            Some(_) if memory.inserted.contains(&index) => (Vec::new(), everybody),
            Some(known) => (known.before.clone(), known.before.clone()),
            None if rule.inserted => (Vec::new(), everybody),
            None => (now.clone(), now.clone()),
        };
        let routes = match self.target.backends() {
            None => reader.reweighted(&basis, self.ask)?,
            Some(backends) => {
                let destinations = backends.destinations(&basis, &key.namespace);
                let destinations = reader.reweighted(&destinations, self.ask)?;
                backends.written(&destinations, &basis, key)?
            }
        };
        section.set_routes(object, index, &routes);
        plan.rules.push(RuleChange {
            key: key.clone(),
            section,
            index,
            before: in_percent(&shares(self.target, &reader, &now)?),
            after: in_percent(&shares(self.target, &reader, &routes)?),
        });
        if rule.inserted {
            memory.inserted.insert(index);
        }
        let after = routes;
        memory.rules.insert(index, RuleMemory { before, after });
        Ok(())
    }
}

/// What a rule's destinations, or backends, have.
fn shares(
    target: &Target,
    reader: &Reader<'_>,
    routes: &[Value],
) -> Result<Vec<ExactShare>, Refusal> {
    match target.backends() {
        None => reader.shares(routes),
        Some(backends) => reader.shares(&backends.destinations(routes, reader.namespace)),
    }
}

fn reader<'a>(
    snapshot: &'a Snapshot,
    target: &'a Target,
    versions: &'a (Vec<(Arc<str>, u64)>, u64),
    namespace: &'a str,
) -> Reader<'a> {
    Reader {
        host: &target.service.host,
        namespace,
        domain: &snapshot.options().dns_domain,
        versions: &versions.0,
        without_version: versions.1,
    }
}

// === impl Plan ===

impl Plan {
    pub(super) fn new(host: &Arc<str>) -> Self {
        Self {
            host: host.clone(),
            level: 0,
            changes: Vec::new(),
            rules: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What a subset has now of the service's requests in the rules that change, in percent: the first rule's.
    pub fn weight_before(&self, subset: &str) -> u32 {
        let shares = self.rules.first().map(|rule| &rule.before);
        let own = shares
            .into_iter()
            .flatten()
            .filter(|share| share.subset.is_some());
        let all: u64 = own.clone().map(|share| share.exact).sum();
        let this = own.filter(|share| share.subset.as_deref() == Some(subset));
        let this: u64 = this.map(|share| share.exact).sum();
        let percent = (u128::from(this) * 100 + u128::from(all) / 2) / u128::from(all.max(1));
        u32::try_from(percent).unwrap_or(100)
    }

    /// Whether nothing has to be written.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The objects' routes are not what the shift left.
pub(super) fn changed_since(key: &ResourceKey, section: Section, index: usize) -> Refusal {
    let section = section.name();
    Refusal::state(format!(
        "the routes of {key} ({section}[{index}]) were changed by somebody else since the shift"
    ))
    .hint("look at the object, and shift to the weights that you want")
}

pub(super) fn in_percent(shares: &[ExactShare]) -> Vec<Share> {
    let weights: Vec<u64> = shares.iter().map(|(_, weight)| *weight).collect();
    let parts = apportion(100, &weights).unwrap_or_else(|| vec![0; weights.len()]);
    shares
        .iter()
        .zip(parts)
        .map(|((subset, exact), weight)| Share {
            subset: subset.clone(),
            weight,
            exact: *exact,
        })
        .collect()
}
