//! A sorted map that is cheap to copy and to change: copies share what neither of them changes.
//!
//! Entries lie in chunks below one list of chunks, so that a change of a shared map copies one chunk and the list: with 30,000
//! entries about a thousand pointers. Look-ups are two binary searches.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Entries of a chunk before it is split.
const MOST: usize = 128;
/// Neighbours that have no more entries together become one chunk.
const FEW: usize = MOST / 2;

/// A sorted map that is cheap to copy and to change.
#[derive(Clone)]
pub struct PersistentMap<K, V> {
    /// None of them is empty.
    chunks: Arc<Vec<Chunk<K, V>>>,
    len: usize,
}

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// Entries of a map in the order of their keys.
#[derive(Debug)]
pub struct Iter<'a, K, V> {
    entries: std::slice::Iter<'a, (K, V)>,
    chunks: std::slice::Iter<'a, Chunk<K, V>>,
}

// === impl PersistentMap ===

impl<K, V> PersistentMap<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let entries = self.chunks.iter().flat_map(|chunk| chunk.iter());
        entries.map(|(key, value)| (key, value))
    }

    /// All keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Whether both are the very same in memory, which says more than that they are equal.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks)
    }
}

impl<K: Ord, V> PersistentMap<K, V> {
    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (chunk, position) = self.find(key);
        let (_, value) = self.chunks.get(chunk)?.get(position.ok()?)?;
        Some(value)
    }

    /// The key as it is stored, with its value.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (chunk, position) = self.find(key);
        let (key, value) = self.chunks.get(chunk)?.get(position.ok()?)?;
        Some((key, value))
    }

    /// Whether there is a value for a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).1.is_ok()
    }

    /// The entry whose key an order says to be the one; it must say of keys in their order first that they are less, then that they
    /// are equal, then that they are greater.
    pub fn get_by(&self, order: impl Fn(&K) -> Ordering) -> Option<(&K, &V)> {
        let is_before = |(key, _): &(K, V)| order(key) == Ordering::Less;
        let chunk = self
            .chunks
            .partition_point(|chunk| chunk.last().is_some_and(is_before));
        let chunk = self.chunks.get(chunk)?;
        let (key, value) = chunk.get(chunk.partition_point(is_before))?;
        (order(key) == Ordering::Equal).then_some((key, value))
    }

    /// The entries from the first whose key `is_before` does not hold for; it must hold for a first part of the keys, in their order.
    pub fn iter_from(&self, is_before: impl Fn(&K) -> bool) -> Iter<'_, K, V> {
        let chunk = self
            .chunks
            .partition_point(|chunk| chunk.last().is_some_and(|(key, _)| is_before(key)));
        let first = self.chunks.get(chunk);
        let position = first.map_or(0, |first| first.partition_point(|(key, _)| is_before(key)));
        let first = first.and_then(|first| first.get(position..));
        Iter {
            entries: first.unwrap_or_default().iter(),
            chunks: self.chunks.get(chunk + 1..).unwrap_or_default().iter(),
        }
    }

    /// The chunk that has the key or would have it, and the position there or where it would be.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> (usize, Result<usize, usize>)
    where
        K: Borrow<Q>,
    {
        let is_before = |chunk: &Chunk<K, V>| {
            chunk
                .last()
                .is_some_and(|(last, _)| last.borrow().cmp(key) == Ordering::Less)
        };
        let chunk = self.chunks.partition_point(is_before);
        let position = self.chunks.get(chunk).map_or(Err(0), |chunk| {
            chunk.binary_search_by(|(known, _)| known.borrow().cmp(key))
        });
        (chunk, position)
    }
}

impl<K: Ord + Clone, V: Clone> PersistentMap<K, V> {
    /// Puts a value under a key; gives the one that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (index, position) = self.find(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        // What is behind the last key goes to the last chunk.
        let (index, position) = match position {
            Err(_) if index == chunks.len() && index > 0 => {
                let last = chunks.last().map_or(0, |last| last.len());
                (index - 1, Err(last))
            }
            position => (index, position),
        };
        let Some(chunk) = chunks.get_mut(index) else {
            chunks.push(Arc::new(vec![(key, value)]));
            self.len += 1;
            return None;
        };
        let entries = Arc::make_mut(chunk);
        match position {
            Ok(position) => {
                let (_, known) = entries.get_mut(position)?;
                return Some(std::mem::replace(known, value));
            }
            Err(position) => entries.insert(position, (key, value)),
        }
        if entries.len() > MOST {
            // Keys that come in order fill their chunks.
            let end = position == Err(entries.len() - 1);
            let middle = if end { MOST } else { MOST / 2 };
            let rest = entries.split_off(middle);
            chunks.insert(index + 1, Arc::new(rest));
        }
        self.len += 1;
        None
    }

    /// The value of a key, to be changed. Copies that share it stay as they are.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (chunk, position) = self.find(key);
        let position = position.ok()?;
        let chunk = Arc::make_mut(&mut self.chunks).get_mut(chunk)?;
        let (_, value) = Arc::make_mut(chunk).get_mut(position)?;
        Some(value)
    }

    /// Takes a key's value out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (index, position) = self.find(key);
        let position = position.ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let entries = Arc::make_mut(chunks.get_mut(index)?);
        let (_, value) = entries.remove(position);
        let left = entries.len();
        self.len -= 1;
        if left == 0 {
            chunks.remove(index);
        } else if let Some(next) = chunks.get(index + 1)
            && left + next.len() <= FEW
        {
            let next = chunks.remove(index + 1);
            if let Some(chunk) = chunks.get_mut(index) {
                Arc::make_mut(chunk).extend(next.iter().cloned());
            }
        }
        Some(value)
    }
}

// === impl Iter ===

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.entries.next() {
                return Some((key, value));
            }
            self.entries = self.chunks.next()?.iter();
        }
    }
}

impl<K, V> Default for PersistentMap<K, V> {
    fn default() -> Self {
        Self {
            chunks: Arc::default(),
            len: 0,
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for PersistentMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for PersistentMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other) || self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for PersistentMap<K, V> {}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for PersistentMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is done to it, it is the map of the standard library; and copies stay what they were.
        #[test]
        fn it_behaves_as_a_sorted_map(steps in prop::collection::vec((any::<bool>(), 0u16..600, any::<u8>()), 0..2000)) {
            let mut map = PersistentMap::default();
            let mut model = BTreeMap::new();
            let mut copy = (map.clone(), model.clone());
            for (index, (insert, key, value)) in steps.into_iter().enumerate() {
                if insert || index % 3 == 0 {
                    prop_assert_eq!(map.insert(key, value), model.insert(key, value));
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.get_by(|known| known.cmp(&key)), model.get_key_value(&key));
                if let Some(known) = map.get_mut(&key) {
                    *known = known.wrapping_add(1);
                    model.insert(key, map.get(&key).copied().unwrap());
                }
                if index % 97 == 0 {
                    copy = (map.clone(), model.clone());
                }
            }
            prop_assert!(map.iter().eq(model.iter()));
            prop_assert!(map.iter().rev().eq(model.iter().rev()));
            prop_assert!(copy.0.iter().eq(copy.1.iter()));
            for key in [0, 1, 300, 599, 600] {
                prop_assert!(map.iter_from(|known| *known < key).eq(model.range(key..)));
            }
        }
    }

    #[test]
    fn keys_in_order_fill_their_chunks() {
        let map: PersistentMap<usize, ()> = (0..10 * MOST).map(|key| (key, ())).collect();
        assert_eq!(map.chunks.len(), 10);
    }
}
