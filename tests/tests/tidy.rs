//! The shape of the repository: which crate may use which, what the pure crates may touch, and what must not be written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;
use mesh_tests::root;

/// The arrows of `docs/architecture.md`, downward only.
const ARROWS: [(&str, &[&str]); 16] = [
    ("mesh-ir", &[]),
    ("mesh-envoy", &[]),
    ("mesh-schema", &[]),
    ("mesh-token", &["mesh-ir"]),
    ("mesh-xds", &["mesh-ir", "mesh-envoy"]),
    ("mesh-core", &["mesh-ir", "mesh-envoy", "mesh-schema"]),
    ("mesh-samples", &[]),
    ("mesh-intercept", &["mesh-ir"]),
    (
        "mesh-proxy",
        &["mesh-intercept", "mesh-xds", "mesh-token", "mesh-ir"],
    ),
    ("mesh-controller", &["mesh-core", "mesh-xds", "mesh-ir"]),
    (
        "mesh-sandbox",
        &[
            "mesh-apiserver",
            "mesh-node",
            "mesh-controller",
            "mesh-proxy",
            "mesh-samples",
        ],
    ),
    ("mesh-apiserver", &["mesh-schema"]),
    ("mesh-node", &[]),
    (
        "meshctl",
        &[
            "mesh-core",
            "mesh-ir",
            "mesh-token",
            "mesh-xds",
            "mesh-sandbox",
        ],
    ),
    (
        "mesh-tests",
        &[
            "mesh-core",
            "mesh-ir",
            "mesh-xds",
            "mesh-proxy",
            "mesh-controller",
        ],
    ),
    ("mesh-bench", &["mesh-xds", "mesh-ir"]),
];

/// What the pure crates must not name, with the reason.
const IMPURE: [(&str, &str); 9] = [
    ("std::fs", "files are read by callers"),
    ("std::net::TcpStream", "sockets belong to callers"),
    ("std::env", "the environment is resolved by callers"),
    ("std::process", "processes belong to callers"),
    ("std::thread", "threads belong to callers"),
    ("SystemTime::now", "the current time is an argument"),
    ("Instant::now", "the current time is an argument"),
    ("rand::", "random numbers are arguments"),
    ("tokio::", "nothing pure waits"),
];

fn metadata() -> cargo_metadata::Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap()
}

#[test]
fn dependencies_point_downward_only() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .map(|(from, to)| (*from, to.iter().copied().collect()))
        .collect();
    for package in metadata().packages {
        let name = package.name.to_string();
        let arrows = allowed
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is not in the architecture"));
        for dependency in &package.dependencies {
            let ours = dependency.path.is_some();
            assert!(
                !ours || arrows.contains(dependency.name.as_str()),
                "{name} must not depend on {}",
                dependency.name
            );
            let kubernetes = ["kube", "k8s-openapi"].contains(&dependency.name.as_str());
            assert!(
                !(name == "mesh-proxy" && kubernetes),
                "the proxy must not depend on {}",
                dependency.name
            );
        }
    }
}

#[test]
fn pure_crates_touch_nothing() {
    for directory in [
        "core/ir/src",
        "core/envoy/src",
        "core/schema/src",
        "core/token/src",
        "core/src",
        "core/xds/src",
    ] {
        for file in rust_files(&root().join(directory)) {
            // The gRPC glue is the one part of mesh-xds that does I/O, behind features.
            if file.to_string_lossy().contains("core/xds/src/service") || is_test(&file) {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                let line = line.split("//").next().unwrap_or_default();
                for (word, reason) in IMPURE {
                    assert!(
                        !line.contains(word),
                        "{}:{}: {word} in a pure crate: {reason}",
                        file.display(),
                        number + 1
                    );
                }
            }
        }
    }
}

/// The API server is any cluster's: what a mesh adds to one comes from outside, by the API.
#[test]
fn the_api_server_knows_nothing_of_meshes() {
    for file in rust_files(&root().join("sandbox/apiserver/src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let knows = |word: &str| !is_test(&file) && code.to_lowercase().contains(word);
        for word in ["istio", "mesh_core", "sidecar.", "envoy"] {
            assert!(!knows(word), "{}: {word}", file.display());
        }
    }
}

#[test]
fn every_module_draws_its_room() {
    let mut silent = Vec::new();
    for package in metadata().packages {
        let source = package.manifest_path.parent().unwrap().join("src");
        for file in rust_files(source.as_std_path()) {
            let text = std::fs::read_to_string(&file).unwrap();
            if !text.starts_with("//!") {
                silent.push(file.display().to_string());
            }
        }
    }
    assert!(
        silent.is_empty(),
        "modules without a first paragraph:\n{}",
        silent.join("\n")
    );
}

#[test]
fn crate_roots_are_tables_of_contents() {
    for package in metadata().packages {
        for target in &package.targets {
            let path = target.src_path.as_std_path();
            if path.ends_with("src/lib.rs") && package.name.as_str() != "mesh-tests" {
                let lines = std::fs::read_to_string(path).unwrap().lines().count();
                assert!(lines < 100, "{} has {lines} lines", path.display());
            }
        }
    }
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs")
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
