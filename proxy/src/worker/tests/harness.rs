//! Workers with a configuration, backends that do as they are told, and clients that send bytes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use mesh_ir::*;

use crate::lifecycle::Drain;
use crate::telemetry::Reporter;
use crate::telemetry::access_log::AccessLogs;
use crate::telemetry::metrics::{Metrics, Snapshot};
use crate::worker::{Options, Workers};

/// Nothing here takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// A proxy with one listener.
pub struct Proxy {
    pub workers: Workers,
    pub metrics: Arc<Metrics>,
    pub address: SocketAddr,
    handle: tokio::runtime::Handle,
}

/// An address that nobody else uses: a port picked as free on a shared one can be the source of somebody's connection by
/// the time it is bound.
pub fn free() -> SocketAddr {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let process = 200 + (std::process::id() % 50) as u8;
    loop {
        let [high, low] = GIVEN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let address = SocketAddr::from(([127, process, high, low], 8080));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Starts a proxy for a listener's address.
pub fn start(address: SocketAddr, capture: Capture, config: &ProxyConfig) -> Proxy {
    start_with(address, capture, 1 << 20, config)
}

/// The same with so many connections of clients at most.
pub fn start_with(
    address: SocketAddr,
    capture: Capture,
    max_connections: usize,
    config: &ProxyConfig,
) -> Proxy {
    let metrics = Arc::new(Metrics::new());
    let options = Options {
        lookup: Arc::new(mesh_proxy::dns::Lookup::of(&Arc::default())),
        kind: ProxyKind::Sidecar,
        capture,
        concurrency: 1,
        max_connections,
        view: Arc::default(),
        namespace: "default".into(),
        service_cluster: "test".into(),
        identity: None,
        metadata: None,
        metrics: metrics.clone(),
        reporter: Arc::new(Reporter::new(Arc::new(AccessLogs::new("/".into())))),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    let workers = {
        let _entered = handle.enter();
        Workers::start(options).unwrap()
    };
    let proxy = Proxy {
        workers,
        metrics,
        address,
        handle,
    };
    proxy.apply(config);
    proxy
}

impl Proxy {
    /// Applies a configuration that is valid.
    pub fn apply(&self, config: &ProxyConfig) {
        let errors = self.workers.apply(config);
        assert!(errors.is_empty(), "{errors:?}");
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// One request on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        let mut wire = self.connect();
        wire.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        wire.answer()
    }

    pub fn counted(&self) -> Snapshot {
        self.metrics.snapshot(std::time::Instant::now())
    }

    /// The counters once no request is on its way.
    pub fn settled(&self) -> Snapshot {
        loop {
            let counted = self.counted();
            if counted.workers.downstream_rq_active == 0 {
                return counted;
            }
            std::thread::yield_now();
        }
    }

    /// The sum of a metric over all series that have these labels.
    pub fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let mut text = String::new();
        self.settled().write_istio(&mut text).unwrap();
        text.lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name))
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    pub fn drain(&self, limit: Duration) -> bool {
        let how = Drain {
            grace: true,
            ..Drain::default()
        };
        self.handle.block_on(self.workers.drain(how, limit))
    }
}

/// A connection of raw bytes.
pub struct Wire {
    pub stream: TcpStream,
    read: Vec<u8>,
}

/// A response.
#[derive(Debug, Default)]
pub struct Answer {
    pub code: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// The value of a field of a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Wire {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Breaks the connection off.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads more; false at the end.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).unwrap_or(0);
        self.read.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// The next head; none at the end.
    pub fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self
                .read
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                let head: Vec<u8> = self.read.drain(..at + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            if !self.more() {
                return None;
            }
        }
    }

    pub fn take(&mut self, count: usize) -> String {
        while self.read.len() < count {
            assert!(
                self.more(),
                "ended after {:?}",
                String::from_utf8_lossy(&self.read)
            );
        }
        String::from_utf8(self.read.drain(..count).collect()).unwrap()
    }

    pub fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.read.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.read.drain(..at + 2).collect();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            assert!(self.more(), "ended within a line");
        }
    }

    /// The lines up to an empty one, which is the last.
    pub fn lines(&mut self) -> String {
        let mut lines = String::new();
        loop {
            let line = self.line();
            lines.push_str(&line);
            lines.push_str("\r\n");
            if line.is_empty() {
                return lines;
            }
        }
    }

    /// Everything up to the end.
    pub fn rest(&mut self) -> String {
        while self.more() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    /// A whole body of the framing that a head tells.
    pub fn body(&mut self, head: &str) -> String {
        if let Some(length) = field(head, "content-length") {
            return self.take(length.parse().unwrap());
        }
        if field(head, "transfer-encoding").is_none() {
            return String::new();
        }
        let mut body = String::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            let chunk = self.take(size + 2);
            body.push_str(&chunk[..size]);
            if size == 0 {
                return body;
            }
        }
    }

    pub fn answer(&mut self) -> Answer {
        self.try_answer().expect("no answer")
    }

    pub fn try_answer(&mut self) -> Option<Answer> {
        let head = self.head()?;
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = self.body(&head);
        Some(Answer { code, head, body })
    }
}

