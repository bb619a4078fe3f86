//! The first Istio: bookinfo by the objects of 2017 and 2018, from the first rule to the last, by the commands of its tutorials.

use std::time::{Duration, Instant};

use mesh_tests::eventually;

use crate::chance::check;
use crate::exec;
use crate::namespaces::is_possible;
use crate::sandbox::{SETTLED, Sandbox};

const PAGE: &str = "/productpage";
const RULES: &str = "samples/bookinfo/kube/";

/// How the page knows who is signed in.
const JASON: [(&str, &str); 1] = [("cookie", "user=jason")];

/// A client and a server without proxies. No Service knows them.
const OUTSIDE: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: plain, labels: {sidecar.istio.io/inject: "false"}}
spec:
  containers: [{name: plain, image: curlimages/curl, command: [sleep, infinity]}]
---
apiVersion: v1
kind: Pod
metadata: {name: elsewhere, labels: {sidecar.istio.io/inject: "false"}}
spec:
  containers: [{name: elsewhere, image: mccutchen/go-httpbin}]
"#;

/// What the mesh does not know is refused.
const REGISTRY_ONLY: &str = "meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY";

fn none(page: &str) -> bool {
    page.contains("<title>Simple Bookstore App</title>") && !page.contains("<font color=")
}

fn red(page: &str) -> bool {
    page.contains("color=\"red\"")
}

fn black(page: &str) -> bool {
    page.contains("color=\"black\"")
}

fn unrated(page: &str) -> bool {
    page.contains("Ratings service is currently unavailable")
}

#[test]
fn bookinfo_by_the_objects_of_the_first_istio() {
    let sandbox = Sandbox::up(
        "first-istio",
        &[
            "-f",
            "samples/bookinfo/platform/kube/bookinfo.yaml",
            "-f",
            "samples/bookinfo/platform/kube/bookinfo-ingress.yaml",
            "-f",
            "samples/sleep/sleep.yaml",
            "--set",
            REGISTRY_ONLY,
        ],
    );
    everything_to_version_1(&sandbox);
    half_to_version_3(&sandbox);
    by_user(&sandbox);
    ratings_fail_for_one_user(&sandbox);
    ratings_are_late_for_one_user(&sandbox);
    a_pool_is_bounded(&sandbox);
    if is_possible() {
        sandbox.apply_text(OUTSIDE);
        running(&sandbox, &["plain", "elsewhere"]);
        the_mesh_is_left_by_a_rule(&sandbox);
        plain_text_is_refused(&sandbox);
    }
    roles_say_who_may_call(&sandbox);
    what_is_lost_is_told(&sandbox);
    nothing_is_left(&sandbox);
}

impl Sandbox {
    /// `meshctl create -f` of a file of the tutorials.
    #[track_caller]
    fn create(&self, file: &str) {
        self.run(&["create", "-f", &[RULES, file].concat()]);
    }

    /// `meshctl delete -f` of a file of the tutorials.
    #[track_caller]
    fn delete(&self, file: &str) {
        self.run(&["delete", "-f", &[RULES, file].concat()]);
    }
}

