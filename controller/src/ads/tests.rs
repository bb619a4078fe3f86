//! The service from outside: real sockets, and the client of `mesh_xds` as proxies have it.

use std::time::Duration;

use futures::stream;
use mesh_core::snapshot::SnapshotOptions;
use mesh_core::source;
use mesh_ir::ProxyKind;
use mesh_xds::client::{Client, Event};
use mesh_xds::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use mesh_xds::resource;
use mesh_xds::service::AdsClient;
use mesh_xds::{NodeInfo, ResourceType, node};
use tokio::sync::mpsc;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use super::*;
use crate::config::Event as Change;
use crate::debounce::Debounce;
use crate::publish::{self, Observers};
use crate::versions::Question;

mod faults;

/// Longest time for what should happen at once.
const LIMIT: Duration = Duration::from_secs(20);

/// Two namespaces; `left` has a service with a rule that nobody else sees.
const CONFIG: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: left, resourceVersion: '1'}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: right, resourceVersion: '1'}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: left, resourceVersion: 'VERSION'}
spec:
  hosts: [web]
  exportTo: ['.']
  http:
  - timeout: VERSIONs
    route: [{destination: {host: web}}]
";

/// A running control plane.
struct Plane {
    address: SocketAddr,
    changes: mpsc::Sender<Change>,
    connections: Arc<Connections>,
    versions: Arc<crate::versions::Versions>,
    _tasks: JoinSet<()>,
}

/// A proxy on a stream.
struct Proxy {
    client: Client,
    requests: mpsc::UnboundedSender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    /// Responses with something in them, by type.
    received: Vec<ResourceType>,
    /// A cluster that it refuses.
    refuses: &'static str,
}

fn client(namespace: &str) -> Client {
    Client::new(NodeInfo::new(ProxyKind::Sidecar, None, "proxy", namespace).to_node())
}

// === impl Plane ===

impl Plane {
    async fn start() -> Self {
        let (versions, metrics) = (Arc::default(), Arc::default());
        let options = SnapshotOptions::default();
        let (published, snapshots) = watch::channel(Arc::new(Published::nothing(&options)));
        let (changes, receiver) = mpsc::channel(8);
        let debounce = Debounce {
            after: Duration::ZERO,
            max: Duration::ZERO,
        };
        let observers = Observers {
            versions: Arc::clone(&versions),
            metrics: Arc::clone(&metrics),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(publish::run(
            receiver,
            mesh_core::resource::Kind::all().collect(),
            debounce,
            published,
            observers,
        ));
        let connections = Arc::<Connections>::default();
        let ads = Ads::new(
            snapshots.clone(),
            Arc::clone(&connections),
            metrics,
            Arc::new(debug_answers()),
            SecretAccess::new(None, snapshots.clone()),
            &mut tasks,
        );
        let any = (std::net::Ipv4Addr::LOCALHOST, 0).into();
        let address = ads.serve_plaintext(any, &mut tasks).await.unwrap();
        let plane = Self {
            address,
            changes,
            connections,
            versions,
            _tasks: tasks,
        };
        plane.apply(1).await;
        plane
    }

    /// Publishes the configuration with the rule in some version.
    async fn apply(&self, version: u64) {
        let text = CONFIG.replace("VERSION", &version.to_string());
        let (documents, findings) = source::parse("test", &text);
        assert!(findings.is_empty(), "{findings:?}");
        let decode = |document| Some(mesh_core::resource::decode(document, None).0?.into());
        let objects = documents.iter().filter_map(decode).collect();
        self.changes
            .send(Change::ReplaceAll(objects))
            .await
            .unwrap();
    }

    async fn open(&self, mut client: Client) -> Result<Proxy, Status> {
        let uri = format!("http://{}", self.address);
        let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
        client.connect(Duration::ZERO);
        let (requests, receiver) = mpsc::unbounded_channel();
        while let Some(request) = client.next_request() {
            requests.send(request).unwrap();
        }
        let outgoing = outgoing(receiver);
        let responses = AdsClient::new(channel).delta(outgoing).await?.into_inner();
        Ok(Proxy {
            client,
            requests,
            responses,
            received: vec![],
            refuses: "",
        })
    }

    async fn proxy(&self, namespace: &str) -> Proxy {
        self.open(client(namespace)).await.unwrap()
    }

    /// Waits until the rule in some version has arrived at all proxies, while those work.
    async fn arrived(&self, version: u64, proxies: &mut [&mut Proxy]) {
        let resource = "resource=VirtualService/left/web&version=";
        let question = Question::parse(&[resource, &version.to_string()].concat()).unwrap();
        let done = async {
            loop {
                let distribution = self
                    .connections
                    .distribution(self.versions.generation(&question));
                let shown = serde_json::to_value(distribution).unwrap();
                let everyone = shown["acknowledged"].as_array().unwrap().len() == proxies.len();
                if shown["generation"].is_u64() && everyone {
                    return;
                }
                for proxy in proxies.iter_mut() {
                    let pause = Duration::from_millis(5);
                    if let Ok(response) =
                        tokio::time::timeout(pause, proxy.responses.message()).await
                    {
                        proxy.take(response.unwrap().unwrap());
                    }
                }
            }
        };
        tokio::time::timeout(LIMIT, done)
            .await
            .expect("the rule does not arrive");
    }
}

/// The requests of a stream.
fn outgoing(
    receiver: mpsc::UnboundedReceiver<DeltaDiscoveryRequest>,
) -> impl futures::Stream<Item = DeltaDiscoveryRequest> {
    stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    })
}

