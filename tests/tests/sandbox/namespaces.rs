//! Pods in namespaces: programs that know nothing of a mesh, their traffic captured; names, addresses and files as in a cluster; and that
//! nothing of it outlives the sandbox.
//!
//! Where the kernel or the machine does not allow it, the cases say so on standard error and end.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use mesh_tests::{eventually, meshctl};

use crate::exec;
use crate::processes;
use crate::sandbox::{SETTLED, Sandbox, directory, succeeded};

/// Python's own web server under two versions, a client that is a shell, a headless Service, a Job with a sidecar, and a pod outside of
/// the mesh.
const SHOP: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: pages}
data: {v1: "this is v1\n", v2: "this is v2\n"}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  ports: [{name: http, port: 80, targetPort: 8000}]
---
apiVersion: v1
kind: Service
metadata: {name: shops}
spec:
  clusterIP: None
  selector: {app: shop}
  ports: [{name: http, port: 8000}]
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere}
spec: {type: ExternalName, externalName: shop.default.svc.cluster.local}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop-v1}
spec:
  selector: {matchLabels: {app: shop, version: v1}}
  template:
    metadata: {labels: {app: shop, version: v1}}
    spec:
      containers:
        - name: shop
          image: example.test/shop:1
          workingDir: /srv/pages
          readinessProbe: {httpGet: {path: /version, port: 8000}}
          volumeMounts: [{name: pages, mountPath: /srv/pages, readOnly: true}]
      volumes: [{name: pages, configMap: {name: pages, items: [{key: v1, path: version}]}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop-v2}
spec:
  selector: {matchLabels: {app: shop, version: v2}}
  template:
    metadata: {labels: {app: shop, version: v2}}
    spec:
      containers:
        - name: shop
          image: example.test/shop:2
          workingDir: /srv/pages
          readinessProbe: {exec: {command: [curl, -sf, "http://127.0.0.1:8000/version"]}}
          volumeMounts: [{name: pages, mountPath: /srv/pages, readOnly: true}]
      volumes: [{name: pages, configMap: {name: pages, items: [{key: v2, path: version}]}}]
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: client, image: example.test/shell, stdin: true}]
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, labels: {sidecar.istio.io/inject: "false"}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: stranger, image: example.test/shell}]
"#;

const TO_V2: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  subsets: [{name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop]
  http: [{route: [{destination: {host: shop, subset: v2}}]}]
";

const STRICT: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
";

/// The commands of the images.
const IMAGES: [&str; 4] = [
    "--image",
    "shop=/usr/bin/python3 -m http.server 8000",
    "--image",
    "shell=sleep 1000000",
];

/// Says that a case did not run, and why.
fn skip(why: &str) {
    // Past the test runner, which keeps back what passing cases print.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Whether the programs are there that the cases run; says on standard error which are not.
pub fn has(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .stdout(Stdio::null())
            .status();
        !found.is_ok_and(|status| status.success())
    });
    if let Some(program) = missing {
        skip(&format!("{program} is not installed"));
    }
    missing.is_none()
}

/// Whether pods can be in namespaces here, asked of the program itself.
pub fn is_possible() -> bool {
    let output = Command::new(mesh_tests::binary("meshctl"))
        .args(["builtin", "probe-namespaces"])
        .output()
        .expect("meshctl runs");
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        skip(&format!(
            "pods in namespaces are not possible here: {}",
            why.trim()
        ));
    }
    output.status.success()
}

pub fn up(name: &'static str, words: &[&str]) -> Sandbox {
    let mut all = vec!["--backend", "namespaces"];
    all.extend(words);
    Sandbox::up(name, &all)
}

