//! Pods whose proxy has another image than pods get today (IST0158).

use std::collections::BTreeMap;

use serde_json::Value;

use super::injection::{injector_of, injector_values};
use crate::analyze::context::Context;
use crate::analyze::names::some_of;
use crate::analyze::pods::{INJECTION, PROXY, Pod, REVISION, has};
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object};
use crate::source::parse_whole;

pub(super) const RULE: Rule = Rule {
    name: "injection.ImageAnalyzer",
    summary: "the proxies of pods have the image that pods get today",
    codes: &["IST0158"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let images: BTreeMap<&str, String> = injector_values(context)
        .map(|(name, values)| (name, image(&values)))
        .collect();
    if images.is_empty() {
        return;
    }
    let mut stale: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, pod) in context.pods().running() {
        let Some(namespace) = context.namespaces().get(pod.namespace) else {
            continue;
        };
        let labels = &namespace.meta.labels;
        let revision = labels.get(REVISION).map(String::as_str);
        let is_injected = labels
            .get(INJECTION)
            .is_some_and(|value| value == "enabled");
        if !is_injected && revision.is_none() {
            continue;
        }
        // An image of its own is what somebody wanted.
        let own = pod.annotations.get("sidecar.istio.io/proxyImage");
        if own.is_some_and(|image| !image.is_empty()) {
            continue;
        }
        let Some(wanted) = images.get(injector_of(context, revision).as_str()) else {
            continue;
        };
        let variant = variant(context, &pod).map(|variant| format!("{wanted}-{variant}"));
        let mut proxies = pod.containers().filter(|container| container.name == PROXY);
        let is_stale = proxies.any(|container| {
            let image = container.image.as_deref().unwrap_or_default();
            image != wanted && variant.as_deref() != Some(image)
        });
        if is_stale {
            stale.entry(pod.namespace).or_default().push(pod.name);
        }
    }
    for (name, pods) in stale {
        let Some(namespace) = context.namespaces().get(name) else {
            continue;
        };
        let names = some_of(pods.iter().map(|name| (*name).to_owned())).unwrap_or_default();
        let mut found = finding(
            "IST0158",
            Level::Warning,
            namespace,
            FieldPath::parse("metadata.name"),
            format!(
                "proxies of {} pods have another image than pods get today: {names}",
                pods.len()
            ),
        );
        found.hint = Some("restart their workloads after an upgrade".to_owned());
        findings.push(found);
    }
}

/// The image that an injector gives.
fn image(values: &Value) -> String {
    let text = |pointer: &str| {
        values
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let image = text("/global/proxy/image");
    if image.contains('/') {
        image.to_owned()
    } else {
        let tag = values.pointer("/global/tag");
        let tag = match tag {
            Some(Value::String(tag)) => tag.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        format!("{}/{image}:{tag}", text("/global/hub"))
    }
}

/// The variant of the image that a pod asks for: by its annotation, by a ProxyConfig, or as the mesh does.
fn variant(context: &Context<'_>, pod: &Pod<'_>) -> Option<String> {
    let of = |value: &Value| {
        let found = value.pointer("/image/imageType")?.as_str()?;
        Some(found.to_owned()).filter(|found| !found.is_empty())
    };
    let annotated = pod.annotations.get("proxy.istio.io/config");
    let annotated = annotated.and_then(|text| {
        let (documents, _) = parse_whole("proxy.istio.io/config", text);
        of(&documents.first()?.value)
    });
    annotated
        .or_else(|| of_proxy_config(context, pod))
        .or_else(|| of(&context.mesh_value()["defaultConfig"]))
}

/// The variant that a ProxyConfig asks for: of those for the pod's labels, for its namespace, or for the mesh.
fn of_proxy_config(context: &Context<'_>, pod: &Pod<'_>) -> Option<String> {
    let root = context.snapshot.mesh().root_namespace();
    let mut found: [Option<String>; 3] = [None, None, None];
    for resource in context.snapshot.resources(Kind::ProxyConfig) {
        let Object::ProxyConfig(spec) = &resource.object else {
            continue;
        };
        let image = spec
            .image
            .as_ref()
            .and_then(|image| image.image_type.clone());
        let Some(image) = image.filter(|image| !image.is_empty()) else {
            continue;
        };
        let labels = spec
            .selector
            .as_ref()
            .map(|selector| &selector.match_labels);
        let labels = labels.filter(|labels| !labels.is_empty());
        let is_own = &*resource.key.namespace == pod.namespace;
        let rank = match labels {
            Some(labels) if is_own && has(pod.labels, labels) => 0,
            None if is_own => 1,
            None if &*resource.key.namespace == root => 2,
            _ => continue,
        };
        found[rank].get_or_insert(image);
    }
    found.into_iter().flatten().next()
}
