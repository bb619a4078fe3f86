//! What the suites share: where the repository and its binaries are, and how to wait for a condition.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies in the repository")
}

/// A binary of this workspace, built before the suites start (`tests/run` does).
///
/// # Panics
/// When it is not there; the message says how to build it.
pub fn binary(name: &str) -> PathBuf {
    let directory = std::env::current_exe().expect("a test has a path");
    let directory = directory
        .ancestors()
        .nth(2)
        .expect("tests lie in target/PROFILE/deps");
    let path = directory.join(name);
    assert!(
        path.exists(),
        "{} is missing; run the suites with tests/run",
        path.display()
    );
    path
}

/// A command that runs `meshctl`, away from the user's own clusters and sandboxes.
pub fn meshctl(state: &Path) -> Command {
    let mut command = Command::new(binary("meshctl"));
    command
        .env("XDG_STATE_HOME", state)
        .env("HOME", state)
        .env_remove("KUBECONFIG")
        .env_remove("MESHCTL_SANDBOX")
        .env("NO_COLOR", "1");
    command
}

/// Waits until a condition holds.
///
/// # Panics
/// When it does not hold in time.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
