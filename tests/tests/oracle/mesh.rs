//! The control plane over a directory of YAML, and the proxies that connect to it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mesh_tests::{binary, eventually};

use crate::certificates::Authority;
use crate::{http, secrets};

const XDS: &str = "127.0.0.1:15010";
const ADMIN: &str = "127.0.0.1:15000";
const CONFIG: &str = include_str!("config.yaml");

/// Which proxy a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of the pod `client`.
    Sidecar,
    /// Of the pod `gateway`.
    Gateway,
}

/// Variant of the discovery protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Only what changed.
    Delta,
    /// The same, with virtual hosts as resources of their own (VHDS).
    DeltaWithVhds,
    /// Everything, each time.
    StateOfTheWorld,
}

/// What happens to hosts that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are refused.
    RegistryOnly,
    /// They are let through.
    AllowAny,
}

/// The running control plane.
pub struct Mesh {
    directory: tempfile::TempDir,
    authority: Authority,
    _controller: Running,
}

/// Where a proxy runs, and for whom.
pub struct Node {
    pub role: &'static str,
    /// Name of the pod, and of its service account.
    pub pod: &'static str,
    pub address: &'static str,
    pub labels: &'static str,
    /// Where the application listens, if connections to the pod come to the proxy without redirection.
    pub app: Option<&'static str>,
    /// Address of the admin interface.
    pub admin: &'static str,
}

/// A running proxy.
pub struct Proxy(#[expect(dead_code, reason = "ends the process when dropped")] Running);

/// A process that ends with its owner.
struct Running(Child);

// === impl Mesh ===

impl Mesh {
    /// Writes the configuration and starts the control plane.
    pub fn start(mode: Mode) -> Self {
        Self::start_with(CONFIG.replace("MODE", mode.name()))
    }

    /// With another configuration.
    pub fn start_with(text: String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config");
        std::fs::create_dir(&config).unwrap();
        std::fs::write(config.join("mesh.yaml"), text).unwrap();
        let mut command = Command::new(binary("mesh-controller"));
        command
            .arg("discovery")
            .arg(format!("--configDir={}", config.display()))
            .arg(format!("--plaintext-xds={XDS}"))
            .args(["--monitoringAddr=127.0.0.1:15014", "--httpAddr="]);
        let controller = Running::start(command, directory.path(), "controller");
        listening(XDS);
        Self {
            directory,
            authority: Authority::new(),
            _controller: controller,
        }
    }

    /// Puts a file beside the configuration.
    pub fn add(&self, name: &str, text: &str) {
        // Written elsewhere first: the control plane must not read half of it.
        let written = self.directory.path().join(name);
        std::fs::write(&written, text).unwrap();
        std::fs::rename(written, self.directory.path().join("config").join(name)).unwrap();
    }

    /// Who signs the certificates of the pods.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Takes the file away again.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.directory.path().join("config").join(name)).unwrap();
    }

    /// Starts our proxy.
    pub fn start_ours(&self, kind: Kind) -> Proxy {
        let proxy = self.start_our_node(&kind.node());
        ready(kind);
        proxy
    }

    /// Starts Envoy.
    pub fn start_envoy(&self, kind: Kind, protocol: Protocol) -> Proxy {
        let proxy = self.start_envoy_node(&kind.node(), protocol);
        ready(kind);
        proxy
    }

    /// Starts our proxy for a pod, with a certificate of its service account.
    pub fn start_our_node(&self, node: &Node) -> Proxy {
        let mut command = Command::new(binary("mesh-proxy"));
        command
            .args(["proxy", node.role, "--domain=default.svc.cluster.local"])
            .arg(format!("--xds-plaintext={XDS}"))
            .env("POD_NAME", node.pod)
            .env("POD_NAMESPACE", "default")
            .env("INSTANCE_IP", node.address)
            .env("ISTIO_METAJSON_LABELS", node.labels)
            .env("MESH_BIND_ADDRESS", node.admin)
            .env("MESH_ROOT", self.mounted(node))
            .env("FILE_MOUNTED_CERTS", "true");
        if let Some(app) = node.app {
            command
                .env("MESH_POD_ADDRESS", node.address)
                .env("MESH_APP_ADDRESS", app);
        }
        Proxy(Running::start(command, self.directory.path(), node.pod))
    }

    /// Starts Envoy for a pod, with an agent beside it that has a certificate of its service account.
    pub fn start_envoy_node(&self, node: &Node, protocol: Protocol) -> Proxy {
        let agent = secrets::serve(&self.mounted(node));
        let path = self.directory.path().join(format!("{}.yaml", node.pod));
        std::fs::write(&path, bootstrap(node, protocol, agent)).unwrap();
        let envoy = std::env::var("ENVOY").expect("ENVOY names the binary; run tests/run oracle");
        let mut command = Command::new(envoy);
        command.arg("-c").arg(&path).args([
            "--concurrency",
            "1",
            "--log-level",
            "warning",
            "--disable-hot-restart",
        ]);
        Proxy(Running::start(command, self.directory.path(), node.pod))
    }

    /// The directory with the certificate of a pod, the same for every proxy of it.
    fn mounted(&self, node: &Node) -> PathBuf {
        let root = self.directory.path().join(node.pod);
        if !root.exists() {
            self.authority.mount(&root, node.pod, &[&self.authority]);
        }
        root
    }
}

// === impl Proxy ===

