//! A follower and a control plane over TLS on loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use futures::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use mesh_ir::ProxyTables;
use mesh_ir::{Cluster, ClusterKind, HostView, ProxyKind};
use mesh_xds::discovery::DiscoveryRequest;
use mesh_xds::resource::{Encoder, Entry, ResourceSet, ResourceSnapshot};
use mesh_xds::server::DeltaStream;
use mesh_xds::service::{AdsServer, AdsService, Requests, ResponseStream};
use mesh_xds::{DiscoveryResponse, EncodedDeltaResponse, NodeInfo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;

use super::*;
use crate::bootstrap::{Discovery, Network};

/// Answers each request from one snapshot, and ends the stream after `responses` answers.
struct ControlPlane {
    snapshot: ResourceSnapshot,
    responses: usize,
    tokens: Mutex<Vec<String>>,
    refusals: Mutex<Vec<String>>,
}

/// The service's own handle.
struct Serving(Arc<ControlPlane>);

impl AdsService for Serving {
    async fn delta(
        &self,
        request: Request<Requests<DeltaDiscoveryRequest>>,
    ) -> Result<ResponseStream<EncodedDeltaResponse>, Status> {
        let token = request.metadata().get("authorization");
        let token = token.and_then(|token| token.to_str().ok());
        let token = token.ok_or_else(|| Status::unauthenticated("there is no token"))?;
        self.0.tokens.lock().unwrap().push(token.to_owned());
        let mut server = DeltaStream::new("istiod-test");
        server.update(self.0.snapshot.clone());
        let this = self.0.clone();
        let responses = request
            .into_inner()
            .flat_map(move |request| {
                let mut responses = vec![];
                let now = SystemTime::now();
                if let Ok(request) = request {
                    let refusal = request.error_detail.as_ref();
                    let refusal = refusal.map(|status| status.message.clone());
                    this.refusals.lock().unwrap().extend(refusal);
                    server.on_request(request, now).unwrap();
                    while let Some(response) = server.poll(now) {
                        responses.push(Ok(response));
                    }
                }
                futures::stream::iter(responses)
            })
            .take(self.0.responses);
        Ok(Box::pin(responses))
    }

    async fn state_of_the_world(
        &self,
        _: Request<Requests<DiscoveryRequest>>,
    ) -> Result<ResponseStream<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("only delta is served here"))
    }
}

impl ControlPlane {
    fn new(snapshot: ResourceSnapshot, responses: usize) -> Arc<Self> {
        Arc::new(Self {
            snapshot,
            responses,
            tokens: Mutex::default(),
            refusals: Mutex::default(),
        })
    }

    /// Serves over TLS on a free port, with a certificate of `istiod.test`.
    async fn serve(self: &Arc<Self>, authority: &Issuer<'static, KeyPair>) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["istiod.test".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = AdsServer::new(Arc::new(Serving(self.clone())));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, service) = (acceptor.clone(), service.clone());
                tokio::spawn(async move {
                    // A client that does not trust us ends the handshake.
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
                        .await;
                });
            }
        });
        address
    }
}

/// A certificate authority and its certificate, PEM.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

fn cluster() -> Cluster {
    Cluster::new("BlackHoleCluster", ClusterKind::OriginalDestination)
}

/// A configuration of one good cluster and one that nobody can read.
fn snapshot() -> ResourceSnapshot {
    let config = ProxyConfig {
        clusters: vec![Arc::new(cluster())].into(),
        ..ProxyConfig::default()
    };
    let good = Encoder::default().encode(&ProxyTables::from(&config));
    let bad = Entry::new("bad", 7, &vec![0xff, 0xff].into());
    let clusters = good.get(ResourceType::Cluster).iter();
    let clusters: ResourceSet = clusters
        .map(|(name, entry)| (name.clone(), (**entry).clone()))
        .chain([("bad".into(), bad)])
        .collect();
    good.with(ResourceType::Cluster, Arc::new(clusters))
}

struct Followed {
    configs: watch::Receiver<Arc<ProxyConfig>>,
    known: Arc<SharedKnown>,
    directory: tempfile::TempDir,
}

