//! Caches: the latest known state of every kind the controllers and the node read.
//!
//! A watch keeps each cache current, and answers of our own writes are put in at once, so that the next pass never
//! acts on a state that its own last action already changed (which would create a second pod for the same gap).

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Pod, ReplicationController, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Namespace (empty for cluster-scoped kinds) and name.
pub type Key = (String, String);

/// How many deleted objects are remembered, so that a late answer of a write cannot bring one back.
const TOMBSTONES: usize = 1024;

/// What a kind must be for a cache to hold it.
pub trait Cacheable:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Cacheable for K where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

/// The latest known objects of one kind. Clones share the contents.
pub struct Cache<K> {
    state: Arc<RwLock<State<K>>>,
    changed: watch::Sender<u64>,
}

struct State<K> {
    objects: BTreeMap<Key, Arc<K>>,
    deleted: VecDeque<String>,
    synced: bool,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            changed: self.changed.clone(),
        }
    }
}

impl<K: Cacheable> Cache<K> {
    fn new(changed: watch::Sender<u64>) -> Self {
        let state = State {
            objects: BTreeMap::new(),
            deleted: VecDeque::new(),
            synced: false,
        };
        Self {
            state: Arc::new(RwLock::new(state)),
            changed,
        }
    }

    /// All objects, in the order of namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.read(|state| state.objects.values().cloned().collect())
    }

    /// One object by namespace and name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read(|state| {
            state
                .objects
                .get(&(namespace.to_owned(), name.to_owned()))
                .cloned()
        })
    }

    /// The newest version of any object; 0 when there is none.
    pub fn newest(&self) -> u64 {
        let newest = |state: &State<K>| {
            state
                .objects
                .values()
                .map(|object| version_of(&**object))
                .max()
        };
        self.read(newest).unwrap_or(0)
    }

    /// True once the first list has arrived.
    pub fn is_synced(&self) -> bool {
        self.read(|state| state.synced)
    }

    /// Takes in a newer state of an object; an older one, or one of a deleted object, changes nothing.
    pub fn apply(&self, object: K) {
        let changed = self.write(|state| state.apply(object));
        if changed {
            self.notify();
        }
    }

    fn delete(&self, object: &K) {
        self.write(|state| {
            if let Some(uid) = object.uid() {
                state.deleted.push_back(uid.clone());
                if state.deleted.len() > TOMBSTONES {
                    state.deleted.pop_front();
                }
                let key = key_of(object);
                if state
                    .objects
                    .get(&key)
                    .is_some_and(|known| known.uid() == Some(uid))
                {
                    state.objects.remove(&key);
                }
            }
        });
        self.notify();
    }

    fn replace_all(&self, objects: BTreeMap<Key, Arc<K>>) {
        self.write(|state| {
            state.objects = objects;
            state.synced = true;
        });
        self.notify();
    }

    fn notify(&self) {
        self.changed.send_modify(|generation| *generation += 1);
    }

    fn read<T>(&self, f: impl FnOnce(&State<K>) -> T) -> T {
        f(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, f: impl FnOnce(&mut State<K>) -> T) -> T {
        f(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    async fn follow(self, client: Client, stop: CancellationToken) {
        let config = watcher::Config::default();
        let mut events = watcher(Api::<K>::all(client), config)
            .default_backoff()
            .boxed();
        let mut fresh = BTreeMap::new();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                None => return,
                Some(Err(error)) => {
                    tracing::debug!(kind = %K::kind(&()), %error, "watch failed, it will be repeated");
                }
                Some(Ok(Event::Init)) => fresh.clear(),
                Some(Ok(Event::InitApply(object))) => {
                    fresh.insert(key_of(&object), Arc::new(object));
                }
                Some(Ok(Event::InitDone)) => self.replace_all(std::mem::take(&mut fresh)),
                Some(Ok(Event::Apply(object))) => self.apply(object),
                Some(Ok(Event::Delete(object))) => self.delete(&object),
            }
        }
    }
}

impl<K: Cacheable> State<K> {
    fn apply(&mut self, object: K) -> bool {
        if object.uid().is_some_and(|uid| self.deleted.contains(&uid)) {
            return false;
        }
        let key = key_of(&object);
        let known = self.objects.get(&key);
        let same = known.is_some_and(|known| known.uid() == object.uid());
        if same && known.map(|known| version_of(&**known)) >= Some(version_of(&object)) {
            return false;
        }
        self.objects.insert(key, Arc::new(object));
        true
    }
}

