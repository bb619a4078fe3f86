//! Bookinfo: versions by weight, user and source; and what happens when parts of the mesh are killed.

use std::time::Duration;

use mesh_tests::eventually;

use crate::chance::check;
use crate::mutual_tls;
use crate::processes::{self, signal};
use crate::sandbox::Sandbox;

const PAGE: &str = "/productpage";

/// Who reviewed: v1 shows no stars, v2 black ones, v3 red ones.
fn stars(page: &str) -> Option<&'static str> {
    match () {
        () if page.contains("color=\"red\"") => Some("red"),
        () if page.contains("color=\"black\"") => Some("black"),
        () => None,
    }
}

fn none(page: &str) -> bool {
    stars(page).is_none() && page.contains("<title>Simple Bookstore App</title>")
}

fn red(page: &str) -> bool {
    stars(page) == Some("red")
}

fn black(page: &str) -> bool {
    stars(page) == Some("black")
}

#[test]
fn bookinfo_by_weight_user_and_source() {
    // Pods are asked from here, by their own addresses.
    let sandbox = Sandbox::up(
        "bookinfo",
        &["--sample", "bookinfo", "--backend", "loopback"],
    );
    assert!(
        sandbox
            .page(PAGE, &[])
            .contains("<title>Simple Bookstore App</title>")
    );
    every_pod_has_two_containers(&sandbox);
    every_proxy_has_a_certificate(&sandbox);
    mutual_tls::from_the_first_request(&sandbox);

    sandbox.apply("samples/bookinfo/networking/virtual-service-all-v1.yaml");
    sandbox.settle("all to v1", PAGE, &[], none);
    assert_eq!(sandbox.count(50, PAGE, &[], none), 50);

    a_shift_is_seen(&sandbox);
    by_user(&sandbox);
    by_source(&sandbox);
    mutual_tls::strict(&sandbox, PAGE);
    kills(&sandbox);
}

/// Each pod is ready and runs a proxy beside the application, and the application has printed something.
fn every_pod_has_two_containers(sandbox: &Sandbox) {
    let status = sandbox.status();
    let pods = status["pods"].as_array().expect("pods");
    let of_app: Vec<_> = pods
        .iter()
        .filter(|pod| pod["namespace"] == "default")
        .collect();
    assert_eq!(of_app.len(), 6, "{status:#}");
    for pod in of_app {
        assert_eq!(pod["ready"], true, "{pod}");
        let name = pod["name"].as_str().expect("a name");
        let variable = format!("POD_NAME={name}\n");
        processes::one(sandbox.state.path(), "pilot-agent proxy", &variable);
        assert_ne!(sandbox.run(&["sandbox", "logs", name]), "", "{name}");
    }
}

