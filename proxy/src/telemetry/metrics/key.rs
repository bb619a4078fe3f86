//! What distinguishes one series from another: Istio's labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::{Direction, MetricsPolicy, ServiceRef, Workload};

use crate::record::ResponseFlags;

/// The labels that are known before a request: who talks to whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// Outbound traffic is reported by the source, inbound by the destination.
    pub direction: Direction,
    /// Who asks; none is unknown.
    pub source: Option<Arc<Peer>>,
    /// Who answers; none is unknown.
    pub destination: Option<Arc<Peer>>,
    /// Host that was asked, short name and namespace of its service; none is unknown.
    pub service: Option<Service>,
    /// The identity that the source has proven, a URI; none is unknown.
    pub source_principal: Option<Arc<str>>,
    /// The identity that the destination has proven.
    pub destination_principal: Option<Arc<str>>,
    /// Whether both sides have proven who they are.
    pub security: Security,
    /// How labels differ from Istio's; none where they do not.
    pub tags: Option<TagValues>,
}

/// Changes to labels, with the values that a request or a connection decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagValues {
    /// The changes.
    pub policy: Arc<MetricsPolicy>,
    /// Values by expression; empty for those that could not be computed.
    pub values: BTreeMap<Arc<str>, Arc<str>>,
}

/// A service as labels name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// `destination_service`.
    pub host: Arc<str>,
    /// `destination_service_name`.
    pub name: Arc<str>,
    /// `destination_service_namespace`; may be empty.
    pub namespace: Arc<str>,
}

/// A workload as labels name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    /// Name, namespace, canonical service and revision, cluster.
    pub workload: Workload,
    /// Label `app`; may be empty.
    pub app: Arc<str>,
    /// Label `version`; may be empty.
    pub version: Arc<str>,
}

/// `connection_security_policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Security {
    /// Only the destination can know; a source says so.
    Unknown,
    /// Plain text.
    None,
    /// Mutual TLS.
    MutualTls,
}

/// `request_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// HTTP with content type `application/grpc`.
    Grpc,
    /// Bytes.
    Tcp,
}

/// The labels that are known after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outcome {
    /// HTTP or gRPC; TCP for connections.
    pub protocol: Protocol,
    /// Status code; 0 where the client went away before there was one.
    pub code: u16,
    /// gRPC status, if there was one.
    pub grpc_status: Option<u8>,
    /// What went wrong, in Envoy's letters.
    pub flags: ResponseFlags,
}

// === impl Service ===

impl From<&ServiceRef> for Service {
    fn from(service: &ServiceRef) -> Self {
        let ServiceRef {
            host,
            name,
            namespace,
        } = service;
        Self {
            host: host.clone(),
            name: name.clone(),
            namespace: namespace.clone(),
        }
    }
}

// === impl Peer ===

impl From<&Workload> for Peer {
    /// What the control plane tells of an endpoint: the canonical names stand for the labels that they usually come from.
    fn from(workload: &Workload) -> Self {
        Self {
            app: workload.canonical_name.clone(),
            version: workload.canonical_revision.clone(),
            workload: workload.clone(),
        }
    }
}

// === impl Security ===

impl Security {
    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::MutualTls => "mutual_tls",
        }
    }
}

// === impl Protocol ===

impl Protocol {
    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Of a plain HTTP request.
    pub fn http(code: u16, flags: ResponseFlags) -> Self {
        Self {
            protocol: Protocol::Http,
            code,
            grpc_status: None,
            flags,
        }
    }

    /// Of a TCP connection.
    pub fn tcp(flags: ResponseFlags) -> Self {
        Self {
            protocol: Protocol::Tcp,
            code: 0,
            grpc_status: None,
            flags,
        }
    }
}
