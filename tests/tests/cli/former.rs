//! Commands of former versions: they run as what they are called today, or are answered with what replaces them.

use crate::place::Place;

#[test]
fn commands_that_are_no_more_are_answered_with_what_replaces_them() {
    let place = Place::new();
    for (line, replacement) in [
        ("verify-install", "meshctl install --dry-run"),
        ("register -n shop web 10.0.0.1 http:80", "WorkloadEntry"),
        ("deregister web 10.0.0.1", "kubectl delete workloadentry"),
        (
            "authn tls-check POD web.default.svc.cluster.local",
            "meshctl explain request",
        ),
        ("x add-to-mesh service web", "meshctl kube-inject"),
        (
            "experimental add-to-mesh deployment web",
            "istio-injection=enabled",
        ),
        (
            "exp remove-from-mesh service web",
            "sidecar.istio.io/inject",
        ),
        (
            "operator init --watchedNamespaces=a,b",
            "meshctl install -f",
        ),
        ("operator remove", "meshctl uninstall"),
        ("manifest diff a.yaml b.yaml", "meshctl manifest generate"),
        ("convert-ingress -f ingress.yaml", "Ingress"),
        ("mixer rule create", "meshctl convert"),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ran = place.run(&words);
        ran.ends(64)
            .prints_nothing()
            .says("any more")
            .says("hint: ")
            .says(replacement);
        // Whoever asks for help gets the same.
        place
            .run(&[&words[..], &["--help"]].concat())
            .ends(64)
            .says(replacement);
    }
}

#[test]
fn commands_under_a_former_name_run() {
    let place = Place::new();
    place
        .run(&["manifest", "apply", "--help"])
        .ends(0)
        .prints("Usage: meshctl install");
    place
        .run(&["manifest", "apply", "--set", "profile=demo", "--wait", "-y"])
        .ends(1)
        .says("no cluster is named");
    place
        .run(&["x", "authz", "list"])
        .says("Usage: meshctl authz list");
    let rule = "\
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {name: reviews-default}
spec:
  destination: {name: reviews}
  route:
  - labels: {version: v1}
";
    let ran = place.run_with(
        rule,
        &["experimental", "convert-networking-config", "-f", "-"],
    );
    ran.ends(0)
        .prints("kind: VirtualService")
        .prints("subset: v1");
}

#[test]
fn profiles_are_listed_and_printed() {
    let place = Place::new();
    let list = place.run(&["profile", "list"]);
    let names: Vec<&str> = list
        .ends(0)
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names, ["NAME", "default", "demo", "minimal", "empty"]);
    let json = place.run(&["profile", "list", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.ends(0).stdout).unwrap();
    assert_eq!(json[1]["name"], "demo");

    // What is printed installs the same.
    for (name, set) in [
        ("demo", "meshConfig.accessLogFile=/dev/stderr"),
        ("minimal", "values.pilot.replicaCount=2"),
    ] {
        let dump = place.run(&["profile", "dump", name, "--set", set]);
        dump.ends(0)
            .prints("kind: IstioOperator")
            .prints(&format!("profile: {name}"));
        place.file("values.yaml", &dump.stdout);
        let by_file = place.run(&["manifest", "generate", "-f", "values.yaml"]);
        let by_words = place.run(&["manifest", "generate", "--profile", name, "--set", set]);
        assert_eq!(by_file.ends(0).stdout, by_words.ends(0).stdout, "{name}");
    }
    let dump = place.run(&[
        "profile",
        "dump",
        "-p",
        "components.egressGateways[0].enabled",
        "demo",
    ]);
    assert_eq!(dump.ends(0).stdout, "true\n");
    place
        .run(&["profile", "dump", "-p", "components.nothing"])
        .ends(64)
        .says("components.nothing");
    place
        .run(&["profile", "dump", "demi"])
        .ends(64)
        .says("there are default, demo");

    let diff = place.run(&["profile", "diff", "default", "demo"]);
    diff.ends(1)
        .prints("--- default\n+++ demo\n")
        .prints("+    accessLogFile: /dev/stdout\n");
    place
        .run(&["profile", "diff", "demo", "demo"])
        .ends(0)
        .prints_nothing();
}
