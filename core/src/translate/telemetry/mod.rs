//! What `Telemetry` and the mesh's settings say of the logs, spans and metrics of a workload.
//!
//! ```text
//! mesh's settings, Telemetry of mesh, namespace, workload --by provider and side--> TelemetryPolicy of clients, of servers
//! ```

mod access_logs;
mod findings;
mod metrics;
mod providers;
mod tracing;

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::TelemetryPolicy;

use crate::model::{ModeSelector, WorkloadMode};
use crate::snapshot::{Difference, MeshTelemetry, Snapshot};
pub(super) use findings::findings;
use providers::Providers;

/// Which side of the traffic of a workload is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// What it asks of others, and all that passes a gateway.
    Client,
    /// What others ask of it.
    Server,
}

/// What is told about the traffic of a workload, of requests and of connections.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct WorkloadTelemetry {
    client: Policies,
    server: Policies,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Policies {
    http: Arc<TelemetryPolicy>,
    tcp: Arc<TelemetryPolicy>,
}

/// What there is to go by.
struct Sources<'s> {
    objects: Vec<MeshTelemetry<'s>>,
    providers: Providers<'s>,
}

// === impl WorkloadTelemetry ===

impl WorkloadTelemetry {
    /// Of the workload with these labels; of nobody in particular without a namespace.
    pub(super) fn of(
        snapshot: &Snapshot,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Self {
        let sources = Sources {
            objects: snapshot.telemetries_for(namespace, labels),
            providers: Providers {
                snapshot,
                namespace,
            },
        };
        let policies = |mode: Mode| {
            let policy = TelemetryPolicy {
                access_logs: access_logs::access_logs(&sources, mode),
                tracing: tracing::tracing(&sources, mode),
                metrics: metrics::metrics(&sources, mode),
            };
            Policies {
                http: Arc::new(policy.clone().for_http()),
                tcp: Arc::new(policy.for_tcp()),
            }
        };
        Self {
            client: policies(Mode::Client),
            server: policies(Mode::Server),
        }
    }

    /// Of requests, to others or to the workload.
    pub(super) fn http(&self, inbound: bool) -> &Arc<TelemetryPolicy> {
        let policies = if inbound { &self.server } else { &self.client };
        &policies.http
    }

    /// Of connections.
    pub(super) fn tcp(&self, inbound: bool) -> &Arc<TelemetryPolicy> {
        let policies = if inbound { &self.server } else { &self.client };
        &policies.tcp
    }
}

/// Whether services differ that telemetry is sent to, so that it may be possible now, or not any more.
pub(super) fn is_concerned(snapshot: &Snapshot, difference: &Difference) -> bool {
    let mut hosts = providers::hosts(snapshot.mesh());
    hosts.any(|host| difference.services.contains(&*host))
}

// === impl Mode ===

impl Mode {
    fn is_meant(self, selector: Option<&ModeSelector>) -> bool {
        match selector.and_then(|selector| selector.mode) {
            None | Some(WorkloadMode::ClientAndServer) => true,
            Some(WorkloadMode::Client) => self == Self::Client,
            Some(WorkloadMode::Server) => self == Self::Server,
        }
    }
}

#[cfg(test)]
mod tests;
