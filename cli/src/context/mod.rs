//! What the words on the command line mean here: which cluster, which namespace, which output.
//!
//! ```text
//! --kubeconfig, --context > MESHCTL_SANDBOX > KUBECONFIG > a running sandbox > ~/.kube/config > the pod's service account
//! ```
//!
//! The first that is there counts. Nothing is looked up before a command asks for it.

mod cluster;
mod format;
mod source;

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};

pub use self::cluster::Cluster;
pub use self::format::Format;
pub use self::source::SANDBOX_VARIABLE;
use self::source::Source;
use crate::args::Globals;
use crate::failure::{self, Advice as _};
use crate::printer::Printer;
use crate::reporter::Reporter;

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
        let (name, mut config) = match Source::find(&self.globals)?.ok_or_else(nothing_named)? {
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

    /// Whether a cluster is named by anything at all, be it wrongly.
    pub fn names_cluster(&self) -> bool {
        !matches!(Source::find(&self.globals), Ok(None))
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