/// Resource versions of one store are decimal numbers that only grow; anything else counts as the newest.
fn version_of<K: Cacheable>(object: &K) -> u64 {
    let version = object
        .meta()
        .resource_version
        .as_deref()
        .unwrap_or_default();
    version.parse().unwrap_or(u64::MAX)
}

fn key_of<K: Cacheable>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// One cache per kind, fed by one watch each, and one signal for "something changed".
#[derive(Clone)]
pub struct Caches {
    changed: watch::Sender<u64>,
    pub namespaces: Cache<Namespace>,
    pub deployments: Cache<Deployment>,
    pub replica_sets: Cache<ReplicaSet>,
    pub replication_controllers: Cache<ReplicationController>,
    pub stateful_sets: Cache<StatefulSet>,
    pub daemon_sets: Cache<DaemonSet>,
    pub jobs: Cache<Job>,
    pub pods: Cache<Pod>,
    pub services: Cache<Service>,
    pub endpoint_slices: Cache<EndpointSlice>,
    pub endpoints: Cache<Endpoints>,
    pub config_maps: Cache<ConfigMap>,
    pub secrets: Cache<Secret>,
    pub service_accounts: Cache<ServiceAccount>,
}

impl Caches {
    /// Starts one watch per kind; they end when `stop` is cancelled.
    pub fn start(client: &Client, stop: &CancellationToken, tasks: &TaskTracker) -> Self {
        let changed = watch::Sender::new(0);
        let feed = Feed {
            client,
            stop,
            tasks,
            changed: &changed,
        };
        Self {
            namespaces: feed.start(),
            deployments: feed.start(),
            replica_sets: feed.start(),
            replication_controllers: feed.start(),
            stateful_sets: feed.start(),
            daemon_sets: feed.start(),
            jobs: feed.start(),
            pods: feed.start(),
            services: feed.start(),
            endpoint_slices: feed.start(),
            endpoints: feed.start(),
            config_maps: feed.start(),
            secrets: feed.start(),
            service_accounts: feed.start(),
            changed,
        }
    }

    /// A receiver that is notified after every change of any kind.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// True once every kind has been listed; before that, absence means nothing.
    pub fn are_synced(&self) -> bool {
        self.namespaces.is_synced()
            && self.deployments.is_synced()
            && self.replica_sets.is_synced()
            && self.replication_controllers.is_synced()
            && self.stateful_sets.is_synced()
            && self.daemon_sets.is_synced()
            && self.jobs.is_synced()
            && self.pods.is_synced()
            && self.services.is_synced()
            && self.endpoint_slices.is_synced()
            && self.endpoints.is_synced()
            && self.config_maps.is_synced()
            && self.secrets.is_synced()
            && self.service_accounts.is_synced()
    }
}

struct Feed<'a> {
    client: &'a Client,
    stop: &'a CancellationToken,
    tasks: &'a TaskTracker,
    changed: &'a watch::Sender<u64>,
}

impl Feed<'_> {
    fn start<K: Cacheable>(&self) -> Cache<K> {
        let cache = Cache::new(self.changed.clone());
        self.tasks
            .spawn(cache.clone().follow(self.client.clone(), self.stop.clone()));
        cache
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn pod(uid: &str, version: &str) -> Pod {
        let metadata = ObjectMeta {
            name: Some("p".into()),
            namespace: Some("n".into()),
            uid: Some(uid.into()),
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        };
        Pod {
            metadata,
            ..Pod::default()
        }
    }

    fn version(cache: &Cache<Pod>) -> Option<String> {
        cache.get("n", "p").and_then(|pod| pod.resource_version())
    }

    #[test]
    fn older_states_change_nothing() {
        let cache = Cache::new(watch::Sender::new(0));
        cache.apply(pod("a", "10"));
        cache.apply(pod("a", "9"));
        assert_eq!(version(&cache).as_deref(), Some("10"));
        cache.apply(pod("a", "11"));
        assert_eq!(version(&cache).as_deref(), Some("11"));
    }

    #[test]
    fn a_late_answer_does_not_revive_a_deleted_object() {
        let cache = Cache::new(watch::Sender::new(0));
        cache.apply(pod("a", "1"));
        cache.delete(&pod("a", "2"));
        cache.apply(pod("a", "1"));
        assert_eq!(version(&cache), None);
        cache.apply(pod("b", "3"));
        cache.delete(&pod("a", "4"));
        assert_eq!(version(&cache).as_deref(), Some("3"), "the namesake stays");
    }
}
