//! What a pass finds to do, as a pure function of everything that is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::store::{Key, State};
use crate::verbs::{Propagation, remove_finalizer};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// One thing to do.
#[derive(Debug)]
pub enum Step {
    Delete {
        table: String,
        key: Key,
        propagation: Propagation,
    },
    /// The object as it is to be.
    Change {
        table: String,
        key: Key,
        object: Value,
    },
}

// === impl Step ===

impl Step {
    /// The object that it is about.
    pub fn place(&self) -> (&str, &Key) {
        match self {
            Self::Delete { table, key, .. } | Self::Change { table, key, .. } => (table, key),
        }
    }
}

type Object<'a> = (&'a str, &'a Key, &'a Arc<Value>);

/// What is stored, by what matters here.
struct World<'a> {
    by_uid: BTreeMap<&'a str, &'a Arc<Value>>,
    dependents: BTreeMap<&'a str, Vec<Object<'a>>>,
    /// Namespaces that are being deleted, and whether anything is left in them.
    ending: BTreeMap<&'a str, bool>,
    /// Definitions that are being deleted, by table, and whether any of their objects is left.
    definitions: BTreeMap<String, bool>,
}

/// Everything that can be done now.
pub fn plan(state: &State) -> Vec<Step> {
    let world = World::of(state);
    let mut steps = Vec::new();
    for object in state.all() {
        steps.extend(world.step(object));
    }
    steps
}

fn is_going(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn owners(object: &Value) -> &[Value] {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.map_or(&[], Vec::as_slice)
}

fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|finalizers| finalizers.iter().any(|one| one == finalizer))
}

fn delete(table: &str, key: &Key, propagation: Propagation) -> Step {
    Step::Delete {
        table: table.to_owned(),
        key: key.clone(),
        propagation,
    }
}

fn change(table: &str, key: &Key, object: Value) -> Step {
    Step::Change {
        table: table.to_owned(),
        key: key.clone(),
        object,
    }
}

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

// === impl World ===

impl<'a> World<'a> {
    fn of(state: &'a State) -> Self {
        let mut world = Self {
            by_uid: BTreeMap::new(),
            dependents: BTreeMap::new(),
            ending: BTreeMap::new(),
            definitions: BTreeMap::new(),
        };
        for (table, key, object) in state.all() {
            world
                .by_uid
                .insert(text(&object["metadata"]["uid"]), object);
            for owner in owners(object) {
                let dependents = world.dependents.entry(text(&owner["uid"])).or_default();
                dependents.push((table, key, object));
            }
            match table {
                "namespaces" if is_going(object) => {
                    world.ending.insert(&key.1, false);
                }
                DEFINITIONS if is_going(object) => {
                    world.definitions.insert(key.1.clone(), false);
                }
                _ => {}
            }
        }
        for (table, key, _) in state.all() {
            if let Some(left) = world.ending.get_mut(key.0.as_str()) {
                *left = true;
            }
            if let Some(left) = world.definitions.get_mut(table) {
                *left = true;
            }
        }
        world
    }

    fn step(&self, (table, key, object): Object<'a>) -> Option<Step> {
        let going = is_going(object);
        if !going && self.ending.contains_key(key.0.as_str()) {
            return Some(delete(table, key, Propagation::Background));
        }
        if !going && self.definitions.contains_key(table) {
            return Some(delete(table, key, Propagation::Background));
        }
        if !going {
            return self.unowned((table, key, object));
        }
        if table == "namespaces" && self.ending.get(key.1.as_str()) == Some(&false) {
            let mut object = Value::clone(object);
            object["spec"]["finalizers"] = json!([]);
            return Some(change(table, key, object));
        }
        if has_finalizer(object, ORPHAN) {
            return self.let_go((table, key, object));
        }
        if has_finalizer(object, FOREGROUND) {
            return self.foreground((table, key, object));
        }
        if table == DEFINITIONS && self.definitions.get(&key.1) == Some(&false) {
            return without(table, key, object, super::CUSTOM_FINALIZER);
        }
        None
    }

    /// An object all of whose owners are gone goes too; one that some are left of lets the others go.
    fn unowned(&self, (table, key, object): Object<'a>) -> Option<Step> {
        let owners = owners(object);
        if owners.is_empty() {
            return None;
        }
        let known = |owner: &&Value| self.by_uid.get(text(&owner["uid"]));
        let waiting = |owner: &Value| is_going(owner) && has_finalizer(owner, FOREGROUND);
        let left: Vec<Value> = owners
            .iter()
            .filter(|owner| known(owner).is_some())
            .cloned()
            .collect();
        if left.is_empty() {
            return Some(delete(table, key, Propagation::Background));
        }
        let all_wait = owners
            .iter()
            .filter_map(|owner| known(&owner))
            .all(|owner| waiting(owner));
        if all_wait {
            return Some(delete(table, key, Propagation::Foreground));
        }
        (left.len() < owners.len()).then(|| {
            let mut object = Value::clone(object);
            object["metadata"]["ownerReferences"] = json!(left);
            change(table, key, object)
        })
    }

