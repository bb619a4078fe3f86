//! The service forwarder: what kube-proxy does, by plain TCP copying.
//!
//! Every TCP port of every ClusterIP is a listener; a connection goes to the ready endpoints in turn, and to the next
//! one when an endpoint refuses. What the listeners should be is computed from Services and EndpointSlices; the
//! driver opens, retargets and closes. The ingress gateway's localhost port is one more such listener.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::{Activity, Connections};
use super::runtime::{Loopback, PodRuntime, cluster_ip};

/// Connections one listener carries at once. When all are taken the idlest makes room, and more wait while all are busy.
const CONNECTIONS: usize = 512;

/// Before it is tried again to accept a connection, or to find a place for one.
const PAUSE: Duration = Duration::from_millis(50);

/// An endpoint that does not answer by then counts as refusing.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// How many endpoints one connection tries.
const ATTEMPTS: usize = 3;

/// Endpoints in the order they are used.
pub type Targets = Vec<(IpAddr, u16)>;

/// The endpoints of ClusterIPs and TCP ports.
pub type Plan = BTreeMap<(IpAddr, u16), Targets>;

/// For every ClusterIP and TCP port, the ready endpoints.
pub fn plan(services: &[Arc<Service>], slices: &[Arc<EndpointSlice>]) -> Plan {
    let mut plan = BTreeMap::new();
    for service in services {
        let Some(address) = cluster_ip(service) else {
            continue;
        };
        for port in service
            .spec
            .iter()
            .flat_map(|spec| spec.ports.iter().flatten())
        {
            if let Ok(number) = u16::try_from(port.port)
                && port.protocol.as_deref().unwrap_or("TCP") == "TCP"
            {
                plan.insert((address, number), targets(service, port, slices));
            }
        }
    }
    plan
}

/// The ready endpoints of one port of a service.
pub fn targets(service: &Service, port: &ServicePort, slices: &[Arc<EndpointSlice>]) -> Targets {
    let name = port.name.as_deref().unwrap_or_default();
    let ours = slices.iter().filter(|slice| {
        slice.namespace() == service.namespace()
            && slice.labels().get("kubernetes.io/service-name") == Some(&service.name_any())
    });
    let mut targets = Targets::new();
    for slice in ours {
        let ports = slice
            .ports
            .iter()
            .flatten()
            .filter(|port| port.name.as_deref().unwrap_or_default() == name);
        let number = ports
            .filter_map(|port| u16::try_from(port.port?).ok())
            .next();
        let Some(number) = number else { continue };
        let ready = slice.endpoints.iter().filter(|endpoint| {
            endpoint
                .conditions
                .as_ref()
                .and_then(|conditions| conditions.ready)
                != Some(false)
        });
        let addresses = ready
            .flat_map(|endpoint| &endpoint.addresses)
            .filter_map(|address| address.parse().ok());
        targets.extend(addresses.map(|address: IpAddr| (address, number)));
    }
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// The open listeners.
pub struct Forwarder {
    runtime: Loopback,
    stop: CancellationToken,
    tasks: TaskTracker,
    open: BTreeMap<(IpAddr, u16), Listening>,
}

struct Listening {
    targets: Arc<RwLock<Targets>>,
    stop: CancellationToken,
}

impl Forwarder {
    /// A forwarder without listeners; all of it ends with `stop`.
    pub fn new(runtime: Loopback, stop: CancellationToken, tasks: TaskTracker) -> Self {
        Self {
            runtime,
            stop,
            tasks,
            open: BTreeMap::new(),
        }
    }

    /// Makes the listeners those of the plan; true when some could not be opened and it should be tried again.
    pub fn apply(&mut self, plan: Plan) -> bool {
        self.open.retain(|key, listening| {
            let keep = plan.contains_key(key);
            if !keep {
                listening.stop.cancel();
            }
            keep
        });
        let mut failed = false;
        for ((address, port), targets) in plan {
            if let Some(listening) = self.open.get(&(address, port)) {
                *listening
                    .targets
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = targets;
                continue;
            }
            let IpAddr::V4(v4) = address else { continue };
            match listen(self.runtime.socket(v4, port)) {
                Ok(listener) => {
                    let listening = self.serve(listener, targets);
                    self.open.insert((address, port), listening);
                }
                Err(error) => {
                    tracing::debug!(%address, port, %error, "failed to listen for a service");
                    failed = true;
                }
            }
        }
        failed
    }

    fn serve(&self, listener: TcpListener, targets: Targets) -> Listening {
        let targets = Arc::new(RwLock::new(targets));
        let stop = self.stop.child_token();
        self.tasks.spawn(accept(
            listener,
            targets.clone(),
            Arc::new(self.runtime.clone()),
            stop.clone(),
        ));
        Listening { targets, stop }
    }
}

/// Opens a listener.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Accepts until stopped, copying each connection to the next ready endpoint.
pub async fn accept(
    listener: TcpListener,
    targets: Arc<RwLock<Targets>>,
    runtime: Arc<dyn PodRuntime>,
    stop: CancellationToken,
) {
    let connections = Connections::new(CONNECTIONS);
    let turn = Arc::new(AtomicUsize::new(0));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = accepted else {
            // Out of descriptors, most likely: give others time to close theirs.
            sleep(PAUSE).await;
            continue;
        };
        let place = loop {
            match connections.place() {
                Some(place) => break place,
                None => tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(PAUSE) => {}
                },
            }
        };
        let candidates = targets
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let start = turn.fetch_add(1, Ordering::Relaxed);
        let (runtime, stop) = (runtime.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = place.activity.stop.cancelled() => {}
                () = carry(client, &candidates, start, &*runtime, &place.activity) => {}
            }
        });
    }
}

