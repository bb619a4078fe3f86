//! Bounds how many of something each owner has.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

/// Counts by owner.
#[derive(Debug)]
pub struct Quota<K> {
    most: usize,
    counts: Mutex<FxHashMap<K, usize>>,
}

/// One of an owner's share, given back when dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash> {
    quota: Arc<Quota<K>>,
    owner: K,
}

// === impl Quota ===

impl<K: Eq + Hash + Clone> Quota<K> {
    /// So many for each owner.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            counts: Mutex::default(),
        }
    }

    /// One more for an owner; none if it has all of its share.
    pub fn take(self: &Arc<Self>, owner: K) -> Option<Share<K>> {
        let mut counts = self.lock();
        let count = counts.entry(owner.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(counts);
        let quota = Arc::clone(self);
        Some(Share { quota, owner })
    }
}

impl<K> Quota<K> {
    fn lock(&self) -> MutexGuard<'_, FxHashMap<K, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Share ===

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut counts = self.quota.lock();
        if let Some(count) = counts.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_has_its_own_share() {
        let quota = Arc::new(Quota::new(2));
        let first = quota.take("a").unwrap();
        let _second = quota.take("a").unwrap();
        assert!(quota.take("a").is_none());
        assert!(quota.take("b").is_some());
        drop(first);
        assert!(quota.take("a").is_some());
        assert_eq!(quota.lock().len(), 1);
    }
}
