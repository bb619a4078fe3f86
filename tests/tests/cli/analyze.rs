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
    // Rules of old and of today are alternatives: they are not meant to be together.
    for bundles in [
        &[
            "bookinfo/networking",
            "bookinfo/platform",
            "bookinfo/gateway-api",
        ][..],
        &["bookinfo/kube", "bookinfo/platform"],
        &["website"],
        &["helloworld"],
        &["echo"],
        &["httpbin"],
        &["tcp-echo"],
    ] {
        let directories = bundles
            .iter()
            .map(|it| repository(&format!("samples/{it}")));
        let directories: Vec<String> = directories.collect();
        let mut words = vec![
            "analyze",
            "--use-kube=false",
            "--failure-threshold",
            "Info",
            // The routes inside the mesh choose versions, and that of the gateway does not, as in the tutorials.
            "--suppress",
            "IST0140=VirtualService default/bookinfo",
            // Who makes the pods of a Gateway is the cluster's decision.
            "--suppress",
            "MESH0001=Gateway default/bookinfo-gateway",
            // Old they are, and certificates of others were not verified then.
            "--suppress",
            "IST0002=*",
            "--suppress",
            "IST0129=EgressRule default/googleapis",
            "--recursive",
        ];
        words.extend(directories.iter().map(String::as_str));
        place.run(&words).ends(0).prints_nothing();
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

#[test]
fn every_format_ends_with_the_same_code() {
    let place = Place::new();
    place.file("app.yaml", REVIEWS);
    let analyze =
        |format: &str| place.run(&["analyze", "--use-kube=false", "-o", format, "app.yaml"]);
    for format in ["log", "json", "yaml", "sarif", "github", "junit"] {
        analyze(format).ends(79);
    }
    let sarif: Value = serde_json::from_str(&analyze("sarif").stdout).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(result["ruleId"], "IST0101");
    assert_eq!(result["level"], "error");
    let place_of = &result["locations"][0]["physicalLocation"];
    assert_eq!(place_of["artifactLocation"]["uri"], "app.yaml");
    assert_eq!(place_of["region"]["startLine"], 20);
    assert_eq!(place_of["region"]["startColumn"], 15);
    assert_eq!(place_of["region"]["endColumn"], 22);
    let rule = &sarif["runs"][0]["tool"]["driver"]["rules"][0];
    assert_eq!(rule["name"], "ReferencedResourceNotFound");
    assert_eq!(
        analyze("github").stdout,
        "::error file=app.yaml,line=20,endLine=20,col=15,endColumn=22,title=IST0101::\
         VirtualService default/reviews: Referenced host not found: \"reviewz\"%0A\
         hint: did you mean \"reviews\"?\n"
    );
    analyze("junit")
        .prints("<testsuites tests=\"1\" failures=\"1\">")
        .prints("name=\"VirtualService default/reviews\"")
        .prints("type=\"IST0101\" message=\"Referenced host not found: &quot;reviewz&quot;\"");
    place.file("right.yaml", &REVIEWS.replace("reviewz", "reviews"));
    for (format, prints) in [
        ("sarif", "\"results\": []"),
        ("junit", "tests=\"1\" failures=\"0\""),
    ] {
        let words = ["analyze", "--use-kube=false", "-o", format, "right.yaml"];
        place.run(&words).ends(0).prints(prints);
    }
    let words = ["analyze", "--use-kube=false", "-o", "github", "right.yaml"];
    place.run(&words).ends(0).prints_nothing();
}

#[test]
fn what_cannot_be_read_can_be_ignored() {
    let place = Place::new();
    let right = REVIEWS.replace("reviewz", "reviews");
    place.file("broken.yaml", &format!("a: [b\n---\n{right}"));
    let ignore = ["analyze", "--use-kube=false", "--ignore-unknown"];
    place
        .run(&[&ignore[..], &["broken.yaml"]].concat())
        .ends(0)
        .prints_nothing()
        .says("No validation issues");
    place.file("wrong.yaml", &format!("a: [b\n---\n{REVIEWS}"));
    let ran = place.run(&[&ignore[..], &["wrong.yaml"]].concat());
    ran.ends(79).prints("IST0101");
    assert!(!ran.stdout.contains("MESH0003"), "{}", ran.stdout);
}

#[test]
fn codes_are_explained() {
    let place = Place::new();
    place
        .run(&["explain", "IST0101"])
        .ends(0)
        .prints("# IST0101 ReferencedResourceNotFound");
    place
        .run(&["explain", "mesh0001", "RuleShadowed"])
        .ends(0)
        .prints("# MESH0001 ")
        .prints("# MESH0007 ");
    let ran = place.run(&["explain", "IST0110", "-o", "json"]);
    let found: Vec<Value> = serde_json::from_str(&ran.ends(0).stdout).unwrap();
    assert_eq!(found[0]["name"], "ConflictingSidecarWorkloadSelectors");
    assert_eq!(found[0]["level"], "Error");
    place
        .run(&["explain", "IST0191"])
        .ends(64)
        .says("did you mean IST01");
    place
        .run(&["explain", "IST0105"])
        .ends(64)
        .says("IST0158 has taken its place");
    place.run(&["explain"]).ends(64);
}

#[test]
fn what_is_certain_is_mended() {
    let place = Place::new();
    let wrong = REVIEWS.replace(
        "  hosts: [reviews]\n",
        "  Hosts: [reviews]   # ours\n  gateways: [mesh, front.shop.svc.cluster.local]\n",
    );
    let right = wrong
        .replace("Hosts", "hosts")
        .replace("front.shop.svc.cluster.local", "shop/front");
    place.file("app.yaml", &wrong);
    let fix = ["analyze", "--use-kube=false", "--fix", "app.yaml"];
    let read = || std::fs::read_to_string(place.path("app.yaml")).unwrap();
    place
        .run(&[&fix[..], &["--diff"]].concat())
        .ends(1)
        .prints("-  Hosts: [reviews]   # ours\n")
        .prints("+  hosts: [reviews]   # ours\n");
    assert_eq!(read(), wrong, "a difference writes nothing");
    place
        .run(&fix)
        .ends(79)
        .says("app.yaml:16: mended IST0106: write hosts instead of Hosts")
        .prints("reviewz");
    assert_eq!(read(), right);
    place
        .run(&fix)
        .ends(79)
        .says("nothing that could be mended");
    place
        .run(&[&fix[..], &["--diff"]].concat())
        .ends(0)
        .prints_nothing();
}

#[test]
fn objects_are_validated_by_themselves() {
    let place = Place::new();
    place.file("app.yaml", REVIEWS);
    // That a host does not exist is no matter of the object alone.
    place
        .run(&["validate", "-f", "app.yaml"])
        .ends(0)
        .prints_nothing()
        .says("No validation issues found");
    place.file("wrong.yaml", &REVIEWS.replace("hosts:", "Hosts:"));
    place
        .run(&["validate", "wrong.yaml"])
        .ends(65)
        .prints("[IST0106]")
        .prints("wrong.yaml:16");
    place.file(
        "cel.yaml",
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [\"*\"]\n",
    );
    place
        .run(&["validate", "-f", "cel.yaml", "-o", "json"])
        .ends(65)
        .prints("\"code\": \"IST0106\"");
    place.run(&["validate"]).ends(64).says("-f");
}
