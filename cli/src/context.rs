//! What the words on the command line mean here: which cluster, which namespace, which output.
//!
//! ```text
//! --kubeconfig, --context > MESHCTL_SANDBOX > KUBECONFIG > a running sandbox > ~/.kube/config > the pod's service account
//! ```
//!
//! The first that is there counts. Nothing is looked up before a command asks for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::args::Globals;
use crate::exit::Exit;
use crate::failure::{self, Advice as _};
use crate::printer::Printer;
use crate::reporter::Reporter;

/// Variable that names the sandbox to talk to.
pub const SANDBOX_VARIABLE: &str = "MESHCTL_SANDBOX";

/// How long an API server may take to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the first answer may take.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// What every command gets.
#[derive(Clone)]
pub struct Context {
    pub globals: Globals,
    pub printer: Printer,
}

/// A cluster that answered.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// What to call it: `sandbox "default"`, `context "kind" of ~/.kube/config`.
    pub name: String,
    /// The namespace to work in: by `--namespace`, else the context's.
    pub namespace: String,
    /// Address of the API server.
    pub server: String,
}

/// Where a cluster's configuration comes from.
enum Source {
    /// A kubeconfig with the name to tell, and the context that was asked for.
    Kubeconfig {
        name: String,
        kubeconfig: Box<Kubeconfig>,
        context: Option<String>,
    },
    /// The service account of the pod that this process runs in.
    Pod,
}

/// Formats that commands offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
    Yaml,
    Short,
    Log,
    Name,
}

// === impl Context ===

impl Context {
    /// Progress of long work.
    pub fn reporter(&self) -> Reporter {
        Reporter::new(self.printer.clone())
    }

    /// The format that was asked for, one of those that the command offers; the first one by default.
    pub fn format(&self, offered: &[Format]) -> anyhow::Result<Format> {
        let Some(wanted) = &self.globals.output else {
            return Ok(offered.first().copied().unwrap_or(Format::Table));
        };
        let found = offered.iter().find(|format| format.name() == wanted);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = offered.iter().map(|format| format.name()).collect();
            failure::usage(format!(
                "output format {wanted:?} is not one of {}",
                names.join(", ")
            ))
        })
    }

    /// The namespace that was asked for.
    pub fn namespace(&self) -> Option<&str> {
        self.globals.namespace.as_deref()
    }

    /// Namespace of the control plane.
    pub fn istio_namespace(&self) -> &str {
        &self.globals.istio_namespace
    }

    /// Connects to the cluster, says on standard error which one it is, and checks that it answers.
    pub async fn cluster(&self) -> anyhow::Result<Cluster> {
        let cluster = self.connect().await?;
        self.printer
            .note(&format!("cluster: {} ({})", cluster.name, cluster.server));
        let first = tokio::time::timeout(FIRST_ANSWER, cluster.client.apiserver_version());
        match first.await {
            Ok(Ok(_)) => Ok(cluster),
            // Who may not ask for the version may still do what the command is about.
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => Ok(cluster),
            Ok(Err(error)) => Err(cluster.explain(error)),
            Err(_) => {
                Err(cluster.unreachable(anyhow!("no answer within {} s", FIRST_ANSWER.as_secs())))
            }
        }
    }

    /// A client for the cluster, without any request to it.
    async fn connect(&self) -> anyhow::Result<Cluster> {
        // A second installation fails, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (name, mut config) = match self.source()?.ok_or_else(nothing_named)? {
            Source::Kubeconfig {
                name,
                kubeconfig,
                context,
            } => {
                let options = KubeConfigOptions {
                    context,
                    ..KubeConfigOptions::default()
                };
                let config = Config::from_custom_kubeconfig(*kubeconfig, &options).await;
                let config = config.with_context(|| format!("failed to use {name}"));
                (name, config.hint("`kubectl config get-contexts` lists the contexts; choose one with --context")?)
            }
            Source::Pod => {
                let config =
                    Config::incluster().context("failed to use the pod's service account")?;
                ("the cluster of this pod".to_owned(), config)
            }
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let namespace = self
            .namespace()
            .unwrap_or(&config.default_namespace)
            .to_owned();
        let server = config
            .cluster_url
            .to_string()
            .trim_end_matches('/')
            .to_owned();
        let client = Client::try_from(config)
            .with_context(|| format!("failed to set up a client for {name}"))?;
        Ok(Cluster {
            client,
            name,
            namespace,
            server,
        })
    }

    /// The cluster that is named; none when nothing names one.
    fn source(&self) -> anyhow::Result<Option<Source>> {
        let context = self.globals.context.clone();
        if let Some(path) = &self.globals.kubeconfig {
            return from_file(path, context).map(Some);
        }
        if context.is_none()
            && let Ok(name) = std::env::var(SANDBOX_VARIABLE)
            && !name.is_empty()
        {
            let record = mesh_sandbox::find(&mesh_sandbox::root()?, &name).with_context(|| {
                format!("failed to use the sandbox that {SANDBOX_VARIABLE} names")
            })?;
            return from_sandbox(record).map(Some);
        }
        if let Some(value) = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
            return from_variable(&value.to_string_lossy(), context).map(Some);
        }
        if context.is_none()
            && let Some(record) = running_sandbox()?
        {
            return from_sandbox(record).map(Some);
        }
        if let Some(path) = usual_kubeconfig().filter(|path| path.exists()) {
            return from_file(&path, context).map(Some);
        }
        let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        match context {
            Some(context) => Err(anyhow!(
                "there is no kubeconfig in which context {context:?} could be"
            ))
            .hint("name one with --kubeconfig FILE or KUBECONFIG"),
            None => Ok(in_pod.then_some(Source::Pod)),
        }
    }

    /// Whether a cluster is named by anything at all, be it wrongly.
    pub fn names_cluster(&self) -> bool {
        !matches!(self.source(), Ok(None))
    }
}

