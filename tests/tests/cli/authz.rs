//! `authz` on files: verdicts, the rule that decides with its place, and why others do not match.

use serde_json::Value;

use crate::place::Place;

const APP: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: tcp-db, port: 90}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-v1, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
";

const POLICIES: &str = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: admin, namespace: shop}
spec:
  action: DENY
  rules:
  - to:
    - operation:
        paths: [/admin*]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  rules:
  - from:
    - source: {principals: [cluster.local/ns/shop/sa/front]}
    to:
    - operation: {methods: [GET]}
  - to:
    - operation: {ports: ['90']}
";

fn place() -> Place {
    let place = Place::new();
    place.file("app.yaml", APP);
    place.file("policies.yaml", POLICIES);
    place
}

fn ask<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let files = ["authz", "can-i", "-f", "app.yaml", "-f", "policies.yaml"];
    files.iter().chain(more).copied().collect()
}

#[test]
fn a_request_is_allowed_by_a_rule_that_is_named_with_its_line() {
    let front = ["--from", "shop/front", "GET", "http://web.shop/x"];
    place()
        .run(&ask(&front))
        .ends(0)
        .prints("GET http://web.shop/x at web-v1.shop port 8080: allowed")
        .prints("rule 0 of an ALLOW policy matches")
        .prints("decided by shop/readers (policies.yaml:17)")
        .prints("to[0].paths is \"/x\", expected one of [/admin*]");
}

#[test]
fn a_denied_request_tells_why_each_rule_does_not_match() {
    let post = ["--from", "shop/front", "POST", "http://web.shop/x"];
    place()
        .run(&ask(&post))
        .ends(1)
        .prints("denied with 403")
        .prints("there are ALLOW policies, and no rule of them matches")
        .prints("methods is \"POST\", expected one of [GET]")
        .prints("ports is \"8080\", expected one of [90]");
    let stranger = ["GET", "http://web.shop.svc.cluster.local/x"];
    place()
        .run(&ask(&stranger))
        .ends(1)
        .prints("principals is absent, expected one of [cluster.local/ns/shop/sa/front]");
    let admin = ["--from", "shop/front", "GET", "http://web.shop/admin/x"];
    place()
        .run(&ask(&admin))
        .ends(1)
        .prints("decided by shop/admin (policies.yaml:7)");
}

#[test]
fn connections_have_no_paths() {
    let tcp = ["GET", "http://web.shop:90/admin"];
    place()
        .run(&ask(&tcp))
        .ends(1)
        .prints("the connection is closed")
        .prints("decided by shop/admin");
}

#[test]
fn a_token_counts_as_its_claims_say() {
    let place = place();
    place.file("token.jwt", "x.y.z\n");
    place.file(
        "policies.yaml",
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: tokens, namespace: shop}\nspec: {jwtRules: [{issuer: a, jwks: '{\"keys\": []}'}]}\n",
    );
    let asked = ["GET", "http://web.shop/x"];
    place
        .run(&ask(&asked))
        .ends(0)
        .prints("no policy is for this workload");
    let with = ["GET", "http://web.shop/x", "--as-token", "token.jwt"];
    place
        .run(&ask(&with))
        .ends(1)
        .prints("denied with 401")
        .prints("the token is wrong: Jwt is not in the form");
}

#[test]
fn answers_are_data_too() {
    let asked = [
        "-o",
        "json",
        "--from",
        "shop/front",
        "GET",
        "http://web.shop/x",
    ];
    let ran = place().run(&ask(&asked));
    let answers: Value = serde_json::from_str(&ran.ends(0).stdout).unwrap();
    let answer = &answers[0];
    assert_eq!(answer["allowed"], true);
    assert_eq!(answer["policy"], "shop/readers");
    assert_eq!(answer["location"], "policies.yaml:17");
    assert_eq!(
        answer["tried"][0]["rule"],
        "DENY ns[shop]-policy[admin]-rule[0]"
    );
}

#[test]
fn policies_of_a_workload_are_listed_in_their_order() {
    let place = place();
    let list = [
        "authz",
        "list",
        "web-v1.shop",
        "-f",
        "app.yaml",
        "-f",
        "policies.yaml",
    ];
    let ran = place.run(&list);
    ran.ends(0);
    let rows: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[1],
        [
            "DENY",
            "admin.shop",
            "AuthorizationPolicy",
            "1",
            "policies.yaml:1"
        ]
    );
    assert_eq!(
        rows[2],
        [
            "ALLOW",
            "readers.shop",
            "AuthorizationPolicy",
            "2",
            "policies.yaml:11"
        ]
    );
}

#[test]
fn what_cannot_be_asked_says_what_to_do() {
    for (more, says) in [
        (vec!["GET", "http:///x"], "is no URL of a request"),
        (
            vec!["GET", "http://other/"],
            "there is no service for the host \"other\"",
        ),
        (vec!["GET", "http://web.shop:81/"], "its ports are 80, 90"),
        (
            vec!["--from", "front", "GET", "http://web.shop/"],
            "is not NAMESPACE/SERVICE_ACCOUNT",
        ),
        (vec!["-H", "x", "GET", "http://web.shop/"], "is no header"),
    ] {
        let ran = place().run(&ask(&more));
        assert_ne!(ran.code, 0);
        ran.says(says);
    }
}
