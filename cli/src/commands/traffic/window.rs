//! Which traffic is looked at, and for how long.

use std::time::Duration;

use mesh_core::metrics::Traffic;
use mesh_core::model::DurationText;

use crate::context::{Cluster, Context};
use crate::failure;
use crate::mesh::Collector;

/// Which traffic, and for how long.
#[derive(Debug, clap::Args)]
pub struct Window {
    /// Traffic of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// How long to count; 0 for everything since the proxies were started
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub window: String,
}

// === impl Window ===

impl Window {
    /// The length.
    pub fn length(&self) -> anyhow::Result<Duration> {
        let parsed = self.window.parse::<DurationText>();
        parsed
            .map(|duration| duration.0)
            .map_err(|error| failure::usage(format!("--window: {error}")))
    }

    /// The namespace that is looked at; none for all.
    pub fn namespace<'a>(&self, cluster: &'a Cluster) -> Option<&'a str> {
        (!self.all_namespaces).then_some(&*cluster.namespace)
    }

    /// Counts.
    pub async fn traffic(&self, cluster: &Cluster, context: &Context) -> anyhow::Result<Traffic> {
        let length = self.length()?;
        let collector = Collector::find(cluster).await?;
        let mut traffic = collector.watch(length, context).await;
        if let Some(namespace) = self.namespace(cluster) {
            traffic.keep(|flow| {
                *flow.source.namespace == *namespace
                    || *flow.destination.namespace == *namespace
                    || *flow.service_namespace == *namespace
            });
        }
        Ok(traffic)
    }

    /// What to say when there was none.
    pub fn nothing(&self, context: &Context) {
        context.printer.note("no traffic was counted");
        context
            .printer
            .hint("send some, look longer with --window 1m, at all since the start with --window 0, or at all namespaces with -A");
    }
}
