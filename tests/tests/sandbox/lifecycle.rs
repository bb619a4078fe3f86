//! Starting and ending: what is refused, what is cleaned up, and that nothing stays behind.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mesh_tests::{binary, eventually, meshctl};

use crate::processes::{self, signal};
use crate::sandbox::{Sandbox, directory, succeeded};

const LIMIT: Duration = Duration::from_secs(60);

/// A Deployment and a Service of a sample program that needs no mesh.
const HELLO: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      containers:
        - name: hello
          image: docker.io/istio/examples-helloworld-v1
          ports: [{containerPort: 5000}]
---
apiVersion: v1
kind: Service
metadata: {name: hello}
spec:
  selector: {app: hello}
  ports: [{name: http, port: 5000}]
";

/// Starts a sandbox in the foreground.
fn foreground(state: &Path, name: &str, words: &[&str]) -> Child {
    let mut command = meshctl(state);
    let temporary = state.join("tmp");
    std::fs::create_dir_all(&temporary).expect("the state directory can be written");
    command.env("TMPDIR", temporary);
    command
        .args(["sandbox", "up", "--empty", "--name", name])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().expect("meshctl runs")
}

fn is_ready(state: &Path, name: &str) -> bool {
    let mut status = meshctl(state);
    let output = status
        .args(["sandbox", "status", "--name", name, "-o", "json"])
        .output();
    output.is_ok_and(|output| output.status.success())
}

#[track_caller]
fn nothing_is_left(state: &Path, name: &str) {
    eventually("no process is left", LIMIT, || {
        processes::of(state).is_empty().then_some(())
    });
    let place = directory(state, name);
    assert!(!place.exists(), "{} is left", place.display());
    // HOME and TMPDIR are in there too, and the tests' own files are YAML.
    let left: Vec<_> = files(state)
        .into_iter()
        .filter(|file| file.extension().is_none_or(|extension| extension != "yaml"))
        .collect();
    assert!(left.is_empty(), "{left:?} are left");
}

/// All files in a directory and below.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path()),
            _ => vec![entry.path()],
        })
        .collect()
}

#[test]
fn an_interrupt_ends_it_and_leaves_nothing() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("hello.yaml");
    std::fs::write(&file, HELLO).unwrap();
    let mut child = foreground(state.path(), "one", &["-f", &file.display().to_string()]);
    eventually("the sandbox is ready", LIMIT, || {
        is_ready(state.path(), "one").then_some(())
    });
    let mut second = foreground(state.path(), "one", &[]);
    assert!(
        !second.wait().unwrap().success(),
        "one sandbox of a name at a time"
    );
    assert!(
        processes::of(state.path()).len() >= 2,
        "the sandbox and its pod"
    );
    signal(i32::try_from(child.id()).unwrap(), "INT");
    assert!(child.wait().unwrap().success());
    nothing_is_left(state.path(), "one");
}

#[test]
fn a_killed_sandbox_takes_its_pods_along_and_the_next_one_cleans_up() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("hello.yaml");
    std::fs::write(&file, HELLO).unwrap();
    let words = ["-f", &file.display().to_string()];
    let mut child = foreground(state.path(), "two", &words);
    eventually("the sandbox is ready", LIMIT, || {
        is_ready(state.path(), "two").then_some(())
    });
    signal(i32::try_from(child.id()).unwrap(), "KILL");
    child.wait().unwrap();
    eventually("its pods end", LIMIT, || {
        processes::of(state.path()).is_empty().then_some(())
    });
    assert!(
        directory(state.path(), "two").exists(),
        "its files wait for the next one"
    );
    let mut child = foreground(state.path(), "two", &words);
    eventually("the next one is ready", LIMIT, || {
        is_ready(state.path(), "two").then_some(())
    });
    let mut down = meshctl(state.path());
    succeeded(
        &down
            .args(["sandbox", "down", "--name", "two"])
            .output()
            .unwrap(),
    );
    child.wait().unwrap();
    nothing_is_left(state.path(), "two");
}

