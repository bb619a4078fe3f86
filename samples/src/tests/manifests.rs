//! The YAML of the samples is whole: every image is known, every selector selects, every route leads
//! to a service and a subset that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_yaml::Value;

use crate::{BUNDLES, bundle, program_for_image};

/// Samples with routes and programs of ours.
const SAMPLES: [&str; 8] = [
    "bookinfo",
    "echo",
    "helloworld",
    "httpbin",
    "tcp-echo",
    "website",
    "website/legacy",
    "websockets",
];

/// Directories of a sample.
const PARTS: [&str; 3] = ["platform/kube", "networking", "sample-client"];

const API: &str = "networking.istio.io/v1";

fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// Every YAML file of this crate, with the sample (the top directory) that it belongs to.
fn files() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for sample in SAMPLES.into_iter().chain(["ext-authz", "sleep", "curl"]) {
        for directory in std::iter::once("").chain(PARTS) {
            let Ok(entries) = std::fs::read_dir(root.join(sample).join(directory)) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                let is_yaml = path
                    .extension()
                    .is_some_and(|extension| extension == "yaml");
                if is_yaml {
                    files.push((sample.to_owned(), path));
                }
            }
        }
    }
    assert!(files.len() > 50);
    files
}

/// All documents of one sample.
fn sample(name: &str) -> Vec<Value> {
    let files = files();
    let paths = files.iter().filter(|(sample, _)| sample == name);
    paths
        .flat_map(|(_, path)| documents(&std::fs::read_to_string(path).unwrap()))
        .collect()
}

fn samples() -> impl Iterator<Item = (&'static str, Vec<Value>)> {
    SAMPLES.into_iter().map(|name| (name, sample(name)))
}

fn kind<'a>(documents: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    documents
        .iter()
        .filter(move |document| document["kind"] == kind)
}

fn name(document: &Value) -> &str {
    document["metadata"]["name"].as_str().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

fn workloads(documents: &[Value]) -> impl Iterator<Item = &Value> {
    documents
        .iter()
        .filter(|document| document["spec"]["template"].is_mapping())
}

/// Whether `labels` has every label of `selector`.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_mapping().unwrap();
    !selector.is_empty()
        && selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
}

#[test]
fn every_image_runs_a_program_and_every_workload_is_labelled() {
    for (sample, documents) in samples() {
        for workload in workloads(&documents) {
            let template = &workload["spec"]["template"];
            let labels = &template["metadata"]["labels"];
            assert!(labels["app"].is_string() && labels["version"].is_string());
            for container in list(&template["spec"]["containers"]) {
                let image = container["image"].as_str().unwrap();
                assert!(program_for_image(image).is_some(), "{sample}: {image}");
            }
            let selector = &workload["spec"]["selector"];
            let selector = selector.get("matchLabels").unwrap_or(selector);
            let legacy = workload["apiVersion"] == "apps/v1beta1";
            assert!(legacy || selects(selector, labels), "{}", name(workload));
        }
    }
}

#[test]
fn every_service_selects_pods_and_names_its_protocol() {
    for (_, documents) in samples() {
        for service in kind(&documents, "Service") {
            let selected = workloads(&documents).any(|workload| {
                let labels = &workload["spec"]["template"]["metadata"]["labels"];
                selects(&service["spec"]["selector"], labels)
            });
            assert!(selected, "{} selects nothing", name(service));
            for port in list(&service["spec"]["ports"]) {
                let protocol = port["name"].as_str().unwrap().split('-').next();
                assert!(
                    matches!(protocol, Some("http" | "tcp" | "mongo")),
                    "{port:?}"
                );
            }
        }
    }
}

#[test]
fn every_route_leads_somewhere() {
    for (sample, documents) in samples() {
        let services: BTreeSet<&str> = kind(&documents, "Service").map(name).collect();
        let subsets: BTreeSet<(&str, &str)> = kind(&documents, "DestinationRule")
            .flat_map(|rule| {
                let host = rule["spec"]["host"].as_str().unwrap();
                let subsets = list(&rule["spec"]["subsets"]).iter();
                subsets.map(move |subset| (host, subset["name"].as_str().unwrap()))
            })
            .collect();
        for service in kind(&documents, "VirtualService") {
            for route in list(&service["spec"]["http"]) {
                let destinations = list(&route["route"]);
                let weights: u64 = destinations
                    .iter()
                    .filter_map(|destination| destination["weight"].as_u64())
                    .sum();
                assert!(destinations.len() == 1 || weights == 100);
                for destination in destinations {
                    let destination = &destination["destination"];
                    let host = destination["host"].as_str().unwrap();
                    assert!(services.contains(host), "{sample}: {host}");
                    if let Some(subset) = destination["subset"].as_str() {
                        assert!(
                            subsets.contains(&(host, subset)),
                            "{sample}: {host} {subset}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn bundles_are_whole_and_decide_nothing() {
    assert_eq!(bundle("nothing"), None);
    for found in BUNDLES {
        assert_eq!(bundle(found.name), Some(found.yaml));
        let documents = documents(found.yaml);
        for wanted in [
            "Deployment",
            "Service",
            "Gateway",
            "VirtualService",
            "DestinationRule",
        ] {
            assert!(kind(&documents, wanted).next().is_some(), "{wanted}");
        }
        for mesh in ["Gateway", "VirtualService", "DestinationRule"] {
            for document in kind(&documents, mesh) {
                assert_eq!(document["apiVersion"], API);
            }
        }
        for service in kind(&documents, "VirtualService") {
            assert_eq!(service["spec"]["hosts"][0], "*");
            let text = serde_yaml::to_string(service).unwrap();
            assert!(!text.contains("subset"), "{text}");
        }
        assert!(!found.yaml.contains("inject"));
    }
}
