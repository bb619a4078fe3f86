//! The metrics pages of proxies, read beside each other in bounded time: for all who count by the proxies' own counters.

use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;

use super::PodRef;
use crate::context::Cluster;
use crate::failure;
use crate::portforward::PodPort;

/// The proxies' container.
pub const PROXY: &str = "istio-proxy";
/// Proxies that are asked at a time.
const AT_A_TIME: usize = 8;
/// One proxy's answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Proxies without an answer that are named; of more only the number is told.
const SHOWN: usize = 3;

/// Proxies that did not answer, with the reason.
#[derive(Clone, Debug, Default)]
pub struct Silent(Vec<(String, String)>);

/// Whether a pod runs and has a proxy.
pub fn has_proxy(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    let mut containers = pod.spec.iter().flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        spec.containers.iter().chain(init)
    });
    phase == Some("Running") && containers.any(|container| container.name == PROXY)
}

/// What `read` makes of each proxy's page, by the position of its pod.
pub async fn scrape<T>(
    cluster: &Cluster,
    pods: &[PodRef],
    read: impl Fn(&str) -> T,
) -> (Vec<(usize, T)>, Silent) {
    let asked = pods.iter().enumerate().map(|(position, pod)| async move {
        let port = PodPort {
            namespace: &pod.namespace,
            pod: &pod.name,
            port: mesh_ir::ports::PROXY_METRICS,
        };
        let answer = Box::pin(port.get(cluster, "/stats/prometheus"));
        let page = match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(|error| failure::sentence(&error)),
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        };
        (position, pod, page)
    });
    let mut answers = futures::stream::iter(asked).buffer_unordered(AT_A_TIME);
    let (mut pages, mut silent) = (Vec::new(), Silent::default());
    while let Some((position, pod, page)) = answers.next().await {
        match page {
            Ok(page) => pages.push((position, read(&String::from_utf8_lossy(&page)))),
            Err(reason) => {
                let name = format!("{}.{}", pod.name, pod.namespace);
                silent.0.push((name, reason));
            }
        }
    }
    (pages, silent)
}

// === impl Silent ===

impl Silent {
    /// What to tell about them.
    pub fn warnings(&self) -> Vec<String> {
        let named = self.0.iter().take(SHOWN);
        let mut warnings: Vec<String> = named
            .map(|(proxy, reason)| format!("the counters of {proxy} are not in: {reason}"))
            .collect();
        if let Some(more) = self.0.len().checked_sub(SHOWN + 1) {
            warnings.push(format!("nor are those of {} more proxies", more + 1));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_the_rest_is_counted() {
        let silent = |count: usize| {
            let proxies = (0..count).map(|number| (format!("p{number}.a"), "gone".to_owned()));
            Silent(proxies.collect()).warnings()
        };
        assert!(silent(0).is_empty());
        assert_eq!(silent(1), ["the counters of p0.a are not in: gone"]);
        assert_eq!(silent(3).len(), 3);
        assert_eq!(silent(5)[3..], ["nor are those of 2 more proxies"]);
    }
}
