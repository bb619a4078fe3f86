//! How lists and objects of built-in kinds are joined, by the name of their field and of the one above.

use super::Join;

/// Lists whose elements have keys: the field above (`*` for any), the field, its keys, and the one that strategic merge
/// patches go by.
const KEYED: &[(&str, &str, &[&str], &str)] = &[
    ("*", "containers", &["name"], "name"),
    ("*", "initContainers", &["name"], "name"),
    ("*", "ephemeralContainers", &["name"], "name"),
    ("spec", "volumes", &["name"], "name"),
    ("*", "env", &["name"], "name"),
    ("*", "volumeMounts", &["mountPath"], "mountPath"),
    ("*", "volumeDevices", &["devicePath"], "devicePath"),
    ("spec", "imagePullSecrets", &["name"], "name"),
    ("spec", "hostAliases", &["ip"], "ip"),
    ("spec", "resourceClaims", &["name"], "name"),
    ("spec", "schedulingGates", &["name"], "name"),
    ("resources", "claims", &["name"], "name"),
    (
        "spec",
        "topologySpreadConstraints",
        &["topologyKey", "whenUnsatisfiable"],
        "topologyKey",
    ),
    ("containers", "ports", CONTAINER_PORT, "containerPort"),
    ("initContainers", "ports", CONTAINER_PORT, "containerPort"),
    (
        "ephemeralContainers",
        "ports",
        CONTAINER_PORT,
        "containerPort",
    ),
    ("spec", "ports", &["port", "protocol"], "port"),
    ("status", "conditions", &["type"], "type"),
    ("status", "addresses", &["type"], "type"),
    ("status", "podIPs", &["ip"], "ip"),
    ("status", "hostIPs", &["ip"], "ip"),
    ("metadata", "ownerReferences", &["uid"], "uid"),
    ("", "webhooks", &["name"], "name"),
    ("webhooks", "matchConditions", &["name"], "name"),
    ("", "secrets", &["name"], "name"),
];

const CONTAINER_PORT: &[&str] = &["containerPort", "protocol"];

/// Lists that strategic merge patches join by a key, although they are replaced as a whole otherwise.
const PATCH_ONLY: &[(&str, &str, &str)] =
    &[("spec", "taints", "key"), ("", "imagePullSecrets", "name")];

/// Lists of different values.
const SETS: &[(&str, &str)] = &[("metadata", "finalizers"), ("spec", "podCIDRs")];

/// Objects that are replaced as a whole.
const ATOMIC: &[&str] = &[
    "selector",
    "nodeSelector",
    "labelSelector",
    "podSelector",
    "namespaceSelector",
    "objectSelector",
    "roleRef",
    "configMapKeyRef",
    "secretKeyRef",
    "fieldRef",
    "resourceFieldRef",
    "involvedObject",
    "related",
    "claimRef",
    "targetRef",
    "nodeAffinity",
    "clientConfig",
];

/// How objects are joined.
pub fn join_object(parent: &str, field: &str) -> Join<'static> {
    // A node's affinity is not replaced with the pod's other affinities, only its terms are; they are lists.
    let nested = parent == "affinity" || parent == "webhooks";
    if ATOMIC.contains(&field) && !nested {
        Join::Atomic
    } else {
        Join::Fields
    }
}

/// How lists are joined.
pub fn join_list(parent: &str, field: &str) -> Join<'static> {
    if let Some((_, _, keys, _)) = keyed(parent, field) {
        return Join::Keyed(keys.to_vec());
    }
    if SETS.contains(&(parent, field)) {
        return Join::Set;
    }
    Join::Atomic
}

/// How strategic merge patches join lists.
pub fn patch_join(parent: &str, field: &str) -> Join<'static> {
    if let Some((_, _, _, key)) = keyed(parent, field) {
        return Join::Keyed(vec![*key]);
    }
    let only = PATCH_ONLY
        .iter()
        .find(|(above, name, _)| (*above, *name) == (parent, field));
    if let Some((_, _, key)) = only {
        return Join::Keyed(vec![*key]);
    }
    join_list(parent, field)
}

fn keyed(
    parent: &str,
    field: &str,
) -> Option<&'static (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
)> {
    KEYED
        .iter()
        .find(|(above, name, _, _)| *name == field && (*above == "*" || *above == parent))
}
