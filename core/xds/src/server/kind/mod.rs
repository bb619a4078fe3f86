//! What a client has and wants of one type.

mod exchange;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use super::probes::Probes;
use super::status::{Exchange, Refusal};
use super::subscribed::SubscribedNames;
use crate::ResourceType;
use crate::resource::{Entry, ResourceSet};

/// What is told of resources that were refused together with others, before it is known which of them are bad.
const SUSPECTED: &str = "refused together with others; they are tried one after the other";

/// The state of one type on one stream.
///
/// The client's knowledge is `base` with the exceptions in `differ`: a name in there is known in another version (or not at all) than
/// in `base`. Names outside of the subscription do not count. Sending something means taking it out of `differ`; a refusal puts it back.
#[derive(Debug)]
pub(super) struct KindState {
    kind: ResourceType,
    subscribed: bool,
    wildcard: bool,
    names: SubscribedNames,
    base: Arc<ResourceSet>,
    differ: BTreeMap<Arc<str>, Option<Arc<Entry>>>,
    refused: BTreeMap<Arc<str>, Refusal>,
    /// Groups of resources of which at least one is bad.
    suspects: VecDeque<BTreeSet<Arc<str>>>,
    probes: Probes,
    pending: Option<Pending>,
    /// Whether `differ` may hold names that do not differ.
    unsettled: bool,
    /// Whether the client may have resources from earlier streams of which it does not tell.
    forgetful: bool,
    /// Whether the client waits for a response even if there is nothing to send.
    owed: bool,
    sent: Option<Exchange>,
    acked: Option<Exchange>,
    nacked: Option<(Exchange, String)>,
    synced: Option<u64>,
}

/// A response that is not answered yet.
#[derive(Debug)]
struct Pending {
    exchange: Exchange,
    /// What a refusal puts back, by the names in the response.
    undo: BTreeMap<Arc<str>, Undo>,
}

#[derive(Debug)]
struct Undo {
    /// What the client had before.
    had: Option<Arc<Entry>>,
    /// The version that was sent; none for a removal.
    sent: Option<u64>,
}

/// The content of a response.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) resources: Vec<(Arc<str>, Arc<Entry>)>,
    pub(super) removed: Vec<Arc<str>>,
}

/// An answer to a response.
#[derive(Debug)]
pub(super) enum Answer {
    Accepted,
    Refused,
    Stale,
}

// === impl KindState: subscription ===

impl KindState {
    pub(super) fn new(kind: ResourceType) -> Self {
        Self {
            kind,
            subscribed: false,
            wildcard: false,
            names: SubscribedNames::default(),
            base: Arc::default(),
            differ: BTreeMap::new(),
            refused: BTreeMap::new(),
            suspects: VecDeque::new(),
            probes: Probes::default(),
            pending: None,
            unsettled: false,
            forgetful: false,
            owed: false,
            sent: None,
            acked: None,
            nacked: None,
            synced: None,
        }
    }

    pub(super) fn is_subscribed(&self) -> bool {
        self.subscribed
    }

    pub(super) fn names(&self) -> &SubscribedNames {
        &self.names
    }

