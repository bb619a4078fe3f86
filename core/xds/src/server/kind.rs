//! What a client has and wants of one type.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use super::refusal;
use super::status::{Exchange, Refusal, TypeStatus};
use crate::resource::{Entry, ResourceSet};

/// The state of one type on one stream.
///
/// The client's knowledge is `base` with the exceptions in `differ`: a name in there is known in another version (or not at all) than
/// in `base`. Names outside of the subscription do not count. Sending something means taking it out of `differ`; a refusal puts it back.
#[derive(Debug, Default)]
pub(super) struct KindState {
    subscribed: bool,
    wildcard: bool,
    names: BTreeSet<Arc<str>>,
    base: Arc<ResourceSet>,
    differ: BTreeMap<Arc<str>, Option<Entry>>,
    refused: BTreeMap<Arc<str>, Refusal>,
    /// Groups of resources of which at least one is bad.
    suspects: VecDeque<BTreeSet<Arc<str>>>,
    pending: Option<Pending>,
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
    /// For each resource in it: what the client had before, and the version that was sent.
    undo: BTreeMap<Arc<str>, (Option<Entry>, u64)>,
}

/// The content of a response.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) resources: Vec<(Arc<str>, Entry)>,
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
    pub(super) fn is_subscribed(&self) -> bool {
        self.subscribed
    }

    pub(super) fn name_count(&self) -> usize {
        self.names.len()
    }

    pub(super) fn names(&self) -> &BTreeSet<Arc<str>> {
        &self.names
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// The first request of the type. `known` are versions that the client has from an earlier stream.
    pub(super) fn begin(&mut self, known: impl Iterator<Item = (Arc<str>, Entry)>) {
        self.subscribed = true;
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
            self.wildcard = true;
            for (name, _) in self.base.iter() {
                if !self.names.contains(name) {
                    self.differ.insert(name.clone(), None);
                }
            }
        }
    }

    pub(super) fn unsubscribe_all(&mut self) {
        self.wildcard = false;
        let names = &self.names;
        self.differ.retain(|name, _| names.contains(name));
    }

    /// Adds a name. The client gets it again even if it has it, unless it has just told its version. Names that `known` has are
    /// shared with it: a thousand clients that want the same do not need a thousand copies of each name.
    pub(super) fn subscribe(&mut self, name: &str, resumes: bool, known: Option<&ResourceSet>) {
        let shared = known.and_then(|known| known.name(name));
        let name: Arc<str> = shared.unwrap_or_else(|| name.into());
        if !resumes || !self.differ.contains_key(&name) {
            self.differ.insert(name.clone(), None);
        }
        self.refused.remove(&name);
        self.names.insert(name);
    }

    pub(super) fn unsubscribe(&mut self, name: &str) {
        self.names.remove(name);
        if self.wildcard {
            return;
        }
        self.differ.remove(name);
        self.refused.remove(name);
        if let Some(pending) = &mut self.pending {
            pending.undo.remove(name);
        }
    }
}

// === impl KindState: differences ===

impl KindState {
    /// Makes a new set the base and notes what the client does not have of it.
    pub(super) fn rebase(&mut self, target: &Arc<ResourceSet>) {
        if !Arc::ptr_eq(&self.base, target) {
            let old = std::mem::replace(&mut self.base, target.clone());
            for name in old.changed(target) {
                if !self.differ.contains_key(name) && self.wants(name) {
                    self.differ.insert(name.clone(), old.get(name).cloned());
                }
            }
            let base = &self.base;
            self.refused.retain(|name, refusal| {
                base.get(name)
                    .is_some_and(|entry| entry.version == refusal.version)
            });
        }
        let (base, names, wildcard) = (&self.base, &self.names, self.wildcard);
        self.differ.retain(|name, had| {
            let has = had.as_ref().map(|entry| entry.version);
            let should = base.get(name).map(|entry| entry.version);
            // Neither had nor there: worth telling once, to those who asked by name.
            let missing = should.is_none() && has.is_none();
            (wildcard || names.contains(name))
                && if missing {
                    names.contains(name)
                } else {
                    has != should
                }
        });
    }

    /// Whether something is to be added or changed.
    pub(super) fn has_additions(&self) -> bool {
        self.owed || self.additions().next().is_some()
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
        self.pending
            .as_ref()
            .is_some_and(|pending| !pending.undo.is_empty())
    }

    fn additions(&self) -> impl Iterator<Item = &Arc<str>> {
        self.differ
            .iter()
            .filter(|(name, _)| match self.base.get(name) {
                Some(entry) => self
                    .refused
                    .get(*name)
                    .is_none_or(|refusal| refusal.version != entry.version),
                None => false,
            })
            .map(|(name, _)| name)
    }