/// Waits for something that happens by itself.
#[track_caller]
pub fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !happened() {
        assert!(begin.elapsed() < LIMIT, "never: {what}");
        std::thread::yield_now();
    }
}

/// A backend: `serve` gets each connection with its number.
pub fn backend(serve: impl Fn(usize, Wire) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let serve = serve.clone();
            let stream = stream.unwrap();
            std::thread::spawn(move || serve(index, Wire::new(stream)));
        }
    });
    address
}

/// A backend that answers every request with its name and what it saw.
pub fn echo(name: &'static str) -> SocketAddr {
    backend(move |_, mut wire| {
        while let Some(head) = wire.head() {
            let body = wire.body(&head);
            let text = format!("{name}\n{head}{body}");
            wire.send(&format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            ));
        }
    })
}

/// A backend that answers with texts, one for each request of all its connections; it counts them.
pub fn script(answers: &'static [&'static str]) -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let address = backend(move |_, mut wire| {
        while let Some(head) = wire.head() {
            wire.body(&head);
            let index = counter.fetch_add(1, Ordering::SeqCst);
            let answer = answers[index.min(answers.len() - 1)];
            if answer.is_empty() {
                return;
            }
            wire.send(answer);
        }
    });
    (address, count)
}

pub fn static_cluster(name: &str, addresses: &[SocketAddr]) -> Arc<Cluster> {
    let all = addresses.iter().copied().map(Endpoint::new).collect();
    let endpoints = Endpoints {
        cluster: name.into(),
        localities: vec![LocalityEndpoints::new(Locality::default(), all)],
    };
    let mut cluster = Cluster::new(name, ClusterKind::Static(Arc::new(endpoints)));
    cluster.client.connect_timeout = Duration::from_secs(5);
    cluster.client.balancing = LoadBalancing::RoundRobin;
    Arc::new(cluster)
}

pub fn forward(target: Target) -> Forward {
    Forward::to(target)
}

pub fn prefix(path: &str, action: RouteAction) -> Route {
    Route {
        name: path.into(),
        ..Route::new(RouteMatch::prefix(path), action)
    }
}

pub fn to(path: &str, cluster: &str) -> Route {
    prefix(
        path,
        RouteAction::Forward(forward(Target::Cluster(cluster.into()))),
    )
}

pub fn retry(attempts: u32, on: &[RetryOn]) -> RetryPolicy {
    RetryPolicy {
        attempts,
        on: on.to_vec(),
        status_codes: Vec::new(),
        per_try_timeout: None,
        base_interval: Some(Duration::from_millis(1)),
        host_selection_attempts: 5,
    }
}

pub fn manager(routes: Vec<Route>) -> HttpConnectionManager {
    let table = RouteConfig {
        name: "test".into(),
        virtual_hosts: vec![Arc::new(VirtualHost {
            name: "all".into(),
            domains: vec!["*".into()],
            routes,
        })],
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    };
    let routes = Routes::Inline(Arc::new(table));
    HttpConnectionManager::new("test".into(), Direction::Outbound, routes)
}

pub fn chain(network: Network) -> FilterChain {
    FilterChain::new("test", ChainMatch::default(), network)
}

pub fn listener(
    name: &str,
    address: SocketAddr,
    bind: bool,
    chains: Vec<FilterChain>,
) -> Arc<Listener> {
    Arc::new(Listener {
        bind,
        chains,
        ..Listener::new(name.into(), address, Direction::Outbound)
    })
}

pub fn tcp_to(cluster: &str) -> Network {
    Network::Tcp(TcpProxy {
        stat_prefix: "tcp".into(),
        ..TcpProxy::to(cluster)
    })
}

/// A proxy whose one listener has these routes to these clusters.
pub fn http_proxy(routes: Vec<Route>, clusters: Vec<Arc<Cluster>>) -> Proxy {
    let address = free();
    start(
        address,
        Capture::Redirect,
        &http_config(address, routes, clusters),
    )
}

pub fn http_config(
    address: SocketAddr,
    routes: Vec<Route>,
    clusters: Vec<Arc<Cluster>>,
) -> ProxyConfig {
    let network = Network::Http(manager(routes));
    ProxyConfig {
        listeners: vec![listener("test", address, true, vec![chain(network)])].into(),
        clusters: clusters.into(),
        ..ProxyConfig::default()
    }
}

/// One log in a file, with a format.
pub fn logged(path: &std::path::Path, format: Option<Arc<str>>) -> Arc<TelemetryPolicy> {
    let path = path.to_str().unwrap();
    Arc::new(TelemetryPolicy {
        access_logs: vec![AccessLog::file(path, format, false)],
        ..TelemetryPolicy::default()
    })
}