/// Runs a command that must fail, and gives what it says.
#[track_caller]
fn fails(sandbox: &Sandbox, words: &[&str], code: i32) -> String {
    let output = sandbox.command(words).output().expect("meshctl runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
    said
}

#[track_caller]
fn running(sandbox: &Sandbox, names: &[&str]) {
    eventually("the pods run", Duration::from_secs(60), || {
        let status = sandbox.status();
        let pods = status["pods"].as_array()?;
        let is_ready = |name: &&str| {
            pods.iter()
                .any(|pod| pod["name"] == *name && pod["ready"] == true)
        };
        names.iter().all(is_ready).then_some(())
    });
}

/// The status of a request out of a pod; `000` if there was no answer.
#[track_caller]
fn curl(sandbox: &Sandbox, pod: &str, container: &str, url: &str) -> String {
    let line = format!("curl -s -m 10 -o /dev/null -w '%{{http_code}}' {url} || true");
    exec::run(sandbox, pod, container, &["sh", "-c", &line])
}

#[track_caller]
fn address(sandbox: &Sandbox, name: &str) -> String {
    let status = sandbox.status();
    let pods = status["pods"].as_array().expect("pods").iter();
    let mut found = pods.filter(|pod| pod["name"].as_str().is_some_and(|it| it.starts_with(name)));
    let pod = found.next().expect("the pod");
    pod["address"].as_str().expect("an address").to_owned()
}

fn everything_to_version_1(sandbox: &Sandbox) {
    sandbox.create("route-rule-all-v1.yaml");
    sandbox.settle("all to v1", PAGE, &[], none);
    assert_eq!(sandbox.count(100, PAGE, &[], none), 100);
    let table = sandbox.run(&["get", "routerules"]);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let kind = "RouteRule.v1alpha2.config.istio.io";
    let row = |name| vec![name, kind, "default"];
    let expected = [
        vec!["NAME", "KIND", "NAMESPACE"],
        row("details-default"),
        row("productpage-default"),
        row("ratings-default"),
        row("reviews-default"),
    ];
    assert_eq!(rows, expected);
    let rule = sandbox.run(&["get", "route-rule", "reviews-default", "-o", "json"]);
    let rule: serde_json::Value = serde_json::from_str(&rule).expect("JSON");
    assert_eq!(rule["spec"]["route"][0]["labels"]["version"], "v1");

    let said = fails(sandbox, &["shift", "reviews", "v3=50", "--yes"], 1);
    assert!(said.contains("RouteRules decide about"), "{said}");
    let file = [RULES, "route-rule-all-v1.yaml"].concat();
    let said = fails(sandbox, &["create", "-f", &file], 1);
    assert!(said.contains("is there already"), "{said}");
    let said = fails(sandbox, &["get", "routerule", "nothing"], 1);
    assert!(
        said.contains("RouteRule default/nothing is not there"),
        "{said}"
    );
}

fn half_to_version_3(sandbox: &Sandbox) {
    let file = [RULES, "route-rule-reviews-50-v3.yaml"].concat();
    sandbox.run(&["replace", "-f", &file]);
    eventually("some pages have red stars", SETTLED, || {
        red(&sandbox.page(PAGE, &[])).then_some(())
    });
    let n = 400;
    let seen = sandbox.count(n, PAGE, &[], |page| {
        assert!(none(page) || red(page), "v2 is not asked for");
        red(page)
    });
    check("half of the pages with red stars", seen, n, 0.5);
}

fn by_user(sandbox: &Sandbox) {
    let file = [RULES, "route-rule-reviews-test-v2.yaml"].concat();
    let said = fails(sandbox, &["replace", "-f", &file], 1);
    assert!(said.contains("meshctl create -f"), "{said}");
    sandbox.create("route-rule-reviews-test-v2.yaml");
    sandbox.settle("jason to v2", PAGE, &JASON, black);
    assert_eq!(sandbox.count(50, PAGE, &JASON, black), 50);
    let other = [("cookie", "user=mary")];
    assert_eq!(sandbox.count(50, PAGE, &other, black), 0);
}

fn ratings_fail_for_one_user(sandbox: &Sandbox) {
    sandbox.create("route-rule-ratings-test-abort.yaml");
    sandbox.settle("no ratings for jason", PAGE, &JASON, unrated);
    assert_eq!(sandbox.count(30, PAGE, &JASON, unrated), 30);
    assert_eq!(sandbox.count(30, PAGE, &[], unrated), 0);
    sandbox.run(&["delete", "routerule", "ratings-test-abort"]);
    sandbox.settle("ratings for jason", PAGE, &JASON, black);
}

/// The page waits 3 s for reviews, twice; reviews v2 would wait for the 7 s of ratings.
fn ratings_are_late_for_one_user(sandbox: &Sandbox) {
    sandbox.create("route-rule-ratings-test-delay.yaml");
    let took = eventually("reviews are late for jason", SETTLED, || {
        let start = Instant::now();
        let page = sandbox.page(PAGE, &JASON);
        let late = page.contains("Error fetching product reviews!");
        late.then(|| start.elapsed())
    });
    assert!(took >= Duration::from_secs(6), "{took:?}");
    assert_eq!(
        sandbox.count(20, PAGE, &[], |page| none(page) || red(page)),
        20
    );
    sandbox.delete("route-rule-ratings-test-delay.yaml");
}

fn a_pool_is_bounded(sandbox: &Sandbox) {
    sandbox.create("destination-policy-reviews.yaml");
    eventually("the limits have arrived", SETTLED, || {
        let words = [
            "pc",
            "clusters",
            "deploy/productpage-v1",
            "--fqdn",
            "reviews.default.svc.cluster.local",
            "-o",
            "json",
        ];
        let clusters: String = sandbox.run(&words).split_whitespace().collect();
        let all = [
            r#""lb_policy":"RANDOM""#,
            r#""max_connections":100"#,
            r#""consecutive_5xx":7"#,
            r#""base_ejection_time":"30s""#,
        ];
        all.iter().all(|part| clusters.contains(part)).then_some(())
    });
    sandbox.run(&["delete", "destinationpolicy", "reviews"]);
}

/// Under REGISTRY_ONLY an address that nobody knows is refused, until an EgressRule names it.
fn the_mesh_is_left_by_a_rule(sandbox: &Sandbox) {
    let sleep = crate::samples::pod(sandbox, "sleep");
    let elsewhere = address(sandbox, "elsewhere");
    let url = format!("http://{elsewhere}:8080/get");
    assert_eq!(curl(sandbox, "plain", "plain", &url), "200", "it answers");
    let refused = curl(sandbox, &sleep, "sleep", &url);
    assert!(["000", "502"].contains(&&*refused), "{refused}");
    let rule = format!(
        "apiVersion: config.istio.io/v1alpha2\nkind: EgressRule\nmetadata: {{name: elsewhere}}\nspec:\n  destination: {{service: {elsewhere}}}\n  ports: [{{port: 8080, protocol: tcp}}]\n"
    );
    let path = sandbox.state.path().join("egress.yaml");
    std::fs::write(&path, rule).expect("the directory can be written");
    let path = path.display().to_string();
    sandbox.run(&["create", "-f", &path]);
    eventually("the address is let out to", SETTLED, || {
        (curl(sandbox, &sleep, "sleep", &url) == "200").then_some(())
    });
    sandbox.run(&["delete", "-f", &path]);
    eventually("the address is refused again", SETTLED, || {
        (curl(sandbox, &sleep, "sleep", &url) == refused).then_some(())
    });
    // The file of the tutorial: TLS by the proxy, for applications that speak HTTP to port 443.
    sandbox.create("egress-rule-google-apis.yaml");
    eventually("the host is known", SETTLED, || {
        let pod = ["pc", "clusters", "deploy/productpage-v1"];
        let words = [&pod[..], &["--fqdn", "www.googleapis.com"]].concat();
        sandbox
            .run(&words)
            .contains("www.googleapis.com")
            .then_some(())
    });
    sandbox.delete("egress-rule-google-apis.yaml");
}

fn plain_text_is_refused(sandbox: &Sandbox) {
    let url = "http://details:9080/details/0";
    assert_eq!(curl(sandbox, "plain", "plain", url), "200");
    sandbox.create("mesh-policy-mtls.yaml");
    eventually("plain text is refused", SETTLED, || {
        (curl(sandbox, "plain", "plain", url) == "000").then_some(())
    });
    assert_eq!(sandbox.count(20, PAGE, &[], |_| true), 20);
    sandbox.run(&["delete", "meshpolicy", "default"]);
    eventually("plain text is served again", SETTLED, || {
        (curl(sandbox, "plain", "plain", url) == "200").then_some(())
    });
}

fn roles_say_who_may_call(sandbox: &Sandbox) {
    let status = || sandbox.get(PAGE, &[]).map(|answer| answer.status).ok();
    let details = |page: &str| page.contains("Book Details");
    let no_details = |page: &str| page.contains("Error fetching product details!");
    sandbox.create("rbac-config-on.yaml");
    eventually("nobody may call", SETTLED, || {
        (0..20).all(|_| status() == Some(403)).then_some(())
    });
    sandbox.create("rbac-productpage.yaml");
    sandbox.settle("the page may be called", PAGE, &[], no_details);
    sandbox.create("rbac-details-reviews.yaml");
    sandbox.settle("the page may call", PAGE, &[], |page| {
        details(page) && (none(page) || red(page))
    });
    // Reviews may call ratings: jason's reviews have stars.
    sandbox.settle("reviews may call", PAGE, &JASON, black);
    for file in [
        "rbac-details-reviews.yaml",
        "rbac-productpage.yaml",
        "rbac-config-on.yaml",
    ] {
        sandbox.delete(file);
    }
    sandbox.settle("everybody may call", PAGE, &[], details);
}

fn what_is_lost_is_told(sandbox: &Sandbox) {
    let rule = "apiVersion: config.istio.io/v1alpha2\nkind: RouteRule\nmetadata: {name: lossy}\nspec:\n  destination: {name: ratings}\n  l4Fault: {}\n";
    sandbox.apply_text(rule);
    let found = sandbox.run(&["analyze"]);
    let has = |words: &[&str]| {
        let mut lines = found.lines();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    assert!(
        has(&["MESH0001", "RouteRule default/lossy", "l4Fault"]),
        "{found}"
    );
    assert!(
        has(&[
            "IST0002",
            "RouteRule default/reviews-default",
            "VirtualService"
        ]),
        "{found}"
    );
    assert!(!found.contains("autogenerated"), "{found}");
    sandbox.run(&["delete", "routerule", "lossy"]);
    // What is wrong is refused before it is written, and by the control plane as well.
    let wrong = rule.replace("l4Fault: {}", "precedence: high");
    let path = sandbox.state.path().join("wrong.yaml");
    std::fs::write(&path, wrong).expect("the directory can be written");
    let path = path.display().to_string();
    let said = fails(sandbox, &["create", "-f", &path], 65);
    assert!(said.contains("wrong.yaml:6:15"), "{said}");
    let said = fails(sandbox, &["sandbox", "apply", "-f", &path], 1);
    assert!(said.contains("expected a whole number"), "{said}");
}

/// Without rules all versions take turns.
fn nothing_is_left(sandbox: &Sandbox) {
    sandbox.delete("route-rule-reviews-test-v2.yaml");
    sandbox.delete("route-rule-all-v1.yaml");
    assert_eq!(sandbox.run(&["get", "routerules"]), "");
    let mut words = vec!["delete", "routerule", "reviews-default"];
    let said = fails(sandbox, &words, 1);
    assert!(said.contains("is not there"), "{said}");
    words[1] = "teapot";
    fails(sandbox, &words, 64);
    eventually("all versions take turns", SETTLED, || {
        let pages: Vec<String> = (0..30).map(|_| sandbox.page(PAGE, &[])).collect();
        let seen = |is: fn(&str) -> bool| pages.iter().any(|page| is(page));
        (seen(none) && seen(red) && seen(black)).then_some(())
    });
}

#[test]
fn old_kinds_are_known_where_they_are_asked_for() {
    let sandbox = Sandbox::empty("old-kinds");
    sandbox.run(&["install", "-y", "--profile=minimal"]);
    let file = [RULES, "route-rule-all-v1.yaml"].concat();
    let said = fails(&sandbox, &["create", "-f", &file], 1);
    assert!(said.contains("does not know the kind RouteRule"), "{said}");
    assert!(said.contains("values.legacy.enabled=true"), "{said}");
    let set = ["--set", "values.legacy.enabled=true"];
    sandbox.run(&[&["install", "-y", "--profile=minimal"], &set[..]].concat());
    sandbox.create("route-rule-all-v1.yaml");
    sandbox.create("mesh-policy-mtls.yaml");
    // Titles, four rules and a policy, beside the classes of gateways, which the control plane makes.
    let all = sandbox.run(&["get", "all"]);
    let own = all.lines().filter(|line| !line.contains("GatewayClass"));
    assert_eq!(own.count(), 6, "{all}");
    // Bookinfo is missing, and said to be; nobody complains about the kinds.
    let output = sandbox
        .command(&["analyze", "-A"])
        .output()
        .expect("meshctl runs");
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(
        found.contains("RouteRule default/reviews-default"),
        "{found}"
    );
    assert!(!found.contains("CustomResourceDefinition"), "{found}");
}
