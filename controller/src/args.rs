//! Options of the control plane. Names follow Istio's `pilot-discovery discovery` where it has them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use mesh_core::install::{DEFAULT_REVISION, check_revision};
use mesh_ir::HostView;

use crate::run::BadUsage;

/// The control plane of the mesh: watches configuration and serves it to proxies over xDS.
#[derive(Clone, Debug, Parser)]
#[command(name = "pilot-discovery", version)]
pub struct Args {
    /// What to do; there is one thing to do
    #[arg(value_parser = ["discovery"], default_value = "discovery")]
    pub command: String,
    /// Kubeconfig of the cluster to watch; without it and --configDir, the cluster this runs in
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    pub context: Option<String>,
    /// Directory of YAML to watch instead of a cluster
    #[arg(long = "configDir", value_name = "DIR", conflicts_with = "kubeconfig")]
    pub config_dir: Option<PathBuf>,
    /// DNS domain of the cluster
    #[arg(long, default_value = "cluster.local")]
    pub domain: String,
    /// Name of the cluster, which proxies and metrics see
    #[arg(long = "clusterID", default_value = "Kubernetes", env = "CLUSTER_ID")]
    pub cluster_id: String,
    /// Address of xDS over TLS; empty turns it off
    #[arg(long = "secureGRPCAddr", default_value = ":15012")]
    pub secure_xds: String,
    /// Address of xDS in plain text, for tests; only loopback addresses are allowed
    #[arg(long = "plaintext-xds", value_name = "ADDRESS", value_parser = loopback)]
    pub plaintext_xds: Option<SocketAddr>,
    /// Address of the webhooks over TLS; empty turns them off
    #[arg(long = "httpsAddr", default_value = ":15017")]
    pub webhooks: String,
    /// Address of /metrics, /version and /debug; empty turns it off
    #[arg(long = "monitoringAddr", default_value = ":15014")]
    pub monitoring: String,
    /// Address of /ready; empty turns it off
    #[arg(long = "httpAddr", default_value = ":8080")]
    pub http: String,
    /// How long changes are gathered after one was published; the first goes at once, and the time doubles while changes keep coming
    #[arg(long = "debounceAfter", default_value = "10ms", env = "PILOT_DEBOUNCE_AFTER", value_parser = duration)]
    pub debounce_after: Duration,
    /// Longest time for which changes are gathered while others keep coming
    #[arg(long = "debounceMax", default_value = "1s", env = "PILOT_DEBOUNCE_MAX", value_parser = duration)]
    pub debounce_max: Duration,
    /// Namespace this runs in
    #[arg(long, default_value = "istio-system", env = "POD_NAMESPACE")]
    pub namespace: String,
    /// Namespaces beside the control plane's own whose service accounts may see debug pages from outside of loopback
    #[arg(
        long = "debugNamespaces",
        value_name = "NAME",
        value_delimiter = ',',
        env = "DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES"
    )]
    pub debug_namespaces: Vec<String>,
    /// Private networks from which keys of tokens (`jwksUri`) may be fetched, such as 10.96.0.0/12; public addresses always may
    #[arg(
        long = "jwksAllowedNetworks",
        value_name = "CIDR",
        value_delimiter = ',',
        env = "JWKS_ALLOWED_NETWORKS"
    )]
    pub jwks_allowed_networks: Vec<mesh_ir::Cidr>,
    /// Name of the pod this runs in, by which it stands for election among its replicas; a random one if empty
    #[arg(long = "podName", default_value = "", env = "POD_NAME")]
    pub pod_name: String,
    /// Name of this control plane among several in the cluster
    #[arg(long, default_value = DEFAULT_REVISION, env = "REVISION", value_parser = revision)]
    pub revision: String,
    /// Log filter, such as `info` or `mesh_controller=debug`
    #[arg(long = "log_output_level", default_value = "info")]
    pub log_level: String,
}

// === impl Args ===

impl Args {
    /// Namespaces whose service accounts may see debug pages.
    pub fn debug_readers(&self) -> Vec<String> {
        let own = std::iter::once(&self.namespace);
        own.chain(&self.debug_namespaces).cloned().collect()
    }

    /// Resolves `:PORT` to the address this process should bind: the one that its host gives it, else all interfaces.
    ///
    /// # Errors
    /// When the text is no address.
    pub fn address(&self, text: &str, view: &HostView) -> anyhow::Result<Option<SocketAddr>> {
        if text.is_empty() {
            return Ok(None);
        }
        let bind = view.bind.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let address = match text.strip_prefix(':') {
            Some(port) => port.parse().map(|port| SocketAddr::new(bind, port)).ok(),
            None => text.parse().ok(),
        };
        address.map(Some).ok_or_else(|| {
            BadUsage(format!(
                "{text:?} is no address to listen on; write IP:PORT or :PORT"
            ))
            .into()
        })
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| format!("{text:?} is no address; write 127.0.0.1:15010"))?;
    if !address.ip().is_loopback() {
        return Err(format!(
            "{address} is not a loopback address; xDS in plain text is neither authenticated nor encrypted"
        ));
    }
    Ok(address)
}

fn revision(text: &str) -> Result<String, String> {
    check_revision(text).map(|()| text.to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<mesh_core::model::DurationText>()
        .map(|text| text.0)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_loopback() {
        assert!(Args::try_parse_from(["x", "--plaintext-xds", "127.0.0.1:15010"]).is_ok());
        let error = Args::try_parse_from(["x", "--plaintext-xds", "0.0.0.0:15010"]).unwrap_err();
        assert!(
            error.to_string().contains("not a loopback address"),
            "{error}"
        );
    }

    #[test]
    fn durations_are_read_as_istio_writes_them() {
        let args = Args::try_parse_from(["x", "discovery", "--debounceAfter", "20ms"]).unwrap();
        assert_eq!(args.debounce_after, Duration::from_millis(20));
    }
}
