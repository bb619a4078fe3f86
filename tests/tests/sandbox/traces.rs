//! Traces: one page of bookinfo leaves the spans of ingress, clients and servers in one trace, which a collector gets.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mesh_tests::eventually;
use serde_json::Value;

use crate::sandbox::{SETTLED, Sandbox};

/// Reviews with ratings.
const REVIEWS: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v3}}]}]}
";

/// A collector of Zipkin's JSON, and the spans that it gets.
fn collector() -> (SocketAddr, Receiver<Value>) {
    let (sender, spans) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || serve(stream, &sender));
        }
    });
    (address, spans)
}

/// Takes requests until the client has no more.
fn serve(stream: TcpStream, spans: &Sender<Value>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).ok()?;
        for span in serde_json::from_slice::<Vec<Value>>(&body).ok()? {
            spans.send(span).ok()?;
        }
    }
}

/// The collector as a service of the mesh, and what sends everything there.
fn objects(collector: SocketAddr) -> String {
    let (address, port) = (collector.ip(), collector.port());
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: zipkin, namespace: istio-system}}\n\
         spec: {{ports: [{{name: http, port: 9411}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: zipkin, namespace: istio-system, labels: {{kubernetes.io/service-name: zipkin}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: {port}}}]\nendpoints: [{{addresses: [{address}], conditions: {{ready: true}}}}]\n---\n\
         apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: mesh, namespace: istio-system}}\n\
         spec: {{tracing: [{{providers: [{{name: zipkin}}], randomSamplingPercentage: 100}}]}}\n"
    )
}

/// The spans of a request by their ids, once so many are there.
fn trace(spans: &Receiver<Value>, request_id: &str, wanted: usize) -> BTreeMap<String, Value> {
    let deadline = Instant::now() + SETTLED;
    let mut all: Vec<Value> = Vec::new();
    loop {
        let first = all
            .iter()
            .find(|span| span["tags"]["guid:x-request-id"] == request_id);
        let of = first.map(|span| span["traceId"].clone());
        let found: BTreeMap<String, Value> = all
            .iter()
            .filter(|span| Some(&span["traceId"]) == of.as_ref())
            .map(|span| (span["id"].as_str().expect("an id").to_owned(), span.clone()))
            .collect();
        if found.len() >= wanted {
            return found;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(span) = spans.recv_timeout(left) else {
            panic!("{} of {wanted} spans: {found:#?}", found.len());
        };
        all.push(span);
    }
}

#[test]
fn one_trace_leads_from_the_ingress_to_the_ratings() {
    let (address, spans) = collector();
    let provider = [
        "meshConfig.extensionProviders[0].name=zipkin",
        "meshConfig.extensionProviders[0].zipkin.service=zipkin.istio-system.svc.cluster.local",
        "meshConfig.extensionProviders[0].zipkin.port=9411",
    ];
    // The collector is a program of this machine, which pods in namespaces do not reach.
    let mut words = vec!["--sample", "bookinfo", "--backend", "loopback"];
    words.extend(provider.iter().flat_map(|setting| ["--set", setting]));
    let sandbox = Sandbox::up("traces", &words);
    sandbox.apply("samples/bookinfo/networking/virtual-service-all-v1.yaml");
    sandbox.apply_text(REVIEWS);
    sandbox.apply_text(&objects(address));
    // Red stars show that ratings were asked.
    eventually("everything is traced", SETTLED, || {
        let page = sandbox.page("/productpage", &[]);
        let told = spans.recv_timeout(Duration::from_secs(2)).is_ok();
        (page.contains("color=\"red\"") && told).then_some(())
    });
    let id = "f0000000-0000-4000-8000-00000000beef";
    let traced = "f0000000-0000-9000-8000-00000000beef";
    let page = sandbox.page("/productpage", &[("x-request-id", id)]);
    assert!(page.contains("color=\"red\""), "{page}");
    // The ingress, and both sides of the calls to product page (its own side only), details, reviews and ratings.
    let found = trace(&spans, traced, 8);
    let of = |span: &Value| {
        let service = span["localEndpoint"]["serviceName"]
            .as_str()
            .unwrap_or_default();
        let name = span["name"].as_str().unwrap_or_default();
        let name = name.split('.').next().unwrap_or_default();
        let kind = span["kind"].as_str().unwrap_or_default();
        format!("{service} {kind} {name}")
    };
    // Each span with the one that caused it, from the last to the first.
    let mut paths: Vec<Vec<String>> = Vec::new();
    for span in found.values() {
        let (mut path, mut next) = (vec![of(span)], span["parentId"].as_str());
        while let Some(parent) = next.and_then(|id| found.get(id)) {
            path.push(of(parent));
            next = parent["parentId"].as_str();
        }
        assert_eq!(next, None, "the cause of {path:?} is not there: {found:#?}");
        paths.push(path);
    }
    let longest = paths.iter().max_by_key(|path| path.len()).expect("a span");
    assert_eq!(
        longest,
        &[
            "ratings.default SERVER ratings",
            "reviews.default CLIENT ratings",
            "reviews.default SERVER reviews",
            "productpage.default CLIENT reviews",
            "productpage.default SERVER productpage",
            "istio-ingressgateway.istio-system CLIENT productpage",
        ]
    );
    for span in found.values() {
        assert_eq!(span["tags"]["guid:x-request-id"], traced, "{span:#}");
        assert_eq!(span["tags"]["http.status_code"], "200", "{span:#}");
        assert_eq!(span["tags"]["istio.mesh_id"], "cluster.local", "{span:#}");
    }
}
