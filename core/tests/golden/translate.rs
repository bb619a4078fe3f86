//! Translation: `translate/CASE/{input,scope,expected}.yaml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh_core::diag::Diagnostic;
use mesh_core::resource::{Resource, decode};
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::parse;
use mesh_core::translate::{Translator, translate};
use mesh_ir::{Capture, ProxyKind, ProxyScope};

use crate::render::render;

#[test]
fn every_case_gives_what_is_expected() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/translate");
    let mut failures = Vec::new();
    let mut cases: Vec<PathBuf> = entries(&directory);
    cases.sort();
    assert!(!cases.is_empty(), "there are no cases");
    for case in cases {
        let files: BTreeSet<String> = entries(&case).iter().map(|path| name(path)).collect();
        for file in &files {
            if !["input.yaml", "scope.yaml", "expected.yaml"].contains(&file.as_str()) {
                failures.push(format!("{}: no case reads it", case.join(file).display()));
            }
        }
        let actual = run(&case);
        let expected_file = case.join("expected.yaml");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected_file, &actual).unwrap();
        } else if fs::read_to_string(&expected_file).unwrap_or_default() != actual {
            failures.push(format!(
                "{}: expected otherwise; found:\n{actual}",
                expected_file.display()
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The samples are what newcomers start with: nothing in them may be without effect.
#[test]
fn the_samples_are_translated_without_findings() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let mut count = 0;
    for directory in entries(&samples).iter().filter(|path| path.is_dir()) {
        for path in entries(directory) {
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            count += 1;
            let (resources, mut findings) = read(&path);
            let (snapshot, more) = Snapshot::build(resources, &SnapshotOptions::default());
            findings.extend(more);
            let labels = [("istio".to_owned(), "ingressgateway".to_owned())];
            for kind in [ProxyKind::Sidecar, ProxyKind::Gateway] {
                let scope = ProxyScope::new(kind, "default", labels.clone().into());
                findings.extend(translate(&snapshot, &scope).1);
            }
            assert_eq!(findings, [], "{}", path.display());
        }
    }
    assert!(count > 0, "there are no samples");
}

/// Translates a case and renders the outcome.
fn run(case: &Path) -> String {
    let (resources, mut findings) = read(&case.join("input.yaml"));
    let scope = scope(&case.join("scope.yaml"));
    let options = SnapshotOptions::default();
    let (snapshot, more) = Snapshot::build(resources, &options);
    findings.extend(more);
    let (config, more) = translate(&snapshot, &scope);
    let translator = Translator::new(Arc::new(snapshot.clone()));
    for translator in [&translator, &translator.next(Arc::new(snapshot))] {
        for _ in 0..2 {
            let remembered = translator.translate(&scope);
            assert_eq!(remembered.config, config, "memory must not change results");
            assert_eq!(remembered.diagnostics, more);
        }
    }
    findings.extend(more);
    render(&config, &scope.namespace, &findings)
}

fn read(path: &Path) -> (Vec<Arc<Resource>>, Vec<Diagnostic>) {
    let text = fs::read_to_string(path).unwrap();
    let (documents, mut findings) = parse("input.yaml", &text);
    let mut resources = Vec::new();
    for document in &documents {
        let (resource, more) = decode(document, None);
        findings.extend(more);
        let Some(resource) = resource else { continue };
        findings.extend(resource.findings.iter().cloned());
        resources.push(Arc::new(resource));
    }
    (resources, findings)
}

/// `kind`, `namespace`, `labels`, `address`, and for loopback capture `pod` and `app`.
fn scope(path: &Path) -> ProxyScope {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Scope {
        kind: ProxyKind,
        #[serde(default = "default_namespace")]
        namespace: String,
        #[serde(default)]
        labels: std::collections::BTreeMap<String, String>,
        address: Option<std::net::IpAddr>,
        pod: Option<std::net::IpAddr>,
        app: Option<std::net::IpAddr>,
    }
    fn default_namespace() -> String {
        "default".into()
    }
    let text = fs::read_to_string(path).unwrap();
    let Scope {
        kind,
        namespace,
        labels,
        address,
        pod,
        app,
    } = serde_yaml::from_str(&text).unwrap();
    let capture = match (pod, app) {
        (Some(pod), Some(app)) => Capture::Loopback { pod, app },
        _ => Capture::Redirect,
    };
    ProxyScope {
        address,
        capture,
        ..ProxyScope::new(kind, namespace, labels)
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
