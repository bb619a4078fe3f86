//! What becomes of a request in a proxy.

use std::sync::Arc;
use std::time::Duration;

use mesh_ir::names::WORKLOAD_CERTIFICATE;
use mesh_ir::policy::{AbortStatus, DelayDuration};
use mesh_ir::{
    CertificateSource, ClientTls, ClusterKind, EndpointHealth, Endpoints, Forward, Fraction,
    ProxyConfig, Target, UpstreamTls,
};
use serde::{Serialize, Serializer};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(
    tag = "result",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Outcome {
    /// It goes to one of these.
    Forward {
        /// Where to, with the share of each.
        targets: Vec<Share>,
        /// The new path; none if it stays.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// The new `Host`; none if it stays.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<Arc<str>>,
        /// Limit of the whole request; none is no limit.
        #[serde(serialize_with = "duration")]
        timeout: Option<Duration>,
        /// Tries after the first one.
        retries: u32,
        /// Clusters that get copies.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        mirrors: Vec<Share>,
    },
    /// Its bytes go to one of these, whatever they say.
    Connect {
        /// Where to, with the share of each.
        targets: Vec<Share>,
    },
    /// The client is sent elsewhere.
    Redirect {
        /// Status code.
        code: u16,
        /// Where to.
        location: String,
    },
    /// The proxy answers.
    Answer {
        /// Status code.
        code: u16,
        /// What made it answer.
        reason: String,
    },
    /// The connection is closed.
    Close {
        /// Why.
        reason: String,
    },
}

/// A cluster and its share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Name of the cluster.
    pub cluster: Arc<str>,
    /// Percentage of the requests.
    pub percent: Percent,
    /// Whether the proxy has the cluster; one that it does not have answers 503 (NC).
    pub exists: bool,
    /// How its endpoints are found: `endpoints`, `dns` or `original destination`.
    pub discovery: &'static str,
    /// Its endpoints, as far as they are known before a connection is made.
    pub endpoints: Vec<Backend>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Address or host name, and port.
    pub address: String,
    /// The workload, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Whether it may get requests, by what the control plane knows.
    pub healthy: bool,
    /// How it is spoken to.
    pub security: Security,
}

/// How connections to an endpoint are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Not at all.
    None,
    /// By TLS, as the DestinationRule says.
    Tls,
    /// By the mesh's mutual TLS.
    MutualTls,
}

/// Hundredths of a percent, shown as percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u64);

/// Failures that are injected before a request goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// How long requests wait, and how many of them; no time is the one that the request's header names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// What requests are answered with, and how many of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<Abort>,
}

/// Requests that wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delay {
    /// How long.
    #[serde(serialize_with = "duration")]
    pub time: Option<Duration>,
    /// Percentage of the requests.
    pub percent: Percent,
}

/// Requests that are answered with an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Abort {
    /// With what: `HTTP 503`, `gRPC status 14`, or what a header names.
    pub status: String,
    /// Percentage of the requests.
    pub percent: Percent,
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn forward(config: &ProxyConfig, forward: &Forward, path: Option<String>) -> Self {
        let mirrors = forward.mirrors.iter();
        let mirrors = mirrors.map(|it| Share::of(config, &it.cluster, it.fraction.into()));
        Self::Forward {
            targets: Share::of_target(config, &forward.target),
            path,
            host: forward.host_rewrite.clone(),
            timeout: forward.timeout,
            retries: forward.retry.as_ref().map_or(0, |retry| retry.attempts),
            mirrors: mirrors.collect(),
        }
    }

    /// Where it goes; nowhere if the proxy answers or closes.
    pub fn targets(&self) -> &[Share] {
        match self {
            Self::Forward { targets, .. } | Self::Connect { targets } => targets,
            Self::Redirect { .. } | Self::Answer { .. } | Self::Close { .. } => &[],
        }
    }
}

// === impl Share ===

impl Share {
    fn of_target(config: &ProxyConfig, target: &Target) -> Vec<Self> {
        match target {
            Target::Cluster(name) => vec![Self::of(config, name, Fraction::ALL.into())],
            Target::Weighted(all) => {
                let all: Vec<_> = all
                    .iter()
                    .map(|it| (it.cluster.clone(), it.weight))
                    .collect();
                Self::of_weights(config, &all)
            }
        }
    }

    pub(super) fn of_weights(config: &ProxyConfig, weights: &[(Arc<str>, u32)]) -> Vec<Self> {
        let sum: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let each = |(name, weight): &(Arc<str>, u32)| {
            Self::of(config, name, Percent::of(u64::from(*weight), sum))
        };
        weights.iter().map(each).collect()
    }

