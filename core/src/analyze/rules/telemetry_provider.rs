//! Telemetries whose provider is not said by anybody (IST0157), or is one that Istio has given up (IST0002).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object};

pub(super) const PROVIDER: Rule = Rule {
    name: "telemetry.ProviderAnalyzer",
    summary: "access logs have a provider",
    codes: &["IST0157"],
    check: check_providers,
};

pub(super) const LIGHTSTEP: Rule = Rule {
    name: "telemetry.LightstepAnalyzer",
    summary: "traces do not go to the provider lightstep, which Istio has given up",
    codes: &["IST0002"],
    check: check_lightstep,
};

fn check_providers(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let default = &context.mesh_value()["defaultProviders"]["accessLogging"];
    if default.as_array().is_some_and(|names| !names.is_empty()) {
        return;
    }
    for resource in context.snapshot.resources(Kind::Telemetry) {
        let Object::Telemetry(spec) = &resource.object else {
            continue;
        };
        let mut entries = spec.access_logging.iter();
        let position =
            entries.position(|entry| entry.disabled != Some(true) && entry.providers.is_empty());
        let Some(position) = position else { continue };
        let mut found = finding(
            "IST0157",
            Level::Warning,
            resource,
            FieldPath::parse("spec.accessLogging").index(position),
            "the entry names no provider, and the mesh has no default one: it is ignored"
                .to_owned(),
        );
        found.hint = Some("add providers: [{name: envoy}]".to_owned());
        findings.push(found);
    }
}

fn check_lightstep(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let providers = context.mesh_value()["extensionProviders"].as_array();
    let lightstep: BTreeSet<&str> = providers
        .into_iter()
        .flatten()
        .filter(|provider| !provider["lightstep"].is_null())
        .filter_map(|provider| provider.get("name").and_then(Value::as_str))
        .collect();
    if lightstep.is_empty() {
        return;
    }
    for resource in context.snapshot.resources(Kind::Telemetry) {
        let Object::Telemetry(spec) = &resource.object else {
            continue;
        };
        for (at, tracing) in spec.tracing.iter().enumerate() {
            for (position, provider) in tracing.providers.iter().enumerate() {
                if !lightstep.contains(provider.name.as_str()) {
                    continue;
                }
                let path = FieldPath::parse("spec.tracing").index(at);
                let path = path.key("providers").index(position).key("name");
                let name = &provider.name;
                let message =
                    format!("provider {name:?} is of the type lightstep, which Istio has given up");
                let mut found = finding("IST0002", Level::Warning, resource, path, message);
                found.hint = Some("send traces by the provider opentelemetry".to_owned());
                findings.push(found);
            }
        }
    }
}
