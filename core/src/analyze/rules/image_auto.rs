//! Containers that wait for the injector to fill in their image, where no injector comes (IST0146, IST0147).

use k8s_openapi::api::admissionregistration::v1::MutatingWebhook;
use k8s_openapi::api::core::v1::PodSpec;

use crate::analyze::context::Context;
use crate::analyze::label_selector::selects;
use crate::analyze::pods::{PROXY, Pod};
use crate::analyze::{Rule, finding};
use crate::authz::template;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object};

pub(super) const RULE: Rule = Rule {
    name: "injection.ImageAutoAnalyzer",
    summary: "workloads with `image: auto` get their image from an injector",
    codes: &["IST0146", "IST0147"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, pod) in context.pods().running() {
        if let Some(position) = pod.spec.and_then(auto) {
            let mut found = finding(
                "IST0147",
                Level::Error,
                resource,
                FieldPath::parse("spec.containers")
                    .index(position)
                    .key("image"),
                format!(
                    "pod {} has the image `auto`, which no injector has filled in",
                    pod.name
                ),
            );
            found.hint = Some(
                "injectors fill it in when a pod is made: make it again where injection is enabled"
                    .to_owned(),
            );
            findings.push(found);
        }
    }
    let webhooks: Vec<&MutatingWebhook> = context
        .snapshot
        .resources(Kind::MutatingWebhookConfiguration)
        .iter()
        .filter_map(|resource| match &resource.object {
            Object::MutatingWebhookConfiguration(object) => object.webhooks.as_ref(),
            _ => None,
        })
        .flatten()
        .filter(|webhook| webhook.name.ends_with("istio.io"))
        .collect();
    if !context.knows(Kind::MutatingWebhookConfiguration) {
        return;
    }
    for resource in context.snapshot.resources(Kind::Deployment) {
        let Some(template) = template(&resource.object) else {
            continue;
        };
        let Some(position) = template.spec.as_ref().and_then(auto) else {
            continue;
        };
        let pod = Pod::made(resource, template);
        let nothing = std::collections::BTreeMap::new();
        let namespace = context.namespaces().get(pod.namespace);
        let namespace = namespace.map_or(&nothing, |namespace| &namespace.meta.labels);
        let is_injected = webhooks.iter().any(|webhook| {
            selects(webhook.namespace_selector.as_ref(), namespace)
                && selects(webhook.object_selector.as_ref(), pod.labels)
        });
        if is_injected {
            continue;
        }
        let path = FieldPath::parse("spec.template.spec.containers").index(position);
        let mut found = finding(
            "IST0146",
            Level::Warning,
            resource,
            path.key("image"),
            format!(
                "Deployment {} has the image `auto`, and no injector selects its pods",
                pod.name
            ),
        );
        found.hint = Some(
            "label the namespace istio-injection=enabled, or the pods sidecar.istio.io/inject: \"true\""
                .to_owned(),
        );
        findings.push(found);
    }
}

/// The position of a proxy's container whose image is to be filled in.
fn auto(spec: &PodSpec) -> Option<usize> {
    spec.containers
        .iter()
        .position(|container| container.name == PROXY && container.image.as_deref() == Some("auto"))
}
