//! The state of sandboxes on disk: where it lies, who holds it, and what other processes read from it.
//!
//! ```text
//! $XDG_STATE_HOME/meshctl/sandbox/NAME/
//!   lock          held by the running sandbox: whoever can take it knows that there is none
//!   state.json    what `status`, `list` and the other commands read
//!   kubeconfig    for every kube client, readable by its owner only
//!   log           of a detached sandbox
//!   hosts/        cluster names for programs, a file per namespace
//!   groups/       one file per process group, for what must be killed after a crash
//!   program       the running program, for pods in namespaces
//!   pods/ claims/ what containers see
//! ```

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use etcetera::BaseStrategy;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use mesh_node::controllers::{NODE_NAME, is_ready};
use mesh_node::{kill_recorded, start_time};

/// How long a sandbox gets to end by itself before it is killed.
const DOWN_LIMIT: Duration = Duration::from_secs(20);

/// How long `status` waits for the API server of a sandbox.
const STATUS_LIMIT: Duration = Duration::from_secs(5);

/// How often, and after what pauses, a lock that is held is tried again.
const LOCK_ATTEMPTS: usize = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The name of a sandbox when the user gives none.
pub const DEFAULT_NAME: &str = "default";

/// The directory that holds a directory per sandbox.
pub fn root() -> anyhow::Result<PathBuf> {
    let strategy =
        etcetera::base_strategy::Xdg::new().context("failed to find the home directory")?;
    let state = strategy
        .state_dir()
        .unwrap_or_else(|| strategy.home_dir().join(".local/state"));
    Ok(state.join("meshctl").join("sandbox"))
}

/// The files of one sandbox.
#[derive(Clone, Debug)]
pub struct Paths {
    directory: PathBuf,
}

impl Paths {
    /// The files of the sandbox `name` under `root`. A name is a DNS label, since it names a kubeconfig context too.
    pub fn new(root: &Path, name: &str) -> anyhow::Result<Self> {
        let letters =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if name.is_empty() || name.len() > 40 || !name.chars().all(letters) || name.starts_with('-')
        {
            bail!(
                "sandbox name {name:?} is not valid: use up to 40 lower-case letters, digits and dashes"
            );
        }
        Ok(Self {
            directory: root.join(name),
        })
    }

    /// The sandbox's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// The log of a detached sandbox.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The directory of the hosts files.
    pub fn hosts(&self) -> PathBuf {
        self.directory.join("hosts")
    }

    /// The program that pods in namespaces run built-in programs with.
    pub fn program(&self) -> PathBuf {
        self.directory.join("program")
    }

    /// The records of process groups.
    pub fn groups(&self) -> PathBuf {
        self.directory.join("groups")
    }

    fn record(&self) -> PathBuf {
        self.directory.join("state.json")
    }

    fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }

    /// Creates the directory and takes the lock; fails when a sandbox of that name runs.
    pub(crate) fn hold(&self) -> anyhow::Result<File> {
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .with_context(|| {
                format!(
                    "failed to create the state directory {}",
                    self.directory.display()
                )
            })?;
        let file = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(self.lock())?;
        // Someone who only looks whether the lock is held has it for a moment too.
        let mut outcome = file.try_lock();
        for _ in 0..LOCK_ATTEMPTS {
            if !matches!(outcome, Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(LOCK_PAUSE);
            outcome = file.try_lock();
        }
        match outcome {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => bail!(
                "a sandbox of that name is running already (see `meshctl sandbox status`); end it with \
                 `meshctl sandbox down`, or start another one with `--name`"
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).context("failed to lock the state directory")
            }
        }
    }

    /// True while a sandbox holds the directory.
    fn is_held(&self) -> bool {
        let Ok(file) = File::options().write(true).open(self.lock()) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Removes what a sandbox that was killed has left; the caller holds the lock.
    pub(crate) fn clean(&self) {
        let killed = kill_recorded(&self.groups());
        if killed > 0 {
            tracing::info!(killed, "ended processes that an earlier sandbox had left");
        }
        for directory in ["groups", "hosts", "pods", "claims"] {
            let _ = std::fs::remove_dir_all(self.directory.join(directory));
        }
        for file in [self.record(), self.kubeconfig(), self.program()] {
            let _ = std::fs::remove_file(file);
        }
    }

    /// Removes the directory and then gives the lock in it back.
    pub(crate) fn abandon(&self, lock: File) {
        if let Err(error) = self.remove() {
            tracing::warn!(directory = %self.directory.display(), %error, "failed to remove the sandbox's state");
        }
        drop(lock);
    }

    /// Removes the directory altogether, unless something holds it.
    fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes a file that only its owner can read, in one step.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use io::Write;
    let fresh = path.with_extension("new");
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(fresh, path)
}

/// What a running sandbox says about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub name: String,
    pub pid: i32,
    /// The start time of that process, so that its number is not mistaken for another's.
    pub started: Option<String>,
    /// The second number of its addresses: 127.BLOCK.0.0/16.
    pub block: u8,
    pub backend: BackendName,
    pub kubeconfig: PathBuf,
    pub ingress: IngressRecord,
    /// True once all that `up` was asked for is there.
    pub ready: bool,
}

/// Where pods run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendName {
    Namespaces,
    Loopback,
}

impl std::fmt::Display for BackendName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "namespaces",
            Self::Loopback => "loopback",
        })
    }
}

/// Where requests from outside go in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IngressRecord {
    pub url: String,
}

impl Record {
    /// Writes the record where other processes look for it.
    pub(crate) fn write(&self, paths: &Paths) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        write_private(&paths.record(), &text).context("failed to write the sandbox's state file")
    }

    /// Where the output of a sandbox without a terminal goes.
    pub fn log(&self) -> PathBuf {
        self.kubeconfig.with_file_name("log")
    }

    fn read(paths: &Paths) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(paths.record())?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// The names of all sandboxes that have left anything on disk, running or not.
