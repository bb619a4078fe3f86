//! The settings of the mesh in the key `mesh` of the ConfigMap `istio`: decoded and checked like an object.

use std::sync::Arc;

use serde_json::Value;

use super::typed::{DecodeError, forgiving_protobuf, without_nulls};
use super::{Object, ResourceKey};
use crate::diag::FieldPath;
use crate::model::{DefaultProxyConfig, MeshConfig};
use crate::source::parse_whole;
use crate::validate::{At, Violation, Violations, mesh_config};

/// The settings in a ConfigMap, and what is wrong with them; nothing if it is another ConfigMap. Paths lie in the ConfigMap.
pub(super) fn of_config_map(
    key: &ResourceKey,
    object: &Object,
) -> Option<(Option<Arc<MeshConfig>>, Vec<Violation>)> {
    let Object::ConfigMap(map) = object else {
        return None;
    };
    if &*key.name != "istio" {
        return None;
    }
    let text = map.data.as_ref()?.get("mesh")?;
    let path = FieldPath::parse("data.mesh");
    let (documents, findings) = parse_whole("mesh", text);
    if let Some(finding) = findings.into_iter().next() {
        return Some((None, vec![DecodeError::new(path, finding.message).into()]));
    }
    let Some(document) = documents.first() else {
        return Some((Some(Arc::default()), Vec::new()));
    };
    let (config, found) = read(&document.value);
    let found = found
        .into_iter()
        .map(|violation| Violation {
            message: format!("{}: {}", violation.path, violation.message),
            path: path.clone(),
            ..violation
        })
        .collect();
    Some((config.map(Arc::new), found))
}

/// What is wrong with settings of the mesh. Paths lie in them.
pub(crate) fn check_mesh_config(value: &Value) -> Vec<Violation> {
    read(value).1
}

fn read(value: &Value) -> (Option<MeshConfig>, Vec<Violation>) {
    let (config, errors) =
        forgiving_protobuf::<MeshConfig>(&without_nulls(value), &FieldPath::root());
    let mut found: Vec<Violation> = errors.into_iter().map(Violation::from).collect();
    let Some(config) = config else {
        return (None, found);
    };
    let mut violations = Violations::default();
    let root = At::Root;
    mesh_config::check(&config, &root, &mut violations);
    let default = "defaultConfig";
    if let Some(value) = &config.default_config {
        let (config, errors) =
            forgiving_protobuf::<DefaultProxyConfig>(value, &FieldPath::root().key(default));
        found.extend(errors.into_iter().map(Violation::from));
        if let Some(config) = config {
            mesh_config::check_default(&config, &root.key(default), &mut violations);
        }
    }
    found.extend(violations.into_found());
    (Some(config), found)
}
