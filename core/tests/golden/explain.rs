//! Explanations: what is told of requests through bookinfo's route tables, with every route that is tried and why it does not match.
//! The same of what routes say beside where requests go. `explain/*.txt` is what is expected.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh_core::resource::decode;
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::parse;
use mesh_core::translate::translate;
use mesh_ir::evaluate::{
    Action, ConnectionFacts, Explanation, HttpPolicy, Request, Server, Tokens, evaluate,
};
use mesh_ir::matching::{PlainRequest, RouteTable};
use mesh_ir::{ProxyConfig, ProxyKind, ProxyScope};

const FILES: [&str; 4] = [
    "platform/kube/bookinfo.yaml",
    "networking/destination-rule-all.yaml",
    "networking/bookinfo-gateway.yaml",
    "networking/virtual-service-reviews-test-v2.yaml",
];

#[test]
fn bookinfo_is_explained_as_expected() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let samples = directory.join("../samples/bookinfo");
    let snapshot = snapshot(&FILES.map(|file| samples.join(file)));
    let config = |kind| {
        let labels = [("istio".to_owned(), "ingressgateway".to_owned())];
        translate(&snapshot, &ProxyScope::new(kind, "default", labels.into())).0
    };
    let (sidecar, gateway) = (config(ProxyKind::Sidecar), config(ProxyKind::Gateway));
    let reviews = || PlainRequest::get("reviews:9080", "/reviews/0");
    let cases = [
        (&sidecar, "9080", reviews().with_header("end-user", "jason")),
        (&sidecar, "9080", reviews()),
        (&sidecar, "9080", PlainRequest::get("unknown:9080", "/")),
        (
            &gateway,
            "http.80",
            PlainRequest::get("bookinfo.example", "/static/main.css"),
        ),
        (
            &gateway,
            "http.80",
            PlainRequest::get("bookinfo.example", "/admin"),
        ),
    ];
    check("bookinfo.txt", &cases);
}

#[test]
fn policies_of_routes_are_explained_as_expected() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/translate");
    let config = |case: &str| {
        let snapshot = snapshot(&[directory.join(case).join("input.yaml")]);
        let scope = ProxyScope::new(ProxyKind::Sidecar, "default", Default::default());
        translate(&snapshot, &scope).0
    };
    let (policies, delegates) = (config("route-policies"), config("delegates"));
    let preflight = |origin: &str| PlainRequest {
        method: "OPTIONS".into(),
        ..PlainRequest::get("web", "/cors")
            .with_header("origin", origin)
            .with_header("access-control-request-method", "PUT")
    };
    let cases = [
        (&policies, "80", PlainRequest::get("web", "/abort")),
        (&policies, "80", preflight("https://a.example")),
        (&policies, "80", preflight("https://c.example")),
        (&delegates, "80", PlainRequest::get("shop", "/cart/1")),
        (&delegates, "80", PlainRequest::get("shop", "/missing")),
    ];
    check("route-policies.txt", &cases);
}

fn snapshot(files: &[PathBuf]) -> Snapshot {
    let mut resources = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let (documents, findings) = parse("input.yaml", &text);
        assert_eq!(findings, []);
        let decoded = documents
            .iter()
            .filter_map(|document| decode(document, None).0);
        resources.extend(decoded.map(Arc::new));
    }
    Snapshot::build(resources, &SnapshotOptions::default()).0
}

#[track_caller]
fn check(file: &str, cases: &[(&ProxyConfig, &str, PlainRequest)]) {
    let mut actual = String::new();
    for (config, table, request) in cases {
        let PlainRequest {
            method,
            authority,
            path,
            ..
        } = request;
        let method = match method.as_str() {
            "GET" => String::new(),
            other => [other, " "].concat(),
        };
        writeln!(actual, "# {table}: {method}{authority} {path}").unwrap();
        actual.push_str(&explain(config, table, request));
        actual.push('\n');
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/explain");
    let path = directory.join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &actual).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), actual);
}

fn explain(config: &ProxyConfig, table: &str, request: &PlainRequest) -> String {
    let found = config.routes.iter().find(|routes| *routes.name == *table);
    let (routes, invalid) = RouteTable::compile(found.unwrap().clone());
    assert_eq!(invalid, []);
    let source = "10.0.0.1:40000".parse().unwrap();
    let connection = ConnectionFacts::plaintext(source, "10.0.0.2:9080".parse().unwrap());
    let request = Request {
        connection: &connection,
        head: request,
        tokens: Tokens::None,
        edits: None,
        granted: None,
    };
    let policy = HttpPolicy::builder()
        .inject_faults()
        .share_with_origins()
        .build();
    let server = Server {
        policy: &policy,
        routes: Some(&routes),
    };
    let mut explanation = Explanation::default();
    let explained = evaluate(server, &request, &mut || 0, &mut explanation);
    let plain = evaluate(server, &request, &mut || 0, &mut ());
    assert_eq!(format!("{explained:?}"), format!("{plain:?}"));
    let action = match explained.action {
        Action::Forward(forwarding) => format!("forward to {}", forwarding.picked.cluster),
        Action::NoRoute => "404".into(),
        Action::Preflight { is_allowed, .. } if is_allowed => "preflight, permitted".into(),
        Action::Preflight { .. } => "preflight, refused".into(),
        Action::Redirect { code, location, .. } => {
            format!("{code} to {}", String::from_utf8_lossy(&location))
        }
        other => format!("{other:?}"),
    };
    format!("{explanation}=> {action}\n")
}