#[test]
fn two_sandboxes_side_by_side() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("hello.yaml");
    std::fs::write(&file, HELLO).unwrap();
    let words = ["-f", &file.display().to_string()];
    let mut children = ["left", "right"].map(|name| foreground(state.path(), name, &words));
    for name in ["left", "right"] {
        eventually("both are ready", LIMIT, || {
            is_ready(state.path(), name).then_some(())
        });
    }
    let mut list = meshctl(state.path());
    let names = succeeded(
        &list
            .args(["sandbox", "list", "-o", "name"])
            .output()
            .unwrap(),
    );
    assert_eq!(names, "left\nright\n");
    let mut down = meshctl(state.path());
    succeeded(&down.args(["sandbox", "down", "--all"]).output().unwrap());
    for child in &mut children {
        child.wait().unwrap();
    }
    nothing_is_left(state.path(), "left");
    nothing_is_left(state.path(), "right");
}

#[test]
fn what_cannot_be_is_refused_before_anything_starts() {
    let state = tempfile::tempdir().unwrap();
    let bad = state.path().join("bad.yaml");
    std::fs::write(&bad, "kind: [").unwrap();
    let bad = bad.display().to_string();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--sample", "nothing"], 64, "bookinfo"),
        (&["--image", "x"], 64, "NAME=COMMAND"),
        (&["--profile", "none"], 64, "none"),
        (&["--name", "A"], 64, "lower-case"),
        (&["-f", "/no/such/file.yaml"], 1, "/no/such/file.yaml"),
        (&["-f", &bad], 65, "bad.yaml"),
    ];
    for (words, code, text) in cases {
        for detach in [&[][..], &["--detach"]] {
            let mut command = meshctl(state.path());
            let output = command
                .args(["sandbox", "up"])
                .args(words)
                .args(detach)
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{words:?}: {stderr}");
            assert!(stderr.contains(text), "{words:?}: {stderr}");
        }
    }
    assert!(
        !state.path().join("meshctl").exists(),
        "nothing was started"
    );
}

#[test]
fn the_reason_of_a_failed_start_in_the_background_is_told() {
    let state = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = meshctl(state.path());
    let words = [
        "sandbox",
        "up",
        "--empty",
        "--detach",
        "--ingress-port",
        &port,
    ];
    let output = command.args(words).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(&format!("port {port}")), "{stderr}");
    nothing_is_left(state.path(), "default");
}

/// As root this is done as another user; an ordinary user is one already.
#[test]
fn an_ordinary_user_needs_no_rights() {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("meshctl");
    std::fs::copy(binary("meshctl"), &program).unwrap();
    let is_root = std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let state = place.path().join("home");
    std::fs::create_dir(&state).unwrap();
    let run = |words: &[&str]| {
        let mut command = if is_root {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(&program);
            command
        } else {
            Command::new(&program)
        };
        command
            .args(words)
            .env("HOME", &state)
            .env("XDG_STATE_HOME", &state)
            .env_remove("KUBECONFIG");
        command.env_remove("MESHCTL_SANDBOX").current_dir("/");
        command.output().expect("setpriv of util-linux can be run")
    };
    if is_root {
        use std::os::unix::fs::{PermissionsExt, chown};
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        chown(&state, Some(65534), Some(65534)).unwrap();
    }
    succeeded(&run(&["sandbox", "up", "--detach", "--sample", "website"]));
    let status = succeeded(&run(&["sandbox", "status", "-o", "json"]));
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let url = status["ingress"]["url"].as_str().unwrap();
    let answer = crate::http::get(url, &[]).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    succeeded(&run(&["sandbox", "down"]));
    nothing_is_left(&state, "default");
}

#[test]
fn an_unknown_image_waits_and_says_how_to_run_it() {
    let sandbox = Sandbox::up("images", &["--empty"]);
    sandbox.apply_text(
        "
apiVersion: v1
kind: Pod
metadata: {name: foreign}
spec: {containers: [{name: main, image: example.org/foreign:1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: told, annotations: {sandbox.meshctl.io/command: 'echo it runs; exec sleep 1000'}}
spec: {containers: [{name: main, image: example.org/told:1}]}
",
    );
    let pod = |name: &str| {
        let status = sandbox.status();
        let mut pods = status["pods"].as_array()?.iter();
        pods.find(|pod| pod["name"] == name).cloned()
    };
    let waiting = eventually("the pod waits", LIMIT, || {
        pod("foreign").filter(|pod| pod["status"] == "ImageNotRunnable")
    });
    let message = waiting["message"].as_str().unwrap();
    assert!(message.contains("--image foreign=COMMAND"), "{message}");
    eventually("the other one runs", LIMIT, || {
        pod("told").filter(|pod| pod["ready"] == true)
    });
    assert_eq!(sandbox.run(&["sandbox", "logs", "told"]), "it runs\n");
}
