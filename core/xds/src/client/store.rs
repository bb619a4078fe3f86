//! What a client has of one type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ResourceType;
use crate::resource::Resource;

/// Good resources of one type, and the names that are wanted.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) resources: BTreeMap<Arc<str>, Stored>,
    /// Names that are subscribed to; empty for types that are wanted as a whole.
    pub(super) wanted: BTreeSet<Arc<str>>,
    /// Names of which the server has said something: a resource, good or bad, or that there is none.
    pub(super) answered: BTreeSet<Arc<str>>,
    /// Whether there was any response.
    pub(super) answered_all: bool,
}

/// One good resource.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) version: String,
    pub(super) value: Resource,
    /// The version before, while this one waits for what it refers to.
    pub(super) before: Option<Resource>,
}

// === impl Store ===

impl Store {
    /// Whether a resource belongs to the subscription.
    pub(super) fn is_wanted(&self, kind: ResourceType, name: &str) -> bool {
        super::WILDCARDS.contains(&kind) || self.wanted.contains(name)
    }

    /// Stores a good resource. Whether anything is different now.
    pub(super) fn insert(&mut self, name: Arc<str>, version: String, value: Resource) -> bool {
        self.answered.insert(name.clone());
        let old = self.resources.remove(&name);
        let changed = old.as_ref().is_none_or(|old| old.value != value);
        let before = old.and_then(|old| old.before);
        self.resources.insert(
            name,
            Stored {
                version,
                value,
                before,
            },
        );
        changed
    }

    /// Removes a resource. Whether there was one.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        if self.wanted.contains(name) {
            self.answered.insert(name.into());
        } else {
            self.answered.remove(name);
        }
        self.resources.remove(name).is_some()
    }

    /// Sets the wanted names; returns those to subscribe to and to unsubscribe from.
    pub(super) fn want(&mut self, wanted: BTreeSet<Arc<str>>) -> (Vec<String>, Vec<String>) {
        let names = |list: Vec<&Arc<str>>| list.into_iter().map(ToString::to_string).collect();
        let subscribe = names(wanted.difference(&self.wanted).collect());
        let unsubscribe = names(self.wanted.difference(&wanted).collect());
        self.resources.retain(|name, _| wanted.contains(name));
        self.answered.retain(|name| wanted.contains(name));
        self.wanted = wanted;
        (subscribe, unsubscribe)
    }

    pub(super) fn unanswered(&self) -> impl Iterator<Item = &Arc<str>> {
        self.wanted.difference(&self.answered)
    }

    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        self.resources
            .iter()
            .map(|(name, stored)| (name.to_string(), stored.version.clone()))
            .collect()
    }
}
