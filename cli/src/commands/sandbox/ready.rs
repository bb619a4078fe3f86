//! When a sandbox is ready: every workload has its pods, every Service the endpoints that they make, and every connected proxy has
//! acknowledged those and what was applied. The first request then finds what it is for.
//!
//! ```text
//! pods ready -> EndpointSlices complete -> published and acknowledged, by /debug/distribution
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::resource::{Kind, Watch};
use mesh_sandbox::Running;

use super::apply::Applied;
use super::pods::{Change, Pods};
use crate::context::Cluster;
use crate::mesh::{Awaited, ControlPlane, distribution};
use crate::reporter::{Reporter, Step};

/// Between two questions to the control plane.
const PAUSE: Duration = Duration::from_millis(50);

/// Namespace that the sandbox installs the control plane in.
const CONTROL_PLANE_NAMESPACE: &str = "istio-system";

/// The wait until all is ready. It can be given up and begun again.
pub struct Readiness<'a> {
    running: &'a Running,
    expected: &'a [Applied],
    /// How the control plane is asked; none when there is no mesh.
    cluster: Option<Cluster>,
    pods: Pods,
    /// What is missing once all pods are ready.
    missing: Option<String>,
}

/// Whether proxies have what they should have.
enum Distributed {
    Yes,
    /// What is missing.
    NotYet(String),
}

// === impl Readiness ===

impl<'a> Readiness<'a> {
    /// Waits for these workloads and objects, and for the mesh's proxies if there is a mesh.
    pub fn new(running: &'a Running, expected: &'a [Applied], has_mesh: bool) -> Self {
        let record = running.record();
        let cluster = has_mesh.then(|| Cluster {
            client: running.client().clone(),
            name: format!("sandbox {:?}", record.name),
            namespace: "default".to_owned(),
            server: record.kubeconfig.display().to_string(),
        });
        Self {
            running,
            expected,
            cluster,
            pods: Pods::default(),
            missing: None,
        }
    }

