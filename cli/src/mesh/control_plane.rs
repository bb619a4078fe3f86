//! The control plane's pods and what they say on their monitoring port.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::{Deserialize, Serialize};

use crate::context::{Cluster, Context};
use crate::failure::Advice as _;
use crate::portforward::PodPort;

/// Label of the control plane's pods.
const SELECTOR: &str = "app=istiod";

/// The control plane of a cluster.
pub struct ControlPlane<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    /// Running pods, sorted by name.
    pods: Vec<String>,
    /// How many pods there are, running or not.
    known: usize,
}

/// One proxy as the control plane sees it. What is sent and what is acknowledged are nonces or versions: equal ones mean that
/// the proxy is in step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncStatus {
    /// `POD.NAMESPACE`.
    pub proxy: String,
    pub proxy_type: String,
    pub cluster_id: String,
    pub istio_version: String,
    pub cluster_sent: String,
    pub cluster_acked: String,
    pub listener_sent: String,
    pub listener_acked: String,
    pub route_sent: String,
    pub route_acked: String,
    pub endpoint_sent: String,
    pub endpoint_acked: String,
    pub extensionconfig_sent: String,
    pub extensionconfig_acked: String,
    /// Resources that the proxy refuses; it keeps the last good ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// The pod of the control plane that the proxy is connected to; added here.
    pub istiod: String,
    /// What this program does not know.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// A resource that a proxy refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refused {
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub reason: String,
}

// === impl ControlPlane ===

impl<'a> ControlPlane<'a> {
    /// Looks for the control plane; fails when there is none that runs.
    pub async fn find(cluster: &'a Cluster, context: &'a Context) -> anyhow::Result<Self> {
        let control_plane = Self::look(cluster, context).await?;
        if control_plane.pods.is_empty() {
            return Err(anyhow!(control_plane.absence())).hint(
                "install one with `meshctl install`, or name its namespace with --istioNamespace",
            );
        }
        Ok(control_plane)
    }

    /// Looks for the control plane, which may have no pod that runs.
    pub async fn look(cluster: &'a Cluster, context: &'a Context) -> anyhow::Result<Self> {
        Self::look_in(cluster, context.istio_namespace()).await
    }

    /// Looks for the control plane of a namespace, which may have no pod that runs.
    pub async fn look_in(cluster: &'a Cluster, namespace: &'a str) -> anyhow::Result<Self> {
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        let listed = pods.list(&ListParams::default().labels(SELECTOR)).await;
        let listed = listed
            .map_err(|error| cluster.explain(error))
            .with_context(|| {
                format!("failed to look for the control plane in namespace {namespace}")
            })?;
        let running = |pod: &&Pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
        };
        let mut pods: Vec<String> = listed
            .iter()
            .filter(running)
            .map(ResourceExt::name_any)
            .collect();
        pods.sort();
        Ok(Self {
            cluster,
            namespace,
            pods,
            known: listed.items.len(),
        })
    }

    /// Whether any pod of it runs.
    pub fn is_running(&self) -> bool {
        !self.pods.is_empty()
    }

    /// That no pod of it runs, as a sentence.
    pub fn absence(&self) -> String {
        let namespace = self.namespace;
        match self.known {
            0 => format!("there is no control plane in namespace {namespace}"),
            _ => format!("no pod of the control plane in namespace {namespace} is running"),
        }
    }

    /// The version of each pod of the control plane.
    pub async fn versions(&self) -> anyhow::Result<Vec<(String, String)>> {
        let answers = self.ask_all("/version").await?.into_iter();
        Ok(answers
            .map(|(pod, text)| (pod, version_of(&text)))
            .collect())
    }

    /// Every connected proxy, sorted by name.
    pub async fn proxies(&self) -> anyhow::Result<Vec<SyncStatus>> {
        let mut proxies = Vec::new();
        for (pod, text) in self.ask_all("/debug/syncz").await? {
            let listed: Vec<SyncStatus> = serde_json::from_str(&text)
                .with_context(|| format!("failed to understand /debug/syncz of pod {pod}"))?;
            proxies.extend(listed.into_iter().map(|mut proxy| {
                proxy.istiod.clone_from(&pod);
                proxy
            }));
        }
        proxies.sort_by(|a, b| (&a.proxy, &a.istiod).cmp(&(&b.proxy, &b.istiod)));
        Ok(proxies)
    }

    /// The answers of all pods of the control plane to one path, with the pods' names.
    pub async fn ask_all(&self, path: &str) -> anyhow::Result<Vec<(String, String)>> {
        let mut answers = Vec::new();
        for pod in &self.pods {
            answers.push((pod.clone(), self.get(pod, path).await?));
        }
        Ok(answers)
    }

    async fn get(&self, pod: &str, path: &str) -> anyhow::Result<String> {
        let port = PodPort {
            namespace: self.namespace,
            pod,
            port: mesh_ir::ports::ISTIOD_MONITORING,
        };
        let body = port.get(self.cluster, path).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// The version in an answer: Istio answers `1.32.0-HASH-Clean`, a plain version or JSON with a version in it.
fn version_of(text: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let field = parsed
        .as_ref()
        .and_then(|value| value.get("version")?.as_str());
    field.unwrap_or(text).trim().to_owned()
}
