//! Bytes that are no request of the discovery protocol.

use bytes::Bytes;
use http::Request;
use tokio::net::TcpStream;

use crate::mesh::Mesh;
use crate::yaml::PodSpec;

const PATH: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// The status that a stream with these bytes ends with.
async fn status(mesh: &Mesh, bytes: &'static [u8]) -> Option<String> {
    let socket = TcpStream::connect(mesh.xds()).await.unwrap();
    let (sender, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = Request::post(format!("http://{}{PATH}", mesh.xds()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (response, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(bytes), true).unwrap();
    let (head, mut body) = response.await.ok()?.into_parts();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
    }
    let trailers = body.trailers().await.ok()?.unwrap_or_default();
    let status = trailers
        .get("grpc-status")
        .or(head.headers.get("grpc-status"));
    Some(status?.to_str().unwrap().to_owned())
}

#[test]
fn garbage_ends_with_an_error() {
    let mesh = Mesh::start(&[PodSpec::CLIENT], "");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for bytes in [
        // No message: a field of a kind that there is not.
        &b"\0\0\0\0\x02\xff\xff"[..],
        // Said to be compressed.
        b"\x01\0\0\0\0",
        // Longer than anything may be.
        b"\0\xff\xff\xff\xff",
        // Broken off.
        b"\0\0\0\0\x09abc",
    ] {
        let status = runtime.block_on(status(&mesh, bytes));
        assert!(
            status.as_deref().is_some_and(|status| status != "0"),
            "{bytes:?}: {status:?}"
        );
    }
}