/// The certificate is the proxy's own, valid, and shown without its key.
fn every_proxy_has_a_certificate(sandbox: &Sandbox) {
    let mut serials = std::collections::BTreeSet::new();
    let workloads = ["productpage-v1", "details-v1", "reviews-v1"];
    for workload in workloads {
        let pod = ["deployment/", workload].concat();
        let words = ["proxy-config", "secret", &pod];
        let table = eventually("there is a certificate", crate::sandbox::SETTLED, || {
            let table = sandbox.run(&words);
            table.contains("default").then_some(table)
        });
        let row = |name: &str| {
            let line = table.lines().find(|line| line.starts_with(name));
            let line = line.unwrap_or_else(|| panic!("no {name} in {table}"));
            line.split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(row("default")[1..5], ["Cert", "Chain", "ACTIVE", "true"]);
        assert_eq!(row("default")[8], "cluster.local", "{table}");
        assert_eq!(row("ROOTCA")[1..4], ["CA", "ACTIVE", "true"]);
        serials.insert(row("default")[5].to_owned());
        let dump = sandbox.run(&[&words[..], &["-o", "json"]].concat());
        assert!(!dump.contains("PRIVATE"), "{dump}");
        // "[redacted]" in base64.
        assert!(dump.contains("W3JlZGFjdGVkXQ=="), "{dump}");
    }
    assert_eq!(serials.len(), workloads.len());
}

/// The README's story: half of the reviews to v3, by the command that also measures it.
fn a_shift_is_seen(sandbox: &Sandbox) {
    sandbox.run(&["shift", "reviews", "v3=50", "--yes", "--measure", "0s"]);
    let n = 400;
    let seen = sandbox.count(n, PAGE, &[], |page| {
        assert!(none(page) || red(page), "v2 is not asked for");
        red(page)
    });
    check("half of the pages with red stars", seen, n, 0.5);
}

/// Who is signed in as jason sees v2, everybody else v1.
fn by_user(sandbox: &Sandbox) {
    sandbox.apply("samples/bookinfo/networking/virtual-service-reviews-test-v2.yaml");
    sandbox.settle("everybody else to v1", PAGE, &[], none);
    let jason = [("end-user", "jason")];
    assert_eq!(sandbox.count(30, PAGE, &jason, black), 30);
    assert_eq!(sandbox.count(30, PAGE, &[("end-user", "mary")], none), 30);
}

/// Ratings by who asks: reviews v3 gets v2, reviews v2 gets v1, and nobody else has a way.
fn by_source(sandbox: &Sandbox) {
    sandbox.apply("samples/bookinfo/networking/virtual-service-ratings-by-source.yaml");
    eventually("ratings v2 is ready", Duration::from_secs(60), || {
        let status = sandbox.status();
        let mut pods = status["pods"].as_array()?.iter();
        let name = |pod: &serde_json::Value| pod["name"].as_str().map(str::to_owned);
        pods.any(|pod| {
            name(pod).is_some_and(|name| name.starts_with("ratings-v2")) && pod["ready"] == true
        })
        .then_some(())
    });
    let n = 400;
    eventually(
        "reviews are split in three",
        crate::sandbox::SETTLED,
        || {
            let seen = sandbox.count(40, PAGE, &[], none);
            (1..40).contains(&seen).then_some(())
        },
    );
    let (mut without, mut with_red, mut with_black) = (0, 0, 0);
    for _ in 0..n {
        match stars(&sandbox.page(PAGE, &[])) {
            None => without += 1,
            Some("red") => with_red += 1,
            Some(_) => with_black += 1,
        }
    }
    check("a quarter without stars", without, n, 0.25);
    check("half with red stars", with_red, n, 0.5);
    check("a quarter with black stars", with_black, n, 0.25);
}

/// What is killed comes back, and what can flow flows meanwhile.
fn kills(sandbox: &Sandbox) {
    let state = sandbox.state.path();
    let istiod = processes::one(state, "pilot-discovery", "");
    signal(istiod.id, "KILL");
    assert_eq!(
        sandbox.count(50, PAGE, &[], |_| true),
        50,
        "traffic needs no control plane"
    );
    came_back(sandbox, "pilot-discovery", "", istiod.id);

    let app = processes::one(state, "sample details", "");
    signal(app.id, "KILL");
    came_back(sandbox, "sample details", "", app.id);

    let proxy = processes::one(state, "pilot-agent", "POD_NAME=productpage");
    signal(proxy.id, "KILL");
    came_back(sandbox, "pilot-agent", "POD_NAME=productpage", proxy.id);
    sandbox.settle("the product page is back", PAGE, &[], |page| {
        page.contains("Simple Bookstore App")
    });

    // The control plane that came back has all of it, and passes changes on.
    sandbox.apply("samples/bookinfo/networking/virtual-service-all-v1.yaml");
    sandbox.settle("all to v1 again", PAGE, &[], none);
}

#[track_caller]
fn came_back(sandbox: &Sandbox, words: &str, variable: &str, killed: i32) {
    eventually(
        &format!("{words} {variable} came back"),
        Duration::from_secs(30),
        || {
            let found = processes::of(sandbox.state.path());
            let mut found = found.iter();
            found
                .any(|process| {
                    process.id != killed
                        && process.words.contains(words)
                        && process.environment.contains(variable)
                })
                .then_some(())
        },
    );
}