    fn of(config: &ProxyConfig, name: &Arc<str>, percent: Percent) -> Self {
        let cluster = config.clusters.iter().find(|known| known.name == *name);
        let discovered = config.endpoints.iter().find(|known| known.cluster == *name);
        let tls = cluster.map_or(&UpstreamTls::Plaintext, |cluster| &cluster.client.tls);
        let of_endpoints = |all: &Arc<Endpoints>| backends(all, tls);
        let named = |(host, port): &(Arc<str>, u16)| Backend {
            address: format!("{host}:{port}"),
            workload: None,
            healthy: true,
            security: Security::of(tls, false),
        };
        let (discovery, endpoints) = match cluster.map(|cluster| &cluster.kind) {
            None => ("", Vec::new()),
            Some(ClusterKind::Eds) => ("endpoints", discovered.map_or_else(Vec::new, of_endpoints)),
            Some(ClusterKind::Static(fixed)) => ("endpoints", of_endpoints(fixed)),
            Some(ClusterKind::StrictDns(names)) => ("dns", names.iter().map(named).collect()),
            Some(ClusterKind::OriginalDestination) => ("original destination", Vec::new()),
        };
        Self {
            cluster: name.clone(),
            percent,
            exists: cluster.is_some(),
            discovery,
            endpoints,
        }
    }

    /// Whether its requests fail because no endpoint can take them.
    pub fn is_without_endpoints(&self) -> bool {
        self.discovery == "endpoints" && !self.endpoints.iter().any(|endpoint| endpoint.healthy)
    }
}

fn backends(endpoints: &Endpoints, tls: &UpstreamTls) -> Vec<Backend> {
    let all = endpoints
        .localities
        .iter()
        .flat_map(|locality| &locality.endpoints);
    all.map(|endpoint| Backend {
        address: endpoint.address.to_string(),
        workload: endpoint
            .workload
            .as_ref()
            .map(|workload| format!("{}.{}", workload.name, workload.namespace)),
        healthy: endpoint.health == EndpointHealth::Healthy,
        security: Security::of(tls, endpoint.offers_mtls),
    })
    .collect()
}

// === impl Security ===

impl Security {
    fn of(tls: &UpstreamTls, offers_mtls: bool) -> Self {
        match tls {
            UpstreamTls::Plaintext => Self::None,
            UpstreamTls::Always(tls) if is_of_mesh(tls) => Self::MutualTls,
            UpstreamTls::Always(_) => Self::Tls,
            UpstreamTls::WhereOffered(_) if offers_mtls => Self::MutualTls,
            UpstreamTls::WhereOffered(_) => Self::None,
        }
    }
}

/// Whether the workload's own certificate is shown.
fn is_of_mesh(tls: &ClientTls) -> bool {
    matches!(&tls.certificate, Some(CertificateSource::Discovered(name)) if **name == *WORKLOAD_CERTIFICATE)
}

// === impl Fault ===

impl Fault {
    pub(super) fn of(fault: &mesh_ir::policy::Fault) -> Self {
        Self {
            delay: fault.delay.as_ref().map(|delay| Delay {
                time: match delay.duration {
                    DelayDuration::Fixed(time) => Some(time),
                    DelayDuration::Header => None,
                },
                percent: delay.percentage.into(),
            }),
            abort: fault.abort.as_ref().map(|abort| Abort {
                status: match abort.status {
                    AbortStatus::Http(code) => format!("HTTP {code}"),
                    AbortStatus::Grpc(status) => format!("gRPC status {status}"),
                    AbortStatus::Header => "the status that a header of the request names".into(),
                },
                percent: abort.percentage.into(),
            }),
        }
    }
}

// === impl Percent ===

impl Percent {
    fn of(part: u64, whole: u64) -> Self {
        Self((part * 10_000).checked_div(whole).unwrap_or(0).min(10_000))
    }

    /// Whether it is all of them.
    pub fn is_all(self) -> bool {
        self.0 == 10_000
    }
}

impl From<Fraction> for Percent {
    fn from(fraction: Fraction) -> Self {
        Self::of(u64::from(fraction.numerator), fraction.per.value())
    }
}

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, rest) => f.write_str(format!("{whole}.{rest:02}").trim_end_matches('0')),
        }
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (u32::try_from(self.0 / 100), self.0 % 100) {
            (Ok(whole), 0) => serializer.serialize_u32(whole),
            _ => serializer.serialize_f64(f64::from(u32::try_from(self.0).unwrap_or(0)) / 100.0),
        }
    }
}

fn duration<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&format_args!("{time:?}")),
        None => serializer.serialize_none(),
    }
}
