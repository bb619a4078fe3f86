//! Deleting objects, and waiting until they are gone.

use std::time::Duration;

use anyhow::anyhow;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, Client};

use super::wait::Pace;
use super::{Found, api, explain};
use crate::failure;
use crate::reporter::Step;

/// Deletes an object; one that is gone already, or has been made anew since it was found, is left alone. Gives whether there was
/// something to do.
pub async fn delete(client: &Client, found: &Found) -> anyhow::Result<bool> {
    let identity = found.identity();
    let api = api(client, &found.resource, &identity.namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: found.object.metadata.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    match api.delete(&identity.name, &params).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(false),
        Err(error) => Err(explain(&format!("failed to delete {identity}"), error)),
    }
}

/// Waits until objects, and the pods of Deployments among them, are gone.
pub async fn wait_gone(
    client: &Client,
    all: &[Found],
    timeout: Duration,
    step: &Step,
) -> anyhow::Result<()> {
    let mut pace = Pace::new(timeout);
    for found in all {
        let identity = found.identity();
        let mut said = false;
        while let Some(why) = still_there(client, found).await? {
            if !said {
                step.say(&format!("waiting until {identity} is gone"));
                said = true;
            }
            if !pace.rest().await {
                let limit = timeout.as_secs();
                return Err(anyhow!("{identity} is still there after {limit} s: {why}")).map_err(
                    |error| {
                        failure::advise(
                            error,
                            "run the command again, or look at it with `kubectl describe`",
                        )
                    },
                );
            }
        }
    }
    Ok(())
}

/// Why an object is not gone.
async fn still_there(client: &Client, found: &Found) -> anyhow::Result<Option<String>> {
    let identity = found.identity();
    let tried = format!("failed to look at {identity}");
    let api = api(client, &found.resource, &identity.namespace);
    let there = api.get_opt(&identity.name).await;
    let there = there.map_err(|error| explain(&tried, error))?;
    // A new object of the same name is somebody else's business.
    let same = there.filter(|there| there.metadata.uid == found.object.metadata.uid);
    if let Some(object) = same {
        let finalizers = object.metadata.finalizers.unwrap_or_default();
        return Ok(Some(match finalizers.is_empty() {
            true => "it is being deleted".to_owned(),
            false => format!("it waits for its finalizers {}", finalizers.join(", ")),
        }));
    }
    if found.resource.kind != "Deployment" {
        return Ok(None);
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &identity.namespace);
    let selector = &found.object.data["spec"]["selector"]["matchLabels"];
    let labels: Vec<String> = selector
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    let params = ListParams::default().labels(&labels.join(",")).limit(1);
    let pods = pods.list(&params).await;
    let pods = pods.map_err(|error| explain(&tried, error))?.items;
    let pod = pods.into_iter().next().and_then(|pod| pod.metadata.name);
    Ok(pod.map(|name| format!("pod {name} is still stopping")))
}
