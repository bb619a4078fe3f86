//! What the agent must know of the application: its probes, which the injector has pointed at us, and its metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::Environment;

/// A probe of the application as the pod's author wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is tried.
    pub action: ProbeAction,
    /// How long it may take.
    pub timeout: Duration,
}

/// What a probe tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    /// A GET request that must be answered with 2xx or 3xx.
    Http {
        /// Where.
        port: u16,
        /// Path with query.
        path: String,
        /// `Host` and other headers.
        headers: Vec<(String, String)>,
    },
    /// A connection.
    Tcp {
        /// Where.
        port: u16,
    },
    /// Something that the agent cannot try yet; the text says what.
    Unsupported(&'static str),
}

/// Where the application serves metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppMetrics {
    /// Port.
    pub port: u16,
    /// Path.
    pub path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prober {
    http_get: Option<HttpGet>,
    tcp_socket: Option<TcpSocket>,
    grpc: Option<serde_json::Value>,
    timeout_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpGet {
    #[serde(default)]
    path: String,
    port: u16,
    host: Option<String>,
    #[serde(default)]
    scheme: String,
    #[serde(default)]
    http_headers: Vec<Header>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct TcpSocket {
    port: u16,
}

#[derive(Deserialize)]
struct Scrape {
    #[serde(default)]
    scrape: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    port: String,
}

/// The probes, by the path under which the kubelet asks us.
pub(super) fn probes(env: &mut Environment) -> BTreeMap<String, Probe> {
    let probers: BTreeMap<String, Prober> = env.json("ISTIO_KUBE_APP_PROBERS").unwrap_or_default();
    probers
        .into_iter()
        .map(|(path, prober)| (path, prober.into()))
        .collect()
}

/// The application's metrics, if its annotations ask for scraping.
pub(super) fn metrics(env: &mut Environment) -> Option<AppMetrics> {
    let Scrape { scrape, path, port } = env.json("ISTIO_PROMETHEUS_ANNOTATIONS")?;
    if scrape != "true" {
        return None;
    }
    // Istio's defaults for what the annotations leave out.
    let path = if path.is_empty() {
        "/metrics".to_owned()
    } else {
        path
    };
    let port = if port.is_empty() {
        Ok(80)
    } else {
        port.parse()
    };
    match port {
        Ok(port) => Some(AppMetrics { port, path }),
        Err(_) => {
            env.mistake("port of ISTIO_PROMETHEUS_ANNOTATIONS is no port");
            None
        }
    }
}

impl From<Prober> for Probe {
    fn from(prober: Prober) -> Self {
        let Prober {
            http_get,
            tcp_socket,
            grpc,
            timeout_seconds,
        } = prober;
        let action = match (http_get, tcp_socket, grpc) {
            (Some(get), _, _) => get.into(),
            (None, Some(TcpSocket { port }), _) => ProbeAction::Tcp { port },
            (None, None, Some(_)) => ProbeAction::Unsupported("gRPC probes"),
            (None, None, None) => ProbeAction::Unsupported("probes without an action"),
        };
        Self {
            action,
            timeout: Duration::from_secs(timeout_seconds.unwrap_or(1).clamp(1, 600)),
        }
    }
}

impl From<HttpGet> for ProbeAction {
    fn from(get: HttpGet) -> Self {
        let HttpGet {
            path,
            port,
            host,
            scheme,
            http_headers,
        } = get;
        if scheme.eq_ignore_ascii_case("https") {
            return Self::Unsupported("HTTPS probes");
        }
        let host = host.map(|host| ("host".to_owned(), host));
        let headers = http_headers
            .into_iter()
            .map(|Header { name, value }| (name, value));
        let path = if path.starts_with('/') {
            path
        } else {
            format!("/{path}")
        };
        Self::Http {
            port,
            path,
            headers: host.into_iter().chain(headers).collect(),
        }
    }
}
