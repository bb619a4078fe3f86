//! The answers, as a document and as text.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use mesh_core::authz::Workload;
use mesh_core::metrics::Counts;

use mesh_core::resource::Kind;
use mesh_core::snapshot::Snapshot;
use mesh_ir::policy::PeerAuthenticationMode;
use serde::Serialize;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// What the analysis says.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub level: String,
    pub code: &'static str,
    pub object: String,
    pub message: String,
}

/// What was counted just now; none where there is no cluster to ask.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    pub seconds: f64,
    pub requests: u64,
    pub rps: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    pub tcp_connections: u64,
    /// Who sends it.
    pub from: Vec<String>,
}

/// How a workload is secured.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Security {
    /// The mode of mutual TLS.
    pub mutual_tls: &'static str,
    /// Modes of single ports.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<u16, &'static str>,
    /// Objects.
    pub policies: Vec<String>,
}

// === impl Traffic ===

impl Traffic {
    pub fn new(counts: &Counts, window: std::time::Duration, from: Vec<String>) -> Self {
        Self {
            seconds: window.as_secs_f64(),
            requests: counts.requests,
            rps: counts.requests as f64 / window.as_secs_f64().max(0.001),
            success_rate: counts.success(),
            p95: counts.durations.quantile(0.95),
            tcp_connections: counts.connections,
            from,
        }
    }
}

// === impl Security ===

impl Security {
    pub fn of(snapshot: &Snapshot, workload: &Workload) -> Self {
        let found = snapshot.peer_authentication(&workload.namespace, &workload.labels);
        let ports = found.ports.iter();
        let kinds = [
            Kind::PeerAuthentication,
            Kind::RequestAuthentication,
            Kind::AuthorizationPolicy,
        ];
        let policies = kinds.into_iter().flat_map(|kind| {
            let policies = workload.policies(snapshot, kind).into_iter();
            policies.map(|policy| policy.key.to_string())
        });
        Self {
            mutual_tls: mode(found.mode),
            ports: ports.map(|(port, of)| (*port, mode(*of))).collect(),
            policies: policies.collect(),
        }
    }

    pub fn text(&self) -> String {
        let mut text = format!("mutual TLS {}", self.mutual_tls);
        for (port, mode) in &self.ports {
            text = format!("{text}, port {port} {mode}");
        }
        match self.policies.as_slice() {
            [] => format!("{text}; no policy"),
            policies => format!("{text}; {}", policies.join(", ")),
        }
    }
}

fn mode(mode: PeerAuthenticationMode) -> &'static str {
    match mode {
        PeerAuthenticationMode::Strict => "STRICT",
        PeerAuthenticationMode::Permissive => "PERMISSIVE",
        PeerAuthenticationMode::Disable => "DISABLE",
    }
}

/// Lines of a title and what it is about.
#[derive(Default)]
pub struct Lines(String);

// === impl Lines ===

impl Lines {
    /// A line for each text, the title before the first.
    pub fn add(&mut self, title: &str, texts: impl IntoIterator<Item = String>) {
        let mut title = format!("{title}:");
        for text in texts {
            self.0.push_str(&format!("{title:<12}{text}\n"));
            title.clear();
        }
    }

    pub fn traffic(&mut self, traffic: Option<&Traffic>) {
        let text = match traffic {
            None => "not known without a cluster".to_owned(),
            Some(traffic) if traffic.requests == 0 && traffic.tcp_connections == 0 => {
                format!("none in the last {} s", traffic.seconds)
            }
            Some(traffic) => {
                let mut text = format!("{:.1} requests/s", traffic.rps);
                if let Some(success) = traffic.success_rate {
                    text = format!("{text}, {success:.1}% successful");
                }
                if let Some(p95) = traffic.p95 {
                    text = format!("{text}, p95 {p95:.0} ms");
                }
                if traffic.tcp_connections > 0 {
                    text = format!("{text}, {} connections (TCP)", traffic.tcp_connections);
                }
                format!("{text}, from {}", traffic.from.join(", "))
            }
        };
        self.add("Traffic", [text]);
    }

    pub fn findings(&mut self, findings: &[Finding]) {
        if findings.is_empty() {
            self.add(
                "Valid",
                [format!(
                    "{GOOD}yes{GOOD:#}, the analysis finds nothing wrong"
                )],
            );
            return;
        }
        let texts = findings.iter().map(|found| {
            let (level, code, object) = (&found.level, found.code, &found.object);
            format!("{BAD}{level}{BAD:#} [{code}] ({object}) {}", found.message)
        });
        self.add("Valid", texts);
    }

    /// Whether all is well, as text.
    pub fn health(ready: usize, all: usize, noun: &str) -> String {
        let style = if ready == all && all > 0 { GOOD } else { BAD };
        format!("{style}{ready} of {all}{style:#} {noun} ready")
    }

    pub fn text(self) -> String {
        self.0
    }
}
