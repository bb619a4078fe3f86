//! The agent beside an Envoy: it serves the workload's certificate and whom it trusts (SDS), as Istio's does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use mesh_ir::names::{ROOT_CERTIFICATES, WORKLOAD_CERTIFICATE};
use mesh_ir::{Secret, SecretKind, SecretText};
use mesh_xds::discovery::{DiscoveryRequest, DiscoveryResponse};
use mesh_xds::{ResourceType, XdsResource as _};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};

/// Encoded secrets by name.
type Secrets = BTreeMap<&'static str, Bytes>;

/// Serves what lies in a directory, as `Authority::mount` puts it there. Ends with the test's process.
pub fn serve(root: &Path) -> SocketAddr {
    let secrets = Arc::new(read(&root.join("etc/certs")));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(connection(socket, secrets.clone()));
            }
        });
    });
    address
}

fn read(directory: &Path) -> Secrets {
    let text = |name: &str| -> Arc<str> {
        let text = std::fs::read_to_string(directory.join(name));
        text.unwrap().into()
    };
    let encoded = |name: &str, kind| {
        let name = name.into();
        Secret { name, kind }.encode()
    };
    let certificate = SecretKind::Certificate {
        chain: text("cert-chain.pem"),
        key: SecretText(text("key.pem")),
    };
    let roots = SecretKind::Trust {
        roots: text("root-cert.pem"),
    };
    BTreeMap::from([
        (
            WORKLOAD_CERTIFICATE,
            encoded(WORKLOAD_CERTIFICATE, certificate),
        ),
        (ROOT_CERTIFICATES, encoded(ROOT_CERTIFICATES, roots)),
    ])
}

async fn connection(socket: TcpStream, secrets: Arc<Secrets>) {
    let mut connection = h2::server::handshake(socket).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(stream(request.into_body(), respond, secrets.clone()));
    }
}

/// A stream: each subscription is answered once, and what answers that is only taken in.
async fn stream(
    mut body: h2::RecvStream,
    mut respond: h2::server::SendResponse<Bytes>,
    secrets: Arc<Secrets>,
) {
    let head = http::Response::builder().header("content-type", "application/grpc");
    let head = head.body(()).unwrap();
    let Ok(mut sending) = respond.send_response(head, false) else {
        return;
    };
    let mut received = BytesMut::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        received.extend_from_slice(&data);
        while let Some(message) = message(&mut received) {
            let request = DiscoveryRequest::decode(message).unwrap();
            if !request.response_nonce.is_empty() {
                assert_eq!(request.error_detail, None, "Envoy refuses a secret");
                continue;
            }
            let names = request.resource_names.iter();
            let response = DiscoveryResponse {
                version_info: "1".to_owned(),
                resources: names
                    .filter_map(|name| secrets.get(name.as_str()).cloned())
                    .collect(),
                type_url: ResourceType::Secret.type_url().to_owned(),
                nonce: "1".to_owned(),
                ..DiscoveryResponse::default()
            };
            if sending
                .send_data(framed(&response.encode_to_vec()), false)
                .is_err()
            {
                return;
            }
        }
    }
}

/// The next message of a gRPC stream, if all of it is there.
fn message(received: &mut BytesMut) -> Option<Bytes> {
    let length = received.get(1..5)?;
    let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
    (received.len() >= 5 + length).then(|| received.split_to(5 + length).freeze().slice(5..))
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().unwrap());
    frame.put_slice(message);
    frame.freeze()
}