/// What to do when nothing names a cluster.
fn nothing_named() -> anyhow::Error {
    let error = anyhow!(
        "no cluster is named: there is no --kubeconfig, no KUBECONFIG, no running sandbox and no ~/.kube/config"
    );
    failure::advise(
        error,
        "start a mesh on this machine with `meshctl sandbox up`, or name a kubeconfig with --kubeconfig FILE",
    )
}

/// The sandbox that is meant when nobody names one: the default one, or the only one.
fn running_sandbox() -> anyhow::Result<Option<mesh_sandbox::Record>> {
    let Ok(root) = mesh_sandbox::root() else {
        return Ok(None);
    };
    let mut running = mesh_sandbox::list(&root);
    if let Some(position) = running
        .iter()
        .position(|record| record.name == mesh_sandbox::DEFAULT_NAME)
    {
        return Ok(Some(running.swap_remove(position)));
    }
    if running.len() > 1 {
        let names: Vec<&str> = running.iter().map(|record| record.name.as_str()).collect();
        return Err(failure::usage(format!(
            "several sandboxes are running: {}",
            names.join(", ")
        )))
        .hint(format!(
            "name one with the environment variable {SANDBOX_VARIABLE}"
        ));
    }
    Ok(running.pop())
}

fn from_sandbox(record: mesh_sandbox::Record) -> anyhow::Result<Source> {
    let kubeconfig = Kubeconfig::read_from(&record.kubeconfig)
        .with_context(|| format!("failed to read the kubeconfig of sandbox {:?}", record.name))
        .hint("the sandbox may have ended just now: see `meshctl sandbox status`")?;
    let name = format!("sandbox {:?}", record.name);
    Ok(Source::Kubeconfig {
        name,
        kubeconfig: Box::new(kubeconfig),
        context: None,
    })
}

fn from_file(path: &Path, context: Option<String>) -> anyhow::Result<Source> {
    let shown = path.display().to_string();
    let failed = || format!("failed to read the kubeconfig {shown}");
    std::fs::metadata(path).with_context(failed)?;
    let read = Kubeconfig::read_from(path).with_context(failed);
    let kubeconfig = read.map_err(|error| failure::marked(Exit::Data, error))?;
    from_kubeconfig(kubeconfig, context, &shown)
}

/// The files of `KUBECONFIG`, merged; those that are not there are left out, as kubectl does.
fn from_variable(value: &str, context: Option<String>) -> anyhow::Result<Source> {
    let mut existing = std::env::split_paths(value)
        .filter(|path| path.exists())
        .peekable();
    if existing.peek().is_none() {
        return Err(anyhow!("KUBECONFIG names no file that exists: {value}"))
            .hint("unset KUBECONFIG to use a running sandbox or ~/.kube/config");
    }
    let mut merged = Kubeconfig::default();
    for path in existing {
        let failed = || format!("failed to read {}, which KUBECONFIG names", path.display());
        let read = Kubeconfig::read_from(&path).with_context(failed);
        let read = read.map_err(|error| failure::marked(Exit::Data, error))?;
        merged = merged.merge(read).with_context(failed)?;
    }
    from_kubeconfig(merged, context, value)
}

fn from_kubeconfig(
    kubeconfig: Kubeconfig,
    context: Option<String>,
    from: &str,
) -> anyhow::Result<Source> {
    let chosen = context.as_ref().or(kubeconfig.current_context.as_ref());
    let name = chosen.map_or_else(
        || from.to_owned(),
        |context| format!("context {context:?} of {from}"),
    );
    Ok(Source::Kubeconfig {
        name,
        kubeconfig: Box::new(kubeconfig),
        context,
    })
}

/// `~/.kube/config`.
fn usual_kubeconfig() -> Option<PathBuf> {
    etcetera::home_dir()
        .ok()
        .map(|home| home.join(".kube/config"))
}

// === impl Cluster ===

impl Cluster {
    /// An error of a request, in words: what the API server says, or that it cannot be reached, and what to do.
    pub fn explain(&self, error: kube::Error) -> anyhow::Error {
        match error {
            kube::Error::Api(status) if status.code == 401 => {
                let error = anyhow!(
                    "{} does not accept the credentials: {}",
                    self.name,
                    status.message
                );
                failure::advise(
                    error,
                    "the token or certificate may have expired: renew the kubeconfig",
                )
            }
            kube::Error::Api(status) => anyhow!("{}", status.message),
            error @ (kube::Error::Service(_) | kube::Error::HyperError(_)) => {
                self.unreachable(error.into())
            }
            error => {
                anyhow::Error::from(error).context(format!("a request to {} failed", self.name))
            }
        }
    }

    fn unreachable(&self, cause: anyhow::Error) -> anyhow::Error {
        // The innermost cause is what a person can act on: "Connection refused".
        let cause = cause.root_cause().to_string();
        let error = anyhow!(
            "failed to reach the API server {} of {}: {cause}",
            self.server,
            self.name
        );
        failure::advise(
            error,
            "is it running? A running sandbox is used when neither --kubeconfig nor KUBECONFIG is given",
        )
    }
}

// === impl Format ===

impl Format {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Short => "short",
            Self::Log => "log",
            Self::Name => "name",
        }
    }
}
