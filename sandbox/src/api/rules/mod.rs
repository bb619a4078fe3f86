//! Rules of kinds that types and schemas do not tell: what must be there, what must agree, and what never changes.

mod definitions;
mod fixed;
mod metadata;
mod workloads;

use serde_json::Value;

use super::kinds::Served;
use super::status::{Cause, Status};

/// Checks an object before it is stored; of a write to its status only the schema is of interest. What the client should know
/// of an object that is accepted comes back.
pub fn check(
    served: &Served,
    new: &Value,
    old: Option<&Value>,
    status_only: bool,
) -> Result<Vec<String>, Status> {
    let kind = &served.kind;
    let mut causes = Vec::new();
    let mut warnings = Vec::new();
    if let Some(custom) = served.custom() {
        let changed = old.is_none_or(|old| old["spec"] != new["spec"]);
        if changed && !status_only {
            let (errors, others) = mesh(new);
            causes.extend(errors);
            warnings.extend(others);
        }
        if causes.is_empty() {
            causes.extend(custom.check(new, old));
        }
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
            _ => {}
        }
        if let Some(old) = old {
            causes.extend(fixed::check(kind, old, new));
        }
    }
    if causes.is_empty() {
        return Ok(warnings);
    }
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    Err(Status::invalid(&kind.group, &kind.kind, name, causes))
}

/// What the mesh's own compiler refuses and warns about, as its validating webhook would. It makes the checks of the CRD's
/// schema as well.
fn mesh(object: &Value) -> (Vec<Cause>, Vec<String>) {
    let admission = mesh_core::resource::admit(object);
    let causes = admission.errors.into_iter().map(|finding| {
        let field = finding.path.to_string();
        let message = match finding.message.strip_prefix(&format!("{field}: ")) {
            Some(message) => message.to_owned(),
            None => finding.message,
        };
        Cause {
            reason: "FieldValueInvalid",
            message,
            field,
        }
    });
    let warnings = admission.warnings.into_iter();
    let texts = warnings.map(|finding| format!("[{}] {}", finding.code, finding.message));
    (causes.collect(), texts.collect())
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
