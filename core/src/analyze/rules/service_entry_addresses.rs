//! TCP ports of ServiceEntries without an address: connections to them cannot be told apart (IST0134).

use serde_json::Value;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object};

pub(super) const RULE: Rule = Rule {
    name: "serviceentry.Analyzer",
    summary: "TCP ports of ServiceEntries have an address",
    codes: &["IST0134"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    if gives_addresses(context.mesh_value()) {
        return;
    }
    for resource in context.snapshot.resources(Kind::ServiceEntry) {
        let Object::ServiceEntry(entry) = &resource.object else {
            continue;
        };
        let given = resource.raw["status"]["addresses"].as_array();
        if !entry.addresses.is_empty() || given.is_some_and(|given| !given.is_empty()) {
            continue;
        }
        for (position, port) in entry.ports.iter().enumerate() {
            let protocol = port.protocol.as_deref().unwrap_or_default();
            if !protocol.is_empty() && !protocol.eq_ignore_ascii_case("TCP") {
                continue;
            }
            let mut found = finding(
                "IST0134",
                Level::Warning,
                resource,
                FieldPath::parse("spec.ports").index(position),
                format!(
                    "port {} speaks TCP, and the entry has no address that tells connections to it from others",
                    port.number
                ),
            );
            found.hint = Some(
                "set addresses, or let proxies give them: proxyMetadata ISTIO_META_DNS_CAPTURE and PILOT_ENABLE_IP_AUTOALLOCATE"
                    .to_owned(),
            );
            findings.push(found);
        }
    }
}

/// Whether proxies give entries addresses of their own accord.
fn gives_addresses(mesh: &Value) -> bool {
    let metadata = &mesh["defaultConfig"]["proxyMetadata"];
    let is_on = |name: &str| match &metadata[name] {
        Value::String(text) => text == "true",
        other => other == &Value::Bool(true),
    };
    is_on("ISTIO_META_DNS_CAPTURE")
        && (is_on("ISTIO_META_DNS_AUTO_ALLOCATE") || is_on("PILOT_ENABLE_IP_AUTOALLOCATE"))
}