pub fn names(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| Paths::new(root, name).is_ok())
        .collect();
    names.sort();
    names
}

/// The running sandboxes, by name.
pub fn list(root: &Path) -> Vec<Record> {
    names(root)
        .into_iter()
        .filter_map(|name| Paths::new(root, &name).ok())
        .filter(Paths::is_held)
        .filter_map(|paths| Record::read(&paths).ok())
        .collect()
}

/// The record of one running sandbox.
pub fn find(root: &Path, name: &str) -> anyhow::Result<Record> {
    let paths = Paths::new(root, name)?;
    if !paths.is_held() {
        bail!("no sandbox named {name:?} is running: start one with `meshctl sandbox up`");
    }
    Record::read(&paths)
        .with_context(|| format!("sandbox {name:?} is still starting: its state is not there yet"))
}

/// A running sandbox as seen by other processes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    #[serde(flatten)]
    pub record: Record,
    pub pods: Vec<PodSummary>,
}

/// One pod of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSummary {
    pub namespace: String,
    pub name: String,
    pub address: String,
    pub ready: bool,
    /// What `kubectl get pods` would say: the phase, or why it waits.
    pub status: String,
    /// Why it waits, at length; empty when there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl PodSummary {
    /// The summary of a pod.
    pub fn of(pod: &Pod) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let containers = status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
            .flatten();
        let waiting = containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref());
        let message = waiting
            .filter_map(|waiting| waiting.message.clone())
            .next()
            .unwrap_or_default();
        // A pod is texts and numbers, which always serialize.
        let value = serde_json::to_value(pod).unwrap_or_default();
        let shown = Some(mesh_apiserver::pod_status(&value)).filter(|status| !status.is_empty());
        Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            address: status.pod_ip.unwrap_or_default(),
            ready: is_ready(pod),
            status: shown.unwrap_or_else(|| "Pending".to_owned()),
            message,
        }
    }
}

/// Looks at a running sandbox: its state file, and its pods by its API.
pub async fn status(root: &Path, name: &str) -> anyhow::Result<Status> {
    let record = find(root, name)?;
    let client = client(&std::fs::read_to_string(&record.kubeconfig)?).await?;
    let api: Api<Pod> = Api::all(client);
    let params = ListParams::default().fields(&format!("spec.nodeName={NODE_NAME}"));
    let pods = tokio::time::timeout(STATUS_LIMIT, api.list(&params)).await;
    let pods = pods.context("the sandbox's API server does not answer")?;
    let pods = pods.context("failed to list the sandbox's pods")?;
    Ok(Status {
        record,
        pods: pods.iter().map(PodSummary::of).collect(),
    })
}

/// A client for a kubeconfig's text.
///
/// # Errors
/// When the text is no kubeconfig that a client can be made of.
pub async fn client(kubeconfig: &str) -> anyhow::Result<Client> {
    // A second installation fails, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig)?;
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(Client::try_from(config)?)
}

/// Ends a sandbox and removes all it had; true when there was something to end.
pub async fn down(root: &Path, name: &str) -> anyhow::Result<bool> {
    let paths = Paths::new(root, name)?;
    if !paths.directory().exists() {
        return Ok(false);
    }
    let was_held = paths.is_held();
    if was_held {
        let record =
            Record::read(&paths).context("failed to read the state of the running sandbox")?;
        end(&paths, &record).await?;
    }
    let lock = paths.hold()?;
    paths.clean();
    let removed = paths
        .remove()
        .context("failed to remove the sandbox's state");
    drop(lock);
    removed.map(|()| was_held)
}

/// Asks the sandbox's process to end, and kills it when it does not.
async fn end(paths: &Paths, record: &Record) -> anyhow::Result<()> {
    let process = Pid::from_raw(record.pid);
    if record.started.is_some() && start_time(process) != record.started {
        bail!("process {process} is not the sandbox that its state file names; try again");
    }
    for (signal, limit) in [
        (Signal::SIGTERM, DOWN_LIMIT),
        (Signal::SIGKILL, Duration::from_secs(5)),
    ] {
        if let Err(error) = kill(process, signal)
            && error != nix::errno::Errno::ESRCH
        {
            return Err(error)
                .with_context(|| format!("failed to signal the sandbox's process {process}"));
        }
        let deadline = tokio::time::Instant::now() + limit;
        while tokio::time::Instant::now() < deadline {
            if !paths.is_held() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    bail!("the sandbox's process {process} does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        let root = Path::new("/nowhere");
        for good in ["default", "a-1"] {
            assert!(Paths::new(root, good).is_ok(), "{good}");
        }
        for bad in ["", "..", "a/b", "A", "-a", &"x".repeat(41)] {
            assert!(Paths::new(root, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_holder_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::new(root.path(), "one").unwrap();
        assert!(!paths.is_held());
        let held = paths.hold().unwrap();
        assert!(paths.is_held());
        let error = paths.hold().unwrap_err().to_string();
        assert!(error.contains("running already"), "{error}");
        drop(held);
        assert!(paths.hold().is_ok());
    }

    #[tokio::test]
    async fn down_cleans_what_a_killed_sandbox_left() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::new(root.path(), "one").unwrap();
        drop(paths.hold().unwrap());
        std::fs::create_dir_all(paths.directory().join("pods/x")).unwrap();
        assert!(!down(root.path(), "one").await.unwrap(), "none was running");
        assert!(!paths.directory().exists());
        assert!(
            find(root.path(), "one")
                .unwrap_err()
                .to_string()
                .contains("sandbox up")
        );
    }
}
