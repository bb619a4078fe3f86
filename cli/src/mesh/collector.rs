//! The counters of all proxies, read beside each other in bounded time. No metrics store is needed: two readings tell a rate.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use mesh_core::metrics::Traffic;

use super::PodRef;
use super::scrape::{Silent, has_proxy, scrape};
use crate::context::{Cluster, Context};
use crate::failure;

/// Pods that one answer of the API server holds at most.
const PAGE: u32 = 500;

/// The proxies of a cluster.
pub struct Collector<'a> {
    cluster: &'a Cluster,
    pods: Vec<PodRef>,
}

/// What the proxies have counted so far, each by the position of its pod.
#[derive(Default)]
pub struct Reading {
    traffic: BTreeMap<usize, Traffic>,
    silent: Silent,
}

// === impl Collector ===

impl<'a> Collector<'a> {
    /// The proxies of all running pods that have one.
    pub async fn find(cluster: &'a Cluster) -> anyhow::Result<Self> {
        let pods = proxies(cluster).await?;
        if pods.is_empty() {
            let error = anyhow!("no running pod has a proxy, so nothing is counted");
            return Err(failure::advise(
                error,
                "inject some with `meshctl kube-inject`, or label a namespace istio-injection=enabled",
            ));
        }
        Ok(Self { cluster, pods })
    }

    /// The proxy of one pod.
    pub fn of(cluster: &'a Cluster, pod: PodRef) -> Self {
        Self {
            cluster,
            pods: vec![pod],
        }
    }

    /// Their pods.
    pub fn pods(&self) -> Vec<PodRef> {
        self.pods.clone()
    }

    /// What all of them have counted until now.
    pub async fn read(&self) -> Reading {
        let (traffic, silent) = scrape(self.cluster, &self.pods, Traffic::parse).await;
        Reading {
            traffic: traffic.into_iter().collect(),
            silent,
        }
    }

    /// What they count in a stretch of time; with none, since they were started.
    pub async fn watch(&self, window: Duration, context: &Context) -> Traffic {
        let first = self.read().await;
        if window == Duration::ZERO {
            first.complain(context);
            return first.total();
        }
        context.printer.detail(
            1,
            &format!(
                "{} proxies are read twice, {window:?} apart",
                self.pods.len()
            ),
        );
        tokio::time::sleep(window).await;
        let second = self.read().await;
        second.complain(context);
        second.since(&first)
    }
}

// === impl Reading ===

impl Reading {
    /// All of it together.
    pub fn total(self) -> Traffic {
        let mut all = Traffic::default();
        self.traffic
            .into_values()
            .for_each(|traffic| all.merge(traffic));
        all
    }

    /// What has been counted since an earlier reading. A proxy that was not read then is left out, as nobody knows since when it counts.
    pub fn since(&self, before: &Reading) -> Traffic {
        let mut all = Traffic::default();
        for (position, traffic) in &self.traffic {
            if let Some(earlier) = before.traffic.get(position) {
                all.merge(traffic.since(earlier));
            }
        }
        all
    }

    /// Says which proxies did not answer.
    pub fn complain(&self, context: &Context) {
        for warning in self.silent.warnings() {
            context.printer.warn(&warning);
        }
    }
}

/// All running pods with a proxy, sorted by namespace and name.
pub async fn proxies(cluster: &Cluster) -> anyhow::Result<Vec<PodRef>> {
    let api: Api<Pod> = Api::all(cluster.client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut pods = Vec::new();
    loop {
        let page = api.list(&params).await;
        let page = page.map_err(|error| cluster.explain(error))?;
        pods.extend(
            page.items
                .iter()
                .filter(|pod| has_proxy(pod) && pod.metadata.deletion_timestamp.is_none())
                .map(|pod| PodRef {
                    namespace: pod.namespace().unwrap_or_default(),
                    name: pod.name_any(),
                }),
        );
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(pods)
}
