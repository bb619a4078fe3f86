//! What the status of Ingresses and of the Gateway API's objects should say: what is accepted, what of it is in force, and why not.
//!
//! ```text
//! Gateways, routes, Services (addresses), EndpointSlices (ready pods) --> WantedStatus of each object, without times
//! ```
//!
//! The same functions decide here and in translation which listeners are in force and which of them take a route, so that a status never
//! tells of something that is not so.

mod backend_tls;
mod class;
mod condition;
mod gateway;
mod ingress;
mod listener;
mod listener_set;
mod route;
mod service;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diag::{Diagnostic, Level};
use crate::resource::{Resource, ResourceKey};
use crate::snapshot::Snapshot;
use route::Attached;

/// What an object's status should say of the mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedStatus {
    /// The generation of the object that it is about.
    pub generation: i64,
    /// The fields. Conditions have no times.
    pub fields: Value,
}

/// The status of all objects for which the mesh writes one, apart from what proxies say.
pub fn statuses(snapshot: &Snapshot) -> BTreeMap<ResourceKey, WantedStatus> {
    let deriver = snapshot.deriver();
    let mut attached = Attached::default();
    let mut all = BTreeMap::new();
    let mut add = |resource: &Resource, fields: Value| {
        let wanted = WantedStatus {
            generation: generation(resource),
            fields,
        };
        all.insert(resource.key.clone(), wanted);
    };
    for (resource, fields) in route::all(&deriver, &mut attached) {
        add(resource, fields);
    }
    for (resource, fields) in gateway::all(&deriver, &attached) {
        add(resource, fields);
    }
    for (resource, fields) in backend_tls::all(&deriver, &attached) {
        add(resource, fields);
    }
    for (resource, fields) in listener_set::all(&deriver, &attached) {
        add(resource, fields);
    }
    for (resource, fields) in ingress::all(&deriver) {
        add(resource, fields);
    }
    for (resource, fields) in class::all(&deriver) {
        add(resource, fields);
    }
    all
}

fn generation(resource: &Resource) -> i64 {
    resource.meta.generation.unwrap_or_default()
}

/// The errors for which an object is refused, in one sentence.
fn errors(resource: &Resource) -> String {
    let errors = resource.findings.iter();
    let errors = errors.filter(|finding| finding.level == Level::Error);
    joined(errors)
}

fn joined<'a>(findings: impl Iterator<Item = &'a Diagnostic>) -> String {
    let messages: Vec<&str> = findings.map(|finding| finding.message.as_str()).collect();
    messages.join("; ")
}
