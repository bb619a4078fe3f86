//! Keeps the webhook configurations usable, those of the revision and of the tags that stand for it: the CA bundle by which the API
//! server knows us, and `failurePolicy: Fail` for validation once our Service has a ready endpoint. The leader alone writes, and
//! only what differs.

use std::pin::pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use mesh_core::install::{OWNER_LABEL, REVISION_LABEL, revised};
use serde_json::{Value, json};

use crate::config::WatchBackoff;

/// Field manager of what the running control plane writes.
const MANAGER: &str = "istiod";
const GROUP: &str = "admissionregistration.k8s.io";

/// What tells a control plane's configurations and its Service from those of others.
#[derive(Clone, Debug)]
pub struct Names {
    /// Selects its webhook configurations by their labels.
    selector: String,
    namespace: String,
    service: String,
}

// === impl Names ===

impl Names {
    /// Those of a revision in a namespace.
    pub fn new(revision: &str, namespace: &str) -> Self {
        Self {
            selector: format!("{OWNER_LABEL}={namespace},{REVISION_LABEL}={revision}"),
            namespace: namespace.to_owned(),
            service: revised("istiod", revision),
        }
    }
}

/// Keeps the configurations until it is dropped.
pub async fn keep(client: Client, names: Names, root_pem: Arc<str>) {
    let bundle = STANDARD.encode(root_pem.as_bytes());
    let selector = &names.selector;
    let injectors = all(&client, "MutatingWebhookConfiguration", selector, |value| {
        wanted(value, &bundle, false)
    });
    let validators = async {
        // Who writes objects while nobody can be asked would be refused.
        ready_endpoint(&client, &names).await;
        let kind = "ValidatingWebhookConfiguration";
        all(&client, kind, selector, |value| {
            wanted(value, &bundle, true)
        })
        .await;
    };
    futures::join!(injectors, validators);
}

/// Waits until our Service has a ready endpoint.
async fn ready_endpoint(client: &Client, names: &Names) {
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), &names.namespace);
    let config =
        watcher::Config::default().labels(&format!("kubernetes.io/service-name={}", names.service));
    let mut slices = pin!(
        watcher(api, config)
            .backoff(WatchBackoff::default())
            .applied_objects()
    );
    while let Some(slice) = slices.next().await {
        match slice {
            Ok(slice) if has_ready_endpoint(&slice) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "failed to watch the endpoints of the webhooks; trying again");
            }
        }
    }
}

fn has_ready_endpoint(slice: &EndpointSlice) -> bool {
    let mut endpoints = slice.endpoints.iter();
    endpoints.any(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.is_some_and(|conditions| conditions.ready == Some(true))
    })
}

/// Keeps those of a kind.
async fn all(
    client: &Client,
    kind: &str,
    selector: &str,
    wanted: impl Fn(&Value) -> Option<Value>,
) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", kind));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let config = watcher::Config::default().labels(selector);
    let mut objects = pin!(
        watcher(api.clone(), config)
            .backoff(WatchBackoff::default())
            .applied_objects()
    );
    while let Some(object) = objects.next().await {
        let object = match object {
            Ok(object) => object,
            Err(error) => {
                tracing::debug!(kind, %error, "failed to watch the webhook configurations; trying again");
                continue;
            }
        };
        let Some(webhooks) = wanted(&object.data["webhooks"]) else {
            continue;
        };
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let patch = json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": {"name": name}, "webhooks": webhooks});
        let params = PatchParams::apply(MANAGER).force();
        match api.patch(name, &params, &Patch::Apply(&patch)).await {
            Ok(_) => tracing::info!(kind, name, "the webhook configuration has our CA bundle"),
            // What was written by others meanwhile comes as an event, and with it another attempt.
            Err(error) => {
                tracing::warn!(kind, name, %error, "failed to write the CA bundle into a webhook configuration");
            }
        }
    }
}

/// What to apply to the webhooks of a configuration; none if they are as they should be.
fn wanted(webhooks: &Value, bundle: &str, fail: bool) -> Option<Value> {
    let webhooks = webhooks.as_array()?;
    let is_right = |webhook: &Value| {
        webhook["clientConfig"]["caBundle"] == bundle
            && (!fail || webhook["failurePolicy"] == "Fail")
    };
    if webhooks.iter().all(is_right) {
        return None;
    }
    let right = |webhook: &Value| {
        let mut right = json!({"name": webhook["name"], "clientConfig": {"caBundle": bundle}});
        if fail {
            right["failurePolicy"] = json!("Fail");
        }
        right
    };
    Some(webhooks.iter().map(right).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written() {
        let webhooks = json!([{"name": "a", "failurePolicy": "Ignore", "clientConfig": {"service": {"name": "istiod"}}},
            {"name": "b", "failurePolicy": "Fail", "clientConfig": {"caBundle": "x"}}]);
        let all = wanted(&webhooks, "x", true).unwrap();
        assert_eq!(
            all[0],
            json!({"name": "a", "clientConfig": {"caBundle": "x"}, "failurePolicy": "Fail"})
        );
        assert_eq!(all[1]["name"], "b");
        assert_eq!(wanted(&all, "x", true), None);
        assert!(wanted(&all, "y", false).is_some());
        assert_eq!(wanted(&Value::Null, "x", true), None);
    }
}
