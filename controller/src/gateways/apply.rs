//! Server-side apply of what Gateways run on.

use std::future::Future;
use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use mesh_core::gateways::ManagedObject;
use mesh_core::install::ResourceType;
use serde_json::Value;

/// Field manager of what the running control plane writes.
const MANAGER: &str = "istiod";
/// Limit for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is as it should be.
    Done,
    /// Somebody else has one of this name, which stays as it is.
    Foreign,
    /// It is not known; it has to be tried again.
    Failed,
}

/// Makes or changes an object, unless it is somebody else's. `known` says that it was made before.
pub(super) async fn object(
    client: &Client,
    namespace: &str,
    object: &ManagedObject,
    known: bool,
) -> Outcome {
    let resource = api_resource(&object.resource);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let (kind, name) = (object.resource.kind, object.name.as_str());
    if !known {
        match in_time(api.get_opt(name)).await {
            Ok(Some(existing)) => {
                let existing = serde_json::to_value(existing).unwrap_or_default();
                if !object.may_replace(&existing) {
                    tracing::warn!(
                        kind,
                        namespace,
                        name,
                        "an object that was not made for the gateway has this name; it is left as it is"
                    );
                    return Outcome::Foreign;
                }
            }
            Ok(None) => {}
            Err(error) => return failed(kind, namespace, name, &error),
        }
    }
    match in_time(api.patch(name, &params(), &Patch::Apply(&object.value))).await {
        Ok(_) => Outcome::Done,
        Err(error) => failed(kind, namespace, name, &error),
    }
}

/// Makes a GatewayClass. It cannot be made where the Gateway API is not installed, which is no trouble.
pub(super) async fn class(client: &Client, name: &str, value: &Value) {
    let gvk = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "GatewayClass");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "gatewayclasses");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    match in_time(api.patch(name, &params(), &Patch::Apply(value))).await {
        Ok(_) => tracing::info!(name, "made a GatewayClass"),
        Err(error) => tracing::debug!(name, error, "failed to make a GatewayClass; trying again"),
    }
}

fn failed(kind: &str, namespace: &str, name: &str, error: &str) -> Outcome {
    tracing::warn!(
        kind,
        namespace,
        name,
        error,
        "failed to make what a gateway runs on; trying again"
    );
    Outcome::Failed
}

fn params() -> PatchParams {
    PatchParams::apply(MANAGER).force()
}

fn api_resource(resource: &ResourceType) -> ApiResource {
    let gvk = GroupVersionKind::gvk(resource.group, resource.version, resource.kind);
    ApiResource::from_gvk_with_plural(&gvk, resource.plural)
}

async fn in_time<T>(answer: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}
