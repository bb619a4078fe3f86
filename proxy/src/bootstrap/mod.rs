//! Everything that is settled before the first connection: from words and environment to one value.
//!
//! ```text
//! Args --------+
//! environment -+--> Bootstrap --> workers, discovery, admin, agent
//! pod's files -+      (or every mistake at once)
//! ```
//!
//! The environment is what Istio's injector puts into the container. In the sandbox some variables more say what is different there
//! (`MESH_...`, see [`HostView`]); in a cluster they are absent and the ordinary addresses and paths hold.

mod app;
mod dns;
mod environment;
mod node;
mod proxy_config;

pub use app::{AppMetrics, Probe, ProbeAction};
pub use environment::Environment;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::{HostView, ProxyKind, ports};
use mesh_xds::NodeInfo;

use crate::args::Args;
use crate::identity::Mounted;
use crate::telemetry::metrics::Peer;
use proxy_config::ProxyConfig;

/// How a proxy runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// Who this is, as the control plane knows it.
    pub node: NodeInfo,
    /// Who this is, as metrics name it.
    pub peer: Arc<Peer>,
    /// Where configuration comes from.
    pub discovery: Discovery,
    /// Number of workers.
    pub workers: usize,
    /// How long requests in flight may take to end after SIGTERM.
    pub drain: Duration,
    /// Addresses and ports.
    pub network: Network,
    /// Where DNS is answered: the first must be free, others are for what else the system has. None where DNS is not captured.
    pub dns: Vec<SocketAddr>,
    /// A certificate that somebody else keeps; none where the control plane is asked for one.
    pub mounted: Option<Mounted>,
    /// The application's probes by path.
    pub probes: std::collections::BTreeMap<String, Probe>,
    /// The application's own metrics.
    pub app_metrics: Option<AppMetrics>,
    /// Log level, in the words of tracing.
    pub log_level: tracing::level_filters::LevelFilter,
    /// Whether log lines are JSON.
    pub log_as_json: bool,
}

/// Where configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// A control plane on this machine, without TLS.
    Plaintext(SocketAddr),
    /// A control plane with TLS.
    Tls {
        /// Its name, which its certificate must hold.
        host: String,
        /// Its port.
        port: u16,
        /// File with the certificates that are trusted, PEM.
        roots: PathBuf,
        /// File with the token that says who we are; read anew for each connection, since it expires.
        token: PathBuf,
    },
}

/// Addresses and ports of this proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// What is different where the proxy runs.
    pub view: Arc<HostView>,
    /// Admin interface.
    pub admin: SocketAddr,
    /// Agent: merged metrics, health, application probes.
    pub agent: SocketAddr,
    /// Readiness.
    pub health: SocketAddr,
    /// The proxy's metrics.
    pub metrics: SocketAddr,
    /// Where the application listens, for probes and its metrics.
    pub app: IpAddr,
}

/// Every mistake in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEnvironment(Vec<String>);

// === impl Bootstrap ===

impl Bootstrap {
    /// Settles everything.
    ///
    /// # Errors
    /// With all that is wrong, not only the first.
    pub fn new(args: &Args, mut env: Environment) -> Result<Self, InvalidEnvironment> {
        let config = ProxyConfig::read(&mut env);
        let node = node::read(args, &mut env, &config);
        let bootstrap = Self {
            peer: Arc::new(node::peer(&node)),
            discovery: discovery(args, &mut env, &config),
            workers: workers(args, &config),
            drain: config.drain(&mut env),
            network: network(args, &env, &config),
            dns: dns::addresses(args.kind, &mut env, &config),
            mounted: mounted(&mut env),
            probes: app::probes(&mut env),
            app_metrics: app::metrics(&mut env),
            log_level: log_level(args, &mut env),
            log_as_json: args.log_as_json,
            node,
        };
        let mistakes = env.into_mistakes();
        if mistakes.is_empty() {
            Ok(bootstrap)
        } else {
            Err(InvalidEnvironment(mistakes))
        }
    }
}

/// The files of a certificate that somebody else keeps, where `FILE_MOUNTED_CERTS` says so, as with Istio's agent.
fn mounted(env: &mut Environment) -> Option<Mounted> {
    let is_mounted = env.parse("FILE_MOUNTED_CERTS", "true or false");
    is_mounted.unwrap_or(false).then(|| Mounted {
        chain: env.path("/etc/certs/cert-chain.pem"),
        key: env.path("/etc/certs/key.pem"),
        roots: env.path("/etc/certs/root-cert.pem"),
    })
}

