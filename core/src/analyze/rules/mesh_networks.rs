//! Networks of a mesh of several clusters that name a cluster which nobody knows (IST0126).

use std::collections::BTreeSet;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::Kind;
use crate::source::parse_whole;

pub(super) const RULE: Rule = Rule {
    name: "meshnetworks.MeshNetworksAnalyzer",
    summary: "networks name clusters that are known",
    codes: &["IST0126"],
    check,
};

/// Registries that are always known.
const REGISTRIES: [&str; 3] = ["Mock", "Kubernetes", "External"];

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::ConfigMap) {
        let is_mesh =
            &*resource.key.name == "istio" && &*resource.key.namespace == context.istio_namespace;
        let text = resource.raw.pointer("/data/meshNetworks");
        let Some(text) = text.and_then(|text| text.as_str()).filter(|_| is_mesh) else {
            continue;
        };
        let (documents, _) = parse_whole("meshNetworks", text);
        let Some(document) = documents.first() else {
            continue;
        };
        let known = known(context);
        let networks = document.value["networks"].as_object();
        for (network, value) in networks.into_iter().flatten() {
            let endpoints = value["endpoints"].as_array().into_iter().flatten();
            let registries = endpoints.filter_map(|endpoint| endpoint["fromRegistry"].as_str());
            for registry in registries.filter(|registry| !known.contains(*registry)) {
                let mut found = finding(
                    "IST0126",
                    Level::Error,
                    resource,
                    FieldPath::parse("data.meshNetworks"),
                    format!("network {network} names the cluster {registry:?}, which is not known"),
                );
                found.hint = Some(format!(
                    "clusters are the keys of Secrets labelled istio/multiCluster=true, beside {}",
                    REGISTRIES.join(", ")
                ));
                findings.push(found);
            }
        }
    }
}

/// Names of all clusters that are known.
fn known(context: &Context<'_>) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = REGISTRIES.map(str::to_owned).into();
    for secret in context.snapshot.resources(Kind::Secret) {
        let label = secret.meta.labels.get("istio/multiCluster");
        if label.map(String::as_str) != Some("true") {
            continue;
        }
        for part in ["data", "stringData"] {
            let entries = secret.raw.get(part).and_then(|part| part.as_object());
            known.extend(entries.into_iter().flatten().map(|(key, _)| key.clone()));
        }
    }
    known
}
