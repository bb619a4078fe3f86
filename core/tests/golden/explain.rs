//! Explanations: what is told of requests through bookinfo's route tables, with every route that is tried and why it does not match.
//! `explain/bookinfo.txt` is what is expected.

use std::fmt::Write;
use std::fs;
use std::path::Path;
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
    "bookinfo.yaml",
    "destination-rule-all.yaml",
    "gateway.yaml",
    "virtual-service-reviews-test-v2.yaml",
];

#[test]
fn bookinfo_is_explained_as_expected() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let samples = directory.join("../samples/bookinfo");
    let mut resources = Vec::new();
    for file in FILES {
        let text = fs::read_to_string(samples.join(file)).unwrap();
        let (documents, findings) = parse(file, &text);
        assert_eq!(findings, []);
        let decoded = documents
            .iter()
            .filter_map(|document| decode(document, None).0);
        resources.extend(decoded.map(Arc::new));
    }
    let (snapshot, _) = Snapshot::build(resources, &SnapshotOptions::default());
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
    let mut actual = String::new();
    for (config, table, request) in cases {
        writeln!(actual, "# {table}: {} {}", request.authority, request.path).unwrap();
        actual.push_str(&explain(config, table, &request));
        actual.push('\n');
    }
    let path = directory.join("tests/golden/explain/bookinfo.txt");
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
    };
    let server = Server {
        policy: &HttpPolicy::default(),
        routes: Some(&routes),
    };
    let mut explanation = Explanation::default();
    let explained = evaluate(server, &request, &mut || 0, &mut explanation);
    let plain = evaluate(server, &request, &mut || 0, &mut ());
    assert_eq!(format!("{explained:?}"), format!("{plain:?}"));
    let action = match explained.action {
        Action::Forward(forwarding) => format!("forward to {}", forwarding.picked.cluster),
        Action::NoRoute => "404".into(),
        other => format!("{other:?}"),
    };
    format!("{explanation}=> {action}\n")
}
