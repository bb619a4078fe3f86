//! `analyze` on files. The rules have tests of their own; here it is about what surrounds them.

use serde_json::Value;

use crate::place::{Place, repository};

const REVIEWS: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: reviews
spec:
  selector: {app: reviews}
  ports:
  - name: http
    port: 9080
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - route:
    - destination:
        host: reviewz
";

#[test]
fn the_culprit_is_underlined() {
    let place = Place::new();
    place.file("app.yaml", REVIEWS);
    let ran = place.run(&["analyze", "--use-kube=false", "app.yaml"]);
    ran.ends(79).says("found 1 error when analyzing app.yaml");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "Error [IST0101] (VirtualService default/reviews app.yaml:20) Referenced host not found: \"reviewz\""
    );
    assert_eq!(lines[1], "  --> app.yaml:20:15");
    assert_eq!(lines[3], "20 |         host: reviewz");
    assert_eq!(lines[4], "   |               ^^^^^^^");
    ran.prints("hint: did you mean \"reviews\"?")
        .prints("docs/analysis/IST0101.md");
    assert!(!ran.stdout.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn json_and_yaml_have_the_keys_of_istioctl() {
    let place = Place::new();
    place.file("app.yaml", REVIEWS);
    let ran = place.run(&["analyze", "--use-kube=false", "-o", "json", "app.yaml"]);
    let found: Vec<Value> = serde_json::from_str(&ran.ends(79).stdout).unwrap();
    assert_eq!(found.len(), 1);
    for (key, value) in [
        ("code", "IST0101"),
        ("level", "Error"),
        ("message", "Referenced host not found: \"reviewz\""),
        ("origin", "VirtualService default/reviews"),
        ("reference", "app.yaml:20"),
    ] {
        assert_eq!(found[0][key], value);
    }
    assert!(
        found[0]["documentationUrl"]
            .as_str()
            .unwrap()
            .ends_with("docs/analysis/IST0101.md")
    );
    place
        .run(&["analyze", "--use-kube=false", "-o", "yaml", "app.yaml"])
        .ends(79)
        .prints("- code: IST0101\n");
    let ran = place.run_with("", &["analyze", "--use-kube=false", "-o", "json", "-"]);
    assert_eq!(ran.ends(0).stdout, "[]\n");
}

#[test]
fn thresholds_decide_what_fails_and_what_is_shown() {
    let place = Place::new();
    // A port without a protocol in its name is worth an Info.
    place.file(
        "info.yaml",
        &REVIEWS
            .replace("name: http", "name: web")
            .replace("reviewz", "reviews"),
    );
    let analyze = |arguments: &[&str]| {
        place.run(&[&["analyze", "--use-kube=false", "info.yaml"], arguments].concat())
    };
    analyze(&[]).ends(0).prints("Info [IST0118]");
    analyze(&["--failure-threshold", "Info"])
        .ends(79)
        .prints("Info [IST0118]");
    analyze(&[
        "--failure-threshold",
        "info",
        "--output-threshold",
        "Warning",
    ])
    .ends(79)
    .prints_nothing();
    analyze(&["--suppress", "IST0118=Service default/*"])
        .ends(0)
        .prints_nothing()
        .says("No validation issues");
    analyze(&[
        "--analyzer",
        "virtualservice.DestinationHostAnalyzer",
        "--failure-threshold",
        "Info",
    ])
    .ends(0)
    .prints_nothing();
}

#[test]
fn a_broken_document_hides_no_other() {
    let place = Place::new();
    place.file("broken.yaml", &format!("a: [b\n---\n{REVIEWS}"));
    let ran = place.run(&["analyze", "--use-kube=false", "broken.yaml"]);
    // Findings count more than what cannot be read.
    ran.ends(79)
        .prints("(broken.yaml:1)")
        .prints("line 1, column 4")
        .prints("broken.yaml:22");
    place.file("only.yaml", "a: [b\n");
    place
        .run(&["analyze", "--use-kube=false", "only.yaml"])
        .ends(65)
        .prints("only.yaml:1:4");
    place.file(
        "type.yaml",
        &REVIEWS
            .replace("port: 9080", "port: many")
            .replace("reviewz", "reviews"),
    );
    let ran = place.run(&["analyze", "--use-kube=false", "type.yaml"]);
    ran.ends(79)
        .prints("[IST0106]")
        .prints("type.yaml:9:11")
        .prints("spec.ports[0].port");
}

#[test]
fn unknown_kinds_are_told_when_they_look_like_a_slip() {
    let place = Place::new();
    let virtual_services = REVIEWS.replace("kind: VirtualService", "kind: VirtualServices");
    place.file(
        "kinds.yaml",
        &format!("{virtual_services}---\napiVersion: v1\nkind: Pet\nmetadata: {{name: x}}\n"),
    );
    let ran = place.run(&["analyze", "--use-kube=false", "kinds.yaml"]);
    ran.ends(0)
        .says("kinds.yaml:12")
        .says("VirtualServices")
        .says("did you mean networking.istio.io/v1 VirtualService?");
    assert!(!ran.stderr.contains("Pet"), "{}", ran.stderr);
    place
        .run(&["analyze", "--use-kube=false", "-v", "kinds.yaml"])
        .ends(0)
        .says("v1 Pet");
}

#[test]
fn files_directories_pipes_and_standard_input_are_read() {
    let place = Place::new();
    let (service, rules) = REVIEWS.split_once("---\n").unwrap();
    let right = rules.replace("reviewz", "reviews");
    place
        .file("app/service.yaml", service)
        .file("app/deep/rules.yml", &right)
        .file("app/notes.txt", "a: [b")
        .file("app/.git/x.yaml", "a: [b");
    place.file("rules", &right).file("service.yaml", service);
    place
        .run(&["analyze", "--use-kube=false", "app"])
        .ends(0)
        .prints_nothing();
    place
        .run(&["analyze", "--use-kube=false", "-R", "app"])
        .ends(0);
    place
        .run(&["analyze", "-k=false", "service.yaml", "rules"])
        .ends(0);
    place
        .run_with(
            &right,
            &["analyze", "--use-kube=false", "service.yaml", "-"],
        )
        .ends(0)
        .says("No validation issues");
    place
        .bash("$MESHCTL analyze --use-kube=false service.yaml <(cat rules)")
        .ends(0);
    place
        .run(&["analyze", "--use-kube=false", "rules"])
        .ends(79)
        .prints("reviews");
}

#[test]
fn namespaces_come_from_the_flag() {
    let place = Place::new();
    place.file("app.yaml", REVIEWS);
    place
        .run(&["analyze", "--use-kube=false", "-n", "shop", "app.yaml"])
        .ends(79)
        .prints("VirtualService shop/reviews");
}

#[test]
fn the_samples_give_no_false_alarm() {
    let place = Place::new();
    for bundle in ["bookinfo", "website", "helloworld", "echo"] {
        let directory = repository(&format!("samples/{bundle}"));
        place
            .run(&[
                "analyze",
                "--use-kube=false",
                "--failure-threshold",
                "Info",
                &directory,
            ])
            .ends(0)
            .prints_nothing();
    }
}

#[test]
fn analyzers_are_listed() {
    let ran = Place::new().run(&["analyze", "-L"]);
    ran.ends(0)
        .prints("ANALYZER")
        .prints("virtualservice.DestinationHostAnalyzer")
        .prints("IST0101");
}
