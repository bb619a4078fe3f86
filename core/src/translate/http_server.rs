//! The settings that every HTTP server and every log of the mesh's proxies has.

use std::sync::Arc;

use mesh_ir::{
    AccessLog, CertificateDetails, Direction, ForwardClientCertificate, HttpConnectionManager,
    HttpFilter, PathNormalization, Routes, Trust,
};

use crate::model::MeshConfig;

/// What the mesh's configuration says for all HTTP servers.
#[derive(Clone, Debug)]
pub(super) struct HttpServerSettings {
    pub(super) access_log: Option<AccessLog>,
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
    pub(super) fn of(mesh: &MeshConfig) -> Self {
        Self {
            access_log: access_log(mesh),
            normalization: mesh.path_normalization(),
        }
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
            access_log: self.access_log.clone(),
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

/// The mesh's access log, if it has one.
fn access_log(mesh: &MeshConfig) -> Option<AccessLog> {
    let given = |text: &Option<String>| -> Option<Arc<str>> {
        text.as_deref()
            .filter(|text| !text.is_empty())
            .map(Arc::from)
    };
    Some(AccessLog {
        path: given(&mesh.access_log_file)?,
        format: given(&mesh.access_log_format),
        json: mesh.access_log_encoding.as_deref() == Some("JSON"),
    })
}
