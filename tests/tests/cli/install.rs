//! `install`, `uninstall` and `manifest generate` as far as they go without a cluster: values, plans, and who is asked.

use crate::place::Place;

/// The kinds and names of what `manifest generate` prints.
fn objects(yaml: &str) -> Vec<String> {
    let documents = yaml.split("---\n").filter(|text| !text.trim().is_empty());
    documents
        .map(|text| {
            let field = |start: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(start));
                line.unwrap_or_else(|| panic!("{start} is missing:\n{text}"))
            };
            format!("{} {}", field("kind: "), field("  name: "))
        })
        .collect()
}

#[test]
fn generate_prints_the_objects_in_their_order() {
    let place = Place::new();
    let ran = place.run(&["manifest", "generate", "--profile", "demo"]);
    assert_eq!(ran.ends(0).stderr, "");
    let all = objects(&ran.stdout);
    assert_eq!(all[0], "Namespace istio-system");
    let at = |name: &str| all.iter().position(|one| one == name).unwrap();
    assert!(
        at("CustomResourceDefinition virtualservices.networking.istio.io")
            < at("ServiceAccount istiod")
    );
    assert!(at("ServiceAccount istiod") < at("ConfigMap istio"));
    assert!(at("ConfigMap istio") < at("Service istiod"));
    assert!(at("Service istio-egressgateway") < at("Deployment istiod"));
    // The same words, the same bytes.
    let again = place.run(&["manifest", "generate", "--set", "profile=demo"]);
    assert_eq!(again.ends(0).stdout, ran.stdout);
    let minimal = place.run(&["manifest", "generate", "--profile=minimal"]);
    let some = objects(&minimal.ends(0).stdout);
    assert!(some.contains(&"Deployment istiod".to_owned()));
    assert!(
        !some
            .iter()
            .any(|one| one.contains("gateway") && !one.starts_with("CustomResourceDefinition"))
    );
    assert_eq!(
        place
            .run(&["manifest", "generate", "--profile=empty"])
            .ends(0)
            .stdout,
        ""
    );
}

#[test]
fn values_come_from_files_standard_input_and_words() {
    let place = Place::new();
    place.file(
        "operator.yaml",
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  profile: minimal\n  hub: example.com/a\n  meshConfig:\n    accessLogFile: /dev/stdout\n",
    );
    let ran = place.run_with(
        "global: {hub: example.com/b}\npilot: {replicaCount: 3}\n",
        &[
            "manifest",
            "generate",
            "-f",
            "operator.yaml",
            "-f",
            "-",
            "--set",
            "tag=1.10",
            "-i",
            "mesh",
        ],
    );
    ran.ends(0)
        .prints("image: example.com/a/pilot:1.10")
        .prints("replicas: 3")
        .prints("accessLogFile: /dev/stdout")
        .prints("namespace: mesh");
    assert!(!ran.stdout.contains("istio-system"), "{}", ran.stdout);
}

#[test]
fn wrong_words_are_usage_and_wrong_files_are_data() {
    let place = Place::new();
    let generate = |words: &[&str]| place.run(&[&["manifest", "generate"], words].concat());
    generate(&["--set", "values.globl.hub=x"])
        .ends(64)
        .prints_nothing()
        .says("--set values.globl.hub=x: values.globl: unknown key; the nearest known one is values.global");
    generate(&["--profile", "dmeo"])
        .ends(64)
        .prints_nothing()
        .says("there are default, demo, minimal, empty");
    generate(&["--set", "values.pilot.replicaCount=many"])
        .ends(64)
        .says("values.pilot.replicaCount: invalid type");
    place.file("bad.yaml", "pilot:\n  replicas: 2\nglobal:\n  hub: [1]\n");
    generate(&["-f", "bad.yaml"])
        .ends(65)
        .prints_nothing()
        .says("bad.yaml:2:3: values.pilot.replicas: unknown key; the nearest known one is values.pilot.replicaCount")
        .says("bad.yaml:4:8: values.global.hub: invalid type");
    place.file("broken.yaml", "a: [\n");
    generate(&["-f", "broken.yaml"])
        .ends(65)
        .prints_nothing()
        .says("broken.yaml: line");
    generate(&["-f", "nowhere.yaml"])
        .ends(1)
        .prints_nothing()
        .says("failed to read nowhere.yaml");
    generate(&["--set", "values.global.meshID=x"])
        .ends(0)
        .says("warning:")
        .says("has no effect");
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    let place = Place::new();
    for command in ["install", "uninstall"] {
        place
            .run(&[command])
            .ends(64)
            .prints_nothing()
            .says("give -y");
        place
            .run(&[command, "-y"])
            .ends(1)
            .prints_nothing()
            .says("no cluster is named");
    }
    place
        .run(&["install", "--dry-run"])
        .ends(1)
        .says("no cluster is named");
    // Values are checked before anything else.
    place
        .run(&["install", "--set", "nonsense=1", "-y"])
        .ends(64)
        .says("unknown key");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let ran = Place::new().bash("set -o pipefail; \"$MESHCTL\" manifest generate | head -1");
    assert_eq!(
        (ran.ends(0).stdout.as_str(), ran.stderr.as_str()),
        ("---\n", "")
    );
}
