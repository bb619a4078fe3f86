//! A sandbox of the real binary, which ends with its value.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use mesh_tests::{eventually, meshctl, root};
use serde_json::Value;

use crate::http::{self, Answer};

/// How long changes may take to arrive at every proxy on a machine with much else to do.
pub const SETTLED: Duration = Duration::from_secs(30);

pub struct Sandbox {
    pub state: tempfile::TempDir,
    pub name: &'static str,
    pub ingress: String,
}

impl Sandbox {
    /// Starts one in the background and waits until it is ready.
    #[track_caller]
    pub fn up(name: &'static str, words: &[&str]) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        let mut sandbox = Self {
            state,
            name,
            ingress: String::new(),
        };
        let mut all = vec!["sandbox", "up", "--detach", "--name", name];
        all.extend(words);
        sandbox.run(&all);
        let status = sandbox.status();
        assert_eq!(status["ready"], true, "{status:#}");
        sandbox.ingress = status["ingress"]["url"].as_str().expect("a URL").to_owned();
        sandbox
    }

    /// Starts one without a mesh in the background.
    #[track_caller]
    pub fn empty(name: &'static str) -> Self {
        let sandbox = Self {
            state: tempfile::tempdir().expect("a temporary directory"),
            name,
            ingress: String::new(),
        };
        sandbox.run(&["sandbox", "up", "--empty", "--detach", "--name", name]);
        sandbox
    }

    /// A command that works on this sandbox.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = meshctl(self.state.path());
        command
            .env("MESHCTL_SANDBOX", self.name)
            .args(words)
            .current_dir(root());
        command
    }

    /// Does something with a client of its API, as the owner.
    pub fn with_client<T>(&self, work: impl AsyncFnOnce(kube::Client) -> T) -> T {
        self.with_token("", work)
    }

    /// Does something with a client of its API that presents a token of its own; none is the owner's.
    pub fn with_token<T>(&self, token: &str, work: impl AsyncFnOnce(kube::Client) -> T) -> T {
        let status = self.status();
        let path = status["kubeconfig"].as_str().expect("a path").to_owned();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut config = kube::config::Kubeconfig::read_from(path).expect("the kubeconfig");
            for user in config.auth_infos.iter_mut().filter(|_| !token.is_empty()) {
                let user = user.auth_info.as_mut().expect("a user");
                user.token = Some(token.to_owned().into());
            }
            let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await;
            let client = kube::Client::try_from(config.expect("a good kubeconfig"));
            work(client.expect("a client")).await
        })
    }

    /// Runs a command that must succeed, and gives its standard output.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> String {
        succeeded(&self.command(words).output().expect("meshctl runs"))
    }

    /// What `sandbox status -o json` says.
    #[track_caller]
    pub fn status(&self) -> Value {
        let output = self.command(&["sandbox", "status", "-o", "json"]).output();
        let output = output.expect("meshctl runs");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Applies a file of the repository.
    #[track_caller]
    pub fn apply(&self, path: &str) {
        self.run(&["sandbox", "apply", "-f", path]);
    }

    /// Applies a text.
    #[track_caller]
    pub fn apply_text(&self, yaml: &str) {
        let path = self.state.path().join("applied.yaml");
        std::fs::write(&path, yaml).expect("the state directory can be written");
        self.run(&["sandbox", "apply", "-f", &path.display().to_string()]);
        std::fs::remove_file(path).expect("the file is there");
    }

    /// One request to the ingress.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Answer> {
        http::get(&format!("{}{path}", self.ingress), headers)
    }

    /// One request that must be answered well.
    #[track_caller]
    pub fn page(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let answer = self
            .get(path, headers)
            .unwrap_or_else(|error| panic!("GET {path}: {error}"));
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.body);
        answer.body
    }

    /// How many of `n` requests are answered by a page that `matches`.
    #[track_caller]
    pub fn count(
        &self,
        n: u32,
        path: &str,
        headers: &[(&str, &str)],
        matches: impl Fn(&str) -> bool,
    ) -> u32 {
        let hits = (0..n).filter(|_| matches(&self.page(path, headers)));
        u32::try_from(hits.count()).expect("no more than asked for")
    }

    /// Waits until so many requests one after another are answered by pages that all match: a change has arrived.
    #[track_caller]
    pub fn settle(
        &self,
        what: &str,
        path: &str,
        headers: &[(&str, &str)],
        matches: impl Fn(&str) -> bool,
    ) {
        eventually(what, SETTLED, || {
            let all = (0..20).all(|_| {
                self.get(path, headers)
                    .is_ok_and(|answer| answer.status == 200 && matches(&answer.body))
            });
            all.then_some(())
        });
    }

    /// The directory of its files.
    pub fn directory(&self) -> PathBuf {
        directory(self.state.path(), self.name)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory().join("log")).unwrap_or_default();
            let _ = writeln!(
                std::io::stderr(),
                "the log of sandbox {:?}:\n{log}",
                self.name
            );
        }
        // Nothing more can be done about one that does not end.
        let _ = self.command(&["sandbox", "down"]).output();
    }
}

/// The directory of a sandbox's files.
pub fn directory(state: &Path, name: &str) -> PathBuf {
    state.join("meshctl/sandbox").join(name)
}

/// The standard output of a command that must have succeeded.
#[track_caller]
pub fn succeeded(output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}
