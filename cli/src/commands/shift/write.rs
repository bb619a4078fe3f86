//! Writing a plan: one object after the other, each only if it still is what the plan was made from.

use anyhow::{Context as _, anyhow};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, PostParams, Preconditions};
use mesh_core::resource::ResourceKey;
use mesh_core::shift::{Action, Change, Plan};
use serde_json::Value;

use crate::context::Cluster;
use crate::failure;
use crate::objects::resource_of;

/// Who writes, for the API server's book of owners.
const MANAGER: &str = "meshctl";

/// An object that was written, with its new version; none if it was deleted.
#[derive(Clone, Debug)]
pub struct Written {
    pub key: ResourceKey,
    pub version: Option<String>,
}

/// Why a change was not written.
#[derive(Debug)]
pub enum NotWritten {
    /// Somebody else wrote the object in the meantime.
    Conflict(ResourceKey),
    /// Anything else.
    Failed(anyhow::Error),
}

/// Writes all changes in their order. What was written before a failure stays, and is listed.
pub async fn write(cluster: &Cluster, plan: &Plan) -> (Vec<Written>, Result<(), NotWritten>) {
    let mut written = Vec::new();
    for change in &plan.changes {
        match Box::pin(one(cluster, change)).await {
            Ok(done) => written.push(done),
            Err(problem) => return (written, Err(problem)),
        }
    }
    (written, Ok(()))
}

async fn one(cluster: &Cluster, change: &Change) -> Result<Written, NotWritten> {
    let key = &change.key;
    let object = change.after.as_ref().or(change.before.as_deref());
    let api_version = object
        .and_then(|object| object.get("apiVersion"))
        .and_then(Value::as_str)
        .unwrap_or_else(|| key.kind.api_version());
    let resource = resource_of(api_version, key.kind);
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), &key.namespace, &resource);
    let parameters = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    let outcome = match (change.action, &change.after) {
        (Action::Create, Some(after)) => api.create(&parameters, &typed(after)?).await.map(version),
        (Action::Replace, Some(after)) => api
            .replace(&key.name, &parameters, &typed(after)?)
            .await
            .map(version),
        (Action::Delete, _) | (_, None) => delete(&api, change).await.map(|()| None),
    };
    match outcome {
        Ok(version) => Ok(Written {
            key: key.clone(),
            version,
        }),
        Err(kube::Error::Api(status)) if is_conflict(status.code, change.action) => {
            Err(NotWritten::Conflict(key.clone()))
        }
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let kind = key.kind.name();
            let error = anyhow!("the API server does not know {kind} in {api_version}");
            Err(NotWritten::Failed(failure::advise(
                error,
                "install the mesh first: meshctl install",
            )))
        }
        Err(error) => {
            let error = cluster
                .explain(error)
                .context(format!("failed to write {key}"));
            Err(NotWritten::Failed(error))
        }
    }
}

/// Whether the answer means that the object is not what the plan was made from: changed, gone, or there already.
fn is_conflict(code: u16, action: Action) -> bool {
    code == 409 || (code == 404 && action != Action::Create)
}

fn typed(object: &Value) -> Result<DynamicObject, NotWritten> {
    let typed =
        serde_json::from_value(object.clone()).context("failed to understand the planned object");
    typed.map_err(NotWritten::Failed)
}

fn version(object: DynamicObject) -> Option<String> {
    object.metadata.resource_version
}

async fn delete(api: &Api<DynamicObject>, change: &Change) -> Result<(), kube::Error> {
    let text = |field: &str| {
        let metadata = change
            .before
            .as_ref()
            .and_then(|before| before.get("metadata"));
        metadata
            .and_then(|metadata| metadata.get(field))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: text("uid"),
            resource_version: text("resourceVersion"),
        }),
        ..DeleteParams::default()
    };
    api.delete(&change.key.name, &parameters).await.map(|_| ())
}
