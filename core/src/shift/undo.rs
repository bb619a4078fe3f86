//! Taking the last shifts of a service back.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::memory::{History, Memory};
use super::plan::changed_since;
use super::{Action, Change, Plan, Refusal, Target};
use crate::resource::{Kind, Resource};
use crate::snapshot::{Snapshot, expand_host};

/// Plans the way back over some shifts: routes as they were, objects that the shifts made deleted, then subsets that they added
/// and that no route names any more removed.
pub fn undo(snapshot: &Snapshot, target: &Target, shifts: u32) -> Result<Plan, Refusal> {
    let host = &target.service.host;
    let from = first_of(snapshot, host, shifts)?;
    let mut plan = Plan::new(host);
    for kind in [Kind::VirtualService, Kind::HttpRoute] {
        for resource in snapshot.resources(kind) {
            let mut history = History::read(&resource.meta);
            if history.levels(host).range(from..).next().is_some() {
                let change = restore(resource, &mut history, host, from)?;
                plan.changes.push(change);
            }
        }
    }
    let named = still_named(snapshot, target, &plan);
    for resource in snapshot.resources(Kind::DestinationRule) {
        let mut history = History::read(&resource.meta);
        if history.levels(host).range(from..).next().is_some() {
            let change = forget_subsets(resource, &mut history, host, from, &named);
            if change.is_none() {
                let message = format!("{} stays, as routes still name its subsets", resource.key);
                plan.notes.push(message);
            }
            plan.changes.extend(change);
        }
    }
    Ok(plan)
}

/// The numbers of the shifts of a host that its routes remember.
pub fn shifts_of(snapshot: &Snapshot, host: &str) -> BTreeSet<u32> {
    let kinds = [Kind::VirtualService, Kind::HttpRoute];
    let resources = kinds.iter().flat_map(|kind| snapshot.resources(*kind));
    resources
        .flat_map(|resource| History::read(&resource.meta).levels(host))
        .collect()
}

/// The number of the first shift that is taken back.
fn first_of(snapshot: &Snapshot, host: &str, shifts: u32) -> Result<u32, Refusal> {
    let remembered = shifts_of(snapshot, host);
    let hint = "name the weights that you want instead, for example: meshctl shift SERVICE v1=100";
    if remembered.is_empty() {
        let message = format!(
            "there is no shift of {host} to take back: no VirtualService or HTTPRoute remembers one"
        );
        return Err(Refusal::state(message).hint(hint));
    }
    let back = usize::try_from(shifts).unwrap_or(usize::MAX).max(1);
    let first = remembered.iter().rev().nth(back - 1);
    first.copied().ok_or_else(|| {
        let message = format!(
            "{shifts} shifts of {host} cannot be taken back: {} are remembered",
            remembered.len()
        );
        Refusal::state(message).hint(hint)
    })
}

fn restore(
    resource: &Arc<Resource>,
    history: &mut History,
    host: &str,
    from: u32,
) -> Result<Change, Refusal> {
    let mut after = (*resource.raw).clone();
    let shifts: Vec<Memory> = history
        .of(host)
        .take_while(|memory| memory.level >= from)
        .cloned()
        .collect();
    for memory in shifts {
        if memory.lost {
            let message = format!(
                "the routes that {} had before were too long to be remembered",
                resource.key
            );
            return Err(Refusal::state(message));
        }
        let section = memory.section;
        for (index, rule) in &memory.rules {
            if section.routes_of(&after, *index) != rule.after {
                return Err(changed_since(&resource.key, section, *index));
            }
        }
        if memory.created && section.rules(&after).len() == memory.rules.len() {
            return Ok(deletion(resource));
        }
        if memory.created {
            return Err(changed_since(&resource.key, section, 0));
        }
        for (index, rule) in memory.rules.iter().rev() {
            if !memory.inserted.contains(index) {
                section.set_routes(&mut after, *index, &rule.before);
            }
        }
        for index in memory.inserted.iter().rev() {
            if let Some(rules) = section.rules_mut(&mut after) {
                rules.remove(*index);
            }
            history.moved(host, section, *index, false);
        }
    }
    history.forget(host, from);
    history.write(&mut after);
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

/// The rule without the subsets that the shifts added; none if they are still needed.
fn forget_subsets(
    resource: &Arc<Resource>,
    history: &mut History,
    host: &str,
    from: u32,
    named: &BTreeSet<String>,
) -> Option<Change> {
    let subsets = resource.raw.pointer("/spec/subsets");
    let subsets = subsets.and_then(Value::as_array)?;
    let name = |subset: &Value| {
        let name = subset.get("name").and_then(Value::as_str);
        name.unwrap_or_default().to_owned()
    };
    let shifts = || {
        let all = history.of(host);
        all.take_while(|memory| memory.level >= from)
    };
    if shifts().any(|memory| memory.created) {
        let needed = subsets.iter().any(|subset| named.contains(&name(subset)));
        return (!needed).then(|| deletion(resource));
    }
    let ours: BTreeSet<&str> = shifts()
        .flat_map(|memory| memory.subsets.iter().map(|name| &**name))
        .collect();
    let added = |subset: &Value| {
        let name = name(subset);
        ours.contains(&*name) && !named.contains(&name)
    };
    if !ours.is_empty() && !subsets.iter().any(added) {
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
    history.forget(host, from);
    history.write(&mut after);
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
