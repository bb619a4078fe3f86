//! For whom authorization was on: `RbacConfig` and `ClusterRbacConfig`. Where it is on, a policy that allows nothing denies what no role allows.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fields::Fields;
use super::services::{Host, Labels};
use super::{Converted, Converter, LegacyKind, Source};
use crate::diag::Level;

/// Namespaces and services, by their full names.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Names {
    namespaces: BTreeSet<String>,
    services: BTreeSet<String>,
}

/// For whom authorization is on.
#[derive(Debug, PartialEq)]
pub(super) enum Scope {
    /// Nothing says so.
    Unsaid,
    Off,
    On,
    Only(Names),
    AllBut(Names),
}

/// Reads the configuration, and makes the policies that deny by default.
pub(super) fn convert(converter: &Converter<'_>) -> (Scope, Vec<Converted>) {
    let cluster = converter.of(LegacyKind::ClusterRbacConfig);
    let mut all: Vec<_> = cluster
        .chain(converter.of(LegacyKind::RbacConfig))
        .collect();
    let default = all
        .iter()
        .position(|(source, _)| source.name() == "default");
    let chosen = default.map(|index| all.remove(index));
    for (_, other) in &all {
        for name in ["mode", "inclusion", "exclusion", "enforcementMode"] {
            other.needless(name);
        }
        other.remark(
            Level::Warning,
            "counted only under the name default, and once",
        );
    }
    let Some((source, spec)) = chosen else {
        return (Scope::Unsaid, Vec::new());
    };
    if spec.text("enforcementMode") == Some("PERMISSIVE") {
        let message = "nothing is denied: annotate policies with istio.io/dry-run to only log what they would do";
        spec.note(spec.at("enforcementMode"), Level::Warning, message);
        spec.needless("mode");
        spec.needless("inclusion");
        spec.needless("exclusion");
        return (Scope::Off, Vec::new());
    }
    let (inclusion, exclusion) = (spec.object("inclusion"), spec.object("exclusion"));
    let names =
        |fields: Option<Fields<'_>>| fields.map(|fields| names(&fields)).unwrap_or_default();
    let (included, excluded) = (names(inclusion), names(exclusion));
    let scope = match spec
        .value("mode")
        .map(|mode| mode.as_str().unwrap_or_default())
    {
        None | Some("OFF") => Scope::Off,
        Some("ON") => Scope::On,
        Some("ON_WITH_INCLUSION") => Scope::Only(included),
        Some("ON_WITH_EXCLUSION") => Scope::AllBut(excluded),
        Some(_) => {
            let message = "expected OFF, ON, ON_WITH_INCLUSION or ON_WITH_EXCLUSION";
            spec.note(spec.at("mode"), Level::Error, message);
            Scope::Off
        }
    };
    let made = defaults(converter, source, &spec, &scope);
    (scope, made)
}

fn names(fields: &Fields<'_>) -> Names {
    let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
    Names {
        namespaces: owned(fields.texts("namespaces")),
        services: owned(fields.texts("services")),
    }
}

/// The policies that stand in for the configuration.
fn defaults(
    converter: &Converter<'_>,
    source: Source<'_>,
    spec: &Fields<'_>,
    scope: &Scope,
) -> Vec<Converted> {
    let policy = |namespace: &str, name: &str, spec: Value| {
        let kind = ("security.istio.io/v1", "AuthorizationPolicy");
        let mut value = converter.object(kind, (source, name), spec);
        value["metadata"]["namespace"] = namespace.into();
        Converted {
            value,
            sources: vec![source.position],
        }
    };
    let root = &*converter.around.root_namespace;
    let each = |names: &Names, name: &str, rules: Option<Value>| -> Vec<Converted> {
        let of = |labels: Option<Labels>| {
            let mut spec = json!({});
            if let Some(labels) = labels {
                spec["selector"] = json!({"matchLabels": labels});
            }
            if let Some(rules) = &rules {
                spec["rules"] = rules.clone();
            }
            spec
        };
        let namespaces = names.namespaces.iter();
        let whole = namespaces.map(|namespace| policy(namespace, name, of(None)));
        let services = names.services.iter().filter_map(|full| {
            let (service, rest) = full.split_once('.')?;
            let namespace = rest.split('.').next()?;
            let labels = converter
                .around
                .services
                .selector((namespace, service), spec);
            let name = format!("{name}-{service}");
            Some(policy(namespace, &name, of(Some(labels))))
        });
        whole.chain(services).collect()
    };
    match scope {
        Scope::Unsaid | Scope::Off => Vec::new(),
        Scope::On => vec![policy(root, "allow-nothing", json!({}))],
        Scope::Only(names) => each(names, "allow-nothing", None),
        Scope::AllBut(names) => {
            let mut made = vec![policy(root, "allow-nothing", json!({}))];
            made.extend(each(names, "allow-all", Some(json!([{}]))));
            made
        }
    }
}

// === impl Scope ===

impl Scope {
    /// Whether roles of a namespace count for a service, or for some service of the namespace.
    pub(super) fn covers(&self, namespace: &str, service: Option<&Host>, unsaid: bool) -> bool {
        let named = |names: &Names| {
            let of_service = match service {
                Some(service) => names.services.contains(&service.full),
                None => false,
            };
            of_service || names.namespaces.contains(namespace)
        };
        match self {
            Scope::Unsaid => unsaid,
            Scope::Off => false,
            Scope::On => true,
            Scope::Only(names) => {
                let of_namespace = |full: &String| full.split('.').nth(1) == Some(namespace);
                named(names) || service.is_none() && names.services.iter().any(of_namespace)
            }
            Scope::AllBut(names) => !named(names),
        }
    }
}
