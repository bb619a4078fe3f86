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
}

/// The proxies, and the control plane that two of them follow.
pub struct Cases {
    /// Ours first.
    pub list: Vec<Case>,
    _control_plane: Process,
}

/// Where the control plane is found, and the port that it has gateways listen on.
#[derive(Clone, Copy)]
struct Mesh {
    xds: SocketAddr,
    port: u16,
}

const OURS: [u8; 4] = [127, 0, 0, 9];
const ENVOY: [u8; 4] = [127, 0, 0, 10];

/// Starts our proxy first, then the peers that were given.
///
/// # Errors
/// When one does not start.
pub fn start(args: &Args, backend: SocketAddr, directory: &Path) -> anyhow::Result<Cases> {
    let (control_plane, mesh) = control_plane(args, backend, directory)?;
    let mut list = vec![ours(args, mesh, directory)?];
    if let Some(envoy) = &args.envoy {
        list.push(self::envoy(envoy, mesh, directory)?);
    }
    if let Some(haproxy) = &args.haproxy {
        list.push(self::haproxy(haproxy, backend, directory)?);
    }
    Ok(Cases {
        list,
        _control_plane: control_plane,
    })
}

/// The control plane from which our proxy and Envoy have the same configuration, as in any mesh.
fn control_plane(
    args: &Args,
    backend: SocketAddr,
    directory: &Path,
) -> anyhow::Result<(Process, Mesh)> {
    let mesh = Mesh {
        xds: SocketAddr::from(([127, 0, 0, 1], free_port()?)),
        port: free_port()?,
    };
    let config = directory.join("config");
    std::fs::create_dir(&config)?;
    std::fs::write(config.join("gateway.yaml"), mesh_config(mesh.port, backend))?;
    let command = [
        args.binaries.join("mesh-controller").display().to_string(),
        "discovery".to_owned(),
        format!("--configDir={}", config.display()),
        format!("--plaintext-xds={}", mesh.xds),
        "--monitoringAddr=".to_owned(),
        "--httpAddr=".to_owned(),
    ];
    let mut process = Process::start("controller", None, &command, directory)?;
    process.wait_for(mesh.xds)?;
    Ok((process, mesh))
}

fn ours(args: &Args, mesh: Mesh, directory: &Path) -> anyhow::Result<Case> {
    let ip = std::net::Ipv4Addr::from(OURS);
    let command = [
        args.binaries.join("mesh-proxy").display().to_string(),
        "proxy".to_owned(),
        "router".to_owned(),
        "--concurrency=1".to_owned(),
        format!("--xds-plaintext={}", mesh.xds),
        "--domain=default.svc.cluster.local".to_owned(),
    ];
    let environment = [
        ("POD_NAME", "gateway".to_owned()),
        ("POD_NAMESPACE", "default".to_owned()),
        ("INSTANCE_IP", ip.to_string()),
        ("MESH_BIND_ADDRESS", ip.to_string()),
        (
            "ISTIO_METAJSON_LABELS",
            r#"{"istio":"ingressgateway"}"#.to_owned(),
        ),
    ];
    let mut process = Process::start_with("ours", Some(CORE), &command, &environment, directory)?;
    let address = SocketAddr::from((OURS, mesh.port));
    process.wait_for(address)?;
    Ok(Case {
        name: "ours",
        address,
        process,
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

fn envoy(binary: &Path, mesh: Mesh, directory: &Path) -> anyhow::Result<Case> {
    let file = directory.join("envoy.yaml");
    std::fs::write(&file, envoy_config(mesh.xds))?;
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
    let address = SocketAddr::from((ENVOY, mesh.port));
    process.wait_for(address)?;
    Ok(Case {
        name: "envoy",
        address,
        process,
    })
}

/// A gateway that asks for the same configuration, on an address of its own.
fn envoy_config(xds: SocketAddr) -> String {
    format!(
        r#"node:
  id: router~{ip}~envoy.default~default.svc.cluster.local
  cluster: envoy.default
  metadata:
    NAMESPACE: default
    NAME: envoy
    LABELS: {{istio: ingressgateway}}
    INTERCEPTION_MODE: NONE
    MESH_APP_ADDRESS: {ip}
dynamic_resources:
  cds_config: {{ads: {{}}, resource_api_version: V3}}
  lds_config: {{ads: {{}}, resource_api_version: V3}}
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    grpc_services:
    - envoy_grpc: {{cluster_name: xds}}
static_resources:
  clusters:
  - name: xds
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: xds
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {xds_ip}, port_value: {xds_port}}}}}}}
"#,
        ip = std::net::Ipv4Addr::from(ENVOY),
        xds_ip = xds.ip(),
        xds_port = xds.port(),
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
