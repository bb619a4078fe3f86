//! Help teaches, costs nothing, and is data.

use crate::place::Place;

/// Every command, with the words before it.
const COMMANDS: &[&[&str]] = &[
    &["sandbox"],
    &["sandbox", "up"],
    &["sandbox", "status"],
    &["sandbox", "logs"],
    &["sandbox", "env"],
    &["sandbox", "down"],
    &["install"],
    &["uninstall"],
    &["manifest"],
    &["manifest", "generate"],
    &["profile"],
    &["shift"],
    &["shift", "status"],
    &["edges"],
    &["stat"],
    &["graph"],
    &["top"],
    &["tap"],
    &["describe"],
    &["describe", "service"],
    &["describe", "pod"],
    &["whatif"],
    &["route"],
    &["route", "test"],
    &["analyze"],
    &["validate"],
    &["get"],
    &["create"],
    &["replace"],
    &["delete"],
    &["explain"],
    &["explain", "request"],
    &["explain", "error"],
    &["kube-inject"],
    &["convert"],
    &["proxy-status"],
    &["proxy-config"],
    &["proxy-config", "clusters"],
    &["proxy-config", "listeners"],
    &["proxy-config", "routes"],
    &["proxy-config", "endpoints"],
    &["proxy-config", "secret"],
    &["proxy-config", "all"],
    &["proxy-config", "diff"],
    &["version"],
    &["completion"],
];

#[test]
fn help_of_every_command_has_examples_and_needs_nothing() {
    let place = Place::new();
    let mut silent = Vec::new();
    for command in COMMANDS {
        let words = [*command, &["--help"]].concat();
        // Not even a kubeconfig that is not there is looked at.
        let ran = place
            .command(&words)
            .env("KUBECONFIG", "/nowhere")
            .output()
            .unwrap();
        let text = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(ran.status.code(), Some(0), "{command:?}");
        assert!(text.contains("Usage: meshctl"), "{command:?}:\n{text}");
        assert!(ran.stderr.is_empty(), "{command:?}");
        if !text.contains("Examples:") {
            silent.push(command);
        }
    }
    assert!(silent.is_empty(), "these teach by no example: {silent:?}");
}

#[test]
fn the_bare_program_shows_its_commands() {
    let ran = Place::new().run(&[]);
    ran.ends(0)
        .prints("Usage: meshctl")
        .prints("sandbox")
        .prints("Exit codes:");
    assert_eq!(ran.stderr, "");
}

#[test]
fn versions_are_told_without_a_cluster() {
    let place = Place::new();
    let version = env!("CARGO_PKG_VERSION");
    place.run(&["--version"]).ends(0).prints(version);
    let ran = place.run(&["version", "--remote=false"]);
    assert_eq!(ran.ends(0).stdout, format!("client version: {version}\n"));
    assert_eq!(ran.stderr, "");
    assert_eq!(
        place.run(&["version", "--short"]).ends(0).stdout,
        format!("{version}\n")
    );
    let ran = place.run(&["version", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.ends(0).stdout).unwrap();
    assert_eq!(json["clientVersion"]["version"], version);
    ran.says("cluster: none is named");
}

#[test]
fn completions_are_for_real_shells() {
    let place = Place::new();
    place
        .run(&["completion", "bash"])
        .ends(0)
        .prints("_meshctl")
        .prints("proxy-config");
    let ran = place.bash("source <($MESHCTL completion bash) && complete -p meshctl");
    ran.ends(0).prints("_meshctl");
    place
        .run(&["completion", "cmd"])
        .ends(64)
        .says("possible values");
}
