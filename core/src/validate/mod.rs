//! What Istio's own validation refuses: values that have the right type but no sense, and fields that do not exist.
//!
//! One pure function for each kind. They know nothing of objects and where these came from; [`crate::resource`] calls them as a
//! part of compiling an object. The rules are those of Istio's validation of each kind; the paths name the field to change.

mod at;
mod common;
mod cors;
mod fault_injection;
mod headers;
mod http_route;
mod load_balancer;
mod names;
mod policy;
mod tls_settings;
mod traffic_policy;

pub(crate) mod destination_rule;
pub(crate) mod envoy_filter;
mod extension_provider;
pub(crate) mod gateway;
pub(crate) mod mesh_config;
pub(crate) mod proxy_config;
pub(crate) mod service_entry;
pub(crate) mod sidecar;
pub(crate) mod virtual_service;
pub(crate) mod workload_entry;
pub(crate) mod workload_group;

pub(crate) mod authorization_policy;
pub(crate) mod peer_authentication;
pub(crate) mod request_authentication;
pub(crate) mod telemetry;
pub(crate) mod traffic_extension;
pub(crate) mod wasm_plugin;

pub(crate) mod gateway_api;

pub(crate) use self::at::At;
pub(crate) use self::fault_injection::grpc_status;
pub(crate) use self::http_route::nearest;
use crate::diag::{FieldPath, Level, NO_EFFECT, SCHEMA, SCHEMA_WARNING};

/// Something that is wrong with an object.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// Code of the finding.
    pub(crate) code: &'static str,
    /// How bad it is. An error refuses the object.
    pub(crate) level: Level,
    /// The field that is to blame.
    pub(crate) path: FieldPath,
    /// What is wrong, without the path.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

/// Collects what is wrong with one object.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<Violation>);

// === impl Violations ===

impl Violations {
    /// Something is wrong with a field.
    pub(crate) fn add(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.push(Level::Error, at, message.into(), None);
    }

    /// Something is wrong with a field, and this is how to mend it.
    pub(crate) fn add_hint(
        &mut self,
        at: &At<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(Level::Error, at, message.into(), Some(hint.into()));
    }

    /// A field is probably not what was meant; the object is accepted.
    pub(crate) fn warn(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.push(Level::Warning, at, message.into(), None);
    }

    /// A field is probably not what was meant, and this is how to mend it; the object is accepted.
    pub(crate) fn warn_hint(
        &mut self,
        at: &At<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(Level::Warning, at, message.into(), Some(hint.into()));
    }

    /// A part of the object has no effect in this version; the object is accepted.
    pub(crate) fn no_effect(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.0.push(Violation {
            code: NO_EFFECT,
            level: Level::Warning,
            path: at.path(),
            message: message.into(),
            hint: None,
        });
    }

    /// Reports a field if a check of its value fails.
    pub(crate) fn check(&mut self, at: &At<'_>, outcome: Result<(), String>) {
        if let Err(message) = outcome {
            self.add(at, message);
        }
    }

    /// All that was found.
    pub(crate) fn into_found(self) -> Vec<Violation> {
        self.0
    }

    fn push(&mut self, level: Level, at: &At<'_>, message: String, hint: Option<String>) {
        let code = match level {
            Level::Error => SCHEMA,
            Level::Warning | Level::Info => SCHEMA_WARNING,
        };
        self.0.push(Violation {
            code,
            level,
            path: at.path(),
            message,
            hint,
        });
    }
}
