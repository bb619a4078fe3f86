//! Namespaces that policies name and that do not exist (IST0101).

use std::collections::BTreeSet;

use crate::analyze::context::Context;
use crate::analyze::finding;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object};

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    // Files without any namespace say nothing of which there are.
    let namespaces = context.namespaces();
    if namespaces.is_empty() || !context.knows(Kind::Namespace) {
        return;
    }
    let known: BTreeSet<String> = namespaces.names().map(str::to_ascii_lowercase).collect();
    let exists = |name: &str| {
        if name.contains('*') {
            namespaces.names().any(|known| matches(name, known))
        } else {
            known.contains(&name.to_ascii_lowercase())
        }
    };
    for resource in context.snapshot.resources(Kind::AuthorizationPolicy) {
        let Object::AuthorizationPolicy(spec) = &resource.object else {
            continue;
        };
        for (at, rule) in spec.rules.iter().enumerate() {
            for (position, from) in rule.from.iter().enumerate() {
                let Some(source) = &from.source else { continue };
                let path = FieldPath::parse("spec.rules").index(at);
                let path = path.key("from").index(position).key("source");
                for (field, names) in [
                    ("namespaces", &source.namespaces),
                    ("notNamespaces", &source.not_namespaces),
                ] {
                    for (index, name) in names.iter().enumerate() {
                        if exists(name) {
                            continue;
                        }
                        let mut found = finding(
                            "IST0101",
                            Level::Error,
                            resource,
                            path.key(field).index(index),
                            format!("Referenced namespace not found: {name:?}"),
                        );
                        let similar = context.similar(name, namespaces.names());
                        found.hint = similar.map(|name| format!("did you mean {name:?}?"));
                        findings.push(found);
                    }
                }
            }
        }
    }
}

/// Whether a namespace is one that a pattern means: `abc*`, `*abc` or `*`.
fn matches(pattern: &str, name: &str) -> bool {
    if pattern == "*" {
        true
    } else if let Some(end) = pattern.strip_prefix('*') {
        name.ends_with(end)
    } else if let Some(start) = pattern.strip_suffix('*') {
        name.starts_with(start)
    } else {
        false
    }
}
