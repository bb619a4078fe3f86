//! The store: all objects in memory, one counter of revisions, and a bounded history for watches.
//!
//! ```text
//! write: lock -> State::put / remove -> table + history + wake watchers
//! watch: cursor (a revision) -> State::changes(table, cursor) | Expired -> wait until the table changes
//! ```
//!
//! A watcher has no queue of its own: the history is the queue, and a watcher that falls out of it starts anew. So a
//! slow client costs nothing, and the memory of the store is bounded by its objects.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

/// Namespace (empty for cluster-scoped kinds) and name.
pub type Key = (String, String);

/// How many changes of a table are remembered.
pub const HISTORY: usize = 1024;

/// The store. All access goes through one lock that is held for one step of one request.
#[derive(Debug, Default)]
pub struct Store {
    state: Mutex<State>,
}

/// All tables.
#[derive(Debug)]
pub struct State {
    revision: u64,
    tables: BTreeMap<String, Table>,
    endings: watch::Sender<u64>,
}

#[derive(Debug)]
struct Table {
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Change>,
    /// All changes after this revision are in the history.
    floor: u64,
    changed: watch::Sender<u64>,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    pub revision: u64,
    /// The object before; `None` when it is new.
    pub old: Option<Arc<Value>>,
    /// The object after; of a deleted one, its last state with the revision of the deletion.
    pub new: Arc<Value>,
    pub deleted: bool,
}

/// The wanted revision is older than the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    pub wanted: u64,
    pub oldest: u64,
}

// === impl Store ===

impl Store {
    /// Access for one step.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl Default for State {
    fn default() -> Self {
        Self {
            revision: 1,
            tables: BTreeMap::new(),
            endings: watch::channel(0).0,
        }
    }
}

impl State {
    /// The revision of the latest change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// An object.
    pub fn get(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = (namespace.to_owned(), name.to_owned());
        self.tables.get(table)?.objects.get(&key).cloned()
    }

    /// The objects of a table in one namespace or in all, in the order of their keys, from a key on.
    pub fn list<'a>(
        &'a self,
        table: &str,
        namespace: Option<&'a str>,
        after: Option<&Key>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> + use<'a> {
        use std::ops::Bound;
        let start = match (after, namespace) {
            (Some(key), _) => Bound::Excluded(key.clone()),
            (None, Some(namespace)) => Bound::Included((namespace.to_owned(), String::new())),
            (None, None) => Bound::Unbounded,
        };
        self.tables
            .get(table)
            .into_iter()
            .flat_map(move |table| table.objects.range((start.clone(), Bound::Unbounded)))
            .take_while(move |((place, _), _)| namespace.is_none_or(|wanted| wanted == place))
    }

    /// Every object, with the name of its table.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Key, &Arc<Value>)> {
        self.tables.iter().flat_map(|(name, table)| {
            table
                .objects
                .iter()
                .map(move |(key, object)| (&**name, key, object))
        })
    }

    /// Stores an object under the next revision.
    pub fn put(&mut self, table: &str, key: Key, mut object: Value) -> Arc<Value> {
        let revision = self.next();
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        if !object["metadata"]["deletionTimestamp"].is_null() {
            self.endings.send_replace(revision);
        }
        let object = Arc::new(object);
        let table = self.table(table);
        let old = table.objects.insert(key, object.clone());
        table.record(Change {
            revision,
            old,
            new: object.clone(),
            deleted: false,
        });
        object
    }

    /// Removes an object; what it was at last.
    pub fn remove(&mut self, table: &str, key: &Key) -> Option<Arc<Value>> {
        let old = self.tables.get_mut(table)?.objects.remove(key)?;
        let revision = self.next();
        let mut last = Value::clone(&old);
        last["metadata"]["resourceVersion"] = json!(revision.to_string());
        let new = Arc::new(last);
        self.table(table).record(Change {
            revision,
            old: Some(old),
            new: new.clone(),
            deleted: true,
        });
        self.endings.send_replace(revision);
        Some(new)
    }

    /// The changes of a table after a revision.
    pub fn changes(&self, table: &str, after: u64) -> Result<Vec<Change>, Expired> {
        let Some(table) = self.tables.get(table) else {
            return Ok(Vec::new());
        };
        if after < table.floor {
            return Err(Expired {
                wanted: after,
                oldest: table.floor,
            });
        }
        let first = table
            .history
            .partition_point(|change| change.revision <= after);
        Ok(table.history.range(first..).cloned().collect())
    }

    /// Changes whenever the table does.
    pub fn watch(&mut self, table: &str) -> watch::Receiver<u64> {
        self.table(table).changed.subscribe()
    }

    /// Changes whenever an object goes, or begins to.
    pub fn endings(&self) -> watch::Receiver<u64> {
        self.endings.subscribe()
    }

    fn next(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    fn table(&mut self, name: &str) -> &mut Table {
        self.tables.entry(name.to_owned()).or_default()
    }
}

// === impl Table ===

impl Default for Table {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            floor: 0,
            changed: watch::channel(0).0,
        }
    }
}

impl Table {
    fn record(&mut self, change: Change) {
        let revision = change.revision;
        if self.history.len() >= HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.floor = oldest.revision;
        }
        self.history.push_back(change);
        self.changed.send_replace(revision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("n".to_owned(), name.to_owned())
    }

    #[test]
    fn every_change_has_its_own_revision_and_is_told() {
        let mut state = State::default();
        let start = state.revision();
        let first = state.put("pods", key("a"), json!({"metadata": {"name": "a"}}));
        state.put("pods", key("b"), json!({"metadata": {"name": "b"}}));
        let last = state.remove("pods", &key("a")).unwrap();
        assert_ne!(
            first["metadata"]["resourceVersion"],
            last["metadata"]["resourceVersion"]
        );
        let changes = state.changes("pods", start).unwrap();
        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.new["metadata"]["name"].clone(), change.deleted))
            .collect();
        assert_eq!(
            told,
            [(json!("a"), false), (json!("b"), false), (json!("a"), true)]
        );
        assert_eq!(state.changes("pods", start + 2).unwrap().len(), 1);
        assert_eq!(state.list("pods", Some("n"), None).count(), 1);
        assert_eq!(state.list("pods", Some("m"), None).count(), 0);
        assert_eq!(state.list("pods", None, Some(&key("b"))).count(), 0);
    }

    #[test]
    fn what_fell_out_of_the_history_is_expired() {
        let mut state = State::default();
        let start = state.revision();
        for _ in 0..=HISTORY {
            state.put("pods", key("a"), json!({"metadata": {}}));
        }
        assert!(state.changes("pods", start).is_err());
        assert_eq!(state.changes("pods", start + 1).unwrap().len(), HISTORY);
        assert!(state.changes("leases", start).unwrap().is_empty());
    }
}
