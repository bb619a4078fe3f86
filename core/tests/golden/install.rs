//! Installation: the CRDs in `manifests/crds`, and the plan of each profile in `install/PROFILE.yaml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mesh_core::install::{Profile, Request, crds, plan};
use mesh_core::yaml::to_yaml;

#[test]
fn crds_are_in_step_with_the_types() {
    let all = crds().into_iter().map(|crd| {
        let name = crd.metadata.name.clone().unwrap();
        let value = serde_json::to_value(&crd).unwrap();
        let text = format!(
            "# Made from the types in core/src/model; UPDATE_GOLDEN=1 cargo test -p mesh-core --test golden install writes it.\n{}",
            to_yaml(&value)
        );
        (format!("{name}.yaml"), text)
    });
    check(&root().join("../manifests/crds"), &all.collect());
}

#[test]
fn profiles_give_what_is_expected() {
    let all = Profile::ALL.into_iter().map(|profile| {
        let request = Request {
            profile: Some(profile.name()),
            ..Request::default()
        };
        let mut plan = plan(&request).unwrap();
        // They have files of their own.
        plan.objects
            .retain(|object| object.resource.kind != "CustomResourceDefinition");
        // A new version is no new case.
        let text = plan
            .to_yaml()
            .replace(mesh_core::inject::VERSION, "VERSION");
        (format!("{}.yaml", profile.name()), text)
    });
    check(&root().join("tests/golden/install"), &all.collect());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The directory holds these files and no others.
#[track_caller]
fn check(directory: &Path, expected: &BTreeMap<String, String>) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut failures = Vec::new();
    if update {
        fs::create_dir_all(directory).unwrap();
    }
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !expected.contains_key(&name) {
            if update {
                fs::remove_file(&path).unwrap();
            } else {
                failures.push(format!("{}: nothing makes it", path.display()));
            }
        }
    }
    for (name, text) in expected {
        let path = directory.join(name);
        if update {
            fs::write(&path, text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != *text {
            failures.push(format!("{}: found:\n{text}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
