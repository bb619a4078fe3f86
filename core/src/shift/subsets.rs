//! Defining subsets that routes are about to name, in the DestinationRules that clients apply, or in a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::memory::{History, Memory};
use super::{Action, Change, Refusal, Target};
use crate::resource::{Kind, Resource, ResourceKey};
use crate::snapshot::{Snapshot, is_wildcard};

/// The changes that define all of some subsets for every client.
pub(super) fn define(
    snapshot: &Snapshot,
    target: &Target,
    needed: &BTreeSet<Arc<str>>,
    level: u32,
) -> Result<Vec<Change>, Refusal> {
    let labels = |name: &Arc<str>| {
        let labels = target.subsets.get(name).map(|subset| &subset.labels);
        labels.cloned().unwrap_or_default()
    };
    if target.rules.is_empty() {
        let subsets: Vec<(Arc<str>, BTreeMap<String, String>)> = needed
            .iter()
            .map(|name| (name.clone(), labels(name)))
            .collect();
        return Ok(vec![create(snapshot, target, &subsets, level)]);
    }
    let mut changes = Vec::new();
    for rule in &target.rules {
        let missing: Vec<(Arc<str>, BTreeMap<String, String>)> = needed
            .iter()
            .filter(|name| rule.subset(name).is_none())
            .map(|name| (name.clone(), labels(name)))
            .collect();
        let Some(first) = rule.resources.first().filter(|_| !missing.is_empty()) else {
            continue;
        };
        if is_wildcard(&rule.host) {
            let message = format!(
                "{} applies to {} by the pattern {} and does not define subset {}; a rule of its own would end the pattern's settings for this service",
                first.key, target.service.host, rule.host, missing[0].0
            );
            return Err(Refusal::state(message).hint(format!(
                "apply a DestinationRule for host {} with the settings that it needs, and shift again",
                target.service.host
            )));
        }
        changes.push(append(target, first, &missing, level));
    }
    Ok(changes)
}

fn create(
    snapshot: &Snapshot,
    target: &Target,
    subsets: &[(Arc<str>, BTreeMap<String, String>)],
    level: u32,
) -> Change {
    let key = free_key(snapshot, target, Kind::DestinationRule);
    let subsets: Vec<Value> = subsets
        .iter()
        .map(|(name, labels)| subset(name, labels))
        .collect();
    let mut after = json!({
        "apiVersion": Kind::DestinationRule.api_version(),
        "kind": Kind::DestinationRule.name(),
        "metadata": {"name": &*key.name, "namespace": &*key.namespace},
        "spec": {"host": own_host(target), "subsets": subsets},
    });
    let mut history = History::default();
    history.put(Memory {
        created: true,
        ..Memory::new(&target.service.host, level)
    });
    history.write(&mut after);
    Change {
        key,
        action: Action::Create,
        before: None,
        after: Some(after),
    }
}

fn append(
    target: &Target,
    resource: &Arc<Resource>,
    missing: &[(Arc<str>, BTreeMap<String, String>)],
    level: u32,
) -> Change {
    let mut after = (*resource.raw).clone();
    if let Some(Value::Object(spec)) = after.get_mut("spec") {
        let subsets = spec.entry("subsets").or_insert(Value::Null);
        if !subsets.is_array() {
            *subsets = json!([]);
        }
        if let Value::Array(subsets) = subsets {
            subsets.extend(missing.iter().map(|(name, labels)| subset(name, labels)));
        }
    }
    let mut history = History::read(&resource.meta);
    let host = &target.service.host;
    let known = history.at(host, level).cloned();
    let mut memory = known.unwrap_or_else(|| Memory::new(host, level));
    memory
        .subsets
        .extend(missing.iter().map(|(name, _)| name.clone()));
    history.put(memory);
    history.write(&mut after);
    Change {
        key: resource.key.clone(),
        action: Action::Replace,
        before: Some(resource.raw.clone()),
        after: Some(after),
    }
}

fn subset(name: &str, labels: &BTreeMap<String, String>) -> Value {
    json!({"name": name, "labels": labels})
}

/// The service's host as an object beside it writes it.
pub(super) fn own_host(target: &Target) -> &str {
    match target.service.registry {
        crate::snapshot::Registry::Kubernetes => &target.service.name,
        crate::snapshot::Registry::ServiceEntry => &target.service.host,
    }
}

/// The name for a new object: the service's, or one that is free.
pub(super) fn free_key(snapshot: &Snapshot, target: &Target, kind: Kind) -> ResourceKey {
    let base = own_host(target);
    let mut name = base.to_owned();
    let mut number = 1;
    loop {
        let key = ResourceKey {
            kind,
            namespace: target.service.namespace.clone(),
            name: name.as_str().into(),
        };
        if snapshot.get(&key).is_none() {
            return key;
        }
        number += 1;
        name = format!("{base}-{number}");
    }
}
