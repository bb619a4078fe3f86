//! Volumes hold what Kubernetes would put there.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Value, json};

use super::*;

struct Fixture;

impl Sources for Fixture {
    fn config_map(&self, name: &str) -> Option<ConfigMap> {
        (name == "cm")
            .then(|| serde_json::from_value(json!({"data": {"a": "1", "b": "2"}})).unwrap())
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        (name == "s").then(|| serde_json::from_value(json!({"data": {"key": "a2V5"}})).unwrap())
    }
}

fn pod(volume: Value) -> Pod {
    let mut volume = volume;
    volume["name"] = json!("v");
    let metadata = json!({"name": "p", "namespace": "n", "labels": {"app": "web"}});
    let spec = json!({"containers": [], "volumes": [volume]});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

fn content_of(volume: Value) -> Result<Content, ConfigError> {
    let facts = Facts {
        pod_ip: "127.9.1.1".into(),
        host_ip: "127.9.0.1".into(),
        node_name: "sandbox".into(),
        cpus: 1,
        memory: 1,
    };
    let pod = pod(volume);
    let tokens = tokens(&pod)
        .into_iter()
        .map(|key| (key.clone(), format!("token for {}", key.audience)))
        .collect();
    let context = Context {
        pod: &pod,
        facts: &facts,
        sources: &Fixture,
        tokens: &tokens,
    };
    contents(&context).map(|mut contents| contents.remove("v").unwrap())
}

#[track_caller]
fn check(volume: Value, expected: &[(&str, &str, u32)]) {
    let Content::Files(files) = content_of(volume).unwrap() else {
        panic!("no files")
    };
    let got: Vec<_> = files
        .iter()
        .map(|(path, file)| {
            (
                path.to_str().unwrap(),
                std::str::from_utf8(&file.data).unwrap(),
                file.mode,
            )
        })
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn maps_and_secrets() {
    check(
        json!({"configMap": {"name": "cm"}}),
        &[("a", "1", 0o644), ("b", "2", 0o644)],
    );
    let items = json!([{"key": "b", "path": "x/y"}]);
    check(
        json!({"configMap": {"name": "cm", "items": items}}),
        &[("x/y", "2", 0o644)],
    );
    check(
        json!({"secret": {"secretName": "s"}}),
        &[("key", "key", 0o600)],
    );
    check(
        json!({"secret": {"secretName": "none", "optional": true}}),
        &[],
    );
}

#[test]
fn projections() {
    let token = json!({"serviceAccountToken": {"audience": "istio-ca", "path": "istio-token"}});
    let labels =
        json!({"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]});
    let sources = json!([token, {"downwardAPI": labels}, {"configMap": {"name": "cm"}}]);
    check(
        json!({"projected": {"sources": sources}}),
        &[
            ("a", "1", 0o644),
            ("b", "2", 0o644),
            ("istio-token", "token for istio-ca", 0o600),
            ("labels", "app=\"web\"", 0o644),
        ],
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let missing = content_of(json!({"configMap": {"name": "none"}}))
        .unwrap_err()
        .to_string();
    assert_eq!(missing, "configmap \"none\" not found");
    let escape = json!({"configMap": {"name": "cm", "items": [{"key": "a", "path": "../x"}]}});
    assert_eq!(
        content_of(escape).unwrap_err().to_string(),
        "path \"../x\" leads out of its volume"
    );
    let kind = content_of(json!({"nfs": {"server": "x", "path": "/"}}))
        .unwrap_err()
        .to_string();
    assert_eq!(
        kind,
        "the kind of volume \"v\" is not supported by the sandbox"
    );
}

#[test]
fn files_are_replaced_removed_and_linked() {
    let directory = tempfile::tempdir().unwrap();
    let volume = directory.path().join("v");
    let file = |text: &str| File {
        data: text.as_bytes().to_vec(),
        mode: 0o600,
    };
    let first = Files::from([("a".into(), file("1")), ("d/b".into(), file("2"))]);
    write_files(&volume, &first).unwrap();
    let root = directory.path().join("root");
    let mount = VolumeMount {
        at: "etc/conf".into(),
        source: volume.clone(),
        is_made: false,
        is_read_only: true,
    };
    link(&root, &mount).unwrap();
    link(&root, &mount).unwrap();
    write_files(&volume, &Files::from([("a".into(), file("3"))])).unwrap();
    assert_eq!(
        std::fs::read_to_string(root.join("etc/conf/a")).unwrap(),
        "3"
    );
    assert!(!root.join("etc/conf/d/b").exists());
    let mode = std::fs::metadata(volume.join("a"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn names_lead_nowhere_else() {
    for name in ["..", ".", "../x", "a/b", "/etc", ""] {
        let claim = content_of(json!({"persistentVolumeClaim": {"claimName": name}}));
        let error = claim.unwrap_err().to_string();
        assert_eq!(error, format!("{name:?} is no name of a volume or claim"));
        let container = json!({"name": "c", "volumeMounts": [{"name": name, "mountPath": "/x"}]});
        let container = serde_json::from_value(container).unwrap();
        assert!(mounts(&container, &BTreeMap::new()).is_err(), "{name:?}");
    }
}

#[test]
fn a_volume_can_be_mounted_where_programs_have_their_temporary_files() {
    let directory = tempfile::tempdir().unwrap();
    let (root, volume) = (directory.path().join("root"), directory.path().join("v"));
    let own = VolumeMount {
        at: "tmp".into(),
        source: volume.clone(),
        is_made: true,
        is_read_only: false,
    };
    // As bookinfo has it; and once more, as when the container is started again.
    for _ in 0..2 {
        lay_out(&root, std::slice::from_ref(&own)).unwrap();
    }
    std::fs::write(root.join("tmp/a"), "1").unwrap();
    assert_eq!(std::fs::read_to_string(volume.join("a")).unwrap(), "1");
    let other = directory.path().join("other");
    lay_out(&other, &[]).unwrap();
    assert!(other.join("tmp").is_dir());
}