    fn removals(&self) -> impl Iterator<Item = &Arc<str>> {
        self.differ
            .iter()
            .filter(|(name, _)| self.base.get(name).is_none())
            .map(|(name, _)| name)
    }

    /// Everything that the client has once it has processed what was sent, for responses that hold the full state.
    pub(super) fn state(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
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

// === impl KindState: exchange ===

impl KindState {
    /// Takes what is to be added next.
    pub(super) fn take_additions(&mut self, exchange: Exchange) -> Batch {
        self.owed = false;
        let suspected: BTreeSet<&Arc<str>> = self.suspects.iter().flatten().collect();
        let mut names: Vec<Arc<str>> = self
            .additions()
            .filter(|name| !suspected.contains(name))
            .cloned()
            .collect();
        while names.is_empty()
            && let Some(group) = self.suspects.pop_front()
        {
            names = self
                .additions()
                .filter(|name| group.contains(*name))
                .cloned()
                .collect();
        }
        let mut batch = Batch::default();
        let mut undo = BTreeMap::new();
        for name in names {
            let had = self.differ.remove(&name).flatten();
            if let Some(entry) = self.base.get(&name) {
                undo.insert(name.clone(), (had, entry.version));
                self.refused.remove(&name);
                batch.resources.push((name, entry.clone()));
            }
        }
        self.send(exchange, undo);
        batch
    }

    /// Takes what is to be removed.
    pub(super) fn take_removals(&mut self, exchange: Exchange) -> Batch {
        let removed: Vec<Arc<str>> = self.removals().cloned().collect();
        for name in &removed {
            self.differ.remove(name);
        }
        self.send(exchange, BTreeMap::new());
        Batch {
            resources: vec![],
            removed,
        }
    }

    fn send(&mut self, exchange: Exchange, undo: BTreeMap<Arc<str>, (Option<Entry>, u64)>) {
        self.sent = Some(exchange.clone());
        self.pending = Some(Pending { exchange, undo });
    }

    /// Whether a nonce is that of the last response, answered or not.
    pub(super) fn is_last_nonce(&self, nonce: &str) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.nonce == nonce)
    }

    /// The client's answer to a response.
    pub(super) fn answer(&mut self, nonce: &str, refusal: Option<&str>, now: SystemTime) -> Answer {
        let Some(Pending { exchange, undo }) = self
            .pending
            .take_if(|pending| pending.exchange.nonce == nonce)
        else {
            return Answer::Stale;
        };
        let exchange = Exchange {
            at: now,
            ..exchange
        };
        match refusal {
            None => {
                self.acked = Some(exchange);
                Answer::Accepted
            }
            Some(message) => {
                self.nacked = Some((exchange, message.to_owned()));
                self.refuse(undo, message);
                Answer::Refused
            }
        }
    }

    fn refuse(&mut self, mut undo: BTreeMap<Arc<str>, (Option<Entry>, u64)>, message: &str) {
        let named = if undo.len() == 1 {
            undo.keys().cloned().collect()
        } else {
            refusal::named(message, undo.keys())
        };
        let reason: Arc<str> = message.into();
        if named.is_empty() {
            // Nothing says which one it is: try the halves.
            let names: Vec<Arc<str>> = undo.keys().cloned().collect();
            let (left, right) = names.split_at(names.len() / 2);
            for half in [left, right].into_iter().filter(|half| !half.is_empty()) {
                self.suspects.push_back(half.iter().cloned().collect());
            }
            for (name, (had, _)) in undo {
                // Good ones may have been applied: which version the client has is unknown until it accepts one.
                let had = Entry {
                    version: 0,
                    ..had.unwrap_or_default()
                };
                self.differ.insert(name, Some(had));
            }
            return;
        }
        for name in named {
            if let Some((had, version)) = undo.remove(&name) {
                // If it has changed or gone meanwhile, the refusal is history.
                if self
                    .base
                    .get(&name)
                    .is_some_and(|entry| entry.version == version)
                {
                    let reason = reason.clone();
                    self.refused
                        .insert(name.clone(), Refusal { version, reason });
                }
                let had = had.or_else(|| self.forgetful.then(Entry::default));
                self.differ.insert(name, had);
            }
        }
    }

    /// Notes that nothing is left to send of a snapshot.
    pub(super) fn note_synced(&mut self, version: u64) {
        if self.subscribed
            && self.pending.is_none()
            && !self.has_additions()
            && !self.has_removals()
        {
            self.synced = Some(version);
        }
    }

    pub(super) fn status(&self) -> TypeStatus {
        TypeStatus {
            subscribed: self.subscribed,
            pending: self.pending.is_some(),
            sent: self.sent.clone(),
            acked: self.acked.clone(),
            nacked: self.nacked.clone(),
            synced: self.synced,
            refused: self.refused.clone(),
        }
    }
}
