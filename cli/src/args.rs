//! The command line as words: parsing only, by clap. What the words mean in this place (files, clusters, terminals) is decided
//! in `context`, so that `--help` and `--version` need nothing.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, ValueEnum};

use crate::commands::Command;

/// A service mesh in one toolkit: installs, checks, explains and drives it
#[derive(Debug, Parser)]
#[command(
    name = "meshctl",
    version,
    disable_help_subcommand = true,
    max_term_width = 120,
    after_help = "Examples:
  meshctl sandbox up --sample bookinfo  # a mesh with an application, right here
  meshctl shift reviews v3=50           # half of the traffic to v3, and measure it
  meshctl analyze app.yaml              # what is wrong in a file or the cluster
  meshctl proxy-status                  # which proxies are connected, up to date

Which cluster: --kubeconfig and --context, else MESHCTL_SANDBOX=NAME, else
KUBECONFIG, else a running sandbox, else ~/.kube/config.

Exit codes: 0 success, 1 failure, 64 wrong usage, 65 bad input data,
79 the analysis found something, 80 a shift was rolled back by a limit."
)]
pub struct Cli {
    #[command(flatten)]
    pub globals: Globals,
    /// None: help is wanted.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that every command understands.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Kubernetes namespace to work in (default: that of the kubeconfig's context)
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Namespace of the control plane
    #[arg(
        short,
        long = "istioNamespace",
        alias = "istio-namespace",
        global = true,
        value_name = "NAMESPACE",
        default_value = "istio-system"
    )]
    pub istio_namespace: String,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Kubeconfig file
    #[arg(short = 'c', long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Output format: json, yaml, table and what else the command offers
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub output: Option<String>,
    /// More messages on stderr; twice for logs of requests
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours; NO_COLOR is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
