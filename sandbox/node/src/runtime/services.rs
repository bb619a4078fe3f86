//! What Services mean in a back end.

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// All that addresses and names of Services are made from.
#[derive(Clone, Debug, Default)]
pub struct KnownServices {
    pub namespaces: Vec<Arc<Namespace>>,
    pub services: Vec<Arc<Service>>,
    pub slices: Vec<Arc<EndpointSlice>>,
    pub pods: Vec<Arc<Pod>>,
}

/// The Services' addresses and names, as pods use them.
pub trait ServiceNetwork: Send + 'static {
    /// Makes addresses and names those of these Services; true when something failed and it should be tried again.
    fn publish<'a>(&'a mut self, known: &'a KnownServices) -> BoxFuture<'a, bool>;
}

/// The ClusterIP of a service that has one.
pub fn cluster_ip(service: &Service) -> Option<IpAddr> {
    service.spec.as_ref()?.cluster_ip.as_deref()?.parse().ok()
}
