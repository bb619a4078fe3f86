//! Access reviews: clients ask what they or others may do, and get the answer that a request would get.

use serde_json::{Value, json};

use super::MASTERS;
use super::attributes::{Attributes, Target};
use super::rbac::{authorize, granted};
use crate::auth::User;
use crate::status::{Cause, Status};
use crate::store::State;

/// `SelfSubjectAccessReview` for the user, and `SubjectAccessReview` and `LocalSubjectAccessReview` for whom they name: may he do this?
pub fn access_review(
    state: &State,
    kind: &str,
    asking: &User,
    review: &Value,
) -> Result<Value, Status> {
    let spec = &review["spec"];
    let user = match kind {
        "SelfSubjectAccessReview" => asking.clone(),
        _ => subject(spec),
    };
    let text =
        |value: &'static str, place: &'static str| spec[place][value].as_str().unwrap_or_default();
    let resource = |field| text(field, "resourceAttributes");
    let (verb, target) = if spec["resourceAttributes"].is_object() {
        let target = Target::Resource {
            group: resource("group"),
            resource: resource("resource"),
            subresource: resource("subresource"),
            namespace: resource("namespace"),
            name: resource("name"),
        };
        (resource("verb"), target)
    } else if spec["nonResourceAttributes"].is_object() {
        let path = text("path", "nonResourceAttributes");
        (text("verb", "nonResourceAttributes"), Target::Path(path))
    } else {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let cause = Cause::required("spec.resourceAttributes", why);
        return Err(Status::invalid(
            "authorization.k8s.io",
            kind,
            "",
            vec![cause],
        ));
    };
    let user = &user;
    let allowed = authorize(state, &Attributes { user, verb, target });
    let mut status = json!({"allowed": allowed.is_some()});
    if let Some(reason) = allowed.filter(|reason| !reason.is_empty()) {
        status["reason"] = json!(reason);
    }
    Ok(status)
}

/// `SelfSubjectRulesReview`: what may I do in a namespace?
pub fn rules_review(state: &State, user: &User, review: &Value) -> Value {
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    if user.groups.iter().any(|group| group == MASTERS) {
        resources.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        paths.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
    }
    let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
    for rule in granted(state, user, namespace).flat_map(|granted| granted.rules) {
        let rule = json!(rule);
        match rule["nonResourceURLs"].is_array() {
            true => paths.push(rule),
            false => resources.push(rule),
        }
    }
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}

/// Whom a review names.
fn subject(spec: &Value) -> User {
    let groups = spec["groups"].as_array().into_iter().flatten();
    let groups = groups.filter_map(|group| group.as_str().map(str::to_owned));
    User {
        groups: groups.collect(),
        ..User::named(spec["user"].as_str().unwrap_or_default())
    }
}
