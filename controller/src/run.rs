//! Puts the parts together and runs them until a signal.

mod client;
mod cluster;

use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use mesh_core::snapshot::SnapshotOptions;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::ads::{Ads, Connections};
use crate::args::Args;
use crate::config::{self, watch_files, watch_kubernetes};
use crate::identity::Tokens;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::publish::{self, Debounce, Observers, Published};
use crate::versions::Versions;
use client::client;
use cluster::Candidacy;

/// Input that cannot be used: trying again would not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// What was asked for cannot be done as it was said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// Runs the control plane until SIGTERM or Ctrl-C.
///
/// # Errors
/// When the configuration's source, the cluster or an address cannot be used. Trouble that may pass (an API server that is
/// away) is waited for.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    let client = client(&args).await?;
    let (events, receiver) = mpsc::channel(config::QUEUE);
    let sources = match (&client, &args.config_dir) {
        (Some(client), _) => watch_kubernetes(client, &args.namespace, &events, &mut tasks),
        (None, Some(directory)) => watch_files(directory, &events, &mut tasks)
            .await
            .with_context(|| {
                BadInput(format!("failed to use --configDir {}", directory.display()))
            })?,
        (None, None) => {
            anyhow::bail!("failed to find configuration: give --configDir or --kubeconfig")
        }
    };
    let options = SnapshotOptions {
        dns_domain: args.domain.as_str().into(),
        cluster_id: args.cluster_id.as_str().into(),
    };
    let (published, snapshots) = watch::channel(Arc::new(Published::nothing(&options)));
    let debounce = Debounce {
        after: args.debounce_after,
        max: args.debounce_max,
    };
    let (versions, metrics) = (Arc::<Versions>::default(), Arc::<Metrics>::default());
    let observers = Observers {
        versions: Arc::clone(&versions),
        metrics: Arc::clone(&metrics),
    };
    tasks.spawn(publish::run(
        receiver, sources, debounce, options, published, observers,
    ));

    let connections = Arc::new(Connections::default());
    let ads = Ads::new(
        snapshots.clone(),
        Arc::clone(&connections),
        Arc::clone(&metrics),
        &mut tasks,
    );
    let monitor = Monitor {
        published: snapshots,
        connections,
        versions,
        metrics,
    };
    for address in [&args.monitoring, &args.http] {
        if let Some(address) = args.address(address)? {
            monitor.serve(address, &mut tasks).await?;
        }
    }
    let (candidacy, leadership) = client
        .as_ref()
        .map(|client| Candidacy::begin(client, &args))
        .unzip();
    let serve = async {
        serve_xds(&args, client.zip(leadership), &ads, &mut tasks).await?;
        until_a_part_ends(&mut tasks).await
    };
    let outcome = tokio::select! {
        outcome = serve => outcome,
        signal = signal() => signal.map(|signal| tracing::info!("stopping: {signal}")),
    };
    // What only the leader does has ended before the next one begins.
    tasks.shutdown().await;
    if let Some(candidacy) = candidacy {
        candidacy.end().await;
    }
    outcome
}

async fn serve_xds(
    args: &Args,
    cluster: Option<(Client, Leadership)>,
    ads: &Ads,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    if let Some(address) = args.plaintext_xds {
        ads.serve_plaintext(address, tasks).await?;
    }
    let Some((client, leadership)) = cluster else {
        if args.plaintext_xds.is_none() {
            let message = "failed to serve proxies: without a cluster there is nobody who could check their tokens; \
                           give --plaintext-xds 127.0.0.1:15010";
            return Err(BadUsage(message.to_owned()).into());
        }
        return Ok(());
    };
    let Some(address) = args.address(&args.secure_xds)? else {
        return Ok(());
    };
    let (serving, root) = cluster::certificates(&client, args, leadership.clone(), tasks).await?;
    if let Some(address) = args.address(&args.webhooks)? {
        cluster::webhooks(&client, args, address, &serving, root, leadership, tasks).await?;
    }
    let config = serving.server_config(&[b"h2"]);
    ads.serve_tls(address, config, Tokens::new(client), tasks)
        .await
}

/// Waits until a part ends that should never end.
async fn until_a_part_ends(tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
    match tasks.join_next().await {
        Some(Err(error)) => anyhow::bail!("a part of the control plane failed: {error}"),
        _ => anyhow::bail!("a part of the control plane ended unexpectedly"),
    }
}

/// Waits for a signal that asks to stop; gives its name.
async fn signal() -> anyhow::Result<&'static str> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Ok("interrupted")
        }
    }
}
