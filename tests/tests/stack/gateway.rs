//! An ingress gateway: traffic from outside, by host and path.

use mesh_tests::eventually;
use serde_json::Value;

use crate::http::{Answer, Connection};
use crate::mesh::{LIMIT, Mesh};
use crate::yaml::PodSpec;

const PODS: [PodSpec; 2] = [
    PodSpec::GATEWAY,
    PodSpec::serving("echo", "echo", "v1", "echo", 8080),
];

const CONFIG: &str = r#"
apiVersion: v1
kind: Service
metadata:
  name: istio-ingressgateway
  namespace: default
spec:
  clusterIP: 10.96.0.200
  selector:
    app: istio-ingressgateway
  ports:
    - name: http2
      port: 80
      targetPort: 8080
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: front
  namespace: default
spec:
  selector:
    app: istio-ingressgateway
  servers:
    - port:
        number: 80
        name: http
        protocol: HTTP
      hosts: ["*.example.com"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: front
  namespace: default
spec:
  hosts: [shop.example.com]
  gateways: [front]
  http:
    - match:
        - uri:
            prefix: /old
      redirect:
        uri: /new
    - match:
        - uri:
            prefix: /api
      rewrite:
        uri: /
      route:
        - destination:
            host: echo
          headers:
            request:
              set:
                x-from: the gateway
"#;

/// A request from outside.
fn get(mesh: &mut Mesh, host: &str, path: &str) -> Answer {
    let mut connection = Connection::open(mesh.pod("gateway").at(8080)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    connection.send(request.as_bytes()).unwrap();
    connection.receive().unwrap()
}

#[test]
fn hosts_and_paths_decide() {
    let mut mesh = Mesh::start(&PODS, CONFIG);
    let gateway = mesh.pod("gateway").at(8080);
    eventually("the gateway listens", LIMIT, || {
        Connection::open(gateway).ok().map(drop)
    });
    let answer = get(&mut mesh, "shop.example.com", "/api/headers?a=b");
    assert_eq!(answer.status, 200, "{answer:?}");
    let echoed: Value = serde_json::from_str(&answer.body).unwrap();
    let headers = serde_json::to_string(&echoed).unwrap().to_ascii_lowercase();
    assert!(headers.contains("\"the gateway\""), "{headers}");
    assert!(headers.contains("x-forwarded-for"), "{headers}");
    let moved = get(&mut mesh, "shop.example.com", "/old/things");
    assert_eq!(
        (moved.status, moved.header("location")),
        (301, Some("http://shop.example.com/new"))
    );
    assert_eq!(get(&mut mesh, "shop.example.com", "/other").status, 404);
    assert_eq!(get(&mut mesh, "other.example.com", "/api").status, 404);
    assert_eq!(get(&mut mesh, "shop.example.org", "/api").status, 404);
    let page = mesh.pod("gateway").admin("/stats/prometheus").body;
    let line = page.lines().find(|line| {
        line.contains("istio_requests_total{") && line.contains("destination_service_name=\"echo\"")
    });
    let line = line.unwrap_or_else(|| panic!("{page}"));
    assert!(
        line.contains("source_app=\"istio-ingressgateway\""),
        "{line}"
    );
}

/// A Gateway of the Gateway API that the gateway's pods apply by their Service, with a route, and an Ingress beside it.
const OTHER_APIS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: default}
spec:
  clusterIP: 10.96.0.200
  selector: {app: istio-ingressgateway}
  ports: [{name: http2, port: 80, targetPort: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  gatewayClassName: istio
  addresses: [{type: Hostname, value: istio-ingressgateway.default.svc.cluster.local}]
  listeners: [{name: http, port: 80, protocol: HTTP, hostname: '*.example.com'}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: default}
spec:
  parentRefs: [{name: front}]
  hostnames: [shop.example.com]
  rules:
    - matches: [{path: {value: /api}}]
      filters:
        - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
        - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-from, value: the route}]}}
      backendRefs: [{name: echo, port: 8080}]
    - matches: [{path: {value: /nobody}}]
      backendRefs: [{name: echo, namespace: elsewhere, port: 8080}]
"#;

#[test]
fn routes_of_the_gateway_api_are_obeyed() {
    let mut mesh = Mesh::start(&PODS, OTHER_APIS);
    let gateway = mesh.pod("gateway").at(8080);
    eventually("the gateway listens", LIMIT, || {
        Connection::open(gateway).ok().map(drop)
    });
    let answer = get(&mut mesh, "shop.example.com", "/api/anything/x");
    assert_eq!(answer.status, 200, "{answer:?}");
    let echoed: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(echoed["path"], "/anything/x", "{echoed}");
    assert!(answer.body.contains("the route"), "{echoed}");
    // A prefix ends at a segment; what no grant allows is answered by the gateway.
    assert_eq!(get(&mut mesh, "shop.example.com", "/apis").status, 404);
    assert_eq!(get(&mut mesh, "shop.example.com", "/nobody").status, 500);
    assert_eq!(get(&mut mesh, "shop.example.org", "/api").status, 404);
}
