//! The table of the kinds that are known, with all API versions under which they are accepted.

use std::sync::Arc;

use serde_json::Value;

use super::decode::{DecodeError, spec, whole};
use super::{Kind, Object};

/// What is known about a kind.
pub(super) struct KindInfo {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    /// All versions that are accepted; the first is the current one.
    pub(super) api_versions: &'static [&'static str],
    pub(super) namespaced: bool,
    pub(super) decode: fn(&Value, &KindInfo) -> Result<Object, DecodeError>,
}

const ISTIO: &[&str] = &[
    "networking.istio.io/v1",
    "networking.istio.io/v1beta1",
    "networking.istio.io/v1alpha3",
];

/// A row for a Kubernetes kind.
macro_rules! kubernetes {
    ($kind:ident, $namespaced:expr, $versions:expr) => {
        KindInfo {
            kind: Kind::$kind,
            name: stringify!($kind),
            api_versions: $versions,
            namespaced: $namespaced,
            decode: |value, info| Ok(Object::$kind(Arc::new(whole(value, info)?))),
        }
    };
}

/// A row for an Istio kind.
macro_rules! istio {
    ($kind:ident) => {
        KindInfo {
            kind: Kind::$kind,
            name: stringify!($kind),
            api_versions: ISTIO,
            namespaced: true,
            decode: |value, _| Ok(Object::$kind(Arc::new(spec(value)?))),
        }
    };
}

const WORKLOAD: &[&str] = &[
    "apps/v1",
    "apps/v1beta2",
    "apps/v1beta1",
    "extensions/v1beta1",
];

const KINDS: &[KindInfo] = &[
    kubernetes!(Namespace, false, &["v1"]),
    kubernetes!(Node, false, &["v1"]),
    kubernetes!(ServiceAccount, true, &["v1"]),
    kubernetes!(ConfigMap, true, &["v1"]),
    kubernetes!(Secret, true, &["v1"]),
    kubernetes!(Service, true, &["v1"]),
    kubernetes!(Endpoints, true, &["v1"]),
    kubernetes!(
        EndpointSlice,
        true,
        &["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"]
    ),
    kubernetes!(Pod, true, &["v1"]),
    kubernetes!(ReplicationController, true, &["v1"]),
    kubernetes!(Deployment, true, WORKLOAD),
    kubernetes!(ReplicaSet, true, WORKLOAD),
    kubernetes!(StatefulSet, true, WORKLOAD),
    kubernetes!(DaemonSet, true, WORKLOAD),
    kubernetes!(Job, true, &["batch/v1"]),
    kubernetes!(
        CronJob,
        true,
        &["batch/v1", "batch/v1beta1", "batch/v2alpha1"]
    ),
    istio!(VirtualService),
    istio!(DestinationRule),
    istio!(Gateway),
    istio!(ServiceEntry),
];

/// What a pair of API version and kind is.
pub(super) enum Lookup {
    Known(&'static KindInfo),
    /// The group has this kind, but not in this version.
    WrongVersion(&'static KindInfo),
    Unknown,
}

pub(super) fn lookup(api_version: &str, name: &str) -> Lookup {
    let mut same_group = None;
    for info in KINDS.iter().filter(|info| info.name == name) {
        if info.api_versions.contains(&api_version) {
            return Lookup::Known(info);
        }
        let is_group = |known: &&&str| group(known) == group(api_version);
        if info.api_versions.iter().find(is_group).is_some() {
            same_group = Some(info);
        }
    }
    same_group.map_or(Lookup::Unknown, Lookup::WrongVersion)
}

fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

fn info(kind: Kind) -> Option<&'static KindInfo> {
    KINDS.iter().find(|info| info.kind == kind)
}

impl Kind {
    /// The kind of an API version and name; none for kinds that a mesh does not need.
    pub fn of(api_version: &str, name: &str) -> Option<Kind> {
        match lookup(api_version, name) {
            Lookup::Known(info) => Some(info.kind),
            Lookup::WrongVersion(_) | Lookup::Unknown => None,
        }
    }

    /// Every kind.
    pub fn all() -> impl Iterator<Item = Kind> {
        KINDS.iter().map(|info| info.kind)
    }

    /// Name of the kind, `VirtualService`.
    pub fn name(self) -> &'static str {
        info(self).map_or("", |info| info.name)
    }

    /// The current API version, `networking.istio.io/v1`.
    pub fn api_version(self) -> &'static str {
        info(self)
            .and_then(|info| info.api_versions.first())
            .copied()
            .unwrap_or("")
    }

    /// Whether objects of this kind live in namespaces.
    pub fn is_namespaced(self) -> bool {
        info(self).is_some_and(|info| info.namespaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_tell_kinds_of_other_groups_apart() {
        let gateway = Some(Kind::Gateway);
        assert_eq!(Kind::of("networking.istio.io/v1alpha3", "Gateway"), gateway);
        assert_eq!(Kind::of("gateway.networking.k8s.io/v1", "Gateway"), None);
        assert_eq!(Kind::of("serving.knative.dev/v1", "Service"), None);
        assert_eq!(
            Kind::of("extensions/v1beta1", "Deployment"),
            Some(Kind::Deployment)
        );
    }

    #[test]
    fn every_kind_names_itself() {
        for kind in Kind::all() {
            assert_eq!(kind.name(), format!("{kind:?}"));
            assert_eq!(Kind::of(kind.api_version(), kind.name()), Some(kind));
        }
    }
}
