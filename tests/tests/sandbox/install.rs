//! `install` and `uninstall` against an API server: repeated, changed, shrunk, broken, removed.

use crate::sandbox::{Sandbox, succeeded};

/// Runs a command that must succeed, and gives what it says.
#[track_caller]
fn says(sandbox: &Sandbox, words: &[&str]) -> String {
    let output = sandbox.command(words).output().expect("meshctl runs");
    succeeded(&output);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn has(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in:\n{text}");
}

#[test]
fn an_installation_is_repeated_changed_shrunk_and_removed() {
    let sandbox = Sandbox::empty("install");
    let dry_run = |words: &[&str]| sandbox.run(&[&["install", "--dry-run"], words].concat());
    let install = |words: &[&str]| says(&sandbox, &[&["install", "-y"], words].concat());

    has(&dry_run(&[]), "create Deployment istio-system/istiod\n");
    let first = install(&[]);
    has(&first, "✔ Istiod installed");
    has(&first, "✔ Ingress gateway istio-ingressgateway installed");
    let planned = |words: &[&str]| {
        let manifests = sandbox.run(&[&["manifest", "generate"], words].concat());
        manifests.lines().filter(|line| *line == "---").count()
    };
    let (all, least) = (planned(&[]), planned(&["--profile=minimal"]));
    has(&first, &format!("Installation complete: {all} created\n"));
    // Once more, and nothing changes.
    has(
        &install(&[]),
        &format!("Installation complete: {all} unchanged\n"),
    );
    assert_eq!(dry_run(&[]), "");

    // What would change is shown, and does not.
    let shown = dry_run(&["--set", "meshConfig.accessLogFile=/dev/stdout"]);
    has(&shown, "change ConfigMap istio-system/istio\n");
    has(&shown, "+    accessLogFile: /dev/stdout\n");
    assert_eq!(dry_run(&[]), "");

    // A smaller profile takes out what only the larger one has.
    has(
        &dry_run(&["--profile=minimal"]),
        "remove Deployment istio-system/istio-ingressgateway\n",
    );
    let shrunk = install(&["--profile=minimal"]);
    let removed = all - least;
    has(&shrunk, &format!("{least} unchanged, {removed} removed\n"));
    assert_eq!(dry_run(&["--profile=minimal"]), "");

    has(&says(&sandbox, &["uninstall", "-y"]), "✔ Uninstalled: ");
    has(&says(&sandbox, &["uninstall", "-y"]), "nothing to remove");
    // The CRDs stay, so that routing rules do.
    let left = dry_run(&["--profile=minimal"]);
    assert!(!left.contains("CustomResourceDefinition"), "{left}");
    has(
        &says(&sandbox, &["uninstall", "--purge", "-y"]),
        "✔ Uninstalled: ",
    );
    let left = dry_run(&["--profile=minimal"]);
    has(&left, "create Namespace istio-system\n");
    has(
        &left,
        "create CustomResourceDefinition virtualservices.networking.istio.io\n",
    );
}

#[test]
fn what_does_not_become_ready_says_why() {
    let sandbox = Sandbox::empty("install-broken");
    let words = [
        "install",
        "-y",
        "--profile=minimal",
        "--readiness-timeout=3s",
        "--set",
        "values.pilot.image=example.com/nobody/knows:1",
    ];
    let output = sandbox.command(&words).output().expect("meshctl runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    has(
        &text,
        "Deployment istio-system/istiod is not ready after 3 s",
    );
    has(&text, "example.com/nobody/knows:1");
    // The same command with good values goes on from there.
    has(
        &says(&sandbox, &["install", "-y", "--profile=minimal"]),
        "✔ Istiod installed",
    );
}
