//! The settings that all servers of a workload's proxy have.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::{
    CertificateDetails, Direction, ForwardClientCertificate, HttpConnectionManager, HttpFilter,
    Network, PathNormalization, Routes, TcpProxy, Trust,
};

use super::telemetry::WorkloadTelemetry;
use crate::snapshot::Snapshot;

/// What the mesh's configuration says for all servers of a workload.
#[derive(Clone, Debug)]
pub(super) struct HttpServerSettings {
    telemetry: Arc<WorkloadTelemetry>,
    normalization: PathNormalization,
}

/// Whose requests an HTTP server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerRole {
    /// Those of the local workload, to others.
    Outbound,
    /// Those of others, to the local workload.
    Inbound,
    /// Those of clients outside the mesh.
    Gateway,
}

// === impl HttpServerSettings ===

impl HttpServerSettings {
    /// Of the workload with these labels; of nobody in particular without a namespace.
    pub(super) fn of(
        snapshot: &Snapshot,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Self {
        Self {
            telemetry: Arc::new(WorkloadTelemetry::of(snapshot, namespace, labels)),
            normalization: snapshot.mesh().path_normalization(),
        }
    }

    /// What is told about traffic.
    pub(super) fn telemetry(&self) -> &Arc<WorkloadTelemetry> {
        &self.telemetry
    }

    /// Connections to a cluster.
    pub(super) fn tcp(&self, direction: Direction, proxy: TcpProxy) -> Network {
        let inbound = direction == Direction::Inbound;
        Network::Tcp(TcpProxy {
            telemetry: self.telemetry.tcp(inbound).clone(),
            ..proxy
        })
    }

    /// The HTTP server of a listener.
    pub(super) fn manager(
        &self,
        role: ServerRole,
        listener: &str,
        routes: Routes,
    ) -> HttpConnectionManager {
        let direction = match role {
            ServerRole::Outbound | ServerRole::Gateway => Direction::Outbound,
            ServerRole::Inbound => Direction::Inbound,
        };
        HttpConnectionManager {
            normalization: self.normalization,
            trust: trust(role),
            filters: filters(role),
            telemetry: self.telemetry.http(direction == Direction::Inbound).clone(),
            ..HttpConnectionManager::new(
                format!("{direction}_{listener}").into(),
                direction,
                routes,
            )
        }
    }
}

/// What VirtualServices ask for is for the traffic of clients and gateways.
fn filters(role: ServerRole) -> Vec<HttpFilter> {
    match role {
        ServerRole::Outbound | ServerRole::Gateway => vec![HttpFilter::Fault, HttpFilter::Cors],
        ServerRole::Inbound => Vec::new(),
    }
}

/// Only the mesh says whose certificate a client has, so that nobody can be taken for another: applications cannot write the field, and
/// what a gateway has written goes on to workloads, who are told of the gateway as well.
fn trust(role: ServerRole) -> Trust {
    let (use_remote_address, client_certificate) = match role {
        ServerRole::Outbound => (false, ForwardClientCertificate::Sanitize),
        ServerRole::Inbound => (false, ForwardClientCertificate::AppendForward),
        ServerRole::Gateway => (true, ForwardClientCertificate::SanitizeSet),
    };
    Trust {
        use_remote_address,
        client_certificate,
        // Those that Istio writes.
        certificate_details: match role {
            ServerRole::Outbound => CertificateDetails::default(),
            ServerRole::Inbound | ServerRole::Gateway => CertificateDetails {
                subject: true,
                certificate: role == ServerRole::Gateway,
                dns: true,
                uri: true,
                ..CertificateDetails::default()
            },
        },
        ..Trust::default()
    }
}
