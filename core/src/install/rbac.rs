//! What the control plane may do in the cluster: watch what it translates, have tokens reviewed, publish its root certificate, and
//! keep its own key. Nothing else.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};

use super::object::{Component, Object, Phase, metadata};
use super::settings::Settings;

/// Service account of the control plane.
pub(super) const SERVICE_ACCOUNT: &str = "istiod";

const WATCH: [&str; 3] = ["get", "list", "watch"];
const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn objects(settings: &Settings) -> Vec<Object> {
    let component = Component::Istiod;
    let own = &settings.namespace;
    // Objects of the cluster carry the namespace in their names, so that control planes do not share them.
    let of_cluster = format!("istiod-clusterrole-{own}");
    let in_namespace = |name: &str| metadata(&component, own, Some(own), name);
    let subjects = Some(vec![Subject {
        kind: "ServiceAccount".into(),
        name: SERVICE_ACCOUNT.into(),
        namespace: Some(own.clone()),
        ..Subject::default()
    }]);
    let role_ref = |kind: &str, name: &str| RoleRef {
        api_group: GROUP.into(),
        kind: kind.into(),
        name: name.into(),
    };
    let access = Phase::Access;
    vec![
        Object::new(
            &component,
            access,
            &ServiceAccount {
                metadata: in_namespace(SERVICE_ACCOUNT),
                ..ServiceAccount::default()
            },
        ),
        Object::new(
            &component,
            access,
            &ClusterRole {
                metadata: metadata(&component, own, None, &of_cluster),
                rules: Some(cluster_rules()),
                ..ClusterRole::default()
            },
        ),
        Object::new(
            &component,
            access,
            &ClusterRoleBinding {
                metadata: metadata(&component, own, None, &of_cluster),
                role_ref: role_ref("ClusterRole", &of_cluster),
                subjects: subjects.clone(),
            },
        ),
        Object::new(
            &component,
            access,
            &Role {
                metadata: in_namespace(SERVICE_ACCOUNT),
                rules: Some(own_rules()),
            },
        ),
        Object::new(
            &component,
            access,
            &RoleBinding {
                metadata: in_namespace(SERVICE_ACCOUNT),
                role_ref: role_ref("Role", SERVICE_ACCOUNT),
                subjects,
            },
        ),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str], names: &[&str]) -> PolicyRule {
    let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        resource_names: (!names.is_empty()).then(|| owned(names)),
        non_resource_urls: None,
    }
}

fn cluster_rules() -> Vec<PolicyRule> {
    let istio = [
        "virtualservices",
        "destinationrules",
        "gateways",
        "serviceentries",
    ];
    vec![
        rule(
            "",
            &["namespaces", "nodes", "services", "pods"],
            &WATCH,
            &[],
        ),
        rule("discovery.k8s.io", &["endpointslices"], &WATCH, &[]),
        rule("networking.istio.io", &istio, &WATCH, &[]),
        rule("authentication.k8s.io", &["tokenreviews"], &["create"], &[]),
        // The root certificate in every namespace. A name cannot restrict who creates.
        rule("", &["configmaps"], &["create"], &[]),
        rule(
            "",
            &["configmaps"],
            &["get", "patch", "update"],
            &["istio-ca-root-cert"],
        ),
    ]
}

fn own_rules() -> Vec<PolicyRule> {
    vec![
        rule("", &["configmaps"], &WATCH, &[]),
        rule("", &["secrets"], &["create"], &[]),
        rule("", &["secrets"], &["get"], &["istio-ca-secret"]),
    ]
}
