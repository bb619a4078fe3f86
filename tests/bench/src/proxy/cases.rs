//! The proxies that are compared, each with one listener, one route and metrics on.

use std::net::SocketAddr;
use std::path::Path;

use super::{Args, CORE};
use crate::process::{Process, free_port};

/// A running proxy.
pub struct Case {
    /// Name in the tables.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub process: Process,
    /// What it needs to run.
    _control_plane: Option<Process>,
}

/// Starts our proxy first, then the peers that were given.
///
/// # Errors
/// When one does not start.
pub fn start(args: &Args, backend: SocketAddr, directory: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = vec![ours(args, backend, directory)?];
    if let Some(envoy) = &args.envoy {
        cases.push(self::envoy(envoy, backend, directory)?);
    }
    if let Some(haproxy) = &args.haproxy {
        cases.push(self::haproxy(haproxy, backend, directory)?);
    }
    Ok(cases)
}

/// Our proxy as a gateway behind our control plane, as in any mesh.
fn ours(args: &Args, backend: SocketAddr, directory: &Path) -> anyhow::Result<Case> {
    let (port, xds) = (
        free_port()?,
        SocketAddr::from(([127, 0, 0, 1], free_port()?)),
    );
    let config = directory.join("config");
    std::fs::create_dir(&config)?;
    std::fs::write(config.join("gateway.yaml"), mesh_config(port, backend))?;
    let mut control_plane = Process::start(
        "controller",
        None,
        &[
            args.binaries.join("mesh-controller").display().to_string(),
            "discovery".to_owned(),
            format!("--configDir={}", config.display()),
            format!("--plaintext-xds={xds}"),
            "--monitoringAddr=".to_owned(),
            "--httpAddr=".to_owned(),
        ],
        directory,
    )?;
    control_plane.wait_for(xds)?;
    let mut process = Process::start_with(
        "ours",
        Some(CORE),
        &[
            args.binaries.join("mesh-proxy").display().to_string(),
            "proxy".to_owned(),
            "router".to_owned(),
            "--concurrency=1".to_owned(),
            format!("--xds-plaintext={xds}"),
            "--domain=default.svc.cluster.local".to_owned(),
        ],
        &[
            ("POD_NAME", "gateway".to_owned()),
            ("POD_NAMESPACE", "default".to_owned()),
            ("INSTANCE_IP", "127.0.0.9".to_owned()),
            ("MESH_BIND_ADDRESS", "127.0.0.9".to_owned()),
            (
                "ISTIO_METAJSON_LABELS",
                r#"{"istio":"ingressgateway"}"#.to_owned(),
            ),
        ],
        directory,
    )?;
    let address = SocketAddr::from(([127, 0, 0, 9], port));
    process.wait_for(address)?;
    Ok(Case {
        name: "ours",
        address,
        process,
        _control_plane: Some(control_plane),
    })
}

fn mesh_config(port: u16, backend: SocketAddr) -> String {
    format!(
        r#"apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: bench}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {port}, name: http, protocol: HTTP}}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: bench}}
spec:
  hosts: ["*"]
  gateways: [bench]
  http:
  - route:
    - destination: {{host: backend.example.com, port: {{number: 80}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: backend}}
spec:
  hosts: [backend.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP, targetPort: {target}}}
  endpoints:
  - address: {ip}
"#,
        target = backend.port(),
        ip = backend.ip(),
    )
}

fn envoy(binary: &Path, backend: SocketAddr, directory: &Path) -> anyhow::Result<Case> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let file = directory.join("envoy.yaml");
    std::fs::write(&file, envoy_config(address, backend))?;
    let command = [
        binary.display().to_string(),
        "-c".to_owned(),
        file.display().to_string(),
        "--concurrency".to_owned(),
        "1".to_owned(),
        "--log-level".to_owned(),
        "warning".to_owned(),
        "--disable-hot-restart".to_owned(),
    ];
    let mut process = Process::start("envoy", Some(CORE), &command, directory)?;
    process.wait_for(address)?;
    Ok(Case {
        name: "envoy",
        address,
        process,
        _control_plane: None,
    })
}

fn envoy_config(address: SocketAddr, backend: SocketAddr) -> String {
    format!(
        r#"static_resources:
  listeners:
  - name: bench
    address: {{socket_address: {{address: {ip}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          use_remote_address: true
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route: {{cluster: backend, timeout: 0s}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: backend
    type: STATIC
    connect_timeout: 10s
    lb_policy: LEAST_REQUEST
    load_assignment:
      cluster_name: backend
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {backend_ip}, port_value: {backend_port}}}}}}}
"#,
        ip = address.ip(),
        port = address.port(),
        backend_ip = backend.ip(),
        backend_port = backend.port(),
    )
}

fn haproxy(binary: &Path, backend: SocketAddr, directory: &Path) -> anyhow::Result<Case> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let file = directory.join("haproxy.cfg");
    std::fs::write(&file, haproxy_config(address, backend))?;
    let command = [
        binary.display().to_string(),
        "-db".to_owned(),
        "-f".to_owned(),
        file.display().to_string(),
    ];
    let mut process = Process::start("haproxy", Some(CORE), &command, directory)?;
    process.wait_for(address)?;
    Ok(Case {
        name: "haproxy",
        address,
        process,
        _control_plane: None,
    })
}

fn haproxy_config(address: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 8000\n\
         defaults\n  mode http\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n  \
         timeout http-keep-alive 1h\n  option forwardfor\n  http-reuse always\n\
         frontend bench\n  bind {address}\n  default_backend backend\n\
         backend backend\n  server one {backend}\n"
    )
}
