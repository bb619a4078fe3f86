//! Who is let in: tokens that are granted, reviewed, bound to objects, and expire.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

struct Objects(BTreeMap<(&'static str, &'static str), &'static str>);

impl Lookup for Objects {
    fn uid(&self, resource: &str, namespace: &str, name: &str) -> Option<String> {
        let found = (namespace == "n").then(|| self.0.get(&(resource, name)))?;
        found.map(|uid| (*uid).to_owned())
    }
}

fn objects() -> Objects {
    Objects(BTreeMap::from([
        (("serviceaccounts", "a"), "account-1"),
        (("pods", "p"), "pod-1"),
    ]))
}

fn authenticator() -> Authenticator {
    Authenticator::new("secret".into(), SigningKey::new([1; 32]))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn token(spec: Value) -> Result<String, GrantError> {
    let request = json!({"spec": spec});
    let answer = grant(
        &authenticator(),
        &objects(),
        ("n", "a"),
        request,
        "1".into(),
        at(0),
    )?;
    Ok(answer["status"]["token"].as_str().unwrap().to_owned())
}

fn user(authorization: Option<&str>) -> Result<String, Denied> {
    authenticator()
        .user(authorization, &objects(), at(10))
        .map(|user| user.name)
}

#[test]
fn the_owner_and_accounts_are_known_by_their_tokens() {
    assert_eq!(user(Some("Bearer secret")).unwrap(), "sandbox-admin");
    assert_eq!(user(None), Err(Denied::Missing));
    assert_eq!(user(Some("Basic secret")), Err(Denied::Missing));
    assert!(matches!(user(Some("Bearer secre")), Err(Denied::Token(_))));
    let good = format!("Bearer {}", token(json!({})).unwrap());
    assert_eq!(user(Some(&good)).unwrap(), "system:serviceaccount:n:a");
    let other = format!(
        "Bearer {}",
        token(json!({"audiences": ["istio-ca"]})).unwrap()
    );
    assert!(matches!(user(Some(&other)), Err(Denied::Audience(_))));
}

#[test]
fn a_review_tells_whose_token_it_is() {
    let reference = json!({"kind": "Pod", "name": "p", "uid": "pod-1"});
    let token = token(json!({"audiences": ["istio-ca"], "boundObjectRef": reference})).unwrap();
    let review = |audience: &str, objects: &Objects| {
        let review = json!({"spec": {"token": token, "audiences": [audience]}});
        token_review(&authenticator(), objects, review, at(10))["status"].clone()
    };
    let status = review("istio-ca", &objects());
    assert_eq!(status["authenticated"], true);
    assert_eq!(status["audiences"], json!(["istio-ca"]));
    assert_eq!(status["user"]["username"], "system:serviceaccount:n:a");
    assert_eq!(
        status["user"]["extra"]["authentication.kubernetes.io/pod-name"],
        json!(["p"])
    );
    assert_eq!(review("other", &objects())["authenticated"], false);
    let mut later = objects();
    later.0.insert(("pods", "p"), "pod-2");
    let status = review("istio-ca", &later);
    assert_eq!(
        status["authenticated"], false,
        "the pod of that name is another one"
    );
}

#[test]
fn requests_for_tokens_are_checked() {
    let field = |spec: Value| match token(spec) {
        Err(GrantError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        field(json!({"expirationSeconds": 5})),
        "spec.expirationSeconds"
    );
    assert_eq!(
        field(json!({"boundObjectRef": {"kind": "Node", "name": "x"}})),
        "spec.boundObjectRef"
    );
    assert_eq!(
        field(json!({"boundObjectRef": {"kind": "Pod", "name": "x"}})),
        "spec.boundObjectRef.name"
    );
    let other = token(json!({"boundObjectRef": {"kind": "Pod", "name": "p", "uid": "other"}}));
    assert!(matches!(other, Err(GrantError::Conflict(_))));
}
