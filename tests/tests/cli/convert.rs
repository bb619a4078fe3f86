//! `convert` on files and standard input. What becomes of each kind has tests of its own; here it is about streams, places and exit codes.

use crate::place::{Place, repository};

const RULE: &str = "\
# Half of the reviews to v3.
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata:
  name: reviews-default
spec:
  destination:
    name: reviews
  precedence: 1
  route:
  - labels: {version: v1}
    weight: 50
  - labels: {version: v3}
    weight: 50
";

#[test]
fn every_old_sample_becomes_something_that_is_valid() {
    let place = Place::new();
    let old = repository("samples/bookinfo/kube");
    let application = repository("samples/bookinfo/platform/kube/bookinfo.yaml");
    let mut count = 0;
    for entry in std::fs::read_dir(&old).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let path = path.display().to_string();
        let words = ["convert", "-f", &application, "-f", &path];
        let ran = place.run(&words);
        ran.ends(0);
        assert!(!ran.stderr.contains("left out"), "{path}: {}", ran.stderr);
        let validated = place.run_with(&ran.stdout, &["validate", "-f", "-"]);
        validated.ends(0);
        let analyzed = [
            "analyze",
            "--use-kube=false",
            "--failure-threshold",
            "Error",
            "-",
        ];
        let old_kinds = [
            "config.istio.io",
            "authentication.istio.io",
            "rbac.istio.io",
        ];
        assert!(
            old_kinds.iter().all(|group| !ran.stdout.contains(group)),
            "{path}"
        );
        place.run_with(&ran.stdout, &analyzed).ends(0);
        count += 1;
    }
    assert!(count >= 16, "{count}");
}

#[test]
fn standard_input_goes_to_standard_output() {
    let place = Place::new();
    let ran = place.run_with(RULE, &["convert", "-f", "-"]);
    ran.ends(0)
        .prints("# Half of the reviews to v3.\napiVersion: networking.istio.io/v1\nkind: VirtualService\n")
        .prints("        subset: v3\n      weight: 50\n")
        .prints("kind: DestinationRule\n");
    assert_eq!(ran.stderr, "");
    let json = place.run_with(RULE, &["convert", "-f", "-", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        list["items"][0]["spec"]["http"][0]["route"][1]["weight"],
        50
    );
    place.file("old.yaml", RULE);
    place
        .run(&["convert", "-f", "old.yaml", "-o", "new.yaml"])
        .ends(0)
        .prints_nothing();
    assert_eq!(
        std::fs::read_to_string(place.path("new.yaml")).unwrap(),
        ran.stdout
    );
}

#[test]
fn what_is_lost_and_what_is_wrong_is_named_with_its_place() {
    let place = Place::new();
    let lost = RULE.replace("  precedence: 1\n", "  precedence: 1\n  l4Fault: {}\n");
    place.file("old.yaml", &lost);
    let ran = place.run(&["convert", "-f", "old.yaml"]);
    ran.ends(0);
    let expect = "warning: old.yaml:10:3: RouteRule default/reviews-default: spec.l4Fault has no counterpart today and is left out\n";
    assert_eq!(ran.stderr, expect);
    place.file(
        "wrong.yaml",
        &RULE.replace("precedence: 1", "precedence: high"),
    );
    let ran = place.run(&["convert", "-f", "wrong.yaml"]);
    ran.ends(65);
    let expect = "error: wrong.yaml:9:3: RouteRule default/reviews-default: spec.precedence expected a whole number, found a string\n";
    assert_eq!(ran.stderr, expect);
}

#[test]
fn what_cannot_be_read_or_is_not_there_is_told() {
    let place = Place::new();
    place.run(&["convert"]).ends(64);
    place
        .run_with("a: [", &["convert", "-f", "-"])
        .ends(65)
        .prints_nothing();
    place.run(&["convert", "-f", "missing.yaml"]).ends(1);
    let ran = place.run_with("a: 1\n", &["convert", "-f", "-"]);
    ran.ends(0).prints("a: 1\n");
    assert!(ran.stderr.contains("nothing to convert"), "{}", ran.stderr);
}
