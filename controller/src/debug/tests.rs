//! The pages of a small mesh with one proxy.

use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source;
use mesh_core::translate::Translator;
use mesh_ir::ProxyKind;
use mesh_xds::NodeInfo;
use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::ads::{DebugRequest, Registration};
use crate::debug::messages::ClientConfig;

const CONFIG: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: default}
spec:
  hosts: [out.example.com]
  resolution: STATIC
  exportTo: [default]
  ports: [{name: http, number: 80, protocol: HTTP}]
  endpoints: [{address: 10.9.9.9, labels: {version: v1}}]
";

fn debug() -> (Debug, Registration) {
    let (documents, findings) = source::parse("test", CONFIG);
    assert!(findings.is_empty(), "{findings:?}");
    let decode = |document| mesh_core::resource::decode(document, None).0.map(Arc::new);
    let objects = documents.iter().filter_map(decode).collect();
    let options = SnapshotOptions::default();
    let (snapshot, _) = Snapshot::build(objects, &options);
    let mut published = Published::nothing(&options);
    published.generation = 1;
    published.translator = Translator::new(Arc::new(snapshot));
    let connections = Arc::<Connections>::default();
    let mut node = NodeInfo::new(ProxyKind::Sidecar, None, "web-1", "default");
    node.set_labels(&[("app".to_owned(), "web".to_owned())].into());
    let registration = connections.register(node, "delta");
    let debug = Debug {
        published: watch::channel(Arc::new(published)).1,
        connections,
        versions: Arc::default(),
        cluster_id: "Kubernetes".to_owned(),
    };
    (debug, registration)
}

fn page(path: &str) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (debug, _proxy) = debug();
    let page = debug.page(path, &Query::parse(query));
    page.unwrap_or_else(|problem| panic!("{problem:?}"))
}

#[test]
fn every_page_is_listed_and_shown() {
    let listed = page("");
    assert_eq!(listed.as_array().unwrap().len(), pages::ALL.len());
    let mut names: Vec<&str> = pages::ALL.iter().map(|page| page.name).collect();
    let sorted = names.clone();
    names.sort_unstable();
    assert_eq!(names, sorted);
    for name in names {
        let query = match name {
            "config_dump" | "edsz" => "?proxyID=web-1.default",
            "distribution" => "?resource=ServiceEntry/default/out",
            _ => "",
        };
        assert!(!page(&format!("{name}{query}")).is_null(), "{name}");
    }
}

#[test]
fn services_are_shown_in_istios_keys() {
    let all = page("registryz");
    let web = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["Attributes"]["Name"] == "web");
    let web = web.unwrap_or_else(|| panic!("{all}"));
    assert_eq!(web["hostname"], "web.default.svc.cluster.local");
    assert_eq!(
        web["clusterVIPs"]["Addresses"]["Kubernetes"],
        json!(["10.0.0.1"])
    );
    assert_eq!(
        web["ports"],
        json!([{"name": "http", "port": 80, "protocol": "HTTP"}])
    );
    let endpoints = page("endpointz");
    let out = endpoints
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["svc"] == "out.example.com:http");
    let endpoint = &out.unwrap_or_else(|| panic!("{endpoints}"))["ep"][0];
    assert_eq!(endpoint["endpoint"]["Addresses"], json!(["10.9.9.9"]));
    assert_eq!(
        endpoint["service"]["Attributes"]["ExportTo"],
        json!({"default": {}})
    );
    let instances = page("instancesz");
    assert_eq!(instances["web-1.default"][0]["Port"]["TargetPort"], 8080);
}

#[test]
fn configuration_and_clients_are_shown() {
    assert_eq!(page("configz")[0]["metadata"]["name"], "out");
    assert_eq!(page("configz").as_array().unwrap().len(), 1);
    assert_eq!(page("adsz")["clients"][0]["labels"], json!({"app": "web"}));
    assert_eq!(page("connections")["totalClients"], 1);
    assert_eq!(page("clusterz")[0]["syncStatus"], "synced");
    assert_eq!(page("syncz")[0]["proxy"], "web-1.default");
    let dump = page("config_dump?proxyID=web-1.default&include_eds");
    let text = dump.to_string();
    for expected in [
        "ClustersConfigDump",
        "outbound|80||out.example.com",
        "dynamic_listeners",
        "EndpointsConfigDump",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

#[test]
fn what_cannot_be_shown_is_explained() {
    let (debug, _proxy) = debug();
    let problem = |path, query| debug.page(path, &Query::parse(query)).unwrap_err();
    let (status, message) = problem("teapotz", "");
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(message.contains("syncz"), "{message}");
    assert_eq!(problem("config_dump", "").0, StatusCode::BAD_REQUEST);
    assert_eq!(
        problem("config_dump", "proxyID=a.b").0,
        StatusCode::NOT_FOUND
    );
}

#[test]
fn istioctl_gets_envoys_messages_over_xds() {
    let (debug, proxy) = debug();
    let ask = |url: &str, names: &[&str]| {
        debug.exchange(&DebugRequest {
            type_url: url.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            nonce: String::new(),
        })
    };
    let answer = ask("istio.io/debug/syncz", &[]).unwrap();
    let (name, any) = &answer[0];
    assert_eq!(*name, proxy.connection.node.id());
    assert_eq!(
        any.type_url,
        "type.googleapis.com/envoy.service.status.v3.ClientConfig"
    );
    let config = ClientConfig::decode(any.value.clone()).unwrap();
    assert_eq!(
        config.generic_xds_configs.len(),
        mesh_xds::ResourceType::ALL.len()
    );
    let dump = ask("istio.io/debug/config_dump", &["web-1.default"]).unwrap();
    let urls: Vec<&str> = dump.iter().map(|(_, any)| any.type_url.as_str()).collect();
    assert_eq!(
        urls,
        ["Clusters", "Listeners", "Routes"]
            .map(|kind| format!("type.googleapis.com/envoy.admin.v3.{kind}ConfigDump"))
    );
    let page = ask("istio.io/debug", &["clusterz"]).unwrap();
    assert!(String::from_utf8_lossy(&page[0].1.value).contains("Kubernetes"));
    assert_eq!(ask("istio.io/connections", &[]).unwrap().len(), 1);
    assert!(ask("istio.io/debug", &[]).is_err());
    // By these words istioctl asks another replica, names the missing parameter, or lists the pages.
    for (url, name, words) in [
        (
            "istio.io/debug/config_dump",
            "x.y",
            "Proxy not connected to this Pilot instance.",
        ),
        (
            "istio.io/debug",
            "edsz?proxyID=x.y",
            "Proxy not connected to this Pilot instance.",
        ),
        (
            "istio.io/debug",
            "edsz",
            "You must provide a proxyID in the query string",
        ),
        ("istio.io/debug", "teapotz", "404 page not found"),
    ] {
        let answer = ask(url, &[name]).unwrap();
        let text = String::from_utf8_lossy(&answer[0].1.value);
        assert!(text.starts_with(words), "{name}: {text}");
    }
}
