//! What the control plane may do in the cluster: watch the kinds that it reads and write their status, have tokens and access reviewed,
//! publish its root certificate, keep its own key, elect a leader, make what Gateways of the Gateway API run on, and write its CA bundle
//! into its webhook configurations. Nothing else.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::object::{Component, Object, Phase, metadata};
use super::revision::revised;
use super::settings::Settings;
use super::webhooks::{injector_webhook, validator_webhook};
use crate::resource::{Row, Watch, rows};

/// Service account of the control plane.
pub(super) fn account(settings: &Settings) -> String {
    revised("istiod", &settings.revision)
}

/// Name of the Lease by which replicas of the control plane choose their leader.
pub const LEADER_LEASE: &str = "istio-leader";

const WATCH: [&str; 3] = ["get", "list", "watch"];
const GROUP: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const INJECTORS: &str = "mutatingwebhookconfigurations";
const VALIDATORS: &str = "validatingwebhookconfigurations";

pub(super) fn objects(settings: &Settings) -> Vec<Object> {
    let component = Component::Istiod;
    let own = &settings.namespace;
    // Objects of the cluster carry the namespace in their names, so that control planes do not share them.
    let of_cluster = revised("istiod-clusterrole", &settings.revision);
    let of_cluster = format!("{of_cluster}-{own}");
    let account = account(settings);
    let in_namespace = |name: &str| metadata(&component, settings, Some(own), name);
    let subjects = Some(vec![subject(own, &account)]);
    let access = Phase::Access;
    vec![
        Object::new(
            &component,
            access,
            &ServiceAccount {
                metadata: in_namespace(&account),
                ..ServiceAccount::default()
            },
        ),
        Object::new(
            &component,
            access,
            &ClusterRole {
                metadata: metadata(&component, settings, None, &of_cluster),
                rules: Some(cluster_rules(settings)),
                ..ClusterRole::default()
            },
        ),
        Object::new(
            &component,
            access,
            &ClusterRoleBinding {
                metadata: metadata(&component, settings, None, &of_cluster),
                role_ref: role_ref("ClusterRole", &of_cluster),
                subjects: subjects.clone(),
            },
        ),
        Object::new(
            &component,
            access,
            &Role {
                metadata: in_namespace(&account),
                rules: Some(own_rules(settings)),
            },
        ),
        Object::new(
            &component,
            access,
            &RoleBinding {
                metadata: in_namespace(&account),
                role_ref: role_ref("Role", &account),
                subjects,
            },
        ),
    ]
}

/// The right to be given the certificates of a namespace, for a gateway's service account. The control plane asks for it and reads the
/// Secrets itself.
pub(super) fn secret_reader(
    settings: &Settings,
    component: &Component,
    namespace: &str,
    account: &str,
) -> [Object; 2] {
    let name = format!("{}-sds", component.app());
    let metadata = || metadata(component, settings, Some(namespace), &name);
    let role = Role {
        metadata: metadata(),
        rules: Some(vec![rule("", &["secrets"], &WATCH, &[])]),
    };
    let binding = RoleBinding {
        metadata: metadata(),
        role_ref: role_ref("Role", &name),
        subjects: Some(vec![subject(namespace, account)]),
    };
    [
        Object::new(component, Phase::Access, &role),
        Object::new(component, Phase::Access, &binding),
    ]
}

fn subject(namespace: &str, account: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".into(),
        name: account.to_owned(),
        namespace: Some(namespace.to_owned()),
        ..Subject::default()
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: GROUP.into(),
        kind: kind.into(),
        name: name.into(),
    }
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

fn cluster_rules(settings: &Settings) -> Vec<PolicyRule> {
    let mut rules = by_group(
        |row| row.watch != Watch::Never,
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
        // Whether a gateway may be given certificates of its namespace.
        rule(
            "authorization.k8s.io",
            &["subjectaccessreviews"],
            &["create"],
            &[],
        ),
        // The root certificate in every namespace. A name cannot restrict who creates.
        rule("", &["configmaps"], &["create"], &[]),
        rule(
            "",
            &["configmaps"],
            &["get", "patch", "update"],
            &["istio-ca-root-cert"],
        ),
        // What Gateways of the Gateway API run on, and the GatewayClasses that they name. A name cannot restrict who creates.
        rule(
            "apps",
            &["deployments"],
            &["create", "get", "list", "patch", "watch"],
            &[],
        ),
        rule(
            "",
            &["serviceaccounts"],
            &["create", "get", "list", "patch", "watch"],
            &[],
        ),
        rule("", &["services"], &["create", "patch"], &[]),
        rule(
            "gateway.networking.k8s.io",
            &["gatewayclasses"],
            &["create"],
            &[],
        ),
        rule(
            "gateway.networking.k8s.io",
            &["gatewayclasses"],
            &["patch"],
            &["istio", "istio-remote"],
        ),
        // It finds its webhook configurations by their labels.
        rule(ADMISSION, &[INJECTORS, VALIDATORS], &WATCH, &[]),
    ]);
    rules.extend(ca_bundle_rules(
        &injector_webhook(&settings.revision, &settings.namespace),
        &validator_webhook(&settings.revision, &settings.namespace),
    ));
    rules
}

/// The right to write the CA bundle into two webhook configurations.
fn ca_bundle_rules(injector: &str, validator: &str) -> [PolicyRule; 2] {
    [
        rule(ADMISSION, &[INJECTORS], &["patch"], &[injector]),
        rule(ADMISSION, &[VALIDATORS], &["patch"], &[validator]),
    ]
}

/// The right of a control plane's service account to write the CA bundle into the webhook configurations of a tag.
pub(super) fn tag_access(metadata: &ObjectMeta, namespace: &str, account: &str) -> [Object; 2] {
    let name = metadata.name.as_deref().unwrap_or_default();
    let role = ClusterRole {
        metadata: metadata.clone(),
        rules: Some(ca_bundle_rules(name, name).into()),
        ..ClusterRole::default()
    };
    let binding = ClusterRoleBinding {
        metadata: metadata.clone(),
        role_ref: role_ref("ClusterRole", name),
        subjects: Some(vec![subject(namespace, account)]),
    };
    let component = Component::Istiod;
    [
        Object::new(&component, Phase::Access, &role),
        Object::new(&component, Phase::Access, &binding),
    ]
}

fn own_rules(settings: &Settings) -> Vec<PolicyRule> {
    vec![
        rule("", &["secrets"], &["create"], &[]),
        // Leader election. A name cannot restrict who creates.
        rule("coordination.k8s.io", &["leases"], &["create"], &[]),
        rule(
            "coordination.k8s.io",
            &["leases"],
            &["get", "update"],
            &[&revised(LEADER_LEASE, &settings.revision)],
        ),
    ]
}
