//! Finding what an installation made: by its label, and what the running control plane left.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use kube::api::{DynamicObject, ListParams};
use mesh_core::install::{Identity, KINDS, LEFTOVERS, OWNER_LABEL, REVISION_LABEL, ResourceType};

use super::{api, api_everywhere, explain};

/// Requests at a time.
const AT_A_TIME: usize = 8;

/// Kinds that keep a namespace from being empty, beside those of [`KINDS`].
const INHABITANTS: [(&str, &str, &str, &str); 7] = [
    ("", "v1", "Pod", "pods"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("apps", "v1", "DaemonSet", "daemonsets"),
    ("batch", "v1", "Job", "jobs"),
    ("batch", "v1", "CronJob", "cronjobs"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
];

/// An object in the cluster.
#[derive(Clone, Debug)]
pub struct Found {
    pub resource: ResourceType,
    pub object: DynamicObject,
}

/// Everything that carries the label of an installation, of one revision or of all, in the order of phases.
pub async fn owned(
    client: &Client,
    control_plane: &str,
    revision: Option<&str>,
) -> anyhow::Result<Vec<Found>> {
    let mut labels = format!("{OWNER_LABEL}={control_plane}");
    if let Some(revision) = revision {
        labels.push_str(&format!(",{REVISION_LABEL}={revision}"));
    }
    let selector = ListParams::default().labels(&labels);
    list(client, &KINDS, &selector, None).await
}

/// What the running control plane made and nobody labelled.
pub async fn leftovers(client: &Client, control_plane: &str) -> anyhow::Result<Vec<Found>> {
    let mut all = Vec::new();
    for (kind, name) in LEFTOVERS {
        let Some(resource) = KINDS.iter().find(|resource| resource.kind == kind) else {
            continue;
        };
        let selector = ListParams::default().fields(&format!("metadata.name={name}"));
        // The key stays in the control plane's namespace; the root certificate is everywhere.
        let namespace = (kind == "Secret").then_some(control_plane);
        all.extend(list(client, std::slice::from_ref(resource), &selector, namespace).await?);
    }
    Ok(all)
}

/// What is in a namespace beside what Kubernetes itself puts into each.
pub async fn strangers(client: &Client, namespace: &str) -> anyhow::Result<Vec<Identity>> {
    let of_everywhere = INHABITANTS.map(|(group, version, kind, plural)| ResourceType {
        group,
        version,
        kind,
        plural,
        namespaced: true,
    });
    let kinds: Vec<ResourceType> = KINDS
        .into_iter()
        .filter(|kind| kind.namespaced)
        .chain(of_everywhere)
        .collect();
    let found = list(client, &kinds, &ListParams::default(), Some(namespace)).await?;
    let identities = found.iter().map(Found::identity);
    let usual = |of: &Identity| {
        let (kind, name) = (of.kind.as_str(), of.name.as_str());
        matches!(
            (kind, name),
            ("ConfigMap", "kube-root-ca.crt") | ("ServiceAccount", "default")
        )
    };
    Ok(identities.filter(|of| !usual(of)).collect())
}

/// Objects of kinds. A kind that the server does not know has none.
async fn list(
    client: &Client,
    kinds: &[ResourceType],
    selector: &ListParams,
    namespace: Option<&str>,
) -> anyhow::Result<Vec<Found>> {
    let requests = kinds.iter().map(|resource| async move {
        let api = match namespace {
            Some(namespace) => api(client, resource, namespace),
            None => api_everywhere(client, resource),
        };
        match api.list(selector).await {
            Ok(list) => Ok((*resource, list.items)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok((*resource, Vec::new())),
            Err(error) => {
                let tried = format!("failed to list {}", resource.plural);
                Err(explain(&tried, error))
            }
        }
    });
    let all: Vec<_> = stream::iter(requests)
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    let all = all.into_iter();
    Ok(all
        .flat_map(|(resource, items)| {
            items
                .into_iter()
                .map(move |object| Found { resource, object })
        })
        .collect())
}

// === impl Found ===

impl Found {
    /// What tells it from all others.
    pub fn identity(&self) -> Identity {
        let metadata = &self.object.metadata;
        Identity {
            group: self.resource.group.to_owned(),
            kind: self.resource.kind.to_owned(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}
