//! Rules of kinds that types and schemas do not tell: what must be there, what must agree, and what never changes.

mod definitions;
mod fixed;
mod metadata;
mod workloads;

use serde_json::Value;

use super::admission::check_configuration;
use super::kinds::Served;
use super::status::{Cause, Status};

/// Checks an object before it is stored; of a write to its status only the schema is of interest.
pub fn check(
    served: &Served,
    new: &Value,
    old: Option<&Value>,
    status_only: bool,
) -> Result<(), Status> {
    let kind = &served.kind;
    let mut causes = Vec::new();
    if let Some(custom) = served.custom() {
        causes.extend(custom.check(new, old));
    }
    if !status_only {
        causes.extend(metadata::check(&new["metadata"]));
        match (kind.group.as_str(), kind.plural.as_str()) {
            ("", "pods") => causes.extend(workloads::pod(new)),
            ("", "services") => causes.extend(workloads::service(new)),
            ("apps", _) if kind.plural != "controllerrevisions" => {
                causes.extend(workloads::workload(new));
            }
            ("batch", "jobs") => causes.extend(workloads::job(new)),
            ("apiextensions.k8s.io", _) => causes.extend(definitions::check(new)),
            ("admissionregistration.k8s.io", "mutatingwebhookconfigurations") => {
                causes.extend(check_configuration(new, true));
            }
            ("admissionregistration.k8s.io", "validatingwebhookconfigurations") => {
                causes.extend(check_configuration(new, false));
            }
            _ => {}
        }
        if let Some(old) = old {
            causes.extend(fixed::check(kind, old, new));
            causes.extend(new_finalizers(&old["metadata"], &new["metadata"]));
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    Err(Status::invalid(&kind.group, &kind.kind, name, causes))
}

/// What is being deleted is not to be held by something else.
fn new_finalizers(old: &Value, new: &Value) -> Option<Cause> {
    if old["deletionTimestamp"].is_null() {
        return None;
    }
    let known = list(&old["finalizers"]);
    let fresh: Vec<&str> = list(&new["finalizers"])
        .iter()
        .filter(|one| !known.contains(one))
        .map(text)
        .collect();
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers {fresh:?}"
    );
    (!fresh.is_empty()).then(|| Cause::forbidden("metadata.finalizers", &why))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The cause of a missing text.
fn required(value: &Value, field: impl Into<String>, causes: &mut Vec<Cause>) {
    if text(value).is_empty() {
        causes.push(Cause::required(field, ""));
    }
}
