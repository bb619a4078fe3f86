//! What is issued to whom, over gRPC as proxies ask.

use std::net::SocketAddr;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use mesh_core::snapshot::SnapshotOptions;
use mesh_xds::certificates::{CertificateClient, CertificateServer};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::super::tokens::tests::tokens;
use super::*;

/// An issuer on a port, and its root.
async fn issuer() -> (CertificateClient<Channel>, Arc<str>) {
    let authority = Arc::new(Authority::generated().unwrap());
    let root = authority.root_pem().clone();
    let mut published = Published::nothing(&SnapshotOptions::default());
    published.generation = 1;
    let (publisher, snapshots) = watch::channel(Arc::new(published));
    let (tokens, _) = tokens().await;
    let issuer = CertificateIssuer::new(authority, Arc::new(tokens), snapshots);
    let client = serve(issuer).await;
    // The snapshot has been published, whoever does it.
    drop(publisher);
    (client, root)
}

async fn serve(issuer: CertificateIssuer) -> CertificateClient<Channel> {
    let server = CertificateServer::new(Arc::new(issuer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(server);
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    CertificateClient::new(endpoint.connect().await.unwrap())
}

fn request(token: &str, csr: String, seconds: i64) -> Request<CertificateRequest> {
    let mut request = Request::new(CertificateRequest {
        csr,
        validity_duration: seconds,
    });
    let header = ["Bearer ", token].concat().parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    request
}

/// A request that wants to be an authority, and the control plane.
fn presumptuous(key: &KeyPair) -> String {
    let mut params = CertificateParams::new(["istiod.istio-system.svc".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[tokio::test]
async fn a_certificate_is_for_whom_the_token_belongs_to() {
    let (mut client, root) = issuer().await;
    let key = KeyPair::generate().unwrap();
    let asked = request("good", presumptuous(&key), 0);
    let chain = client.create(asked).await.unwrap().cert_chain;
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[1], *root);

    let leaf = CertificateDer::from_pem_slice(chain[0].as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(root.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .build()
        .unwrap();
    // By a clock that is a minute behind, now, shortly before its end, and after it.
    let now = UnixTime::now().as_secs();
    let verify = |at: u64| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        verifier.verify_client_cert(&leaf, &[], at).is_ok()
    };
    let day = LONGEST.as_secs();
    let valid = [now - 60, now, now + day - 60, now + day + 60].map(verify);
    assert_eq!(valid, [true, true, true, false]);

    // An authority would not have passed as a leaf.
    let leaf = webpki::EndEntityCert::try_from(&leaf).unwrap();
    let names: Vec<&str> = leaf.valid_uri_names().collect();
    assert_eq!(names, ["spiffe://cluster.local/ns/default/sa/reviews"]);
    assert_eq!(leaf.valid_dns_names().count(), 0);
}

#[tokio::test]
async fn who_is_not_known_gets_none() {
    let (mut client, _) = issuer().await;
    let csr = presumptuous(&KeyPair::generate().unwrap());
    for token in ["bad", "person", "other"] {
        let status = client
            .create(request(token, csr.clone(), 0))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token}");
    }
    let tokenless = Request::new(request("good", csr, 0).into_inner());
    let status = client.create(tokenless).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let (mut client, _) = issuer().await;
    for csr in [
        "".to_owned(),
        "x".repeat(1000),
        KeyPair::generate().unwrap().serialize_pem(),
    ] {
        let status = client.create(request("good", csr, 0)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    let large = request("good", "x".repeat(100_000), 0);
    let status = client.create(large).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
}

#[tokio::test]
async fn nothing_is_issued_in_plain_text() {
    let mut client = serve(CertificateIssuer::refusing()).await;
    let csr = presumptuous(&KeyPair::generate().unwrap());
    let status = client.create(request("good", csr, 0)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
}

#[test]
fn lives_are_bounded() {
    let lives = [-1, 0, 1, 3600, i64::MAX].map(|seconds| life(seconds).as_secs());
    assert_eq!(lives, [86_400, 86_400, 60, 3_600, 86_400]);
}
