//! Responses of one type and their answers: what is sent leaves the differences, and what is refused comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Answer, Batch, KindState, Pending, SUSPECTED, Undo, joined};
use crate::resource::Entry;
use crate::server::refusal;
use crate::server::status::{Exchange, Refusal, TypeStatus};

// === impl KindState: exchange ===

impl KindState {
    /// Takes what is to be added next; of types that change as a whole, what is to be removed too.
    pub(in crate::server) fn take_additions(&mut self, exchange: Exchange) -> Batch {
        self.owed = false;
        let (mut batch, mut undo) = self.take_certain_additions();
        if batch.resources.is_empty() {
            for name in self.next_suspects(exchange.at) {
                let had = self.differ.remove(&name).flatten();
                if let Some(entry) = self.base.get(&name) {
                    let sent = Some(entry.version);
                    undo.insert(name.clone(), Undo { had, sent });
                    self.refused.remove(&name);
                    batch.resources.push((name, entry.clone()));
                }
            }
        }
        if self.kind.is_atomic() {
            batch.removed = self.removals().cloned().collect();
            for name in &batch.removed {
                let had = self.differ.remove(name).flatten();
                undo.insert(name.clone(), Undo { had, sent: None });
            }
        }
        self.send(exchange, undo);
        batch
    }

    /// Takes all that is to be added, but for suspects.
    fn take_certain_additions(&mut self) -> (Batch, BTreeMap<Arc<str>, Undo>) {
        let differ = std::mem::take(&mut self.differ);
        let base = self.base.clone();
        let mut batch = Batch::default();
        let mut undo = Vec::with_capacity(differ.len());
        let mut left = Vec::new();
        for (name, had, entry) in joined(differ, &base) {
            match entry {
                Some(entry) if self.may_add(&name, entry) && !self.is_suspect(&name) => {
                    let sent = Some(entry.version);
                    undo.push((name.clone(), Undo { had, sent }));
                    batch.resources.push((name, entry.clone()));
                }
                _ => left.push((name, had)),
            }
        }
        self.differ = left.into_iter().collect();
        if !self.refused.is_empty() {
            for (name, _) in &batch.resources {
                self.refused.remove(name);
            }
        }
        (batch, undo.into_iter().collect())
    }

    /// Whether this version of a resource is not refused.
    pub(super) fn may_add(&self, name: &str, entry: &Entry) -> bool {
        self.refused
            .get(name)
            .is_none_or(|refusal| refusal.version != entry.version)
    }

    /// The next group of suspects that are still to be added.
    fn next_suspects(&mut self, now: SystemTime) -> Vec<Arc<str>> {
        while let Some(group) = self.suspects.pop_front() {
            let names: Vec<Arc<str>> = self
                .additions()
                .filter(|name| group.contains(*name))
                .cloned()
                .collect();
            if !names.is_empty() {
                self.probes.take(now);
                return names;
            }
        }
        vec![]
    }

    /// Takes what is to be removed.
    pub(in crate::server) fn take_removals(&mut self, exchange: Exchange) -> Batch {
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

    fn send(&mut self, exchange: Exchange, undo: BTreeMap<Arc<str>, Undo>) {
        self.sent = Some(exchange.clone());
        self.pending = Some(Pending { exchange, undo });
    }

    /// Whether a nonce is that of the last response, answered or not.
    pub(in crate::server) fn is_last_nonce(&self, nonce: &str) -> bool {
        self.sent.as_ref().is_some_and(|sent| *sent.nonce == *nonce)
    }

    /// The client's answer to a response.
    pub(in crate::server) fn answer(
        &mut self,
        nonce: &str,
        refusal: Option<&str>,
        now: SystemTime,
    ) -> Answer {
        let Some(Pending { exchange, undo }) = self
            .pending
            .take_if(|pending| *pending.exchange.nonce == *nonce)
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

    fn refuse(&mut self, mut undo: BTreeMap<Arc<str>, Undo>, message: &str) {
        self.unsettled = true;
        let candidates = undo.iter().filter(|(_, undo)| undo.sent.is_some());
        let candidates: Vec<Arc<str>> = candidates.map(|(name, _)| name.clone()).collect();
        let named = match &candidates[..] {
            [_] => candidates.clone(),
            _ => refusal::named(message, candidates.iter()),
        };
        let reason: Arc<str> = message.into();
        for name in &named {
            if let Some(Undo { had, sent }) = undo.remove(name) {
                self.refuse_one(name, had, sent, reason.clone());
            }
        }
        if named.is_empty() {
            // Nothing says which one it is: try the halves.
            let (left, right) = candidates.split_at(candidates.len() / 2);
            let halves = [left, right].into_iter().filter(|half| !half.is_empty());
            self.suspects
                .extend(halves.map(|half| half.iter().cloned().collect()));
        } else if !self.kind.is_atomic() {
            // All others were applied.
            return;
        }
        for (name, Undo { had, sent }) in undo {
            let had = match sent {
                // Good ones may have been applied: which version the client has is unknown until it accepts one.
                Some(_) => Some(Arc::new(Entry {
                    version: 0,
                    ..had.map(|had| Entry::clone(&had)).unwrap_or_default()
                })),
                // A removal goes with the next additions.
                None => had,
            };
            self.differ.insert(name, had);
        }
    }

    fn refuse_one(
        &mut self,
        name: &Arc<str>,
        had: Option<Arc<Entry>>,
        sent: Option<u64>,
        reason: Arc<str>,
    ) {
        // If it has changed or gone meanwhile, the refusal is history.
        let current = self.base.get(name).map(|entry| entry.version);
        if let Some(version) = sent
            && current == Some(version)
        {
            self.refused
                .insert(name.clone(), Refusal { version, reason });
        }
        let had = had.or_else(|| self.forgetful.then(Arc::default));
        self.differ.insert(name.clone(), had);
    }

    /// Notes that nothing is left to send of a snapshot.
    pub(in crate::server) fn note_synced(&mut self, version: u64, now: SystemTime) {
        if self.subscribed
            && self.pending.is_none()
            && !self.has_additions(now)
            && !self.has_removals()
        {
            self.synced = Some(version);
        }
    }

    pub(in crate::server) fn synced(&self) -> Option<u64> {
        self.synced
    }

    pub(in crate::server) fn status(&self) -> TypeStatus {
        let mut refused = self.refused.clone();
        for name in self.suspects.iter().flatten() {
            if let Some(entry) = self.base.get(name) {
                let (version, reason) = (entry.version, SUSPECTED.into());
                refused.insert(name.clone(), Refusal { version, reason });
            }
        }
        TypeStatus {
            subscribed: self.subscribed,
            pending: self.pending.is_some(),
            sent: self.sent.clone(),
            acked: self.acked.clone(),
            nacked: self.nacked.clone(),
            synced: self.synced,
            refused,
        }
    }
}
