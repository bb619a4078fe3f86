//! Proxies that come all at once, that do not read, and changes that come all the time, on paused time and without sockets.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use mesh_core::snapshot::Snapshot;
use mesh_core::translate::Translator;
use mesh_xds::EncodedDeltaResponse;
use mesh_xds::service::{AdsService, Requests, ResponseStream};
use prost::Message as _;
use tokio::time::{Instant, sleep, timeout};

use super::*;

/// The service, and who publishes to it.
struct Service {
    published: watch::Sender<Arc<Published>>,
    service: service::DiscoveryService,
    connections: Arc<Connections>,
    _tasks: JoinSet<()>,
}

/// A proxy whose responses are read by hand.
struct Stream {
    client: Client,
    requests: mpsc::UnboundedSender<DeltaDiscoveryRequest>,
    responses: ResponseStream<EncodedDeltaResponse>,
}

/// The configuration with the rule in some version, as the publication of that number.
fn publication(version: u64) -> Arc<Published> {
    let options = SnapshotOptions::default();
    let text = CONFIG.replace("VERSION", &version.to_string());
    let (documents, _) = source::parse("test", &text);
    let decode = |document| mesh_core::resource::decode(document, None).0.map(Arc::new);
    let objects: Vec<_> = documents.iter().filter_map(decode).collect();
    let (snapshot, diagnostics) = Snapshot::build(objects, &options);
    Arc::new(Published {
        generation: version,
        at: Instant::now(),
        translator: Translator::new(Arc::new(snapshot)),
        diagnostics,
    })
}

// === impl Service ===

impl Service {
    fn start() -> Self {
        let mut tasks = JoinSet::new();
        let (published, snapshots) = watch::channel(publication(1));
        let connections = Arc::<Connections>::default();
        let ads = Ads::new(
            snapshots.clone(),
            Arc::clone(&connections),
            Arc::default(),
            Arc::default(),
            SecretAccess::new(None, snapshots.clone()),
            &mut tasks,
        );
        Self {
            published,
            service: service::DiscoveryService::new(Arc::clone(&ads.shared), None),
            connections,
            _tasks: tasks,
        }
    }

    fn publish(&self, version: u64) {
        self.published.send_replace(publication(version));
    }

    async fn open(&self, pod: &str) -> Stream {
        let mut node = NodeInfo::new(ProxyKind::Sidecar, None, pod, "left");
        node.set_text(node::keys::VHDS, "true");
        let mut client = Client::new(node.to_node());
        client.connect(Duration::ZERO);
        let (requests, receiver) = mpsc::unbounded_channel::<DeltaDiscoveryRequest>();
        let frames = stream::unfold(receiver, |mut receiver| async move {
            let message = receiver.recv().await?.encode_to_vec();
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            let frame = [&[0], &length[..], &message].concat();
            Some((Ok::<_, Status>(Frame::data(frame.into())), receiver))
        });
        let body = tonic::body::Body::new(StreamBody::new(frames));
        let request = tonic::Request::new(Requests::new(body));
        let responses = self.service.delta(request).await.unwrap();
        let mut stream = Stream {
            client,
            requests,
            responses,
        };
        stream.send();
        stream
    }

    /// How many streams have acknowledged a generation.
    fn acknowledged(&self, generation: u64) -> usize {
        let open = self.connections.open().into_iter();
        open.filter(|it| it.progress().acknowledged() >= Some(generation))
            .count()
    }
}

// === impl Stream ===

impl Stream {
    /// Reads a response and answers it.
    async fn step(&mut self) -> DeltaDiscoveryResponse {
        let response = self.responses.next().await.unwrap().unwrap();
        let response = response.decoded().unwrap();
        self.client.receive(response.clone(), Duration::ZERO);
        self.send();
        response
    }

    fn send(&mut self) {
        while let Some(request) = self.client.next_request() {
            self.requests.send(request).unwrap();
        }
    }

    /// Reads and answers until nothing comes for a while.
    async fn rest(&mut self) -> Vec<DeltaDiscoveryResponse> {
        let mut responses = vec![];
        while let Ok(response) = timeout(Duration::from_secs(1), self.step()).await {
            responses.push(response);
        }
        responses
    }

