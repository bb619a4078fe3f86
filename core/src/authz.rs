//! Questions about who may do what, answered from a snapshot by what a workload's own proxy is told.
//!
//! ```text
//! host and port --workloads_of--> pods, or those that files will make --guard--> the filters in front of the port
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use mesh_ir::{
    FilterChain, HttpConnectionManager, Network, NetworkFilter, ProxyConfig, ProxyKind, ProxyScope,
};

use crate::resource::{Kind, Object, Resource};
use crate::snapshot::{MeshService, Snapshot, selects};
use crate::source::Origin;
pub use crate::translate::is_dry_run;
use crate::translate::translate;

/// A workload: a pod, or the pods that an object in a file will make.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name of the pod, or of the object.
    pub name: Arc<str>,
    /// Labels of the pods.
    pub labels: BTreeMap<String, String>,
    /// Address of the pod, where it is known.
    pub address: Option<IpAddr>,
}

/// What is in front of a port.
#[derive(Clone, Debug)]
pub enum Guard {
    /// Requests are looked at.
    Http(Box<HttpConnectionManager>),
    /// Connections are.
    Connections(Vec<NetworkFilter>),
}

// === impl Workload ===

impl Workload {
    /// All of them.
    pub fn all(snapshot: &Snapshot) -> Vec<Self> {
        let pods = snapshot.resources(Kind::Pod).iter().map(|pod| Self {
            namespace: pod.key.namespace.clone(),
            name: pod.key.name.clone(),
            labels: pod.meta.labels.clone(),
            address: address(pod),
        });
        let templates = MAKERS
            .iter()
            .flat_map(|kind| snapshot.resources(*kind).iter())
            // Pods of a cluster are known by themselves.
            .filter(|maker| matches!(maker.origin, Origin::File { .. }))
            .filter_map(|maker| {
                let metadata = template(&maker.object)?.metadata.as_ref();
                Some(Self {
                    namespace: maker.key.namespace.clone(),
                    name: maker.key.name.clone(),
                    labels: metadata
                        .and_then(|metadata| metadata.labels.clone())
                        .unwrap_or_default(),
                    address: None,
                })
            });
        pods.chain(templates).collect()
    }

    /// Those of a service.
    pub fn of_service(snapshot: &Snapshot, service: &MeshService) -> Vec<Self> {
        let mut all = Self::all(snapshot);
        all.retain(|workload| {
            workload.namespace == service.namespace && selects(&service.selector, &workload.labels)
        });
        all
    }

    /// The policies of a kind that are for it.
    pub fn policies<'s>(&'s self, snapshot: &'s Snapshot, kind: Kind) -> Vec<&'s Arc<Resource>> {
        snapshot.policies_for(kind, &self.namespace, &self.labels)
    }

    /// What is in front of one of its ports; none if nothing of the mesh listens there.
    pub fn guard(&self, snapshot: &Snapshot, port: u16) -> Option<Guard> {
        let is_gateway = !snapshot
            .gateways_for(&self.namespace, &self.labels)
            .is_empty();
        let kind = if is_gateway {
            ProxyKind::Gateway
        } else {
            ProxyKind::Sidecar
        };
        let scope = ProxyScope {
            address: self.address,
            ..ProxyScope::new(kind, &*self.namespace, self.labels.clone())
        };
        let (config, _) = translate(snapshot, &scope);
        let chains = match kind {
            ProxyKind::Gateway => at_gateway(&config, port),
            ProxyKind::Sidecar => at_sidecar(&config, port),
        };
        let http = chains.iter().find_map(|chain| match &chain.network {
            Network::Http(server) => Some(Guard::Http(Box::new(server.clone()))),
            Network::Tcp(_) => None,
        });
        http.or_else(|| Some(Guard::Connections(chains.first()?.filters.clone())))
    }
}

fn at_gateway(config: &ProxyConfig, port: u16) -> Vec<&FilterChain> {
    let listeners = config.listeners.iter();
    let here = listeners.filter(|listener| listener.bind && listener.address.port() == port);
    here.flat_map(|listener| listener.all_chains()).collect()
}

/// The chains for a port, or else that for ports that no service has.
fn at_sidecar(config: &ProxyConfig, port: u16) -> Vec<&FilterChain> {
    let inbound = mesh_ir::names::VIRTUAL_INBOUND;
    let listener = config.listeners.iter().find(|it| *it.name == *inbound);
    let Some(listener) = listener else {
        return Vec::new();
    };
    let own = listener.chains.iter();
    let own: Vec<&FilterChain> = own
        .filter(|chain| chain.matcher.destination_port == Some(port))
        .collect();
    if own.is_empty() {
        listener.default_chain.iter().collect()
    } else {
        own
    }
}

fn address(pod: &Resource) -> Option<IpAddr> {
    let Object::Pod(pod) = &pod.object else {
        return None;
    };
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

/// Kinds of objects that make pods.
pub(crate) const MAKERS: [Kind; 7] = [
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::ReplicationController,
    Kind::Job,
    Kind::CronJob,
];

/// The pods that an object makes.
pub(crate) fn template(object: &Object) -> Option<&PodTemplateSpec> {
    match object {
        Object::Deployment(object) => object.spec.as_ref().map(|spec| &spec.template),
        Object::ReplicaSet(object) => object.spec.as_ref()?.template.as_ref(),
        Object::StatefulSet(object) => object.spec.as_ref().map(|spec| &spec.template),
        Object::DaemonSet(object) => object.spec.as_ref().map(|spec| &spec.template),
        Object::ReplicationController(object) => object.spec.as_ref()?.template.as_ref(),
        Object::Job(object) => object.spec.as_ref().map(|spec| &spec.template),
        Object::CronJob(object) => {
            let job = &object.spec.as_ref()?.job_template;
            job.spec.as_ref().map(|spec| &spec.template)
        }
        _ => None,
    }
}
