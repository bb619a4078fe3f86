//! What the control plane may do in the cluster: watch the kinds that it reads and write their status, have tokens reviewed,
//! publish its root certificate, and keep its own key. Nothing else.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};

use super::object::{Component, Object, Phase, metadata};
use super::settings::Settings;
use crate::resource::{Row, Watch, rows};

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

/// One rule for each group of which some kinds fulfil a condition.
fn by_group(
    concerned: impl Fn(&Row) -> bool,
    resource: impl Fn(&Row) -> String,
    verbs: &[&str],
) -> Vec<PolicyRule> {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for row in rows().filter(|row| concerned(row)) {
        match groups.iter_mut().find(|(group, _)| *group == row.group()) {
            Some((_, resources)) => resources.push(resource(row)),
            None => groups.push((row.group(), vec![resource(row)])),
        }
    }
    let rule_of = |(group, resources): (&str, Vec<String>)| {
        let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
        rule(group, &resources, verbs, &[])
    };
    groups.into_iter().map(rule_of).collect()
}

fn cluster_rules() -> Vec<PolicyRule> {
    let mut rules = by_group(
        |row| matches!(row.watch, Watch::Always | Watch::WhenInstalled),
        |row| row.plural.to_owned(),
        &WATCH,
    );
    rules.extend(by_group(
        |row| row.writes_status,
        |row| format!("{}/status", row.plural),
        &["get", "patch", "update"],
    ));
    rules.extend([
        // Which of the kinds are installed.
        rule(
            "apiextensions.k8s.io",
            &["customresourcedefinitions"],
            &WATCH,
            &[],
        ),
        rule("authentication.k8s.io", &["tokenreviews"], &["create"], &[]),
        // The root certificate in every namespace. A name cannot restrict who creates.
        rule("", &["configmaps"], &["create"], &[]),
        rule(
            "",
            &["configmaps"],
            &["get", "patch", "update"],
            &["istio-ca-root-cert"],
        ),
    ]);
    rules
}

fn own_rules() -> Vec<PolicyRule> {
    let mut rules = by_group(
        |row| row.watch == Watch::OwnNamespace,
        |row| row.plural.to_owned(),
        &WATCH,
    );
    rules.extend([
        rule("", &["secrets"], &["create"], &[]),
        rule("", &["secrets"], &["get"], &["istio-ca-secret"]),
    ]);
    rules
}
