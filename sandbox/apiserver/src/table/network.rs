//! The tables of services and their endpoints.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{list, name, number, or_none, pairs, text, text_or};
use super::{Layout, age, column, wide};

/// How many endpoints are named before the rest is only counted.
const NAMED: usize = 3;

pub const LAYOUTS: &[Layout] = &[
    Layout {
        group: "",
        plural: "services",
        columns: &[
            column("Name", "string"),
            column("Type", "string"),
            column("Cluster-IP", "string"),
            column("External-IP", "string"),
            column("Port(s)", "string"),
            column("Age", "string"),
            wide("Selector"),
        ],
        cells: service,
    },
    Layout {
        group: "",
        plural: "endpoints",
        columns: &[
            column("Name", "string"),
            column("Endpoints", "string"),
            column("Age", "string"),
        ],
        cells: endpoints,
    },
    Layout {
        group: "discovery.k8s.io",
        plural: "endpointslices",
        columns: &[
            column("Name", "string"),
            column("AddressType", "string"),
            column("Ports", "string"),
            column("Endpoints", "string"),
            column("Age", "string"),
        ],
        cells: slice,
    },
    Layout {
        group: "networking.k8s.io",
        plural: "ingresses",
        columns: &[
            column("Name", "string"),
            column("Class", "string"),
            column("Hosts", "string"),
            column("Address", "string"),
            column("Ports", "string"),
            column("Age", "string"),
        ],
        cells: ingress,
    },
];

fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let kind = text_or(&spec["type"], "ClusterIP");
    let ports = list(&spec["ports"]).iter().map(|port| {
        let protocol = text_or(&port["protocol"], "TCP");
        match number(&port["nodePort"]) {
            0 => format!("{}/{protocol}", number(&port["port"])),
            node => format!("{}:{node}/{protocol}", number(&port["port"])),
        }
    });
    let ports: Vec<String> = ports.collect();
    vec![
        json!(name(object)),
        json!(kind),
        json!(text_or(&spec["clusterIP"], "<none>")),
        json!(external(object, kind)),
        json!(or_none(ports.join(","))),
        json!(age::since_creation(object, now)),
        json!(pairs(&spec["selector"])),
    ]
}

fn external(service: &Value, kind: &str) -> String {
    let spec = &service["spec"];
    let given: Vec<&str> = list(&spec["externalIPs"]).iter().map(text).collect();
    match kind {
        "ExternalName" => text(&spec["externalName"]).to_owned(),
        "LoadBalancer" => {
            let ingress = list(&service["status"]["loadBalancer"]["ingress"]).iter();
            let addresses: BTreeSet<&str> = ingress
                .map(|one| text_or(&one["ip"], text(&one["hostname"])))
                .chain(given)
                .collect();
            let addresses: Vec<&str> = addresses.into_iter().collect();
            if addresses.is_empty() {
                "<pending>".to_owned()
            } else {
                addresses.join(",")
            }
        }
        _ => or_none(given.join(",")),
    }
}

fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in list(&object["subsets"]) {
        for address in list(&subset["addresses"]) {
            let ip = text(&address["ip"]);
            let ports = list(&subset["ports"]);
            if ports.is_empty() {
                all.push(ip.to_owned());
            }
            all.extend(
                ports
                    .iter()
                    .map(|port| format!("{ip}:{}", number(&port["port"]))),
            );
        }
    }
    vec![
        json!(name(object)),
        json!(shortened(&all, "<none>")),
        json!(age::since_creation(object, now)),
    ]
}

fn slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports = list(&object["ports"]).iter().map(|port| {
        let number = port["port"].as_i64();
        number.map_or_else(|| "*".to_owned(), |number| number.to_string())
    });
    let addresses = list(&object["endpoints"])
        .iter()
        .flat_map(|endpoint| list(&endpoint["addresses"]))
        .map(|address| text(address).to_owned());
    let (ports, addresses): (Vec<String>, Vec<String>) = (ports.collect(), addresses.collect());
    vec![
        json!(name(object)),
        json!(text(&object["addressType"])),
        json!(shortened(&ports, "<unset>")),
        json!(shortened(&addresses, "<unset>")),
        json!(age::since_creation(object, now)),
    ]
}

fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let hosts: Vec<&str> = list(&spec["rules"])
        .iter()
        .map(|rule| text(&rule["host"]))
        .filter(|host| !host.is_empty())
        .collect();
    let hosts = if hosts.is_empty() {
        "*".to_owned()
    } else {
        hosts.join(",")
    };
    let addresses: Vec<&str> = list(&object["status"]["loadBalancer"]["ingress"])
        .iter()
        .map(|one| text_or(&one["ip"], text(&one["hostname"])))
        .collect();
    let tls = !list(&spec["tls"]).is_empty();
    vec![
        json!(name(object)),
        json!(text_or(&spec["ingressClassName"], "<none>")),
        json!(hosts),
        json!(addresses.join(",")),
        json!(if tls { "80, 443" } else { "80" }),
        json!(age::since_creation(object, now)),
    ]
}

/// The first few with commas, and how many more there are.
fn shortened(all: &[String], none: &str) -> String {
    match all.len().checked_sub(NAMED) {
        _ if all.is_empty() => none.to_owned(),
        Some(more) if more > 0 => format!("{} + {more} more...", all[..NAMED].join(",")),
        _ => all.join(","),
    }
}
