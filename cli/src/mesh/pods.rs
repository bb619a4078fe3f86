//! Pods by the names that people use: `POD`, `POD.NAMESPACE`, `deployment/NAME.NAMESPACE`, `svc/NAME`.
//!
//! After a slash the last dot splits name from namespace. A workload or service means its best pod: ready before not ready, then
//! the one that has run longest.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::context::Cluster;
use crate::failure;

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    pub namespace: String,
    pub name: String,
}

/// What a name means before any cluster is asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Named<'a> {
    pub kind: Option<&'a str>,
    pub name: &'a str,
    pub namespace: Option<&'a str>,
}

/// Finds the pod that is meant.
pub async fn resolve(cluster: &Cluster, text: &str) -> anyhow::Result<PodRef> {
    let Named {
        kind,
        name,
        namespace,
    } = Named::parse(text)?;
    let namespace = namespace.unwrap_or(&cluster.namespace);
    let selector = match kind {
        None | Some("pod" | "pods" | "po") => return find(cluster, namespace, name).await,
        Some("deployment" | "deployments" | "deploy") => {
            let found: Deployment = get(cluster, namespace, name, text).await?;
            found.spec.map(|spec| labels(spec.selector)).transpose()?
        }
        Some("statefulset" | "statefulsets" | "sts") => {
            let found: StatefulSet = get(cluster, namespace, name, text).await?;
            found.spec.map(|spec| labels(spec.selector)).transpose()?
        }
        Some("daemonset" | "daemonsets" | "ds") => {
            let found: DaemonSet = get(cluster, namespace, name, text).await?;
            found.spec.map(|spec| labels(spec.selector)).transpose()?
        }
        Some("replicaset" | "replicasets" | "rs") => {
            let found: ReplicaSet = get(cluster, namespace, name, text).await?;
            found.spec.map(|spec| labels(spec.selector)).transpose()?
        }
        Some("service" | "services" | "svc") => {
            let found: Service = get(cluster, namespace, name, text).await?;
            found
                .spec
                .and_then(|spec| spec.selector)
                .map(|labels| equal(&labels))
        }
        Some(other) => {
            return Err(failure::usage(format!(
                "{other:?} is no kind of workload: use pod, deployment, statefulset, daemonset, replicaset or service"
            )));
        }
    };
    let selector = selector.filter(|selector| !selector.is_empty());
    let selector = selector.with_context(|| format!("{text:?} does not refer to a pod"))?;
    best(cluster, namespace, &selector).await?.with_context(|| {
        format!("{text:?} does not refer to a pod: there is none with the labels {selector}")
    })
}

async fn find(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<PodRef> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let found = pods
        .get_opt(name)
        .await
        .map_err(|error| cluster.explain(error))?;
    if found.is_some() {
        return Ok(PodRef {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        });
    }
    let error = anyhow!("pod {name:?} not found in namespace {namespace}");
    // The name of a workload without its kind is what people type first.
    let listed = pods
        .list_metadata(&ListParams::default())
        .await
        .map_err(|error| cluster.explain(error))?;
    let mut close: Vec<String> = listed
        .iter()
        .map(ResourceExt::name_any)
        .filter(|pod| pod.starts_with(name))
        .collect();
    close.sort();
    Err(match close.first() {
        Some(pod) => failure::advise(error, format!("did you mean {pod}, or deployment/{name}?")),
        None => failure::advise(
            error,
            "`meshctl proxy-status` lists the pods with proxies as POD.NAMESPACE",
        ),
    })
}

async fn get<K>(cluster: &Cluster, namespace: &str, name: &str, text: &str) -> anyhow::Result<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), namespace);
    let found = api
        .get_opt(name)
        .await
        .map_err(|error| cluster.explain(error))?;
    found.with_context(|| {
        format!(
            "failed to find {text:?}: there is no {} {name} in namespace {namespace}",
            K::kind(&())
        )
    })
}

/// The best pod that labels select.
async fn best(
    cluster: &Cluster,
    namespace: &str,
    selector: &str,
) -> anyhow::Result<Option<PodRef>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let listed = pods.list(&ListParams::default().labels(selector)).await;
    let listed = listed.map_err(|error| cluster.explain(error))?;
    let chosen = listed
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .min_by_key(|pod| {
            let started = pod
                .status
                .as_ref()
                .and_then(|status| status.start_time.as_ref())
                .map(|time| time.0);
            (Reverse(is_ready(pod)), started, pod.name_any())
        });
    Ok(chosen.map(|pod| PodRef {
        namespace: namespace.to_owned(),
        name: pod.name_any(),
    }))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The selector of a workload in the API's words.
fn labels(selector: LabelSelector) -> anyhow::Result<String> {
    let mut parts: Vec<String> = selector
        .match_labels
        .as_ref()
        .map(equal)
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    for expression in selector.match_expressions.into_iter().flatten() {
        let (key, values) = (
            expression.key,
            expression.values.unwrap_or_default().join(","),
        );
        parts.push(match expression.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key,
            "DoesNotExist" => format!("!{key}"),
            other => bail!("the workload's selector has the unknown operator {other:?}"),
        });
    }
    Ok(parts.join(","))
}

fn equal(labels: &BTreeMap<String, String>) -> String {
    let parts: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    parts.join(",")
}

// === impl Named ===

impl<'a> Named<'a> {
    pub fn parse(text: &'a str) -> anyhow::Result<Self> {
        let (kind, rest) = text
            .split_once('/')
            .map_or((None, text), |(kind, rest)| (Some(kind), rest));
        let (name, namespace) = rest
            .rsplit_once('.')
            .map_or((rest, None), |(name, namespace)| (name, Some(namespace)));
        if name.is_empty() || namespace == Some("") || rest.contains('/') || kind == Some("") {
            return Err(failure::usage(format!(
                "{text:?} does not name a pod: use POD, POD.NAMESPACE or deployment/NAME.NAMESPACE"
            )));
        }
        Ok(Self {
            kind,
            name,
            namespace,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_dot_splits_off_the_namespace() {
        for (text, kind, name, namespace) in [
            ("web-1", None, "web-1", None),
            ("web-1.prod", None, "web-1", Some("prod")),
            (
                "deployment/web.v1.prod",
                Some("deployment"),
                "web.v1",
                Some("prod"),
            ),
            ("svc/web", Some("svc"), "web", None),
        ] {
            assert_eq!(
                Named::parse(text).unwrap(),
                Named {
                    kind,
                    name,
                    namespace
                },
                "{text}"
            );
        }
        for text in ["", "/web", "a/b/c", "web.", ".prod"] {
            assert!(Named::parse(text).is_err(), "{text:?}");
        }
    }
}
