//! Proxies that do no more than ask, count and acknowledge. Each has a connection and a delta stream of its own.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{Stream, stream};
use mesh_ir::ProxyKind;
use mesh_xds::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use mesh_xds::node::keys;
use mesh_xds::resource::version_of;
use mesh_xds::service::AdsClient;
use mesh_xds::{NodeInfo, ResourceType};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

/// All proxies.
pub struct Fleet {
    proxies: Vec<Arc<Proxy>>,
    appetite: Appetite,
    arrived: Arc<Notify>,
    tasks: Mutex<JoinSet<()>>,
    /// Of the first proxy of each namespace.
    resources: Arc<Mutex<Resources>>,
}

struct Proxy {
    number: usize,
    namespace: usize,
    appetite: Appetite,
    traffic: Mutex<Traffic>,
    /// Where to note what came, for the first proxy of a namespace.
    resources: Option<Arc<Mutex<Resources>>>,
}

/// What a proxy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Appetite {
    Everything,
    Listeners,
}

/// Resources that have come.
#[derive(Default)]
struct Resources {
    all: usize,
    /// Hashes of their types, names and versions.
    distinct: HashSet<u64>,
}

/// What a proxy has received.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Responses.
    pub responses: usize,
    /// Their bytes.
    pub bytes: usize,
    /// When the last one came.
    pub last: Option<Instant>,
    /// Types that it has an answer for, and names that it waits for.
    answered: BTreeSet<ResourceType>,
    missing: usize,
}

// === impl Appetite ===

impl Appetite {
    /// Types that are asked for as a whole.
    fn asked(self) -> &'static [ResourceType] {
        match self {
            Self::Everything => &ASKED,
            Self::Listeners => &[ResourceType::Listener],
        }
    }

    /// Whether everything that was asked for has come.
    fn is_satisfied(self, traffic: &Traffic) -> bool {
        let follows = NAMED.into_iter().chain([COLLECTED]);
        let follows = follows.filter(|_| self == Self::Everything);
        let mut all = self.asked().iter().copied().chain(follows);
        traffic.missing == 0 && all.all(|kind| traffic.answered.contains(&kind))
    }
}

/// The types that are asked for as a whole, and those that are asked for by name.
const ASKED: [ResourceType; 3] = [
    ResourceType::Cluster,
    ResourceType::Listener,
    ResourceType::NameTable,
];
const NAMED: [ResourceType; 2] = [ResourceType::Endpoints, ResourceType::Route];
/// What comes by the names of route tables: nobody knows how many there are.
const COLLECTED: ResourceType = ResourceType::VirtualHost;

// === impl Fleet ===

impl Fleet {
    /// Proxies of the pods of services, spread over namespaces as those are.
    pub fn new(count: usize, namespaces: usize) -> Self {
        Self::with(count, namespaces, Appetite::Everything)
    }

    /// One proxy for each namespace, that asks for no more than listeners.
    pub fn of_listeners(namespaces: usize) -> Self {
        Self::with(namespaces, namespaces, Appetite::Listeners)
    }

    fn with(count: usize, namespaces: usize, appetite: Appetite) -> Self {
        let resources: Arc<Mutex<Resources>> = Arc::default();
        let proxy = |number| {
            Arc::new(Proxy {
                number,
                namespace: number % namespaces,
                appetite,
                traffic: Mutex::default(),
                resources: (number < namespaces).then(|| Arc::clone(&resources)),
            })
        };
        Self {
            proxies: (0..count).map(proxy).collect(),
            appetite,
            arrived: Arc::default(),
            tasks: Mutex::default(),
            resources,
        }
    }

    /// Whether a proxy has everything that it asks for.
    pub fn has_everything(&self, traffic: &Traffic) -> bool {
        self.appetite.is_satisfied(traffic)
    }

    /// Prints how much of what was sent to different namespaces was the same.
    pub fn print_sharing(&self) {
        let resources = self
            .resources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        println!(
            "  one proxy for each namespace was sent {} resources, {} of them different: the rest is the same for several namespaces",
            resources.all,
            resources.distinct.len()
        );
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.proxies.len()
    }

    /// How many there are in a namespace, or in all.
    pub fn in_namespaces(&self, namespace: Option<usize>) -> usize {
        self.proxies
            .iter()
            .filter(|proxy| namespace.is_none_or(|namespace| proxy.namespace == namespace))
            .count()
    }

    /// Connects everyone at once.
    pub fn connect(&self, xds: &str) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for proxy in &self.proxies {
            let (proxy, arrived, xds) =
                (Arc::clone(proxy), Arc::clone(&self.arrived), xds.to_owned());
            tasks.spawn(async move {
                if let Err(error) = proxy.run(&xds, &arrived).await {
                    println!("  proxy {} failed: {error:#}", proxy.number);
                }
            });
        }
    }

    /// What everyone has received.
    pub fn traffic(&self) -> Vec<Traffic> {
        self.proxies
            .iter()
            .map(|proxy| proxy.lock().clone())
            .collect()
    }

    /// Counts from nothing again.
    pub fn forget(&self) {
        for proxy in &self.proxies {
            let mut traffic = proxy.lock();
            (traffic.responses, traffic.bytes, traffic.last) = (0, 0, None);
        }
    }

    /// Waits until so many proxies fulfil a condition.
    pub async fn wait_for(
        &self,
        count: usize,
        patience: Duration,
        condition: impl Fn(&Traffic) -> bool,
    ) -> anyhow::Result<Vec<Traffic>> {
        let end = tokio::time::Instant::now() + patience;
        loop {
            let notified = self.arrived.notified();
            let traffic = self.traffic();
            let done = traffic.iter().filter(|traffic| condition(traffic)).count();
            if done >= count {
                return Ok(traffic);
            }
            // Looking at everyone for every single arrival would be the most expensive part of this program.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let late = || format!("{done} of {count} proxies after {patience:?}");
            tokio::time::timeout_at(end, notified)
                .await
                .with_context(late)?;
        }
    }

    /// Waits until nothing has come for a while.
    pub async fn quiet(&self, quiet: Duration) {
        while tokio::time::timeout(quiet, self.arrived.notified())
            .await
            .is_ok()
        {}
    }
}

