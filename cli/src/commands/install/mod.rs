//! `meshctl install`: plans an installation, shows what it would do, and does it phase by phase.

mod dry_run;
mod run;
mod words;

use std::time::Duration;

use run::install;
pub use run::install_profile;
pub use words::Values;

use crate::commands::confirm::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::runtime::block_on;

/// Install the mesh into a cluster, or change an installation
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl install                                          # control plane and ingress gateway
  meshctl install --profile demo -y                        # with an egress gateway and access logs, for trying things out
  meshctl install --set meshConfig.accessLogFile=/dev/stdout --dry-run
  meshctl install --revision canary --profile minimal      # a second control plane
  meshctl install -f values.yaml --set values.pilot.replicaCount=2

Profiles: default, demo, minimal (the control plane alone), empty. Keys are those of Istio's IstioOperator and Helm values; one
that is not known is an error. Running the command again with other values changes the installation, and removes what is no
longer wanted. With --revision a second control plane is installed beside the first; namespaces choose it by the label
istio.io/rev.")]
pub struct Args {
    #[command(flatten)]
    values: Values,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short = 'y', long, alias = "skip-confirmation")]
    yes: bool,
    /// How long pods may take to become ready
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = duration)]
    readiness_timeout: Duration,
    /// Former versions waited only when asked; this one always does
    #[arg(short, long, hide = true)]
    wait: bool,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let plan = args.values.plan(context.istio_namespace())?;
    if args.wait {
        context
            .printer
            .detail(1, "--wait is not needed: install always waits");
    }
    if !args.dry_run && !args.yes {
        crate::commands::confirm::check_terminal()?;
    }
    block_on(async {
        let cluster = context.cluster().await?;
        let reporter = context.reporter();
        for warning in &plan.warnings {
            reporter.warn(warning);
        }
        if args.dry_run {
            return dry_run::show(&cluster.client, &plan, context).await;
        }
        let question = format!(
            "This will install the mesh with profile {:?} into namespace {} of {}.",
            plan.profile, plan.namespace, cluster.name
        );
        if !args.yes && !confirm(context, &question)? {
            return Ok(Exit::Failure);
        }
        let installed = install(
            &cluster.client,
            &plan,
            Some(args.readiness_timeout),
            &reporter,
        )
        .await?;
        installed.tell(&reporter);
        Ok(Exit::Success)
    })
}

/// `300s`, `5m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let read = text.parse::<mesh_core::model::DurationText>();
    read.map(|text| text.0).map_err(|error| error.to_string())
}
