//! Programs run in pods, as `kubectl exec` and `attach` do it.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::sandbox::Sandbox;

/// What came of a program.
struct Outcome {
    output: String,
    errors: String,
    /// The exit code; none when it was not told.
    code: Option<i32>,
    message: String,
}

/// Runs a program that must succeed, and gives its output.
#[track_caller]
pub fn run(sandbox: &Sandbox, pod: &str, container: &str, words: &[&str]) -> String {
    let outcome = exec(sandbox, pod, container, words, None);
    assert_eq!(
        outcome.code,
        Some(0),
        "{words:?}: {}{}",
        outcome.errors,
        outcome.message
    );
    outcome.output
}

/// The output of a program, however it ends.
#[track_caller]
pub fn output(sandbox: &Sandbox, pod: &str, words: &[&str]) -> String {
    exec(sandbox, pod, pod, words, None).output
}

/// The exit code of a program.
#[track_caller]
pub fn code(sandbox: &Sandbox, pod: &str, words: &[&str]) -> i32 {
    exec(sandbox, pod, pod, words, None)
        .code
        .expect("an exit code")
}

/// The output of a program that reads this.
#[track_caller]
pub fn with_input(sandbox: &Sandbox, pod: &str, words: &[&str], input: &[u8]) -> String {
    exec(sandbox, pod, pod, words, Some(input)).output
}

/// Why a program could not be run.
#[track_caller]
pub fn failure(sandbox: &Sandbox, pod: &str, words: &[&str]) -> String {
    exec(sandbox, pod, pod, words, None).message
}

/// The first answer of the container's own program to this input.
#[track_caller]
pub fn attached(sandbox: &Sandbox, pod: &str, input: &[u8]) -> String {
    sandbox.with_client(async |client| {
        let pods: Api<Pod> = Api::namespaced(client, "default");
        let params = AttachParams::default()
            .container(pod)
            .stdin(true)
            .stderr(false);
        let mut process = pods.attach(pod, &params).await.expect("attached");
        let mut stdin = process.stdin().expect("an input");
        let mut stdout = process.stdout().expect("an output");
        stdin.write_all(input).await.expect("written");
        stdin.flush().await.expect("flushed");
        let mut answer = vec![0; input.len()];
        stdout.read_exact(&mut answer).await.expect("an answer");
        process.abort();
        String::from_utf8(answer).expect("text")
    })
}

#[track_caller]
fn exec(
    sandbox: &Sandbox,
    pod: &str,
    container: &str,
    words: &[&str],
    input: Option<&[u8]>,
) -> Outcome {
    sandbox.with_client(async |client| {
        let pods: Api<Pod> = Api::namespaced(client, "default");
        let params = AttachParams::default()
            .container(container)
            .stdin(input.is_some());
        let started = pods.exec(pod, words.iter().copied(), &params).await;
        let mut process = started.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        if let Some(input) = input {
            let mut stdin = process.stdin().expect("an input");
            stdin.write_all(input).await.expect("written");
            stdin.shutdown().await.expect("ended");
        }
        let (mut output, mut errors) = (String::new(), String::new());
        let status = process.take_status().expect("a status");
        let (mut stdout, mut stderr) = (
            process.stdout().expect("an output"),
            process.stderr().expect("errors"),
        );
        let _ = tokio::join!(
            stdout.read_to_string(&mut output),
            stderr.read_to_string(&mut errors)
        );
        let status = status.await.unwrap_or_default();
        let causes = status
            .details
            .clone()
            .unwrap_or_default()
            .causes
            .unwrap_or_default();
        let code = causes.iter().find_map(|cause| {
            (cause.reason.as_deref() == Some("ExitCode"))
                .then(|| cause.message.as_deref()?.parse().ok())?
        });
        let code = match status.status.as_deref() {
            Some("Success") => Some(0),
            _ => code,
        };
        Outcome {
            output,
            errors,
            code,
            message: status.message.unwrap_or_default(),
        }
    })
}
