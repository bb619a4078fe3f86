//! The names that a stream subscribes to. A thousand proxies of a mesh subscribe to the same thousand names, so equal sets are kept once.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustc_hash::{FxHashMap, FxHasher};

/// Sets that are remembered at least before those that nobody uses any more are looked for.
const FEW: usize = 64;

/// Names, sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct SubscribedNames {
    names: Arc<[Arc<str>]>,
    /// Bytes of all names.
    bytes: usize,
}

/// Sets that some stream has, by their hashes.
#[derive(Default)]
struct Known {
    sets: FxHashMap<u64, Weak<[Arc<str>]>>,
    /// How many there were after the last look for unused ones.
    used: usize,
}

/// The sets of all streams of the process. It is no state that anything depends on: without it, streams would have copies.
static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

// === impl SubscribedNames ===

impl SubscribedNames {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names
            .binary_search_by(|known| (**known).cmp(name))
            .is_ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Bytes of all names.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// These and more.
    pub(super) fn with(&self, more: BTreeSet<Arc<str>>) -> Self {
        if self.is_empty() {
            return Self::of(more.into_iter().collect());
        }
        if more.iter().all(|name| self.contains(name)) {
            return self.clone();
        }
        let mut names = more;
        names.extend(self.names.iter().cloned());
        Self::of(names.into_iter().collect())
    }

    /// These without some.
    pub(super) fn without(&self, gone: &BTreeSet<&str>) -> Self {
        let left = self.names.iter().filter(|name| !gone.contains(&***name));
        let left: Arc<[Arc<str>]> = left.cloned().collect();
        if left.len() == self.len() {
            return self.clone();
        }
        Self::of(left)
    }

    fn of(names: Arc<[Arc<str>]>) -> Self {
        let bytes = names.iter().map(|name| name.len()).sum();
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let names = known.get_or_insert_default().shared(names);
        Self { names, bytes }
    }
}

// === impl Known ===

impl Known {
    /// The set that is known already, if there is an equal one.
    fn shared(&mut self, names: Arc<[Arc<str>]>) -> Arc<[Arc<str>]> {
        let mut hasher = FxHasher::default();
        names.hash(&mut hasher);
        let hash = hasher.finish();
        let known = self.sets.get(&hash).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| *known == names) {
            return known;
        }
        if self.sets.len() >= (self.used * 2).max(FEW) {
            self.sets.retain(|_, set| set.strong_count() > 0);
            self.used = self.sets.len();
        }
        self.sets.insert(hash, Arc::downgrade(&names));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> BTreeSet<Arc<str>> {
        list.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn streams_with_the_same_names_share_them() {
        let one = SubscribedNames::default().with(names(&["b", "a", "c"]));
        let steps = SubscribedNames::default().with(names(&["a", "x"]));
        let other = steps.with(names(&["c", "b"])).without(&["x", "y"].into());
        assert!(Arc::ptr_eq(&one.names, &other.names));
        assert_eq!((one.len(), one.bytes()), (3, 3));
        assert!(one.contains("a") && !one.contains("x"));
        assert!(Arc::ptr_eq(&one.names, &one.with(names(&["a"])).names));
    }
}
