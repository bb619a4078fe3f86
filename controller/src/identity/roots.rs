//! Publishes the mesh's root certificate to every namespace, where proxies mount it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};

use crate::config::WatchBackoff;

/// Name of the ConfigMap, as Istio's.
const CONFIG_MAP: &str = "istio-ca-root-cert";
/// Its key.
const KEY: &str = "root-cert.pem";

/// Keeps the ConfigMap in every namespace until the future is dropped. One replica is enough: the leader.
pub async fn publish(client: Client, root_pem: Arc<str>) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut stream = pin!(
        watcher(namespaces, watcher::Config::default())
            .backoff(WatchBackoff::default())
            .applied_objects()
    );
    while let Some(event) = stream.next().await {
        let namespace = match event {
            Ok(namespace) => namespace,
            Err(error) => {
                tracing::debug!(%error, "failed to watch namespaces; trying again");
                continue;
            }
        };
        if namespace.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let name = namespace.name_any();
        if let Err(error) = apply(&client, &name, &root_pem).await {
            tracing::warn!(namespace = name, %error, "failed to publish the root certificate");
        }
    }
}

async fn apply(client: &Client, namespace: &str, root_pem: &str) -> kube::Result<()> {
    let config_map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(CONFIG_MAP.to_owned()),
            labels: Some(BTreeMap::from([(
                "istio.io/config".to_owned(),
                "true".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(KEY.to_owned(), root_pem.to_owned())])),
        ..ConfigMap::default()
    };
    let params = PatchParams::apply("istiod").force();
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    api.patch(CONFIG_MAP, &params, &Patch::Apply(&config_map))
        .await
        .map(drop)
}