    /// Whether a name is subscribed to: as such, with its collection, or with everything.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.wants_by_name(name)
    }

    fn wants_by_name(&self, name: &str) -> bool {
        let collection = || self.kind.collection(name);
        self.names.contains(name) || collection().is_some_and(|it| self.names.contains(it))
    }

    /// The first request of the type. `known` are versions that the client has from an earlier stream.
    pub(super) fn begin(&mut self, known: impl Iterator<Item = (Arc<str>, Arc<Entry>)>) {
        self.subscribed = true;
        self.unsettled = true;
        self.differ = known.map(|(name, entry)| (name, Some(entry))).collect();
        // A client that starts waits for an answer; one that resumes has had it.
        self.owed = self.differ.is_empty();
    }

    /// Forgets that the client waits for a response even if there is nothing to send.
    pub(super) fn settle_debt(&mut self) {
        self.owed = false;
    }

    /// Notes that the client keeps resources over reconnects without telling which.
    pub(super) fn expect_leftovers(&mut self) {
        self.forgetful = true;
    }

    pub(super) fn subscribe_all(&mut self) {
        if !self.wildcard {
            self.unsettled = true;
            let base = self.base.clone();
            for (name, _) in base.iter() {
                if !self.wants(name) {
                    self.differ.insert(name.clone(), None);
                }
            }
            self.wildcard = true;
        }
    }

    pub(super) fn unsubscribe_all(&mut self) {
        self.wildcard = false;
        let mut differ = std::mem::take(&mut self.differ);
        differ.retain(|name, _| self.wants(name));
        self.differ = differ;
    }

    /// Adds names. The client gets them (of a collection all) again even if it has them, unless it has just told their versions.
    /// Names that `known` has are shared with it: a thousand clients that want the same do not need a thousand copies of each name.
    pub(super) fn subscribe<'n>(
        &mut self,
        names: impl IntoIterator<Item = &'n str>,
        resumes: bool,
        known: Option<&ResourceSet>,
    ) {
        let shared = |name: &str| known.and_then(|known| known.name(name));
        let names = names.into_iter();
        let names: BTreeSet<Arc<str>> = names
            .map(|name| shared(name).unwrap_or_else(|| name.into()))
            .collect();
        self.add(names.iter().cloned(), resumes);
        self.follow(names, resumes);
    }

    /// Adds collections that the client has not named: it gets what is in there, and is told nothing if there is nothing.
    pub(super) fn follow(&mut self, names: BTreeSet<Arc<str>>, resumes: bool) {
        if names.is_empty() {
            return;
        }
        if self.kind.has_collections() {
            let base = self.base.clone();
            let kind = self.kind;
            let all = names.iter();
            let all = all.flat_map(|name| members(kind, &base, name, usize::MAX));
            self.add(all.cloned(), resumes);
        }
        self.names = self.names.with(names);
        self.unsettled = true;
    }

    /// What the client has of resources that it has just asked for is unknown, unless it has just told.
    fn add(&mut self, names: impl Iterator<Item = Arc<str>>, resumes: bool) {
        let asked = names.filter(|name| !resumes || !self.differ.contains_key(name));
        let mut asked: BTreeMap<Arc<str>, Option<Arc<Entry>>> =
            asked.map(|name| (name, None)).collect();
        if !self.refused.is_empty() {
            self.refused.retain(|name, _| !asked.contains_key(name));
        }
        self.differ.append(&mut asked);
    }

    /// Takes names out.
    pub(super) fn unsubscribe<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        let names: BTreeSet<&str> = names.into_iter().collect();
        if names.is_empty() {
            return;
        }
        self.names = self.names.without(&names);
        if self.wildcard {
            return;
        }
        let base = self.base.clone();
        for name in names {
            let members = members(self.kind, &base, name, usize::MAX).into_iter();
            let mut gone: Vec<Arc<str>> = members.cloned().chain([name.into()]).collect();
            gone.retain(|name| !self.wants(name));
            for name in &gone {
                self.differ.remove(name);
                self.refused.remove(name);
                if let Some(pending) = &mut self.pending {
                    pending.undo.remove(name);
                }
            }
        }
    }
}

/// Names with what a set has of them. Both are sorted, so that many names cost a walk through the set and not a search each.
fn joined(
    names: BTreeMap<Arc<str>, Option<Arc<Entry>>>,
    set: &ResourceSet,
) -> impl Iterator<Item = (Arc<str>, Option<Arc<Entry>>, Option<&Arc<Entry>>)> {
    let walks = names.len() >= set.len() / 8;
    let mut all = walks.then(|| set.iter().peekable());
    names.into_iter().map(move |(name, had)| {
        let found = match &mut all {
            None => set.get(&name),
            Some(all) => {
                while all.next_if(|(known, _)| **known < name).is_some() {}
                all.next_if(|(known, _)| **known == name)
                    .map(|(_, entry)| entry)
            }
        };
        (name, had, found)
    })
}

/// The names of a collection's resources, no more than `most`; none for types without collections.
fn members<'a>(
    kind: ResourceType,
    set: &'a ResourceSet,
    collection: &str,
    most: usize,
) -> Vec<&'a Arc<str>> {
    if !kind.has_collections() {
        return Vec::new();
    }
    let start = [collection, "/"].concat();
    set.iter_from(&start)
        .map(|(name, _)| name)
        .take_while(|name| name.starts_with(&*start))
        .filter(|name| kind.collection(name) == Some(collection))
        .take(most)
        .collect()
}