#[test]
fn unmodified_programs_are_in_the_mesh() {
    if !is_possible() || !has(&["curl", "/usr/bin/python3", "getent"]) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("shop.yaml");
    std::fs::write(&file, SHOP).unwrap();
    let file = file.display().to_string();
    let mut words = vec!["-f", &file];
    words.extend(IMAGES);
    let sandbox = up("shop", &words);
    let run = |pod: &str, command: &str| exec::run(&sandbox, pod, pod, &["sh", "-c", command]);
    let version = "curl -s http://shop/version";

    // Names, addresses and files.
    let own = run("client", "hostname; echo $http_proxy; cat /etc/resolv.conf");
    assert!(own.starts_with("client\n\n"), "{own}");
    assert!(own.contains("search default.svc.cluster.local"), "{own}");
    let names = run(
        "client",
        "getent hosts shop elsewhere.default; getent ahostsv4 shops",
    );
    assert!(
        names.contains("10.96.0.") && names.contains("10.244.0."),
        "{names}"
    );
    assert!(names.contains("shop.default.svc.cluster.local"), "{names}");
    let count = run("client", "ls /proc | grep -c '^[0-9]'");
    assert!(
        count.trim().parse::<u32>().unwrap() < 10,
        "{count} processes"
    );

    // A plain request to a Service, by name and by address, without a sidecar and with one; both versions answer.
    for pod in ["stranger", "client"] {
        eventually("both versions answer", SETTLED, || {
            let answers = run(pod, &format!("for i in $(seq 20); do {version}; done"));
            (answers.contains("v1") && answers.contains("v2")).then_some(())
        });
    }
    let refused = run("stranger", "curl -s -m 5 http://shop:81/ || echo $?");
    assert_eq!(refused.trim(), "7", "a port that the Service does not have");

    // A rule that only a sidecar knows.
    sandbox.apply_text(TO_V2);
    eventually("only v2 answers the client", SETTLED, || {
        let answers = run("client", &format!("for i in $(seq 20); do {version}; done"));
        (answers.matches("v2").count() == 20).then_some(())
    });
    let stranger = run(
        "stranger",
        &format!("for i in $(seq 40); do {version}; done"),
    );
    assert!(
        stranger.contains("v1"),
        "no rules without a sidecar: {stranger}"
    );

    // Who does not speak mutual TLS is shut out.
    sandbox.apply_text(STRICT);
    eventually("the stranger is refused", SETTLED, || {
        let answer = run("stranger", &format!("{version} -m 5 || true"));
        (!answer.contains("this is")).then_some(())
    });
    let answer = run("client", version);
    assert_eq!(answer, "this is v2\n");
}

#[test]
fn an_ordinary_command_is_run_and_attached_to() {
    if !is_possible() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("shop.yaml");
    let pod = "
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: client
      image: example.test/echo
      stdin: true
      volumeMounts: [{name: scratch, mountPath: /some/where/new}]
  volumes: [{name: scratch, emptyDir: {}}]
";
    std::fs::write(&file, pod).unwrap();
    let file = file.display().to_string();
    let sandbox = up("run", &["--empty", "-f", &file, "--image", "echo=cat"]);
    let run = |words: &[&str]| exec::run(&sandbox, "client", "client", words);
    run(&["sh", "-c", "echo kept > /some/where/new/file"]);
    assert_eq!(run(&["cat", "/some/where/new/file"]), "kept\n");
    assert_eq!(exec::code(&sandbox, "client", &["sh", "-c", "exit 3"]), 3);
    assert_eq!(
        exec::with_input(&sandbox, "client", &["wc", "-c"], b"12345").trim(),
        "5"
    );
    let missing = exec::failure(&sandbox, "client", &["no-such-program"]);
    assert!(missing.contains("executable file not found"), "{missing}");
    assert_eq!(exec::attached(&sandbox, "client", b"hello\n"), "hello\n");
}

#[test]
fn nothing_outlives_the_processes() {
    if !is_possible() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("shop.yaml");
    std::fs::write(&file, "{apiVersion: v1, kind: Pod, metadata: {name: client}, spec: {containers: [{name: client, image: shell}]}}").unwrap();
    let mark = format!("{}/unseen", state.path().display());
    let shell = format!("shell=MARK={mark} sleep 1000000");
    let mut child = meshctl(state.path())
        .args([
            "sandbox",
            "up",
            "--empty",
            "--name",
            "killed",
            "--backend",
            "namespaces",
            "-f",
        ])
        .arg(&file)
        .args(["--image", &shell])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("meshctl runs");
    eventually("the pod runs", Duration::from_secs(60), || {
        let running = processes::of(state.path());
        running
            .iter()
            .any(|process| process.words.starts_with("sleep"))
            .then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("all processes end", Duration::from_secs(20), || {
        processes::of(state.path()).is_empty().then_some(())
    });
    let mut down = meshctl(state.path());
    succeeded(
        &down
            .args(["sandbox", "down", "--name", "killed"])
            .output()
            .unwrap(),
    );
    assert!(!directory(state.path(), "killed").exists());
}
