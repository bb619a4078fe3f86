//! The counters of all proxies, read beside each other in bounded time. No metrics store is needed: two readings tell a rate.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use mesh_core::metrics::Traffic;

use super::PodRef;
use crate::context::{Cluster, Context};
use crate::failure;
use crate::portforward::PodPort;

/// The proxies' container.
const PROXY: &str = "istio-proxy";
/// Proxies that are asked at a time.
const AT_A_TIME: usize = 16;
/// One proxy's answer.
const PATIENCE: Duration = Duration::from_secs(5);
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
    /// Proxies that did not answer, with the reason.
    silent: Vec<(String, String)>,
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
        let asked = self
            .pods
            .iter()
            .enumerate()
            .map(|(position, pod)| async move {
                let port = PodPort {
                    namespace: &pod.namespace,
                    pod: &pod.name,
                    port: mesh_ir::ports::PROXY_METRICS,
                };
                let answer = Box::pin(port.get(self.cluster, "/stats/prometheus"));
                let traffic = match tokio::time::timeout(PATIENCE, answer).await {
                    Ok(Ok(text)) => Ok(Traffic::parse(&String::from_utf8_lossy(&text))),
                    Ok(Err(error)) => Err(failure::sentence(&error)),
                    Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
                };
                (position, traffic)
            });
        let mut answers = futures::stream::iter(asked).buffer_unordered(AT_A_TIME);
        let mut reading = Reading::default();
        while let Some((position, traffic)) = answers.next().await {
            match (traffic, self.pods.get(position)) {
                (Ok(traffic), _) => {
                    reading.traffic.insert(position, traffic);
                }
                (Err(reason), Some(pod)) => {
                    let name = format!("{}.{}", pod.name, pod.namespace);
                    reading.silent.push((name, reason));
                }
                (Err(_), None) => {}
            }
        }
        reading
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
        const SHOWN: usize = 3;
        for (proxy, reason) in self.silent.iter().take(SHOWN) {
            let printer = &context.printer;
            printer.warn(&format!("the counters of {proxy} are not in: {reason}"));
        }
        if self.silent.len() > SHOWN {
            let more = self.silent.len() - SHOWN;
            let printer = &context.printer;
            printer.warn(&format!("nor are those of {more} more proxies"));
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
                .filter(|pod| has_proxy(pod))
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

fn has_proxy(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let running = status.and_then(|status| status.phase.as_deref()) == Some("Running");
    let mut containers = pod.spec.iter().flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        spec.containers.iter().chain(init)
    });
    running
        && pod.metadata.deletion_timestamp.is_none()
        && containers.any(|container| container.name == PROXY)
}