/// Follows a control plane as a pod with these roots would.
fn follow(address: SocketAddr, roots: &str) -> Followed {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let connector = Connector::new(
        Discovery::Tls {
            host: "istiod.test".to_owned(),
            port: address.port(),
            roots: file("root-cert.pem", roots),
            token: file("istio-token", "first\n"),
        },
        Network {
            view: Arc::new(HostView {
                hosts: Some(file("hosts", "127.0.0.1 istiod.test\n")),
                ..HostView::default()
            }),
            admin: address,
            agent: address,
            health: address,
            metrics: address,
            app: address.ip(),
        },
    );
    let (sender, configs) = watch::channel(Arc::default());
    let known = Arc::<SharedKnown>::default();
    let node = NodeInfo::new(ProxyKind::Sidecar, None, "pod", "default").to_node();
    let follower = Follower::new(connector, Client::new(node), sender, known.clone());
    tokio::spawn(follower.run());
    Followed {
        configs,
        known,
        directory,
    }
}

/// Waits for a condition that other tasks bring about.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(outcome.is_ok(), "{what}: not in time");
}

#[tokio::test]
async fn good_resources_are_in_force_and_bad_ones_are_told() {
    let (authority, roots) = authority();
    let control_plane = ControlPlane::new(snapshot(), usize::MAX);
    let address = control_plane.serve(&authority).await;
    let mut followed = follow(address, &roots);
    followed.configs.changed().await.unwrap();
    let config = followed.configs.borrow_and_update().clone();
    assert_eq!(config.clusters, [Arc::new(cluster())].into());
    eventually("the refusal arrives", || {
        !control_plane.refusals.lock().unwrap().is_empty()
    })
    .await;
    let refusal = control_plane.refusals.lock().unwrap()[0].clone();
    assert!(refusal.starts_with("\"bad\": "), "{refusal}");
    let known = followed.known.copy();
    assert!(known.connected.is_some());
    assert_eq!(known.control_plane.as_deref(), Some("istiod-test"));
    assert!(
        known
            .meta(ResourceType::Cluster, "BlackHoleCluster")
            .is_some()
    );
    let refused: Vec<&str> = known
        .refused(ResourceType::Cluster)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(refused, ["bad"]);
    assert_eq!(*control_plane.tokens.lock().unwrap(), ["Bearer first"]);
}

#[tokio::test]
async fn the_token_is_read_anew_for_each_stream_and_the_configuration_stays() {
    let (authority, roots) = authority();
    // Two answers settle an empty mesh; then the stream ends.
    let control_plane = ControlPlane::new(ResourceSnapshot::default(), 3);
    let address = control_plane.serve(&authority).await;
    let followed = follow(address, &roots);
    let token = followed.directory.path().join("istio-token");
    let tokens = || control_plane.tokens.lock().unwrap().clone();
    eventually("the first stream", || !tokens().is_empty()).await;
    std::fs::write(token, "second").unwrap();
    eventually("a stream with the second token", || {
        tokens()
            .last()
            .is_some_and(|token| token == "Bearer second")
    })
    .await;
}

/// Why a connection cannot be opened.
async fn refusal(discovery: Discovery, network: Network) -> String {
    let connector = Connector::new(discovery, network);
    connector.connect().await.map(drop).unwrap_err().to_string()
}

#[tokio::test]
async fn only_the_right_control_plane_is_trusted() {
    let (authority, _) = authority();
    let (_, others) = self::authority();
    let control_plane = ControlPlane::new(ResourceSnapshot::default(), usize::MAX);
    let address = control_plane.serve(&authority).await;
    let followed = follow(address, &others);
    let path = |name: &str| followed.directory.path().join(name);
    let discovery = |roots: &Path, token: &Path| Discovery::Tls {
        host: "istiod.test".to_owned(),
        port: address.port(),
        roots: roots.to_owned(),
        token: token.to_owned(),
    };
    let network = Network {
        view: Arc::new(HostView {
            hosts: Some(path("hosts")),
            ..HostView::default()
        }),
        admin: address,
        agent: address,
        health: address,
        metrics: address,
        app: address.ip(),
    };
    let (roots, token, none) = (path("root-cert.pem"), path("istio-token"), path("none"));
    for (discovery, part) in [
        (discovery(&roots, &token), "invalid peer certificate"),
        (
            discovery(&none, &token),
            "the certificates to trust cannot be read from",
        ),
        (discovery(&token, &token), "there are none"),
        (
            discovery(&roots, &none),
            "the service account's token cannot be read from",
        ),
    ] {
        let error = refusal(discovery, network.clone()).await;
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(control_plane.tokens.lock().unwrap().is_empty());
}
