//! Injection: `inject/CASE/{input.yaml, [injector.yaml], [mesh.yaml], expected.yaml, expected.txt}`. Every case goes through the
//! text door twice, and each of its pod templates through the API server's door.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use mesh_core::inject::{InjectConfig, admit_pod, inject_text};
use mesh_core::source::parse;
use serde_json::{Value, json};

const FILES: [&str; 5] = [
    "input.yaml",
    "injector.yaml",
    "mesh.yaml",
    "expected.yaml",
    "expected.txt",
];

#[test]
fn every_case_gives_what_is_expected() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/inject");
    let mut failures = Vec::new();
    let cases = entries(&directory);
    assert!(!cases.is_empty(), "there are no cases");
    for case in cases {
        for file in entries(&case) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if !FILES.contains(&name.as_str()) {
                failures.push(format!("{}: no case reads it", file.display()));
            }
        }
        let (text, report) = run(&case);
        for (file, actual) in [("expected.yaml", text), ("expected.txt", report)] {
            let path = case.join(file);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&path, &actual).unwrap();
            } else if fs::read_to_string(&path).unwrap_or_default() != actual {
                failures.push(format!("{}: found:\n{actual}", path.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn run(case: &Path) -> (String, String) {
    let read = |file: &str| fs::read_to_string(case.join(file)).unwrap_or_default();
    let input = read("input.yaml");
    let config = InjectConfig::parse(&read("injector.yaml"), &read("mesh.yaml")).unwrap();
    let mut report = String::new();
    match inject_text("input.yaml", &input, "default", &config) {
        Err(findings) => {
            for found in findings {
                writeln!(report, "{} {}: {}", found.code, found.path, found.message).unwrap();
            }
            (String::new(), report)
        }
        Ok(once) => {
            for title in &once.injected {
                writeln!(report, "injected {title}").unwrap();
            }
            for skipped in &once.skipped {
                writeln!(report, "skipped {skipped}").unwrap();
            }
            for warning in &once.warnings {
                writeln!(report, "warning {warning}").unwrap();
            }
            let twice = inject_text("input.yaml", &once.text, "default", &config).unwrap();
            assert_eq!(twice.text, once.text, "{}: not idempotent", case.display());
            let (before, _) = parse("input.yaml", &input);
            let (after, findings) = parse("input.yaml", &once.text);
            assert!(findings.is_empty(), "{findings:?}");
            assert_eq!(before.len(), after.len(), "{}: lost", case.display());
            for (before, after) in before.iter().zip(&after) {
                if before.value != after.value {
                    check_admission(&before.value, &after.value, &config);
                }
            }
            (once.text, report)
        }
    }
}

/// A pod of the workload gets from the API server's door what its template got from the text door.
#[track_caller]
fn check_admission(before: &Value, after: &Value, config: &InjectConfig) {
    let template = |object: &Value| match object["kind"].as_str() {
        Some("Pod") => object.clone(),
        Some("CronJob") => object["spec"]["jobTemplate"]["spec"]["template"].clone(),
        _ => object["spec"]["template"].clone(),
    };
    let mut pod = template(before);
    let namespace_name = before["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default");
    let namespace = json!({
        "metadata": { "name": namespace_name, "labels": { "istio-injection": "enabled" } },
    });
    if before["kind"] != "Pod" {
        pod["metadata"]["ownerReferences"] = json!([{
            "apiVersion": before["apiVersion"], "kind": before["kind"], "controller": true,
            "name": before["metadata"]["name"],
        }]);
    }
    let mut admitted = admit_pod(pod, &namespace, config)
        .unwrap_or_else(|error| panic!("{error}: {before} became {after}"));
    if before["kind"] != "Pod" {
        let metadata = admitted["metadata"].as_object_mut().unwrap();
        metadata.remove("ownerReferences");
    }
    assert_eq!(admitted, template(after));
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
