//! Real istioctl against a sandbox with bookinfo: what its users type gets the answers that Istio's control plane and Envoy give.
//!
//! `tests/istioctl/run` builds istioctl and names it in `ISTIOCTL`.

mod cases;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mesh_tests::{eventually, meshctl, root};

use cases::{CASES, Case, Exit};

/// Name of the sandbox.
const NAME: &str = "istioctl";

/// How long a change may take to arrive.
const SETTLED: Duration = Duration::from_secs(30);

/// All of reviews to one version, which is a change of one route.
const RULE: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http: [{name: only-v3, route: [{destination: {host: reviews, subset: v3}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lost}
spec:
  hosts: [lost]
  http: [{route: [{destination: {host: nobody}}]}]
";

struct Sandbox {
    state: tempfile::TempDir,
}

/// What istioctl printed, errors included, and whether it succeeded.
struct Printed {
    text: String,
    success: bool,
}

// === impl Sandbox ===

impl Sandbox {
    #[track_caller]
    fn up() -> Self {
        let sandbox = Self {
            state: tempfile::tempdir().unwrap(),
        };
        sandbox.meshctl(&["up", "--detach", "--sample", "bookinfo"]);
        sandbox
    }

    #[track_caller]
    fn meshctl(&self, words: &[&str]) -> String {
        let (verb, rest) = words.split_first().unwrap();
        let mut command = meshctl(self.state.path());
        command.args(["sandbox", verb, "--name", NAME]).args(rest);
        let output = command.current_dir(root()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn apply(&self, yaml: &str) {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        self.meshctl(&["apply", "-f", &file.path().display().to_string()]);
    }

    /// A pod of an application.
    #[track_caller]
    fn pod(&self, prefix: &str) -> String {
        let status = self.meshctl(&["status", "-o", "json"]);
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let pods = status["pods"].as_array().unwrap();
        let names = pods.iter().filter_map(|pod| pod["name"].as_str());
        let name = names.into_iter().find(|name| name.starts_with(prefix));
        name.unwrap_or_else(|| panic!("no pod {prefix}: {status}"))
            .to_owned()
    }

    fn istioctl(&self, words: &[String]) -> Printed {
        let program =
            std::env::var("ISTIOCTL").expect("ISTIOCTL names the program; run tests/run istioctl");
        let state: &Path = self.state.path();
        let kubeconfig = state.join("meshctl/sandbox").join(NAME).join("kubeconfig");
        let output = Command::new(program)
            .args(words)
            .env("KUBECONFIG", kubeconfig)
            .env("HOME", state)
            .current_dir(root())
            .output()
            .expect("istioctl runs");
        let texts = [output.stdout, output.stderr];
        let texts = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
        Printed {
            text: texts.concat(),
            success: output.status.success(),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let mut down = meshctl(self.state.path());
        // Nothing more can be done about one that does not end.
        let _ = down.args(["sandbox", "down", "--name", NAME]).output();
    }
}

#[test]
fn istioctl_is_answered() {
    let sandbox = Sandbox::up();
    let (pod, gateway) = (sandbox.pod("reviews-v1"), sandbox.pod("istio-ingress"));
    let named = |text: &str| text.replace("POD", &pod).replace("GATEWAY", &gateway);
    let wrong: Vec<String> = CASES
        .iter()
        .filter_map(|case| {
            let words: Vec<String> = case.command.split(' ').map(named).collect();
            wrong(case, named, &sandbox.istioctl(&words))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What is wrong about an answer. `named` puts in the names of pods.
fn wrong(case: &Case, named: impl Fn(&str) -> String, printed: &Printed) -> Option<String> {
    let Printed { text, success } = printed;
    let mut parts = case.prints.iter().map(|part| named(part));
    let missing = parts.find(|part| !text.contains(part));
    let why = match (missing, case.exit) {
        (Some(missing), _) => format!("does not print {missing:?}"),
        (None, Exit::Success) if !success => "fails".to_owned(),
        (None, Exit::Failure) if *success => "does not fail".to_owned(),
        _ => {
            let bad = case.never.iter().find(|part| text.contains(**part))?;
            format!("prints {bad:?}")
        }
    };
    Some(format!("istioctl {} {why}:\n{text}", case.command))
}

#[test]
fn a_change_is_seen_by_istioctl() {
    let sandbox = Sandbox::up();
    let pod = sandbox.pod("productpage");
    sandbox.apply(RULE);
    let routes = format!("proxy-config routes {pod}.default --name 9080 -o json");
    let status = format!("proxy-status {pod}.default");
    let ask =
        |words: &str| sandbox.istioctl(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
    eventually(
        "the proxy has the rule, as the control plane does",
        SETTLED,
        || {
            let (routes, status) = (ask(&routes).text, ask(&status).text);
            let matches = ["Clusters Match", "Listeners Match", "Routes Match"];
            let arrived =
                routes.contains("only-v3") && matches.iter().all(|part| status.contains(part));
            arrived.then_some(())
        },
    );
    let found = ask("analyze -n default").text;
    assert!(
        found.contains("IST0101") && found.contains("nobody"),
        "{found}"
    );
}
