//! `meshctl describe`: what a person wants to know of a service or a pod: how many versions there are, whether there is traffic, how it is
//! routed, whether that is valid, whether it is secured, and whether it is healthy.

mod pod;
mod report;
mod service;

use clap::Subcommand;
use mesh_core::analyze::{Options, analyze};
use mesh_core::diag::Level;
use mesh_core::resource::ResourceKey;
use mesh_core::snapshot::Snapshot;

use crate::context::Context;
use crate::exit::Exit;
use report::Finding;

/// Describe a service or a pod: versions, traffic, routing, security, health, and what is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl describe service reviews
  meshctl describe pod deployment/reviews-v1
  meshctl describe service reviews -f mesh/ -o json    # files, no cluster

Output formats: log, json, yaml.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Service(service::Args),
    Pod(pod::Args),
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    match &args.what {
        What::Service(args) => service::run(args, context),
        What::Pod(args) => pod::run(args, context),
    }
}

/// Warnings and errors of the analysis about some objects.
fn findings(snapshot: &Snapshot, about: &[ResourceKey]) -> Vec<Finding> {
    let found = analyze(snapshot, &Options::default()).into_iter();
    let found = found.filter(|found| {
        let is_about = found
            .resource
            .as_ref()
            .is_some_and(|key| about.contains(key));
        is_about && found.level != Level::Info
    });
    found
        .map(|found| Finding {
            level: found.level.to_string(),
            code: found.code,
            object: found
                .resource
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            message: found.message,
        })
        .collect()
}
