//! `kube-inject` on files. What injection does has golden tests; here it is about what surrounds it.

use std::os::unix::fs::PermissionsExt;

use crate::place::{Place, repository};

const WEB: &str = "\
# The shop's front.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: shop/web:1
---
apiVersion: v1
kind: ConfigMap   # left alone
metadata: {name:   odd }
data: {a: \"1\"}
";

#[test]
fn standard_output_is_only_yaml() {
    let place = Place::new();
    place.file("web.yaml", WEB);
    let ran = place.run(&["kube-inject", "-f", "web.yaml"]);
    ran.ends(0)
        .prints("name: istio-proxy")
        .prints("# The shop's front.\n")
        .says("built-in settings");
    let (_, untouched) = WEB.split_once("---\n").unwrap();
    assert!(
        ran.stdout.ends_with(untouched),
        "what is not injected leaves byte for byte:\n{}",
        ran.stdout
    );
    let again = place.run_with(&ran.stdout, &["kube-inject", "--use-kube=false", "-f", "-"]);
    assert_eq!(
        again.ends(0).stdout,
        ran.stdout,
        "a second injection changes nothing"
    );
    let ran = place.bash("$MESHCTL kube-inject --use-kube=false -f <(cat web.yaml)");
    ran.ends(0).prints("name: istio-proxy");
    assert_eq!(ran.stderr, "");
}

#[test]
fn skips_are_explained_and_warnings_told() {
    let place = Place::new();
    let host = WEB.replace(
        "    spec:\n      containers",
        "    spec:\n      hostNetwork: true\n      containers",
    );
    let ran = place.run_with(&host, &["kube-inject", "--use-kube=false", "-f", "-"]);
    assert_eq!(ran.ends(0).stdout, host);
    ran.says(
        "===> Skipping injection because Deployment \"default/web\" has host networking enabled",
    );
    let ran = place.run_with(
        &host,
        &["kube-inject", "--use-kube=false", "-n", "shop", "-f", "-"],
    );
    ran.says("Deployment \"shop/web\"");
    place
        .run_with("", &["kube-inject", "--use-kube=false", "-f", "-"])
        .ends(0)
        .prints_nothing()
        .says("nothing to inject");
}

#[test]
fn files_are_written_at_once_or_not_at_all() {
    let place = Place::new();
    place
        .file("web.yaml", WEB)
        .file("out.yaml", "old")
        .file("broken.yaml", &format!("{WEB}---\na: [b\n"));
    std::fs::set_permissions(place.path("out.yaml"), PermissionsExt::from_mode(0o640)).unwrap();
    place
        .run(&[
            "kube-inject",
            "--use-kube=false",
            "-f",
            "broken.yaml",
            "-o",
            "out.yaml",
        ])
        .ends(65)
        .prints_nothing();
    assert_eq!(
        std::fs::read_to_string(place.path("out.yaml")).unwrap(),
        "old"
    );
    place
        .run(&[
            "kube-inject",
            "--use-kube=false",
            "-f",
            "web.yaml",
            "-o",
            "out.yaml",
        ])
        .ends(0)
        .prints_nothing();
    let written = std::fs::read_to_string(place.path("out.yaml")).unwrap();
    assert_eq!(
        written,
        place
            .run(&["kube-inject", "--use-kube=false", "-f", "web.yaml"])
            .stdout
    );
    let mode = std::fs::metadata(place.path("out.yaml"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640, "the mode stays");
    // In place, and into what is no file.
    place
        .run(&[
            "kube-inject",
            "--use-kube=false",
            "-f",
            "web.yaml",
            "-o",
            "web.yaml",
        ])
        .ends(0);
    assert_eq!(
        std::fs::read_to_string(place.path("web.yaml")).unwrap(),
        written
    );
    place
        .run(&[
            "kube-inject",
            "--use-kube=false",
            "-f",
            "web.yaml",
            "-o",
            "/dev/stdout",
        ])
        .ends(0)
        .prints("istio-proxy");
    place
        .run(&[
            "kube-inject",
            "--use-kube=false",
            "-f",
            "web.yaml",
            "-o",
            "no/such/x.yaml",
        ])
        .ends(1)
        .says("no/such/x.yaml");
    let names: Vec<_> = std::fs::read_dir(place.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().ends_with(".partial")),
        "{names:?}"
    );
}

#[test]
fn mistakes_are_shown_in_their_text() {
    let place = Place::new();
    place.file(
        "web.yaml",
        &WEB.replace(
            "      labels: {app: web}",
            "      annotations: {traffic.sidecar.istio.io/excludeInboundPorts: many}",
        ),
    );
    let ran = place.run(&["kube-inject", "--use-kube=false", "-f", "web.yaml"]);
    ran.ends(65)
        .prints_nothing()
        .says("web.yaml:10:")
        .says("excludeInboundPorts")
        .says("^^^^")
        .says("nothing was injected");
    let ran = place.run_with("kind: [\n", &["kube-inject", "--use-kube=false", "-f", "-"]);
    ran.ends(65)
        .prints_nothing()
        .says("-:1:7")
        .says("standard input has one mistake");
}

#[test]
fn settings_come_from_files() {
    let place = Place::new();
    place
        .file("web.yaml", WEB)
        .file(
            "injector.yaml",
            "values: {hub: registry.example/mesh, tag: \"9\"}\n",
        )
        .file("wrong.yaml", "values: {hubb: x}\n");
    let with = |file| {
        place.run(&[
            "kube-inject",
            "--use-kube=false",
            "-f",
            "web.yaml",
            "--injectConfigFile",
            file,
        ])
    };
    with("injector.yaml")
        .ends(0)
        .prints("image: registry.example/mesh/proxyv2:9");
    with("wrong.yaml").ends(65).prints_nothing().says("hubb");
    with("missing.yaml")
        .ends(1)
        .prints_nothing()
        .says("missing.yaml");
    place.file("mesh.yaml", "defaultConfig: {concurrency: 7}\n");
    let ran = place.run(&[
        "kube-inject",
        "-f",
        "web.yaml",
        "--injectConfigFile",
        "injector.yaml",
        "--meshConfigFile",
        "mesh.yaml",
    ]);
    ran.ends(0).prints("concurrency");
    assert_eq!(ran.stderr, "", "with both files no cluster is asked for");
}

#[test]
fn samples_are_injected() {
    let place = Place::new();
    let file = repository("samples/bookinfo/platform/kube/bookinfo.yaml");
    let ran = place.run(&["kube-inject", "--use-kube=false", "-f", &file]);
    assert_eq!(ran.ends(0).stdout.matches("name: istio-proxy\n").count(), 6);
    place.file("bookinfo.yaml", &ran.stdout);
    place
        .run(&[
            "analyze",
            "--use-kube=false",
            "--failure-threshold",
            "Info",
            "bookinfo.yaml",
        ])
        .ends(0);
}
