//! Actions: what a reconciliation wants written, as plain data, and the one place that writes it.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Endpoints, Pod, ReplicationController, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::cache::{Cache, Cacheable, Caches};

/// Field manager of every write of the controllers and the node.
pub const FIELD_MANAGER: &str = "meshctl-sandbox";

/// One write to the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the object.
    Create(Object),
    /// Write the object's status; its resource version is the precondition.
    ReplaceStatus(Object),
    /// Merge a patch into the object; a resource version in the body is a precondition.
    Merge {
        kind: Kind,
        namespace: String,
        name: String,
        body: Value,
    },
    /// Delete the object if it still has this uid.
    Delete {
        kind: Kind,
        namespace: String,
        name: String,
        uid: String,
    },
    /// Assign a pod to a node.
    Bind {
        namespace: String,
        name: String,
        node: &'static str,
    },
}

macro_rules! kinds {
    ($($kind:ident => $cache:ident),+ $(,)?) => {
        /// A kind that controllers write.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $(#[doc = stringify!($kind)] $kind),+ }

        /// An object of one of those kinds.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object { $(#[doc = stringify!($kind)] $kind(Box<$kind>)),+ }

        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Self { Self::$kind(Box::new(object)) }
        })+

        impl Action {
            /// Performs the action and puts the answer into the caches.
            pub async fn perform(&self, client: &Client, caches: &Caches) -> Result<(), kube::Error> {
                match self {
                    $(Self::Create(Object::$kind(object)) => {
                        Writer::new(client, &caches.$cache, &object.namespace().unwrap_or_default())
                            .create(object).await
                    })+
                    $(Self::ReplaceStatus(Object::$kind(object)) => {
                        Writer::new(client, &caches.$cache, &object.namespace().unwrap_or_default())
                            .replace_status(object).await
                    })+
                    Self::Merge { kind, namespace, name, body } => match kind {
                        $(Kind::$kind => {
                            Writer::new(client, &caches.$cache, namespace).merge(name, body).await
                        })+
                    },
                    Self::Delete { kind, namespace, name, uid } => match kind {
                        $(Kind::$kind => {
                            Writer::new(client, &caches.$cache, namespace).delete(name, uid).await
                        })+
                    },
                    Self::Bind { namespace, name, node } => bind(client, caches, namespace, name, node).await,
                }
            }
        }
    };
}

kinds! {
    Deployment => deployments,
    ReplicaSet => replica_sets,
    ReplicationController => replication_controllers,
    StatefulSet => stateful_sets,
    DaemonSet => daemon_sets,
    Job => jobs,
    Pod => pods,
    EndpointSlice => endpoint_slices,
    Endpoints => endpoints,
    Service => services,
    ServiceAccount => service_accounts,
}

impl Action {
    /// A deletion of an observed object.
    pub fn delete<K: Resource>(kind: Kind, object: &K) -> Self {
        Self::Delete {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
        }
    }

    /// A merge patch of an observed object, refused by the server when the object has changed since.
    pub fn merge<K: Resource>(kind: Kind, object: &K, mut body: Value) -> Self {
        if let Some(version) = object.resource_version()
            && let Some(fields) = body.as_object_mut()
            && let Some(metadata) = fields
                .entry("metadata")
                .or_insert_with(|| json!({}))
                .as_object_mut()
        {
            metadata.insert("resourceVersion".to_owned(), Value::String(version));
        }
        Self::Merge {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            body,
        }
    }
}

/// A write that lost a race: the object changed, vanished or already exists, and the next pass sees why.
pub fn is_race(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}

struct Writer<'a, K> {
    api: Api<K>,
    cache: &'a Cache<K>,
}

impl<'a, K> Writer<'a, K>
where
    K: Cacheable + Serialize + Resource<Scope = NamespaceResourceScope>,
{
    fn new(client: &Client, cache: &'a Cache<K>, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            cache,
        }
    }

    async fn create(&self, object: &K) -> Result<(), kube::Error> {
        self.cache.apply(self.api.create(&post(), object).await?);
        Ok(())
    }

    async fn replace_status(&self, object: &K) -> Result<(), kube::Error> {
        let answer = self
            .api
            .replace_status(&object.name_any(), &post(), object)
            .await?;
        self.cache.apply(answer);
        Ok(())
    }

    async fn merge(&self, name: &str, body: &Value) -> Result<(), kube::Error> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.cache
            .apply(self.api.patch(name, &params, &Patch::Merge(body)).await?);
        Ok(())
    }

    async fn delete(&self, name: &str, uid: &str) -> Result<(), kube::Error> {
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::background()
        };
        // A graceful deletion answers with the object that now has a deletion timestamp.
        if let Some(object) = self.api.delete(name, &params).await?.left() {
            self.cache.apply(object);
        }
        Ok(())
    }
}

fn post() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

async fn bind(
    client: &Client,
    caches: &Caches,
    namespace: &str,
    name: &str,
    node: &str,
) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let body = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    let _: Value = api
        .create_subresource("binding", name, &PostParams::default(), &body)
        .await?;
    caches.pods.apply(api.get(name).await?);
    Ok(())
}
