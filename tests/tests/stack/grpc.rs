//! Calls of gRPC from one program to another, through both of their proxies.
//!
//! ```text
//! test --CONNECT, HTTP/2--> proxy of the client --HTTP/2--> proxy of the server --HTTP/2--> test's own server
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::mesh::Mesh;
use crate::telemetry::check;
use crate::yaml::PodSpec;

/// A client, and a server whose program is the test itself.
const CALLS: [PodSpec; 2] = [
    PodSpec::CLIENT,
    PodSpec {
        port_name: "grpc",
        ..PodSpec::serving("greeter", "greeter", "v1", PodSpec::TEST, 9090)
    },
];

/// Long messages, which no window holds at once.
const LONG: usize = 2 << 20;

/// The second try of a call that is not available at first.
const RETRIES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: greeter, namespace: default}
spec:
  hosts: [greeter]
  http:
  - match: [{uri: {exact: /greeter.Greeter/Missing}}]
    route: [{destination: {host: nowhere.default.svc.cluster.local}}]
  - route: [{destination: {host: greeter}}]
    retries: {attempts: 2, retryOn: 'unavailable,cancelled'}
";

async fn program(address: Ipv4Addr) {
    let listener = TcpListener::bind((address, 9090)).await.unwrap();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(socket).await else {
                return;
            };
            let mut flaky = 0;
            while let Some(Ok((request, response))) = connection.accept().await {
                let path = request.uri().path().to_owned();
                flaky += usize::from(path.ends_with("/Flaky"));
                tokio::spawn(answer(request, response, flaky == 1));
            }
        });
    }
}

async fn answer(request: Request<RecvStream>, response: SendResponse<Bytes>, first: bool) {
    let mut response = response;
    let (parts, mut body) = request.into_parts();
    assert_eq!(parts.headers["te"], "trailers");
    let head = Response::builder().header("content-type", "application/grpc");
    match parts.uri.path() {
        "/greeter.Greeter/Flaky" if first => {
            let head = head.header("grpc-status", "14").body(()).unwrap();
            let _ = response.send_response(head, true);
        }
        "/greeter.Greeter/Sleep" => {
            // Until it is cancelled.
            let _ = std::future::poll_fn(|cx| response.poll_reset(cx)).await;
        }
        _ => {
            let mut stream = response
                .send_response(head.body(()).unwrap(), false)
                .unwrap();
            // Each piece goes back as it comes.
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                send(&mut stream, data).await;
            }
            let mut trailers = body.trailers().await.unwrap().unwrap_or_default();
            trailers.insert("grpc-status", HeaderValue::from_static("7"));
            let _ = stream.send_trailers(trailers);
        }
    }
}

async fn send(stream: &mut h2::SendStream<Bytes>, data: Bytes) {
    let mut left = data;
    while !left.is_empty() {
        stream.reserve_capacity(left.len());
        let Some(Ok(_)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return;
        };
        let piece = left.split_to(stream.capacity().min(left.len()));
        let _ = stream.send_data(piece, false);
    }
}

/// A connection to a service, as a program with a proxy in its environment opens it.
async fn connect(proxy: SocketAddr, service: &str) -> SendRequest<Bytes> {
    let mut socket = TcpStream::connect(proxy).await.unwrap();
    let ask = format!("CONNECT {service} HTTP/1.1\r\nhost: {service}\r\n\r\n");
    socket.write_all(ask.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        said.push(socket.read_u8().await.unwrap());
    }
    assert!(said.starts_with(b"HTTP/1.1 200 "));
    let (sender, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn call(method: &str) -> http::request::Builder {
    Request::builder()
        .method("POST")
        .uri(format!("http://greeter:9090/greeter.Greeter/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

struct Answer {
    head: HeaderMap,
    length: usize,
    trailers: HeaderMap,
}

async fn ask(sender: &SendRequest<Bytes>, call: http::request::Builder, length: usize) -> Answer {
    let mut sender = sender.clone().ready().await.unwrap();
    let (response, mut stream) = sender.send_request(call.body(()).unwrap(), false).unwrap();
    let sending = async {
        send(&mut stream, vec![1; length].into()).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("9"));
        let _ = stream.send_trailers(trailers);
    };
    let receiving = async {
        let (head, mut body) = response.await.unwrap().into_parts();
        assert_eq!(head.status, 200);
        let mut length = 0;
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            length += data.len();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        Answer {
            head: head.headers,
            length,
            trailers: body.trailers().await.unwrap().unwrap_or_default(),
        }
    };
    tokio::join!(sending, receiving).1
}

#[test]
fn calls_pass_through_two_proxies_with_their_status() {
    let mut mesh = Mesh::start(&CALLS, RETRIES);
    let program_at = mesh.pod("greeter").app_address;
    let proxy = mesh.pod("client").at(15001);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.spawn(program(program_at));
    let calls = async {
        let sender = connect(proxy, "greeter:9090").await;
        for length in [5, LONG, 0] {
            let answer = ask(&sender, call("Hello"), length).await;
            assert_eq!(answer.length, length);
            assert_eq!(answer.trailers["grpc-status"], "7");
            assert_eq!(answer.trailers["x-sum"], "9");
        }
        // Many beside each other.
        let many = (0..40).map(|_| ask(&sender, call("Hello"), 20_000));
        for answer in futures::future::join_all(many).await {
            assert_eq!(answer.length, 20_000);
        }
        // The first answer says that it is not available, in its head.
        assert_eq!(
            ask(&sender, call("Flaky"), 3).await.trailers["grpc-status"],
            "7"
        );
        // What is not there is not there in the words of gRPC, and so is what takes too long.
        let missing = ask(&sender, call("Missing"), 3).await.head;
        assert_eq!(missing["grpc-status"], "14");
        let slow = call("Sleep").header("grpc-timeout", "200m");
        assert_eq!(ask(&sender, slow, 3).await.head["grpc-status"], "14");
        // Who gives up is gone.
        let mut ready = sender.clone().ready().await.unwrap();
        let (response, mut stream) = ready
            .send_request(call("Sleep").body(()).unwrap(), false)
            .unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        stream.send_reset(Reason::CANCEL);
        assert!(response.await.is_err());
    };
    let limited = async { tokio::time::timeout(Duration::from_secs(60), calls).await };
    runtime.block_on(limited).expect("took too long");
    for (pod, reporter) in [("client", "source"), ("greeter", "destination")] {
        let answered = [
            "istio_requests_total{",
            &format!("reporter=\"{reporter}\""),
            "request_protocol=\"grpc\"",
            "grpc_response_status=\"7\"",
            "destination_service_name=\"greeter\"",
        ];
        check(mesh.pod(pod), &answered, 44);
    }
    // The server's proxy may have answered the call with a limit by itself, since it sees the limit too.
    let cancelled = ["istio_requests_total{", "response_flags=\"DC\""];
    check(mesh.pod("client"), &cancelled, 1);
    let log = mesh.pod("client").proxy.stdout();
    assert!(
        log.contains("\"POST /greeter.Greeter/Hello HTTP/2\" 200 - via_upstream"),
        "{log}"
    );
}