    /// An object that goes after its dependents: it waits for those that say so.
    fn foreground(&self, (table, key, object): Object<'a>) -> Option<Step> {
        let uid = text(&object["metadata"]["uid"]);
        let dependents = self.dependents.get(uid).map_or(&[][..], Vec::as_slice);
        let blocks = |(_, _, dependent): &Object<'_>| {
            owners(dependent)
                .iter()
                .any(|owner| owner["uid"] == uid && owner["blockOwnerDeletion"] == true)
        };
        if dependents.iter().any(blocks) {
            return None;
        }
        without(table, key, object, FOREGROUND)
    }

    /// An object whose dependents stay: first they forget it, then it goes.
    fn let_go(&self, (table, key, object): Object<'a>) -> Option<Step> {
        let uid = text(&object["metadata"]["uid"]);
        let dependents: BTreeSet<(&str, &Key)> = self
            .dependents
            .get(uid)
            .into_iter()
            .flatten()
            .map(|(table, key, _)| (*table, *key))
            .collect();
        let Some((place, other)) = dependents.first() else {
            return without(table, key, object, ORPHAN);
        };
        let dependents = self.dependents.get(uid).into_iter().flatten();
        let mut found = dependents.filter(|(table, key, _)| (table, key) == (place, other));
        let mut dependent = Value::clone(found.next()?.2);
        let left: Vec<Value> = owners(&dependent)
            .iter()
            .filter(|owner| owner["uid"] != uid)
            .cloned()
            .collect();
        dependent["metadata"]["ownerReferences"] = json!(left);
        Some(change(place, other, dependent))
    }
}

fn without(table: &str, key: &Key, object: &Value, finalizer: &str) -> Option<Step> {
    let mut object = object.clone();
    remove_finalizer(&mut object, finalizer).then(|| change(table, key, object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(state: &mut State, table: &str, name: &str, metadata: Value) {
        let mut object = json!({"metadata": metadata, "spec": {}});
        object["metadata"]["name"] = json!(name);
        object["metadata"]["uid"] = json!(format!("uid-{name}"));
        state.put(table, ("n".to_owned(), name.to_owned()), object);
    }

    fn owned_by(name: &str) -> Value {
        json!({"ownerReferences": [{"uid": format!("uid-{name}"), "blockOwnerDeletion": true}]})
    }

    fn told(state: &State) -> Vec<String> {
        let told = plan(state).into_iter().map(|step| match step {
            Step::Delete {
                key, propagation, ..
            } => format!("delete {} {propagation:?}", key.1),
            Step::Change { key, object, .. } => format!("change {} {}", key.1, object["metadata"]),
        });
        told.collect()
    }

    #[test]
    fn dependents_go_after_their_owner() {
        let mut state = State::default();
        put(&mut state, "replicasets.apps", "rs", json!({}));
        put(&mut state, "pods", "pod", owned_by("rs"));
        assert!(told(&state).is_empty());
        state.remove("replicasets.apps", &("n".to_owned(), "rs".to_owned()));
        assert_eq!(told(&state), ["delete pod Background"]);
    }

    #[test]
    fn an_owner_in_the_foreground_waits_for_its_dependents() {
        let mut state = State::default();
        let going =
            json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FOREGROUND]});
        put(&mut state, "replicasets.apps", "rs", going);
        put(&mut state, "pods", "pod", owned_by("rs"));
        assert_eq!(told(&state), ["delete pod Foreground"]);
        state.remove("pods", &("n".to_owned(), "pod".to_owned()));
        let steps = told(&state);
        assert!(
            steps.len() == 1 && steps[0].starts_with("change rs") && !steps[0].contains(FOREGROUND),
            "{steps:?}"
        );
    }

    #[test]
    fn orphans_forget_their_owner_first() {
        let mut state = State::default();
        let going = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [ORPHAN]});
        put(&mut state, "replicasets.apps", "rs", going);
        put(&mut state, "pods", "pod", owned_by("rs"));
        let steps = told(&state);
        assert!(
            steps.len() == 1 && steps[0].starts_with("change pod"),
            "{steps:?}"
        );
    }

    #[test]
    fn a_namespace_goes_after_its_contents() {
        let mut state = State::default();
        let going = json!({"metadata": {"name": "n", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"finalizers": ["kubernetes"]}});
        state.put("namespaces", (String::new(), "n".to_owned()), going);
        put(&mut state, "pods", "pod", json!({}));
        assert_eq!(told(&state), ["delete pod Background"]);
        state.remove("pods", &("n".to_owned(), "pod".to_owned()));
        assert!(told(&state)[0].starts_with("change n"));
    }
}
