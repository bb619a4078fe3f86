//! What a cluster would know of the pods of a test.

use std::net::Ipv4Addr;

/// A pod as a test describes it.
#[derive(Clone, Copy, Debug)]
pub struct PodSpec {
    /// Name of the pod.
    pub name: &'static str,
    /// Label `app`, and name of its service.
    pub app: &'static str,
    /// Label `version`.
    pub version: &'static str,
    /// Sample program with its arguments, and its port; none for a client or a gateway.
    pub program: Option<(&'static str, u16)>,
    /// Name of the port, which tells its protocol.
    pub port_name: &'static str,
    /// Whether the proxy is a gateway.
    pub is_gateway: bool,
    /// How many files its proxy may open: the limit, and how far it may raise that; none is the test's own.
    pub open_files: Option<(u32, u32)>,
    /// Its service account, in whose name its proxy has a certificate; none has no identity.
    pub account: Option<&'static str>,
}

impl PodSpec {
    /// The program of a pod in whose place the test itself listens.
    pub const TEST: &'static str = "";

    /// A pod from which requests come.
    pub const CLIENT: Self = Self {
        name: "client",
        app: "client",
        version: "v1",
        program: None,
        port_name: "http",
        is_gateway: false,
        open_files: None,
        account: None,
    };

    /// An ingress gateway.
    pub const GATEWAY: Self = Self {
        name: "gateway",
        app: "istio-ingressgateway",
        is_gateway: true,
        ..Self::CLIENT
    };

    /// A pod with a sample program.
    pub const fn serving(
        name: &'static str,
        app: &'static str,
        version: &'static str,
        program: &'static str,
        port: u16,
    ) -> Self {
        Self {
            name,
            app,
            version,
            program: Some((program, port)),
            port_name: "http",
            is_gateway: false,
            open_files: None,
            account: None,
        }
    }
}

/// Pods with their services and endpoints, and settings of the mesh, indented by four.
pub fn objects(pods: &[(PodSpec, Ipv4Addr)], settings: &str) -> String {
    let mut text = String::from(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: default\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata:\n  name: istio-system\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\ndata:\n  \
         mesh: |\n    accessLogFile: /dev/stdout\n",
    );
    text.push_str(settings);
    for (index, (spec, address)) in pods.iter().enumerate() {
        text.push_str(&pod(spec, *address));
        let first = pods.iter().position(|(other, _)| other.app == spec.app);
        if let (Some((_, port)), true) = (spec.program, first == Some(index)) {
            let endpoints: Vec<&(PodSpec, Ipv4Addr)> = pods
                .iter()
                .filter(|(other, _)| other.app == spec.app)
                .collect();
            text.push_str(&service(spec, port, index));
            text.push_str(&slice(spec, port, &endpoints));
        }
    }
    text
}

fn pod(spec: &PodSpec, address: Ipv4Addr) -> String {
    let PodSpec {
        name, app, version, ..
    } = spec;
    let mode = match spec.account {
        Some(_) => "    security.istio.io/tlsMode: istio\n",
        None => "",
    };
    let account = spec.account.unwrap_or("default");
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: default\n  labels:\n    app: {app}\n    \
         version: {version}\n{mode}spec:\n  serviceAccountName: {account}\n  containers:\n    - name: app\n      image: x\n    - name: istio-proxy\n      image: x\n\
         status:\n  phase: Running\n  podIP: {address}\n  podIPs:\n    - ip: {address}\n  conditions:\n    - type: Ready\n      \
         status: \"True\"\n"
    )
}

fn service(spec: &PodSpec, port: u16, index: usize) -> String {
    let PodSpec { app, port_name, .. } = spec;
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {app}\n  namespace: default\nspec:\n  \
         clusterIP: 10.96.0.{}\n  selector:\n    app: {app}\n  ports:\n    - name: {port_name}\n      port: {port}\n      \
         targetPort: {port}\n",
        index + 10
    )
}

fn slice(spec: &PodSpec, port: u16, endpoints: &[&(PodSpec, Ipv4Addr)]) -> String {
    let PodSpec { app, port_name, .. } = spec;
    let mut text = format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {app}-1\n  namespace: default\n  \
         labels:\n    kubernetes.io/service-name: {app}\naddressType: IPv4\nports:\n  - name: {port_name}\n    port: {port}\n    \
         protocol: TCP\nendpoints:\n"
    );
    for (spec, address) in endpoints {
        text.push_str(&format!(
            "  - addresses: [{address}]\n    conditions:\n      ready: true\n    targetRef:\n      kind: Pod\n      \
             name: {}\n      namespace: default\n",
            spec.name
        ));
    }
    text
}

/// Subsets of a service by version, and a route to them by weight.
pub fn route(app: &str, weights: &[(&str, u32)]) -> String {
    let mut text = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: {app}\n  namespace: default\n\
         spec:\n  host: {app}\n  subsets:\n"
    );
    for (version, _) in weights {
        text.push_str(&format!(
            "    - name: {version}\n      labels:\n        version: {version}\n"
        ));
    }
    text.push_str(&format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: {app}\n  namespace: default\n\
         spec:\n  hosts: [{app}]\n  http:\n    - route:\n"
    ));
    for (version, weight) in weights {
        text.push_str(&format!(
            "        - destination:\n            host: {app}\n            subset: {version}\n          weight: {weight}\n"
        ));
    }
    text
}