/// Copies one connection both ways until both sides are done.
async fn carry(
    client: TcpStream,
    targets: &Targets,
    start: usize,
    runtime: &dyn PodRuntime,
    activity: &Activity,
) {
    let order = targets
        .iter()
        .cycle()
        .skip(start % targets.len().max(1))
        .take(targets.len().min(ATTEMPTS));
    for (address, port) in order {
        let Ok(Ok(endpoint)) = timeout(CONNECT_LIMIT, runtime.dial(*address, *port)).await else {
            continue;
        };
        let _ = (client.set_nodelay(true), endpoint.set_nodelay(true));
        let mut client = InspectReader::new(client, |_| activity.note());
        let mut endpoint = InspectReader::new(endpoint, |_| activity.note());
        let _ = tokio::io::copy_bidirectional(&mut client, &mut endpoint).await;
        return;
    }
    // Dropping the client closes it: what a client of a service without endpoints sees as well.
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ready_endpoints_by_port_name() {
        let service = json!({
            "metadata": {"name": "web", "namespace": "n"},
            "spec": {"clusterIP": "127.9.128.1", "ports": [
                {"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]},
        });
        let slice = json!({
            "metadata": {"name": "web-x", "namespace": "n", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [
                {"addresses": ["127.9.1.2"], "conditions": {"ready": true}},
                {"addresses": ["127.9.1.1"], "conditions": {"ready": true}},
                {"addresses": ["127.9.1.3"], "conditions": {"ready": false}},
            ],
        });
        let services = [Arc::new(serde_json::from_value(service).unwrap())];
        let slices = [Arc::new(serde_json::from_value(slice).unwrap())];
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let targets = vec![(address("127.9.1.1"), 8080), (address("127.9.1.2"), 8080)];
        let expected = BTreeMap::from([((address("127.9.128.1"), 80), targets)]);
        assert_eq!(plan(&services, &slices), expected);
    }

    #[tokio::test]
    async fn idle_connections_keep_nobody_out() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let endpoint = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = endpoint.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = endpoint.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
            }
        });
        let block = crate::Block::new(253).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let processes = crate::Processes::new(directory.path().join("groups")).unwrap();
        let backend = Loopback::new(block, Default::default(), Default::default(), processes);
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let targets = Arc::new(RwLock::new(vec![(target.ip(), target.port())]));
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, targets, Arc::new(backend), stop.clone()));
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let mut late = TcpStream::connect(address).await.unwrap();
        late.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        let answered = timeout(Duration::from_secs(10), late.read_exact(&mut answer)).await;
        answered.unwrap().unwrap();
        assert_eq!(&answer, b"hello");
        stop.cancel();
    }
}