fn network(args: &Args, env: &Environment, config: &ProxyConfig) -> Network {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let view = env.view();
    let bind = view.bind.or(view.addresses.map(|addresses| addresses.pod));
    let served = bind.unwrap_or(any);
    let admin = SocketAddr::new(
        bind.unwrap_or(local),
        config.admin_port().unwrap_or(ports::PROXY_ADMIN),
    );
    let agent = config.status_port().unwrap_or(ports::PROXY_AGENT);
    let app = match (args.kind, view.addresses) {
        (ProxyKind::Sidecar, Some(addresses)) => addresses.app,
        _ => local,
    };
    Network {
        view: Arc::new(view.clone()),
        admin: args.admin_address.unwrap_or(admin),
        agent: SocketAddr::new(served, agent),
        health: SocketAddr::new(served, ports::PROXY_HEALTH),
        metrics: SocketAddr::new(served, ports::PROXY_METRICS),
        app,
    }
}

/// `--xds-plaintext`, else the address of the proxy's configuration with the files that the injector mounts.
fn discovery(args: &Args, env: &mut Environment, config: &ProxyConfig) -> Discovery {
    if let Some(address) = args.xds_plaintext {
        return Discovery::Plaintext(address);
    }
    let address = config.discovery_address();
    let parts = address.and_then(|address| {
        let (host, port) = address.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?))
    });
    if parts.is_none() {
        env.mistake(match address {
            Some(address) => format!(
                "discoveryAddress of PROXY_CONFIG is {address:?}, expected HOST:PORT such as istiod.istio-system.svc:15012"
            ),
            None => "nothing says where the control plane is: set discoveryAddress in PROXY_CONFIG, or pass --xds-plaintext IP:PORT"
                .to_owned(),
        });
    }
    let (host, port) = parts.unwrap_or_default();
    Discovery::Tls {
        host,
        port,
        roots: env.path("/var/run/secrets/istio/root-cert.pem"),
        token: env.path("/var/run/secrets/tokens/istio-token"),
    }
}

/// The number that is asked for; where it is 0 or nobody asks, one for each CPU.
fn workers(args: &Args, config: &ProxyConfig) -> usize {
    args.concurrency
        .or(config.concurrency())
        .filter(|workers| *workers > 0)
        .or_else(|| {
            std::thread::available_parallelism()
                .ok()
                .map(|count| count.get())
        })
        .unwrap_or(1)
        .min(MAX_WORKERS)
}

/// More workers than any machine has CPUs.
const MAX_WORKERS: usize = 1024;

/// `--proxyLogLevel`, else `--log_output_level`, else warnings.
fn log_level(args: &Args, env: &mut Environment) -> tracing::level_filters::LevelFilter {
    let words = [
        ("--proxyLogLevel", &args.proxy_log_level),
        ("--log_output_level", &args.log_output_level),
    ];
    let mut level = None;
    for (option, text) in words {
        let Some(text) = text else { continue };
        match parse_level(text) {
            Some(known) => level = level.or(Some(known)),
            None => env.mistake(format!(
                "the option {option} cannot be {text:?}: expected trace, debug, info, warning, error, critical or off"
            )),
        }
    }
    level.unwrap_or(tracing::level_filters::LevelFilter::WARN)
}

/// A level in Envoy's or Istio's words. Of a list by scope, `default:info,ads:debug`, the default counts.
pub fn parse_level(text: &str) -> Option<tracing::level_filters::LevelFilter> {
    use tracing::level_filters::LevelFilter;
    let word = text
        .split(',')
        .find_map(|part| match part.split_once(':') {
            Some(("default" | "all", level)) => Some(level),
            Some(_) => None,
            None => Some(part),
        })?;
    Some(match word.trim() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warning" | "warn" => LevelFilter::WARN,
        "error" | "critical" | "fatal" => LevelFilter::ERROR,
        "off" | "none" => LevelFilter::OFF,
        _ => return None,
    })
}

// === impl InvalidEnvironment ===

impl fmt::Display for InvalidEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the proxy cannot start with this environment")?;
        for mistake in &self.0 {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidEnvironment {}

#[cfg(test)]
mod tests;
