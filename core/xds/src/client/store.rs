//! What a client has of one type.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use crate::ResourceType;
use crate::resource::Resource;

/// Good resources of one type, and the names that are wanted.
#[derive(Debug)]
pub(super) struct Store {
    kind: ResourceType,
    pub(super) resources: BTreeMap<Arc<str>, Stored>,
    /// Names that are subscribed to, of collections where the type has them; empty for types that are wanted as a whole.
    pub(super) wanted: BTreeSet<Arc<str>>,
    /// Names of `wanted` of which the server has said something: a resource, good or bad, or that there is none.
    pub(super) answered: BTreeSet<Arc<str>>,
    /// Names of `wanted` whose answers are waited for, with the time when they were asked for.
    waiting: BTreeMap<Arc<str>, Duration>,
    /// Whether there was any response.
    pub(super) answered_all: bool,
    /// Whether `answered` is different since this was last asked for.
    readiness_changed: bool,
    /// Whether versions before may be kept.
    keeps_before: bool,
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
    pub(super) fn new(kind: ResourceType) -> Self {
        Self {
            kind,
            resources: BTreeMap::new(),
            wanted: BTreeSet::new(),
            answered: BTreeSet::new(),
            waiting: BTreeMap::new(),
            answered_all: false,
            readiness_changed: false,
            keeps_before: false,
        }
    }

    /// The name by which a resource is subscribed to: of its collection, or its own.
    fn subject<'a>(&self, name: &'a str) -> &'a str {
        self.kind.collection(name).unwrap_or(name)
    }

    /// Whether a resource belongs to the subscription.
    pub(super) fn is_wanted(&self, name: &str) -> bool {
        super::WILDCARDS.contains(&self.kind) || self.wanted.contains(self.subject(name))
    }

    /// Notes that the server has said something of a name.
    pub(super) fn note_answered(&mut self, name: &str) {
        let subject = self.subject(name);
        self.waiting.remove(subject);
        if self.answered.contains(subject) {
            return;
        }
        if let Some(subject) = self.wanted.get(subject) {
            self.answered.insert(subject.clone());
            self.readiness_changed = true;
        }
    }

    /// Whether it is since the last call known of more or other names whether they exist.
    pub(super) fn take_readiness_changed(&mut self) -> bool {
        std::mem::take(&mut self.readiness_changed)
    }

    /// Keeps a value while a newer version of it waits for what it refers to.
    pub(super) fn keep_before(&mut self, name: &str, value: Resource) {
        if let Some(stored) = self.resources.get_mut(name) {
            stored.before = Some(value);
            self.keeps_before = true;
        }
    }

    /// Lets go of all versions that were kept. Whether there were any.
    pub(super) fn forget_before(&mut self) -> bool {
        let kept = std::mem::take(&mut self.keeps_before);
        if kept {
            for stored in self.resources.values_mut() {
                stored.before = None;
            }
        }
        kept
    }

    /// Stores a good resource. Whether anything is different now.
    pub(super) fn insert(&mut self, name: Arc<str>, version: String, value: Resource) -> bool {
        self.note_answered(&name);
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
        self.note_answered(name);
        self.resources.remove(name).is_some()
    }

    /// Sets the wanted names; returns those to subscribe to and to unsubscribe from.
    pub(super) fn want(
        &mut self,
        wanted: BTreeSet<Arc<str>>,
        now: Duration,
    ) -> (Vec<String>, Vec<String>) {
        let names = |list: Vec<&Arc<str>>| list.into_iter().map(ToString::to_string).collect();
        let new: Vec<&Arc<str>> = wanted.difference(&self.wanted).collect();
        self.waiting
            .extend(new.iter().map(|name| (Arc::clone(name), now)));
        let subscribe = names(new);
        let unsubscribe: Vec<String> = names(self.wanted.difference(&wanted).collect());
        if !unsubscribe.is_empty() {
            let kind = self.kind;
            self.resources
                .retain(|name, _| wanted.contains(kind.collection(name).unwrap_or(name)));
            self.answered.retain(|name| wanted.contains(name));
            self.readiness_changed = true;
            self.waiting.retain(|name, _| wanted.contains(name));
        }
        self.wanted = wanted;
        (subscribe, unsubscribe)
    }

    /// Begins to wait anew for all that is not answered.
    pub(super) fn wait_again(&mut self, now: Duration) {
        let unanswered = self.wanted.difference(&self.answered);
        self.waiting = unanswered.map(|name| (name.clone(), now)).collect();
    }

    /// Waits no longer for what was asked for before some time.
    pub(super) fn give_up(&mut self, asked_before: Duration) {
        self.waiting.retain(|_, asked| *asked > asked_before);
    }

    /// When the first of the names that are waited for was asked for.
    pub(super) fn waiting_since(&self) -> Option<Duration> {
        self.waiting.values().min().copied()
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn unanswered(&self) -> impl Iterator<Item = &Arc<str>> {
        self.wanted.difference(&self.answered)
    }

    /// The resources of a collection in the order of their names.
    pub(super) fn members<'a>(&'a self, collection: &'a str) -> impl Iterator<Item = &'a Resource> {
        let (kind, start) = (self.kind, [collection, "/"].concat());
        self.resources
            .range::<str, _>((Bound::Included(&*start), Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(&*start))
            .filter(move |(name, _)| kind.collection(name) == Some(collection))
            .map(|(_, stored)| &stored.value)
    }

    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        self.resources
            .iter()
            .map(|(name, stored)| (name.to_string(), stored.version.clone()))
            .collect()
    }
}