/// Repeats what is asked.
fn debug_answers() -> DebugAnswers {
    DebugAnswers {
        identifier: "istiod".to_owned(),
        allows: Box::new(|_| Ok(())),
        answer: Box::new(|request| {
            let any = mesh_xds::discovery::Any {
                type_url: request.type_url.clone(),
                value: request.names.join(",").into(),
            };
            Ok(vec![("repeated".to_owned(), any)])
        }),
    }
}

// === impl Proxy ===

impl Proxy {
    fn take(&mut self, response: DeltaDiscoveryResponse) {
        if !response.resources.is_empty() {
            self.received
                .extend(ResourceType::from_type_url(&response.type_url));
        }
        let refuses = self.refuses;
        let events = self
            .client
            .receive_with(response, Duration::ZERO, |kind, any| {
                let value = resource::decode(kind, any).map_err(|error| error.to_string())?;
                match value.name() {
                    name if kind == ResourceType::Cluster && name == refuses => {
                        Err("it is too small".to_owned())
                    }
                    _ => Ok(value),
                }
            });
        assert!(
            !events
                .iter()
                .any(|event| matches!(event, Event::UnknownType(_)))
        );
        while let Some(request) = self.client.next_request() {
            self.requests.send(request).unwrap();
        }
    }
}

#[tokio::test]
async fn a_change_reaches_those_that_it_concerns_and_nobody_else() {
    let plane = Plane::start().await;
    let (mut left, mut right) = (plane.proxy("left").await, plane.proxy("right").await);
    plane.arrived(1, &mut [&mut left, &mut right]).await;
    assert!(left.client.is_settled() && right.client.is_settled());
    for kind in [
        ResourceType::Cluster,
        ResourceType::Endpoints,
        ResourceType::Listener,
        ResourceType::Route,
    ] {
        assert!(left.received.contains(&kind), "{kind}");
    }
    left.received.clear();
    right.received.clear();
    plane.apply(2).await;
    plane.arrived(2, &mut [&mut left, &mut right]).await;
    assert_eq!(left.received, [ResourceType::Route]);
    assert_eq!(right.received, []);
}

