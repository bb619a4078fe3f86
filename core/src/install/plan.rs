//! The plan: all objects of an installation in the order in which they are applied.

use serde_json::Value;

use super::layers::{Request, ValuesError};
use super::object::{Object, Phase};
use super::settings::Settings;
use super::{config_maps, crds, gateway, istiod, namespace, rbac, webhooks};
use crate::yaml::to_yaml;

/// All objects of an installation.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The profile that it came from.
    pub profile: &'static str,
    /// Namespace of the control plane.
    pub namespace: String,
    /// Name of the control plane among several.
    pub revision: String,
    /// In the order in which they are applied.
    pub objects: Vec<Object>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Plans an installation.
///
/// # Errors
/// All that is wrong with the values.
pub fn plan(request: &Request<'_>) -> Result<Plan, Vec<ValuesError>> {
    let (settings, profile, warnings) = super::layers::settings(request)?;
    let mut objects = objects(&settings);
    // Stable: within a phase the order in which they were built remains.
    objects.sort_by_key(|object| object.phase);
    Ok(Plan {
        profile: profile.name(),
        namespace: settings.namespace,
        revision: settings.revision,
        objects,
        warnings,
    })
}

fn objects(settings: &Settings) -> Vec<Object> {
    let mut objects = Vec::new();
    if settings.base {
        objects.push(namespace::namespace(settings));
        objects.extend(crds::objects(settings));
    }
    if let Some(pilot) = &settings.pilot {
        objects.extend(rbac::objects(settings));
        objects.extend(config_maps::objects(settings));
        objects.extend(istiod::objects(settings, pilot));
        objects.extend(webhooks::objects(settings));
    }
    for gateway in &settings.gateways {
        objects.extend(gateway::objects(settings, gateway));
    }
    objects
}

// === impl Plan ===

impl Plan {
    /// The objects as YAML documents.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        for object in &self.objects {
            text.push_str("---\n");
            text.push_str(&to_yaml(&object.value));
        }
        text
    }

    /// The objects of a phase.
    pub fn phase(&self, phase: Phase) -> impl Iterator<Item = &Object> {
        self.objects
            .iter()
            .filter(move |object| object.phase == phase)
    }

    /// The value of an object, for tests and people who look for one.
    pub fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        let found = self
            .objects
            .iter()
            .find(|object| object.resource.kind == kind && object.name() == name);
        found.map(|object| &object.value)
    }
}
