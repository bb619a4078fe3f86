//! The cluster, and the commands that are given to it.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use mesh_tests::{binary, eventually, root};

/// How long pods may take to start, and changes to arrive.
pub const SETTLED: Duration = Duration::from_secs(120);

/// A cluster: `KUBECONFIG` says which.
pub struct Cluster {
    kubectl: String,
    state: tempfile::TempDir,
    start: Instant,
}

impl Cluster {
    /// The cluster of `KUBECONFIG`, and `KUBECTL` to ask it.
    pub fn of_environment() -> Self {
        assert!(
            std::env::var_os("KUBECONFIG").is_some(),
            "run this by tests/run cluster"
        );
        Self {
            kubectl: std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned()),
            state: tempfile::tempdir().expect("a temporary directory"),
            start: Instant::now(),
        }
    }

    /// Tells how far the story is.
    pub fn step(&self, text: &str) {
        let elapsed = self.start.elapsed().as_secs_f64();
        let _ = writeln!(std::io::stderr(), "{elapsed:6.1} s  {text}");
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = match program {
            "kubectl" => Command::new(&self.kubectl),
            _ => Command::new(binary(program)),
        };
        command
            .current_dir(root())
            .env("HOME", self.state.path())
            .env("XDG_STATE_HOME", self.state.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed; gives its standard output and standard error.
    #[track_caller]
    pub fn run(&self, program: &str, words: &[&str]) -> (String, String) {
        let output = self.command(program).args(words).output();
        let output = output.unwrap_or_else(|error| panic!("{program} does not run: {error}"));
        let (stdout, stderr) = texts(&output);
        assert!(
            output.status.success(),
            "{program} {words:?}: {stdout}{stderr}"
        );
        (stdout, stderr)
    }

    #[track_caller]
    pub fn kubectl(&self, words: &[&str]) -> String {
        self.run("kubectl", words).0
    }

    /// What a command of meshctl says on standard error, where it talks.
    #[track_caller]
    pub fn meshctl(&self, words: &[&str]) -> String {
        self.run("meshctl", words).1
    }

    /// Applies YAML in a namespace.
    #[track_caller]
    pub fn apply(&self, namespace: &str, yaml: &str) {
        let mut child = self
            .command("kubectl")
            .args(["apply", "--namespace", namespace, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(yaml.as_bytes()).expect("kubectl reads");
        drop(input);
        let output = child.wait_with_output().expect("kubectl ends");
        let (stdout, stderr) = texts(&output);
        assert!(output.status.success(), "{stdout}{stderr}\n{yaml}");
    }

    /// Runs a shell's command in a pod of a workload; gives its exit code and what it printed.
    pub fn exec(&self, namespace: &str, workload: &str, script: &[&str]) -> (Option<i32>, String) {
        let output = self
            .command("kubectl")
            .args([
                "exec",
                "--namespace",
                namespace,
                workload,
                "--container",
                "app",
                "--",
            ])
            .args(script)
            .output()
            .expect("kubectl runs");
        let (stdout, stderr) = texts(&output);
        // kubectl ends with the command's exit code.
        (
            output.status.code(),
            if output.status.success() {
                stdout
            } else {
                stderr
            },
        )
    }

    /// Waits until all pods of a namespace run as many containers, all of them ready.
    #[track_caller]
    pub fn wait_for_pods(&self, namespace: &str, containers: usize) -> Vec<String> {
        eventually("pods are ready", SETTLED, || {
            let path = "jsonpath={range .items[*]}{.metadata.name} {.status.initContainerStatuses[*].ready} {.status.containerStatuses[*].ready}{\"\\n\"}{end}";
            let list = self.kubectl(&["get", "pods", "--namespace", namespace, "-o", path]);
            let mut names = Vec::new();
            for line in list.lines() {
                let mut words = line.split_whitespace();
                names.push(words.next()?.to_owned());
                let ready: Vec<&str> = words.collect();
                if ready.len() < containers || ready.contains(&"false") {
                    return None;
                }
            }
            (!names.is_empty()).then_some(names)
        })
    }

    /// The name of every object that the API server lists, but for those that come and go by themselves.
    pub fn objects(&self) -> BTreeSet<String> {
        const PASSING: [&str; 5] = ["event", "lease", "endpoint", "pod/", "replicaset"];
        let kinds = self.kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
        let kinds: Vec<&str> = kinds
            .lines()
            .filter(|kind| !kind.contains("metrics"))
            .collect();
        let path = "go-template={{range .items}}{{.kind}}/{{.metadata.namespace}}/{{.metadata.name}}{{\"\\n\"}}{{end}}";
        let all = self.kubectl(&[
            "get",
            &kinds.join(","),
            "--all-namespaces",
            "--ignore-not-found",
            "-o",
            path,
        ]);
        let passing = |name: &&str| {
            PASSING
                .iter()
                .any(|kind| name.to_lowercase().starts_with(kind))
        };
        all.lines()
            .filter(|name| !passing(name))
            .map(str::to_owned)
            .collect()
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
