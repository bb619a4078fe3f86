//! Server-side apply of one object, and what came of it.

use anyhow::Context as _;
use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams};
use mesh_core::install::{FIELD_MANAGER, OWNER_LABEL, Object, Phase};
use serde_json::Value;

use super::{api, explain};

/// What came of applying an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was different: before and after, without what the server keeps for itself.
    Changed { before: Value, after: Value },
    /// It was the same.
    Unchanged,
    /// It is there, belongs to somebody else, and stays as it is.
    Kept,
}

/// Applies objects.
#[derive(Clone)]
pub struct Writer {
    pub client: Client,
    /// Whether the server only says what would happen.
    pub dry_run: bool,
}

// === impl Writer ===

impl Writer {
    /// Applies an object of a plan.
    pub async fn write(&self, object: &Object) -> anyhow::Result<Outcome> {
        let tried = format!("failed to apply {}", object.identity());
        let api = api(&self.client, &object.resource, object.namespace());
        let before = match api.get_opt(object.name()).await {
            Ok(before) => before,
            Err(error) => return Err(explain(&tried, error)),
        };
        let is_foreign = |there: &DynamicObject| {
            let labels = there.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(OWNER_LABEL)).is_none()
        };
        // The namespace and Istio's CRDs may be another installation's, which would lose them with us.
        if object.phase == Phase::Definitions && before.as_ref().is_some_and(is_foreign) {
            return Ok(Outcome::Kept);
        }
        if self.dry_run && before.is_none() && !self.has_namespace(object).await? {
            return Ok(Outcome::Created);
        }
        let mut params = PatchParams::apply(FIELD_MANAGER).force();
        params.dry_run = self.dry_run;
        let live = before.as_ref().map(|before| &before.data);
        let value = object.over(live.unwrap_or(&Value::Null));
        let patch = Patch::Apply(&value);
        let after = match api.patch(object.name(), &params, &patch).await {
            Ok(after) => after,
            Err(error) => return Err(explain(&tried, error)),
        };
        let Some(before) = before else {
            return Ok(Outcome::Created);
        };
        if !self.dry_run && before.metadata.resource_version == after.metadata.resource_version {
            return Ok(Outcome::Unchanged);
        }
        let (before, after) = (content(before)?, content(after)?);
        Ok(match before == after {
            true => Outcome::Unchanged,
            false => Outcome::Changed { before, after },
        })
    }

    /// Whether an object's namespace is there: before it is, a server cannot even try.
    async fn has_namespace(&self, object: &Object) -> anyhow::Result<bool> {
        if !object.resource.namespaced {
            return Ok(true);
        }
        let all = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(self.client.clone());
        let found = all.get_opt(object.namespace()).await;
        let tried = format!("failed to look for the namespace {}", object.namespace());
        found
            .map(|namespace| namespace.is_some())
            .map_err(|error| explain(&tried, error))
    }
}

/// An object without what the server keeps for itself.
fn content(mut object: DynamicObject) -> anyhow::Result<Value> {
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    object.metadata.generation = None;
    let mut value = serde_json::to_value(object).context("failed to read the server's answer")?;
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
    }
    Ok(value)
}