#[tokio::test]
async fn a_changed_rule_sends_its_virtual_host_to_those_who_discover_them() {
    let plane = Plane::start().await;
    let mut node = NodeInfo::new(ProxyKind::Sidecar, None, "discovering", "left");
    node.set_text(node::keys::VHDS, "true");
    let mut proxy = plane.open(Client::new(node.to_node())).await.unwrap();
    let mut whole = plane.proxy("left").await;
    plane.arrived(1, &mut [&mut proxy, &mut whole]).await;
    assert!(proxy.client.is_settled());
    assert_eq!(*proxy.client.config().routes, *whole.client.config().routes);
    proxy.received.clear();
    plane.apply(2).await;
    plane.arrived(2, &mut [&mut proxy, &mut whole]).await;
    assert_eq!(proxy.received, [ResourceType::VirtualHost]);
    assert_eq!(*proxy.client.config().routes, *whole.client.config().routes);
}

#[tokio::test]
async fn a_refused_resource_holds_up_nothing_else() {
    let plane = Plane::start().await;
    let mut proxy = plane.proxy("right").await;
    proxy.refuses = "outbound|80||web.left.svc.cluster.local";
    plane.arrived(1, &mut [&mut proxy]).await;
    let clusters: Vec<String> = proxy
        .client
        .config()
        .clusters
        .iter()
        .map(|cluster| cluster.name.to_string())
        .collect();
    assert!(
        clusters.contains(&"outbound|80||api.right.svc.cluster.local".to_owned()),
        "{clusters:?}"
    );
    assert!(!clusters.contains(&proxy.refuses.to_owned()));
    assert!(proxy.received.contains(&ResourceType::Route));
    let shown = serde_json::to_value(plane.connections.distribution(Some(1))).unwrap();
    assert_eq!(shown["refused"][0]["name"], proxy.refuses);
    assert_eq!(shown["refused"][0]["proxy"], "proxy.right");
    assert!(
        shown["refused"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("too small"),
        "{shown}"
    );
}

#[tokio::test]
async fn who_comes_back_with_everything_gets_nothing() {
    let plane = Plane::start().await;
    let mut proxy = plane.proxy("left").await;
    plane.arrived(1, &mut [&mut proxy]).await;
    let known = ResourceType::ALL.map(|kind| proxy.client.versions(kind));
    let client = std::mem::replace(&mut proxy.client, client("left"));
    drop(proxy);
    while plane.connections.count() > 0 {
        tokio::task::yield_now().await;
    }
    let mut back = plane.open(client).await.unwrap();
    plane.arrived(1, &mut [&mut back]).await;
    assert_eq!(back.received, []);
    assert_eq!(
        ResourceType::ALL.map(|kind| back.client.versions(kind)),
        known
    );
}

#[tokio::test]
async fn clients_that_do_not_say_who_they_are_are_told_so() {
    let plane = Plane::start().await;
    let mut proxy = plane.proxy("").await;
    let error = proxy.responses.message().await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("names no namespace"), "{error}");
}

#[tokio::test]
async fn tools_ask_on_a_stream_without_being_a_proxy() {
    let plane = Plane::start().await;
    let endpoint = Endpoint::from_shared(format!("http://{}", plane.address)).unwrap();
    let mut ads = AdsClient::new(endpoint.connect().await.unwrap());
    let (requests, receiver) = mpsc::unbounded_channel();
    let ask = |nonce: &str| DeltaDiscoveryRequest {
        type_url: "istio.io/debug".to_owned(),
        resource_names_subscribe: vec!["syncz".to_owned()],
        response_nonce: nonce.to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(ask("")).unwrap();
    let mut responses = ads.delta(outgoing(receiver)).await.unwrap().into_inner();
    let first = responses.message().await.unwrap().unwrap();
    assert_eq!(first.resources[0].name, "repeated");
    assert_eq!(first.control_plane.unwrap().identifier, "istiod");
    // An acknowledgement is no question; the next question is.
    requests.send(ask(&first.nonce)).unwrap();
    requests.send(ask("")).unwrap();
    let second = responses.message().await.unwrap().unwrap();
    assert_eq!(second.nonce, "debug-2");
    assert_eq!(plane.connections.count(), 0);
}