impl Proxy {
    /// Waits until the dump of the routes says a text, or says it no longer.
    #[track_caller]
    pub fn routes_say(&self, text: &str, says: bool) {
        eventually(text, Duration::from_secs(20), || {
            let dump = http::get(
                ADMIN.parse().unwrap(),
                "/config_dump?resource=dynamic_route_configs",
            )
            .ok()?;
            (dump.contains(text) == says).then_some(())
        });
    }

    /// How often Envoy has taken over discovered virtual hosts.
    pub fn vhds_reloads(&self) -> u64 {
        let stats =
            http::get(ADMIN.parse().unwrap(), "/stats?filter=vhds.*config_reload$").unwrap();
        let counts = stats
            .lines()
            .filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok());
        counts.sum()
    }

    /// Asserts that Envoy refused nothing and that it got something.
    #[track_caller]
    pub fn accepted_everything(&self) {
        let stats = http::get(
            ADMIN.parse().unwrap(),
            "/stats?filter=update_(rejected|success)",
        )
        .unwrap();
        let count = |line: &&str| -> u64 { line.rsplit(' ').next().unwrap().parse().unwrap_or(0) };
        let rejected: Vec<&str> = stats
            .lines()
            .filter(|line| line.contains("update_rejected"))
            .filter(|line| count(line) > 0)
            .collect();
        assert!(
            rejected.is_empty(),
            "Envoy refused configuration:\n{}",
            rejected.join("\n")
        );
        for manager in [
            "cluster_manager.cds.update_success",
            "listener_manager.lds.update_success",
        ] {
            let line = stats
                .lines()
                .find(|line| line.starts_with(manager))
                .unwrap_or_default();
            assert!(count(&line) > 0, "Envoy got nothing for {manager}");
        }
    }
}

// === impl Mode ===

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::RegistryOnly => "REGISTRY_ONLY",
            Mode::AllowAny => "ALLOW_ANY",
        }
    }
}

// === impl Kind ===

impl Kind {
    /// The pod of a case.
    fn node(self) -> Node {
        Node {
            role: self.role(),
            pod: self.pod(),
            address: self.address(),
            labels: self.labels(),
            app: None,
            admin: "127.0.0.1",
        }
    }

    fn role(self) -> &'static str {
        match self {
            Kind::Sidecar => "sidecar",
            Kind::Gateway => "router",
        }
    }

    fn pod(self) -> &'static str {
        match self {
            Kind::Sidecar => "client",
            Kind::Gateway => "gateway",
        }
    }

    fn address(self) -> &'static str {
        match self {
            Kind::Sidecar => "127.0.2.1",
            Kind::Gateway => "127.0.2.2",
        }
    }

    fn labels(self) -> &'static str {
        match self {
            Kind::Sidecar => r#"{"app":"client"}"#,
            Kind::Gateway => r#"{"istio":"ingressgateway"}"#,
        }
    }

    /// A port that is open as soon as the proxy has its configuration.
    fn port(self) -> &'static str {
        match self {
            Kind::Sidecar => "127.0.0.1:15001",
            Kind::Gateway => "127.0.0.1:8080",
        }
    }
}

// === impl Running ===

impl Running {
    fn start(mut command: Command, directory: &Path, name: &str) -> Self {
        let log: PathBuf = directory.join(format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("failed to start {name}: {error}")),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::io::stdout().flush();
    }
}

fn ready(kind: Kind) {
    listening(kind.port());
    // Routes arrive after their listener.
    let address: SocketAddr = ADMIN.parse().unwrap();
    eventually("the proxy is ready", Duration::from_secs(20), || {
        http::get(address, "/ready")
            .ok()
            .filter(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    let probe = crate::cases::weighted(kind);
    eventually("routes are there", Duration::from_secs(20), || {
        (crate::requests::send(&probe).status == "200").then_some(())
    });
}

pub fn listening(address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    eventually(
        &format!("{address} listens"),
        Duration::from_secs(20),
        || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok(),
    );
}

fn bootstrap(node: &Node, protocol: Protocol, agent: SocketAddr) -> String {
    let api = match protocol {
        Protocol::Delta | Protocol::DeltaWithVhds => "DELTA_GRPC",
        Protocol::StateOfTheWorld => "GRPC",
    };
    let vhds = protocol == Protocol::DeltaWithVhds;
    let capture = match node.app {
        Some(app) => format!("INTERCEPTION_MODE: NONE, MESH_APP_ADDRESS: {app}"),
        None => "INTERCEPTION_MODE: REDIRECT".to_owned(),
    };
    format!(
        r#"node:
  id: {role}~{address}~{pod}.default~default.svc.cluster.local
  cluster: {pod}.default
  metadata: {{NAMESPACE: default, NAME: {pod}, LABELS: {labels}, CLUSTER_ID: Kubernetes, {capture}, ISTIO_VERSION: 1.32.0, ORACLE: envoy, VHDS: {vhds}}}
admin:
  address: {{socket_address: {{address: {admin}, port_value: 15000}}}}
dynamic_resources:
  cds_config: {{ads: {{}}, resource_api_version: V3}}
  lds_config: {{ads: {{}}, resource_api_version: V3}}
  ads_config:
    api_type: {api}
    transport_api_version: V3
    grpc_services:
    - envoy_grpc: {{cluster_name: xds-grpc}}
static_resources:
  clusters:
  - name: xds-grpc
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: xds-grpc
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 15010}}}}}}
  - name: sds-grpc
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: sds-grpc
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {agent_address}, port_value: {agent_port}}}}}}}
"#,
        role = node.role,
        address = node.address,
        pod = node.pod,
        labels = node.labels,
        admin = node.admin,
        agent_address = agent.ip(),
        agent_port = agent.port(),
    )
}