// === impl Proxy ===

impl Proxy {
    async fn run(&self, xds: &str, arrived: &Notify) -> anyhow::Result<()> {
        let channel = Endpoint::from_shared(format!("http://{xds}"))?
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 20)
            .connect()
            .await?;
        let (sender, requests) = mpsc::unbounded_channel();
        for (index, kind) in self.appetite.asked().iter().enumerate() {
            sender.send(DeltaDiscoveryRequest {
                node: (index == 0).then(|| self.node().to_node()),
                type_url: kind.type_url().to_owned(),
                ..DeltaDiscoveryRequest::default()
            })?;
        }
        let mut responses = AdsClient::new(channel)
            .delta(outgoing(requests))
            .await?
            .into_inner();
        while let Some(response) = responses.message().await? {
            for request in self.take(response) {
                sender.send(request)?;
            }
            arrived.notify_one();
        }
        anyhow::bail!("the control plane has ended the stream")
    }

    fn node(&self) -> NodeInfo {
        let Self {
            number, namespace, ..
        } = self;
        let address = [
            10,
            200,
            u8::try_from(number / 250).unwrap_or(255),
            u8::try_from(number % 250 + 1).unwrap_or(255),
        ];
        let pod = match self.appetite {
            Appetite::Everything => format!("svc-{number}-0"),
            Appetite::Listeners => format!("svc-{number}-1"),
        };
        let namespace = format!("ns-{namespace}");
        let mut node = NodeInfo::new(ProxyKind::Sidecar, Some(address.into()), &pod, &namespace);
        node.set_text(keys::NAMESPACE, namespace);
        node.set_text(keys::INTERCEPTION_MODE, "REDIRECT");
        node.set_text(keys::VHDS, "true");
        node.set_labels(&[("app".to_owned(), format!("svc-{number}"))].into());
        node
    }

    /// Counts a response; gives its acknowledgement, and the subscriptions that follow from it.
    fn take(&self, response: DeltaDiscoveryResponse) -> Vec<DeltaDiscoveryRequest> {
        let Some(kind) = ResourceType::from_type_url(&response.type_url) else {
            return Vec::new();
        };
        let names = match self.appetite {
            Appetite::Everything => subscriptions(kind, &response),
            Appetite::Listeners => None,
        };
        if let Some(resources) = &self.resources {
            let mut seen = resources.lock().unwrap_or_else(PoisonError::into_inner);
            seen.all += response.resources.len();
            let hashes = response.resources.iter();
            seen.distinct
                .extend(hashes.map(|one| version_of(&(kind, &one.name, &one.version))));
        }
        let mut traffic = self.lock();
        traffic.responses += 1;
        traffic.bytes += response
            .resources
            .iter()
            .map(|r| r.resource.len() + r.name.len() + r.version.len())
            .sum::<usize>();
        traffic.last = Some(Instant::now());
        let first = traffic.answered.insert(kind);
        if NAMED.contains(&kind) {
            let named = response.resources.len() + response.removed_resources.len();
            traffic.missing = traffic.missing.saturating_sub(named);
        }
        let mut requests = Vec::new();
        if let Some((other, names)) = names
            && first
        {
            if NAMED.contains(&other) {
                traffic.missing += names.len();
            }
            requests.push(DeltaDiscoveryRequest {
                type_url: other.type_url().to_owned(),
                resource_names_subscribe: names,
                ..DeltaDiscoveryRequest::default()
            });
        }
        requests.push(DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            ..DeltaDiscoveryRequest::default()
        });
        requests
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a proxy asks for after a response. Names say enough for this mesh: outbound clusters discover their endpoints, listeners of a
/// port their routes, and those their virtual hosts.
fn subscriptions(
    kind: ResourceType,
    response: &DeltaDiscoveryResponse,
) -> Option<(ResourceType, Vec<String>)> {
    let names = |pick: fn(&str) -> Option<&str>| {
        response
            .resources
            .iter()
            .filter_map(|resource| pick(&resource.name))
            .map(str::to_owned)
            .collect()
    };
    match kind {
        ResourceType::Cluster => {
            let picked = names(|name| name.starts_with("outbound|").then_some(name));
            Some((ResourceType::Endpoints, picked))
        }
        ResourceType::Listener => Some((
            ResourceType::Route,
            names(|name| name.strip_prefix("0.0.0.0_")),
        )),
        ResourceType::Route => Some((COLLECTED, names(|name| Some(name)))),
        _ => None,
    }
}

fn outgoing(
    requests: mpsc::UnboundedReceiver<DeltaDiscoveryRequest>,
) -> impl Stream<Item = DeltaDiscoveryRequest> + Send + 'static {
    stream::unfold(requests, |mut requests| async move {
        Some((requests.recv().await?, requests))
    })
}
