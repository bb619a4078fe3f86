//! What a pass of the controllers sees: one moment of all caches, indexed by owner.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Endpoints, Namespace, Pod, ReplicationController, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;

use super::cache::Caches;

/// Everything the reconcilers read, and the time they read it at.
#[derive(Default)]
pub struct Observed {
    /// The time of the pass.
    pub now: Timestamp,
    pub namespaces: Vec<Arc<Namespace>>,
    pub deployments: Vec<Arc<Deployment>>,
    pub replica_sets: Vec<Arc<ReplicaSet>>,
    pub replication_controllers: Vec<Arc<ReplicationController>>,
    pub stateful_sets: Vec<Arc<StatefulSet>>,
    pub daemon_sets: Vec<Arc<DaemonSet>>,
    pub jobs: Vec<Arc<Job>>,
    pub pods: Vec<Arc<Pod>>,
    pub services: Vec<Arc<Service>>,
    pub endpoint_slices: Vec<Arc<EndpointSlice>>,
    pub endpoints: Vec<Arc<Endpoints>>,
    pub service_accounts: Vec<Arc<ServiceAccount>>,
    pub(super) pods_by_owner: BTreeMap<String, Vec<Arc<Pod>>>,
}

impl Observed {
    /// Reads the caches.
    pub fn read(caches: &Caches, now: Timestamp) -> Self {
        Self {
            now,
            namespaces: caches.namespaces.list(),
            deployments: caches.deployments.list(),
            replica_sets: caches.replica_sets.list(),
            replication_controllers: caches.replication_controllers.list(),
            stateful_sets: caches.stateful_sets.list(),
            daemon_sets: caches.daemon_sets.list(),
            jobs: caches.jobs.list(),
            pods: caches.pods.list(),
            services: caches.services.list(),
            endpoint_slices: caches.endpoint_slices.list(),
            endpoints: caches.endpoints.list(),
            service_accounts: caches.service_accounts.list(),
            pods_by_owner: BTreeMap::new(),
        }
        .indexed()
    }

    /// Builds the index of pods by the uid of their controller.
    pub fn indexed(mut self) -> Self {
        self.pods_by_owner.clear();
        for pod in &self.pods {
            if let Some(owner) = controller_uid(&**pod) {
                self.pods_by_owner
                    .entry(owner.to_owned())
                    .or_default()
                    .push(pod.clone());
            }
        }
        self
    }

    /// The pods whose controller has this uid.
    pub fn pods_of(&self, owner_uid: &str) -> &[Arc<Pod>] {
        self.pods_by_owner.get(owner_uid).map_or(&[], Vec::as_slice)
    }
}

/// The uid of the owner that controls an object.
pub fn controller_uid<K: Resource>(object: &K) -> Option<&str> {
    let owners = object.meta().owner_references.as_deref()?;
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}
