//! What Istio's own validation refuses: values that have the right type but no sense, and fields that do not exist.
//!
//! One pure function for all doors: `analyze` prints the findings, the admission webhook refuses the object, and translation
//! may rely on what passed. The rules are those of Istio's validation of each kind; the paths name the field to change.

mod at;
mod common;
mod destination_rule;
mod fault_injection;
mod fields;
mod gateway;
mod http_route;
mod names;
mod service_entry;
mod tls_settings;
mod virtual_service;

use self::at::At;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Object, Resource, SCHEMA};

/// Checks an object. Kubernetes' own kinds pass: their API server checks them.
pub fn validate(resource: &Resource) -> Vec<Diagnostic> {
    let mut violations = Violations {
        resource,
        found: Vec::new(),
    };
    let root = At::Root;
    let spec = root.key("spec");
    match &resource.object {
        Object::VirtualService(object) => virtual_service::check(object, &spec, &mut violations),
        Object::DestinationRule(object) => destination_rule::check(object, &spec, &mut violations),
        Object::Gateway(object) => gateway::check(object, &spec, &mut violations),
        Object::ServiceEntry(object) => service_entry::check(object, &spec, &mut violations),
        _ => return violations.found,
    }
    fields::check(&mut violations);
    violations.found
}

/// Collects what is wrong with one object.
struct Violations<'r> {
    resource: &'r Resource,
    found: Vec<Diagnostic>,
}

impl Violations<'_> {
    /// Something is wrong with a field.
    fn add(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.push(at.path(), message.into(), None);
    }

    /// Something is wrong with a field, and this is how to mend it.
    fn add_hint(&mut self, at: &At<'_>, message: impl Into<String>, hint: impl Into<String>) {
        self.push(at.path(), message.into(), Some(hint.into()));
    }

    /// Reports a field if a check of its value fails.
    fn check(&mut self, at: &At<'_>, outcome: Result<(), String>) {
        if let Err(message) = outcome {
            self.add(at, message);
        }
    }

    fn push(&mut self, path: FieldPath, message: String, hint: Option<String>) {
        self.found.push(Diagnostic {
            code: SCHEMA,
            level: Level::Error,
            resource: Some(self.resource.key.clone()),
            origin: self.resource.origin.clone(),
            message: format!("{path}: {message}"),
            path,
            hint,
        });
    }
}