    /// Waits, however long it takes.
    pub async fn wait(&mut self, reporter: &Reporter) {
        let step = reporter.step("waiting for pods");
        loop {
            self.pods_are_ready(reporter, &step).await;
            match self.distributed().await {
                Distributed::Yes => return,
                Distributed::NotYet(missing) => {
                    if reporter.is_live() {
                        step.say(&missing);
                    }
                    self.missing = Some(missing);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What is not ready although its time is over.
    pub fn late(&self, limit: Duration) -> String {
        let (ready, all, one) = self.pods.tally();
        let limit = limit.as_secs();
        let why = match (one, &self.missing) {
            (Some(pod), _) => {
                let message = match pod.message.as_str() {
                    "" => String::new(),
                    message => format!(": {message}"),
                };
                format!(
                    "; {}/{} is {}{message}",
                    pod.namespace, pod.name, pod.status
                )
            }
            (None, Some(missing)) => format!("; {missing}"),
            (None, None) => String::new(),
        };
        format!("not all is ready after {limit} s: {ready} of {all} pods{why}")
    }

    /// The pods as last told.
    pub fn into_pods(self) -> Pods {
        self.pods
    }

    /// Waits until every workload applied has its pods and every pod is ready.
    async fn pods_are_ready(&mut self, reporter: &Reporter, step: &Step) {
        let mut changes = self.running.changes();
        loop {
            tell(self.pods.changes(self.running.pods()), reporter);
            let (ready, all, one) = self.pods.tally();
            if ready == all && has_all(self.running, self.expected) {
                return;
            }
            self.missing = None;
            let what = one.map_or_else(String::new, |pod| {
                format!(", {}/{} is {}", pod.namespace, pod.name, pod.status)
            });
            if reporter.is_live() {
                step.say(&format!("waiting for pods: {ready} of {all} ready{what}"));
            }
            // The senders live as long as the sandbox runs.
            let _ = changes.changed().await;
        }
    }

    /// Whether every connected proxy has acknowledged the endpoints of what is ready, and what was applied.
    async fn distributed(&self) -> Distributed {
        let Some(cluster) = &self.cluster else {
            return Distributed::Yes;
        };
        let Some(endpoints) = self.running.endpoint_versions() else {
            return Distributed::NotYet("waiting for the endpoints of Services".to_owned());
        };
        let progress = async {
            let control_plane = ControlPlane::look_in(cluster, CONTROL_PLANE_NAMESPACE).await?;
            if !control_plane.is_running() {
                return Ok(None);
            }
            let awaited = awaited(endpoints, self.expected);
            distribution(&control_plane, &awaited).await.map(Some)
        };
        match progress.await {
            // A mesh without a control plane in this cluster has proxies of its own.
            Ok(None) => Distributed::Yes,
            Ok(Some(progress)) if progress.is_complete() => Distributed::Yes,
            Ok(Some(progress)) if progress.published => {
                Distributed::NotYet(format!("{progress}; not yet: {}", progress.some_pending()))
            }
            Ok(Some(progress)) => Distributed::NotYet(progress.to_string()),
            Err(error) => Distributed::NotYet(format!(
                "failed to ask the control plane what proxies have: {error:#}"
            )),
        }
    }
}

/// By kind, what must have come to every proxy: a control plane reads each kind in the order of versions.
fn awaited(endpoints: [(&'static str, u64); 3], applied: &[Applied]) -> Vec<Awaited> {
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    for (kind, version) in endpoints {
        versions.insert(kind.to_owned(), version);
    }
    for Applied {
        api_version,
        kind,
        version,
        ..
    } in applied
    {
        let row = Kind::of(api_version, kind).map(Kind::row);
        let watched = row.filter(|row| row.watch != Watch::Never);
        let version: Option<u64> = version.as_deref().and_then(|text| text.parse().ok());
        if let (Some(row), Some(version)) = (watched, version) {
            let name = match row.group() {
                "" => row.plural.to_owned(),
                group => [row.plural, group].join("."),
            };
            let newest = versions.entry(name).or_default();
            *newest = version.max(*newest);
        }
    }
    let awaited = versions.into_iter().filter(|(_, version)| *version > 0);
    let awaited = awaited.map(|(resource, version)| Awaited {
        resource,
        version: version.to_string(),
    });
    awaited.collect()
}

/// True when each of the workloads is known and has all its replicas.
fn has_all(running: &Running, expected: &[Applied]) -> bool {
    let workloads = running.workloads();
    expected.iter().all(|applied| {
        let known = workloads.iter().find(|workload| {
            workload.kind == applied.kind
                && workload.namespace == applied.namespace
                && workload.name == applied.name
        });
        match known {
            Some(workload) => workload.is_complete,
            // Kinds without pods are complete as soon as they are there.
            None => !mesh_sandbox::WORKLOAD_KINDS.contains(&applied.kind.as_str()),
        }
    })
}

/// Tells what has happened to pods.
pub fn tell(changes: Vec<Change>, reporter: &Reporter) {
    for change in changes {
        match change {
            Change::Good(text) => reporter.done(&text),
            Change::Bad(text) => reporter.warn(&text),
            Change::Over(text) => reporter.note(&format!("- {text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_applied_is_awaited_by_kind_in_its_newest_version() {
        let applied = |api_version: &str, kind: &str, version: u64| Applied {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: "default".into(),
            name: "n".into(),
            version: Some(version.to_string()),
        };
        let applied = [
            applied("v1", "Service", 9),
            applied("networking.istio.io/v1beta1", "Gateway", 5),
            applied("networking.istio.io/v1", "Gateway", 4),
            applied("gateway.networking.k8s.io/v1", "Gateway", 3),
            applied("apps/v1", "Deployment", 20),
            applied("v1", "ConfigMap", 21),
        ];
        let awaited = awaited(
            [("services", 7), ("endpointslices", 8), ("pods", 0)],
            &applied,
        );
        let shown = awaited
            .iter()
            .map(|awaited| format!("{} {}", awaited.resource, awaited.version));
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                "configmaps 21",
                "endpointslices 8",
                "gateways.gateway.networking.k8s.io 3",
                "gateways.networking.istio.io 5",
                "services 9"
            ]
        );
    }
}
