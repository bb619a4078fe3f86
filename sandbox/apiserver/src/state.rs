//! What all requests share: the store, the kinds, who may ask, and the node's means.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::addresses::ServiceAddresses;
use super::admission::Webhooks;
use super::auth::{Authenticator, Lookup, SigningKey};
use super::kinds::{Kinds, Served};
use super::kubelet::Kubelet;
use super::store::Store;

/// The API: everything but its sockets.
pub struct Api {
    pub store: Store,
    kinds: RwLock<Arc<Kinds>>,
    webhooks: RwLock<Arc<Webhooks>>,
    pub authenticator: Authenticator,
    /// Where ClusterIPs come from.
    pub addresses: ServiceAddresses,
    /// The certificate authority, in PEM.
    pub ca: String,
    pub kubelet: Arc<dyn Kubelet>,
    /// Cancelled when the server ends, so that no stream outlives it.
    pub stop: CancellationToken,
}

/// What an API is made of.
pub struct ApiOptions {
    /// The token of the kubeconfig.
    pub token: String,
    pub ca: String,
    /// The range of ClusterIPs in CIDR notation.
    pub service_range: String,
    /// Where clients in the cluster find the server.
    pub address: SocketAddr,
    pub kubelet: Arc<dyn Kubelet>,
}

// === impl Api ===

impl Api {
    /// An API with the objects that every cluster has from the start.
    pub fn new(options: ApiOptions) -> anyhow::Result<Arc<Self>> {
        let ApiOptions {
            token,
            ca,
            service_range,
            address,
            kubelet,
        } = options;
        let api = Arc::new(Self {
            store: Store::default(),
            kinds: RwLock::new(Arc::new(Kinds::builtin())),
            webhooks: RwLock::default(),
            authenticator: Authenticator::new(token, SigningKey::new(rand::random())),
            addresses: ServiceAddresses::parse(&service_range)?,
            ca,
            kubelet,
            stop: CancellationToken::new(),
        });
        super::initial::create(&api, address);
        Ok(api)
    }

    /// The kinds as they are now.
    pub fn kinds(&self) -> Arc<Kinds> {
        self.kinds
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the kinds, for all later requests.
    pub fn change_kinds(&self, change: impl FnOnce(&mut Kinds)) {
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Kinds::clone(&kinds);
        change(&mut fresh);
        *kinds = Arc::new(fresh);
    }

    /// The admission webhooks as they are now.
    pub fn webhooks(&self) -> Arc<Webhooks> {
        self.webhooks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the admission webhooks, for all later requests.
    pub fn set_webhooks(&self, fresh: Webhooks) {
        let mut webhooks = self
            .webhooks
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *webhooks = Arc::new(fresh);
    }

    /// A built-in or custom kind in its own group.
    pub fn kind(&self, group: &str, plural: &str) -> Option<Served> {
        self.kinds().table(group, plural).cloned()
    }

    /// An object of the core group.
    pub fn core(&self, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.store.lock().get(plural, namespace, name)
    }
}

impl Lookup for Api {
    fn uid(&self, resource: &str, namespace: &str, name: &str) -> Option<String> {
        let object = self.core(resource, namespace, name)?;
        object["metadata"]["uid"].as_str().map(str::to_owned)
    }
}

/// The time, to the second, as objects carry it.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
