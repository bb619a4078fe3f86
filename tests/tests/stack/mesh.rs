//! A mesh of processes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use mesh_tests::{binary, eventually};
use serde_json::Value;

use crate::certificates::Authority;
use crate::http::{Answer, Connection};
use crate::process::Process;
use crate::yaml::{PodSpec, objects};

/// Limit for anything to become true.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The meshes of this process so far: each has addresses of its own.
static MESHES: AtomicU8 = AtomicU8::new(0);

/// A control plane with pods.
pub struct Mesh {
    directory: tempfile::TempDir,
    xds: SocketAddr,
    monitoring: SocketAddr,
    /// Who has signed the certificates of the pods.
    pub authority: Authority,
    pub control_plane: Process,
    pub pods: Vec<Pod>,
}

/// A pod: its program and its proxy.
pub struct Pod {
    pub spec: PodSpec,
    pub address: Ipv4Addr,
    /// Where its program listens.
    pub app_address: Ipv4Addr,
    pub app: Option<Process>,
    pub proxy: Process,
}

impl Mesh {
    /// Starts everything and waits until all proxies serve.
    pub fn start(specs: &[PodSpec], extra: &str) -> Self {
        Self::start_with(specs, "", extra)
    }

    /// The same with settings of the mesh, indented by four.
    pub fn start_with(specs: &[PodSpec], settings: &str, extra: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (own, addresses) = addresses(specs.len());
        let placed: Vec<(PodSpec, Ipv4Addr)> = specs
            .iter()
            .copied()
            .zip(addresses.iter().map(|(pod, _)| *pod))
            .collect();
        let config = directory.path().join("config");
        std::fs::create_dir(&config).unwrap();
        std::fs::write(config.join("objects.yaml"), objects(&placed, settings)).unwrap();
        std::fs::write(config.join("extra.yaml"), extra).unwrap();
        let xds = SocketAddr::from((own, 15010));
        let monitoring = SocketAddr::from((own, 15014));
        let control_plane = start_control_plane(&directory, xds, monitoring);
        let authority = Authority::new();
        for (spec, _) in &placed {
            mount(&directory, spec, &authority, &[&authority]);
        }
        let pods = placed
            .into_iter()
            .zip(addresses)
            .map(|((spec, pod), (_, app))| start_pod(&directory, xds, spec, pod, app))
            .collect();
        let mesh = Self {
            directory,
            xds,
            monitoring,
            authority,
            control_plane,
            pods,
        };
        let start = Instant::now();
        while let Some(pod) = mesh.pods.iter().find(|pod| !pod.is_ready()) {
            assert!(
                start.elapsed() < LIMIT,
                "the proxy of {} does not serve within {LIMIT:?}; it says:\n{}\nthe control plane says:\n{}",
                pod.spec.name,
                pod.proxy.stderr(),
                mesh.control_plane.stderr(),
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        mesh
    }

    /// Changes the configuration beside the pods.
    pub fn configure(&self, extra: &str) {
        let path = self.directory.path().join("config/extra.yaml");
        let fresh = self.directory.path().join("fresh.yaml");
        std::fs::write(&fresh, extra).unwrap();
        std::fs::rename(fresh, path).unwrap();
    }

    /// Gives other certificates to the pods, and waits until they are in force.
    pub fn certify(&self, by: &Authority, roots: &[&Authority]) {
        for pod in self.pods.iter().filter(|pod| pod.spec.account.is_some()) {
            let page = || {
                pod.admin("/config_dump?resource=dynamic_active_secrets")
                    .body
            };
            let before = page();
            mount(&self.directory, &pod.spec, by, roots);
            eventually("the certificate is in force", LIMIT, || {
                (page() != before).then_some(())
            });
        }
    }

    /// Starts a control plane in place of one that has ended.
    pub fn restart_control_plane(&mut self) {
        self.control_plane = start_control_plane(&self.directory, self.xds, self.monitoring);
    }

    /// Where the control plane serves proxies in plain text.
    pub fn xds(&self) -> SocketAddr {
        self.xds
    }

    /// What the control plane knows of the proxies, none while it does not answer.
    pub fn sync_status(&self) -> Option<Value> {
        let mut connection = Connection::open(self.monitoring).ok()?;
        let answer = connection.get("/debug/syncz", &[]).ok()?;
        serde_json::from_str(&answer.body).ok()
    }

    /// The pod of a name.
    pub fn pod(&mut self, name: &str) -> &mut Pod {
        let found = self.pods.iter_mut().find(|pod| pod.spec.name == name);
        found.unwrap_or_else(|| panic!("there is no pod {name}"))
    }
}

impl Pod {
    /// An address of the proxy.
    pub fn at(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }

    /// A page of the proxy's admin interface.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Answer {
        Connection::open(self.at(15000))
            .unwrap()
            .get(path, &[])
            .unwrap()
    }

    /// A page of the proxy's admin interface that changes it.
    #[track_caller]
    pub fn admin_post(&self, path: &str) -> Answer {
        let mut connection = Connection::open(self.at(15000)).unwrap();
        let request =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        connection.send(request.as_bytes()).unwrap();
        connection.receive().unwrap()
    }

    /// A number of `/stats`.
    #[track_caller]
    pub fn stat(&self, name: &str) -> u64 {
        let stats = self.admin("/stats").body;
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {stats}"))
            .parse()
            .unwrap()
    }

    /// A connection to the proxy as a program with `http_proxy` opens it.
    #[track_caller]
    pub fn outbound(&self) -> Connection {
        Connection::open(self.at(15001)).unwrap()
    }

    fn is_ready(&self) -> bool {
        Connection::open(self.at(15021))
            .and_then(|mut connection| connection.get("/healthz/ready", &[]))
            .is_ok_and(|answer| answer.status == 200)
    }
}

/// Puts the certificate of a pod where its proxy reads it.
fn mount(directory: &tempfile::TempDir, spec: &PodSpec, by: &Authority, roots: &[&Authority]) {
    if let Some(account) = spec.account {
        by.mount(&directory.path().join(spec.name), account, roots);
    }
}

/// Addresses that nobody else uses, a network for each mesh: the control plane's, and for each pod its own and its application's.
///
/// Ports are fixed: a port picked as free on a shared address can be the source of somebody's connection by the time it is bound.
fn addresses(count: usize) -> (Ipv4Addr, Vec<(Ipv4Addr, Ipv4Addr)>) {
    loop {
        let mesh = MESHES.fetch_add(1, Ordering::Relaxed);
        let process = (std::process::id() % 97) as u8;
        let of = |host: usize| Ipv4Addr::new(127, 100 + process, mesh, host as u8);
        let own = of(254);
        let addresses: Vec<_> = (0..count)
            .map(|index| (of(index + 1), of(index + 101)))
            .collect();
        let free = |address, port| TcpListener::bind((address, port)).is_ok();
        if free(own, 15010) && addresses.iter().all(|(pod, _)| free(*pod, 15000)) {
            return (own, addresses);
        }
    }
}

fn start_control_plane(
    directory: &tempfile::TempDir,
    xds: SocketAddr,
    monitoring: SocketAddr,
) -> Process {
    let config = directory.path().join("config");
    let mut command = Command::new(binary("mesh-controller"));
    command
        .arg("discovery")
        .arg(format!("--configDir={}", config.display()))
        .arg(format!("--plaintext-xds={xds}"))
        .arg(format!("--monitoringAddr={monitoring}"))
        .args(["--httpAddr=", "--secureGRPCAddr="])
        .arg("--jwksAllowedNetworks=127.0.0.0/8");
    Process::start(command, directory.path(), "controller")
}

fn start_pod(
    directory: &tempfile::TempDir,
    xds: SocketAddr,
    spec: PodSpec,
    address: Ipv4Addr,
    app: Ipv4Addr,
) -> Pod {
    let program = spec.program.map(|(program, _)| program);
    let program = program.filter(|program| *program != PodSpec::TEST);
    let program = program.map(|program| {
        let mut command = Command::new(binary("mesh-samples"));
        command
            .args(program.split(' '))
            .env("http_proxy", format!("http://{address}:15001"))
            .env("MESH_BIND_ADDRESS", app.to_string())
            .env("MESH_POD_ADDRESS", address.to_string())
            .env("POD_NAME", spec.name);
        Process::start(command, directory.path(), &format!("{}-app", spec.name))
    });
    let mut command = match spec.open_files {
        None => Command::new(binary("mesh-proxy")),
        Some((soft, hard)) => {
            let limits = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(limits).arg(binary("mesh-proxy"));
            shell
        }
    };
    command
        .arg("proxy")
        .arg(if spec.is_gateway { "router" } else { "sidecar" })
        .args(["--concurrency=2", "--proxyLogLevel=info"])
        .arg(format!("--xds-plaintext={xds}"))
        .args(["--domain", "default.svc.cluster.local"])
        .env("POD_NAME", spec.name)
        .env("POD_NAMESPACE", "default")
        .env("INSTANCE_IP", address.to_string())
        .env("MESH_POD_ADDRESS", address.to_string())
        .env("MESH_APP_ADDRESS", app.to_string())
        .env("MESH_BIND_ADDRESS", address.to_string())
        .env("ISTIO_META_WORKLOAD_NAME", spec.name)
        .env(
            "ISTIO_METAJSON_LABELS",
            format!(r#"{{"app":"{}","version":"{}"}}"#, spec.app, spec.version),
        );
    if spec.account.is_some() {
        command
            .env("FILE_MOUNTED_CERTS", "true")
            .env("MESH_ROOT", directory.path().join(spec.name));
    }
    let proxy = Process::start(command, directory.path(), spec.name);
    Pod {
        spec,
        address,
        app_address: app,
        app: program,
        proxy,
    }
}

/// The paths of a test's files, for messages.
impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path: PathBuf = self.directory.path().into();
        write!(f, "mesh in {}", path.display())
    }
}
