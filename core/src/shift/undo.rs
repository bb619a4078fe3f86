//! Taking the last shift of a service back.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::memory::Memory;
use super::plan::{changed_since, routes_of, set_routes};
use super::{Action, Change, Plan, Refusal, Target};
use crate::resource::{Kind, Resource};
use crate::snapshot::{Snapshot, expand_host};

/// Plans the way back: routes as they were, objects that the shift made deleted, then subsets that it added and that no route
/// names any more removed.
pub fn undo(snapshot: &Snapshot, target: &Target) -> Result<Plan, Refusal> {
    let host = &target.service.host;
    let mut plan = Plan {
        host: host.clone(),
        changes: Vec::new(),
        rules: Vec::new(),
        notes: Vec::new(),
    };
    for resource in snapshot.resources(Kind::VirtualService) {
        if let Some(memory) = Memory::read(&resource.meta, host) {
            plan.changes.push(restore(resource, &memory)?);
        }
    }
    let named = still_named(snapshot, target, &plan);
    for resource in snapshot.resources(Kind::DestinationRule) {
        if let Some(memory) = Memory::read(&resource.meta, host) {
            let change = forget_subsets(resource, &memory, &named);
            if change.is_none() {
                let message = format!("{} stays, as routes still name its subsets", resource.key);
                plan.notes.push(message);
            }
            plan.changes.extend(change);
        }
    }
    if plan.changes.is_empty() {
        return Err(Refusal::state(format!(
            "there is no shift of {host} to take back: no VirtualService remembers one"
        ))
        .hint(
            "name the weights that you want instead, for example: meshctl shift SERVICE v1=100",
        ));
    }
    Ok(plan)
}

fn restore(resource: &Arc<Resource>, memory: &Memory) -> Result<Change, Refusal> {
    for (index, rule) in &memory.rules {
        if routes_of(&resource.raw, *index) != rule.after {
            return Err(changed_since(&resource.key, *index));
        }
    }
    let rules = resource.raw.pointer("/spec/http").and_then(Value::as_array);
    if memory.created && rules.is_some_and(|rules| rules.len() == 1) {
        return Ok(deletion(resource));
    }
    if memory.created {
        return Err(changed_since(&resource.key, 0));
    }
    let mut after = (*resource.raw).clone();
    for (index, rule) in &memory.rules {
        set_routes(&mut after, *index, &rule.before);
    }
    Memory::erase(&mut after);
    Ok(replacement(resource, after))
}

/// The subsets of the host that some route names once the plan is carried out.
fn still_named(snapshot: &Snapshot, target: &Target, plan: &Plan) -> BTreeSet<String> {
    let domain = &snapshot.options().dns_domain;
    let mut named = BTreeSet::new();
    for resource in snapshot.resources(Kind::VirtualService) {
        let change = plan
            .changes
            .iter()
            .find(|change| change.key == resource.key);
        let object = match change {
            Some(Change { after: None, .. }) => continue,
            Some(Change {
                after: Some(after), ..
            }) => after,
            None => &*resource.raw,
        };
        for kind in ["http", "tls", "tcp"] {
            let rules = object.pointer(&format!("/spec/{kind}"));
            let rules = rules.and_then(Value::as_array).into_iter().flatten();
            let routes = rules
                .filter_map(|rule| rule.get("route").and_then(Value::as_array))
                .flatten();
            for destination in routes.filter_map(|route| route.get("destination")) {
                let text = |field: &str| destination.get(field).and_then(Value::as_str);
                let host = text("host").unwrap_or_default();
                if expand_host(host, &resource.key.namespace, domain) == *target.service.host {
                    named.extend(text("subset").map(str::to_owned));
                }
            }
        }
    }
    named
}

/// The rule without the subsets that the shift added; none if they are still needed.
fn forget_subsets(
    resource: &Arc<Resource>,
    memory: &Memory,
    named: &BTreeSet<String>,
) -> Option<Change> {
    let subsets = resource.raw.pointer("/spec/subsets");
    let subsets = subsets.and_then(Value::as_array)?;
    let name = |subset: &Value| {
        let name = subset.get("name").and_then(Value::as_str);
        name.unwrap_or_default().to_owned()
    };
    if memory.created {
        let needed = subsets.iter().any(|subset| named.contains(&name(subset)));
        return (!needed).then(|| deletion(resource));
    }
    let added = |subset: &Value| {
        let name = name(subset);
        memory.subsets.iter().any(|added| **added == *name) && !named.contains(&name)
    };
    if !memory.subsets.is_empty() && !subsets.iter().any(added) {
        return None;
    }
    let left: Vec<Value> = subsets
        .iter()
        .filter(|subset| !added(subset))
        .cloned()
        .collect();
    let mut after = (*resource.raw).clone();
    if let Some(Value::Object(spec)) = after.get_mut("spec") {
        if left.is_empty() {
            spec.shift_remove("subsets");
        } else {
            spec.insert("subsets".to_owned(), json!(left));
        }
    }
    Memory::erase(&mut after);
    Some(replacement(resource, after))
}

fn deletion(resource: &Arc<Resource>) -> Change {
    Change {
        key: resource.key.clone(),
        action: Action::Delete,
        before: Some(resource.raw.clone()),
        after: None,
    }
}

fn replacement(resource: &Arc<Resource>, after: Value) -> Change {
    Change {
        key: resource.key.clone(),
        action: Action::Replace,
        before: Some(resource.raw.clone()),
        after: Some(after),
    }
}