    /// The version of the rule that it has.
    fn rule(&mut self) -> Option<Duration> {
        let config = self.client.config();
        let mut hosts = config.routes.iter().flat_map(|table| &table.virtual_hosts);
        let host = hosts.find(|host| host.name.starts_with("web.left"))?;
        match &host.routes.first()?.action {
            mesh_ir::RouteAction::Forward(forward) => forward.timeout,
            _ => None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_gets_ten_pushes_a_second_at_most_and_ends_with_the_newest() {
    let service = Service::start();
    let mut proxy = service.open("busy").await;
    proxy.rest().await;
    assert_eq!(proxy.rule(), Some(Duration::from_secs(1)));
    // Quiet for a while, so that the first change goes at once.
    let begin = Instant::now();
    service.publish(2);
    assert_eq!(proxy.step().await.resources.len(), 1);
    assert!(begin.elapsed() < Duration::from_millis(10));

    let changes = async {
        for version in 3..=1000 {
            service.publish(version);
            sleep(Duration::from_millis(5)).await;
        }
    };
    let mut pushes = 0;
    let count = async {
        loop {
            proxy.step().await;
            pushes += 1;
        }
    };
    tokio::select! {
        () = changes => {}
        () = count => {}
    }
    let most = begin.elapsed().as_millis() / 100 + 1;
    assert!(
        pushes > 10 && pushes as u128 <= most,
        "{pushes} pushes, not more than {most}"
    );
    proxy.rest().await;
    assert_eq!(proxy.rule(), Some(Duration::from_secs(1000)));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_read_gets_only_the_newest_afterwards() {
    let service = Service::start();
    let (mut slow, mut quick) = (service.open("slow").await, service.open("quick").await);
    slow.rest().await;
    quick.rest().await;
    for version in 2..=600 {
        service.publish(version);
        assert_eq!(quick.step().await.resources.len(), 1);
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(quick.rule(), Some(Duration::from_secs(600)));
    let responses = slow.rest().await;
    assert_eq!(responses.len(), 1, "{responses:?}");
    assert_eq!(responses[0].resources.len(), 1);
    assert_eq!(slow.rule(), Some(Duration::from_secs(600)));
}

#[tokio::test(start_paused = true)]
async fn proxies_that_do_not_read_keep_others_out_for_seconds_only() {
    let service = Service::start();
    let mut stalled = vec![];
    for number in 0..throttle::INITIAL_SYNCS {
        let mut stream = service.open(&format!("stalled-{number}")).await;
        // The first response is read, the rest is not.
        assert!(stream.responses.next().await.is_some());
        stalled.push(stream);
    }
    let begin = Instant::now();
    let mut proxy = service.open("proxy").await;
    while proxy.rule().is_none() {
        timeout(Duration::from_secs(10), proxy.step())
            .await
            .unwrap();
    }
    assert!(
        begin.elapsed() < Duration::from_secs(6),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn five_hundred_proxies_at_once_take_turns_and_are_in_sync_within_half_a_minute() {
    const PROXIES: usize = 500;
    let service = Arc::new(Service::start());
    let (begun, done, most) = (
        Arc::<AtomicUsize>::default(),
        Arc::<AtomicUsize>::default(),
        Arc::<AtomicUsize>::default(),
    );
    let mut tasks = JoinSet::new();
    for number in 0..PROXIES {
        let (service, begun) = (Arc::clone(&service), Arc::clone(&begun));
        let (done, most) = (Arc::clone(&done), Arc::clone(&most));
        tasks.spawn(async move {
            let mut stream = service.open(&format!("proxy-{number}")).await;
            let mut first = true;
            loop {
                let response = stream.responses.next().await.unwrap().unwrap();
                if std::mem::take(&mut first) {
                    let now = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    let under_way = now - done.load(Ordering::SeqCst);
                    most.fetch_max(under_way, Ordering::SeqCst);
                }
                // The way there and back, and the work that it is.
                sleep(Duration::from_millis(50)).await;
                stream
                    .client
                    .receive(response.decoded().unwrap(), Duration::ZERO);
                if stream.rule().is_some() && stream.client.is_settled() {
                    done.fetch_add(1, Ordering::SeqCst);
                    stream.send();
                    stream.rest().await;
                    return stream;
                }
                stream.send();
            }
        });
    }
    let begin = Instant::now();
    let mut streams = vec![];
    while let Some(stream) = tasks.join_next().await {
        streams.push(stream.unwrap());
    }
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(service.acknowledged(1), PROXIES);
    let most = most.load(Ordering::SeqCst);
    assert!(most <= throttle::INITIAL_SYNCS + 1, "{most} at a time");
}
