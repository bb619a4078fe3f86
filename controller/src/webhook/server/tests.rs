//! Reviews over TLS, as an API server sends them.

use std::sync::Arc;
use std::time::SystemTime;

use http_body_util::BodyExt as _;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

use super::*;
use crate::identity::Authority;

const HOST: &str = "istiod.istio-system.svc";

struct ApiServer {
    address: SocketAddr,
    roots: rustls::RootCertStore,
    _tasks: JoinSet<()>,
}

// === impl ApiServer ===

impl ApiServer {
    async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authority = Authority::generated().unwrap();
        let issued = authority
            .issue_serving(&[HOST.to_owned()], SystemTime::now())
            .unwrap();
        let serving = ServingCertificate::new(issued);
        let any = (std::net::Ipv4Addr::LOCALHOST, 0).into();
        let mut tasks = JoinSet::new();
        let settings = Settings::default();
        settings.store(Some(Arc::default()));
        let address = Webhooks::new(settings)
            .serve(any, &serving, &mut tasks)
            .await
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.root_pem().as_bytes()).unwrap();
        roots.add(root).unwrap();
        Self {
            address,
            roots,
            _tasks: tasks,
        }
    }

    /// Status and body of the answer.
    async fn post(&self, protocol: &[u8], path: &str, body: String) -> (u16, String) {
        let mut config = rustls::ClientConfig::builder()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        let request = Request::post(format!("https://{HOST}{path}"))
            .header("host", HOST)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let io = TokioIo::new(stream);
        let response = if protocol == b"h2" {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                    .await
                    .unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn review(&self, protocol: &[u8], path: &str, object: Value) -> Value {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": "u", "namespace": "default", "operation": "CREATE", "object": object}});
        let (status, body) = self.post(protocol, path, review.to_string()).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["response"].clone()
    }
}

#[tokio::test]
async fn objects_are_validated_and_pods_injected_over_both_protocols() {
    let server = ApiServer::start().await;
    for protocol in [b"h2".as_slice(), b"http/1.1"] {
        let bad = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "v", "namespace": "default"}, "spec": {"hosts": [], "http": [{}]}});
        let response = server.review(protocol, "/validate", bad).await;
        assert_eq!(
            (&response["uid"], &response["allowed"]),
            (&json!("u"), &json!(false))
        );
        assert!(
            response["status"]["message"]
                .as_str()
                .unwrap()
                .contains("spec.http[0]"),
            "{response}"
        );
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "app", "image": "x"}]}});
        let response = server.review(protocol, "/inject", pod).await;
        assert_eq!(
            (&response["allowed"], &response["patchType"]),
            (&json!(true), &json!("JSONPatch"))
        );
    }
}

#[tokio::test]
async fn what_is_no_review_is_refused_in_words() {
    let server = ApiServer::start().await;
    let (status, body) = server.post(b"h2", "/validate", "{}".to_owned()).await;
    assert_eq!(status, 400, "{body}");
    let (status, body) = server.post(b"http/1.1", "/other", String::new()).await;
    assert_eq!((status, body.contains("/validate")), (404, true));
    let (status, _) = server
        .post(b"h2", "/inject", "x".repeat(MOST_BYTES + 1))
        .await;
    assert_eq!(status, 413);
}