// === impl KindState: differences ===

impl KindState {
    /// Makes a new set the base and notes what the client does not have of it.
    pub(super) fn rebase(&mut self, target: &Arc<ResourceSet>) {
        if !Arc::ptr_eq(&self.base, target) {
            let old = std::mem::replace(&mut self.base, target.clone());
            self.note_changes(&old);
            let base = &self.base;
            self.refused.retain(|name, refusal| {
                base.get(name)
                    .is_some_and(|entry| entry.version == refusal.version)
            });
            self.unsettled = true;
        }
        if std::mem::take(&mut self.unsettled) {
            self.settle();
        }
    }

    fn note_changes(&mut self, old: &ResourceSet) {
        let changed = self.base.changed_since(old);
        // A new version is not suspected.
        for group in &mut self.suspects {
            for name in &changed {
                group.remove(name);
            }
        }
        let new = changed
            .into_iter()
            .filter(|name| !self.differ.contains_key(name) && self.wants(name));
        let mut new: BTreeMap<Arc<str>, Option<Arc<Entry>>> = new
            .map(|name| {
                let had = old.get(&name).cloned();
                (name, had)
            })
            .collect();
        self.differ.append(&mut new);
    }

    /// Forgets names that do not differ, or are not wanted.
    fn settle(&mut self) {
        let differ = std::mem::take(&mut self.differ);
        let base = self.base.clone();
        let differ = joined(differ, &base).filter(|(name, had, should)| {
            let has = had.as_ref().map(|entry| entry.version);
            let should = should.map(|entry| entry.version);
            if should.is_none() && has.is_none() {
                // Neither had nor there: worth telling once, to those who asked by name. A collection is there if a member is.
                self.names.contains(name) && members(self.kind, &base, name, 1).is_empty()
            } else {
                has != should && self.wants(name)
            }
        });
        self.differ = differ.map(|(name, had, _)| (name, had)).collect();
    }

    /// Whether something may be added or changed now.
    pub(super) fn has_additions(&self, now: SystemTime) -> bool {
        self.owed
            || self.certain_additions().next().is_some()
            || self.probes.may_try(now) && self.has_suspects()
    }

    /// Whether something is to be removed, or told to be missing.
    pub(super) fn has_removals(&self) -> bool {
        self.removals().next().is_some()
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether resources are on their way.
    pub(super) fn adds_in_flight(&self) -> bool {
        let adds = |pending: &Pending| pending.undo.values().any(|undo| undo.sent.is_some());
        self.pending.as_ref().is_some_and(adds)
    }

    /// When a group of suspected resources may be tried that has to wait.
    pub(super) fn wake_at(&self) -> Option<SystemTime> {
        let waits = self.subscribed && self.pending.is_none() && self.has_suspects();
        waits.then(|| self.probes.next_try()).flatten()
    }

    fn additions(&self) -> impl Iterator<Item = &Arc<str>> {
        self.differ
            .iter()
            .filter(|(name, _)| {
                let entry = self.base.get(name);
                entry.is_some_and(|entry| self.may_add(name, entry))
            })
            .map(|(name, _)| name)
    }

    /// Additions that are not among the suspects.
    fn certain_additions(&self) -> impl Iterator<Item = &Arc<str>> {
        self.additions().filter(|name| !self.is_suspect(name))
    }

    fn is_suspect(&self, name: &str) -> bool {
        self.suspects.iter().any(|group| group.contains(name))
    }

    fn has_suspects(&self) -> bool {
        !self.suspects.is_empty() && self.additions().any(|name| self.is_suspect(name))
    }

    fn removals(&self) -> impl Iterator<Item = &Arc<str>> {
        self.differ
            .iter()
            .filter(|(name, _)| self.base.get(name).is_none())
            .map(|(name, _)| name)
    }

    /// Everything that the client has once it has processed what was sent, for responses that hold the full state.
    pub(super) fn state(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Entry>)> {
        let unchanged = self
            .base
            .iter()
            .filter(|(name, _)| self.wants(name) && !self.differ.contains_key(*name));
        let kept = self
            .differ
            .iter()
            .filter_map(|(name, had)| Some((name, had.as_ref()?)))
            .filter(|(_, entry)| !entry.any.is_empty());
        unchanged.chain(kept)
    }
}
