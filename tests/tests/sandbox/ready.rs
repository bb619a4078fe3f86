//! What `up` calls ready can be used: the very first request is answered well, by applications and rules of the user's own.

use crate::sandbox::Sandbox;

/// As a tutorial has it: an application behind a Gateway.
const HELLO: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello}
spec:
  replicas: 2
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello, version: v1}}
    spec:
      containers:
        - name: hello
          image: docker.io/istio/examples-helloworld-v1
          ports: [{containerPort: 5000}]
---
apiVersion: v1
kind: Service
metadata: {name: hello}
spec:
  selector: {app: hello}
  ports: [{name: http, port: 5000}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hello}
spec:
  hosts: ['*']
  gateways: [front]
  http: [{match: [{uri: {exact: /hello}}], route: [{destination: {host: hello, port: {number: 5000}}}]}]
";

/// The control plane gathers changes for a second here, so that an `up` that did not wait for the proxies would be found out.
#[test]
fn the_first_request_after_up_is_answered() {
    let own = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(own.path(), HELLO).unwrap();
    let own = own.path().display().to_string();
    let words = [
        "-f",
        &own,
        "--set",
        "values.pilot.env.PILOT_DEBOUNCE_AFTER=1s",
        "--set",
        "values.pilot.env.PILOT_DEBOUNCE_MAX=1s",
    ];
    for round in 0..3 {
        let sandbox = Sandbox::up("first", &words);
        let page = sandbox.page("/hello", &[]);
        assert!(page.contains("Hello version: v1"), "round {round}: {page}");
    }
}
