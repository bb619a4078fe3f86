//! Puts the parts together and runs them until a signal.

mod client;
mod cluster;

use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use mesh_core::snapshot::SnapshotOptions;
use mesh_ir::HostView;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::addresses;
use crate::ads::{Ads, Connections, DebugAnswers};
use crate::args::Args;
use crate::config::{self, Reader, watch_files, watch_kubernetes};
use crate::debounce::Debounce;
use crate::debug::{Access, Debug};
use crate::identity::{CertificateIssuer, SecretAccess, Tokens};
use crate::key_sets::{self, Fetcher, Networks};
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::publish::{self, Observers, Published};
use crate::status::{self, Ledger, Refusals};
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
    let view = host_view()?;
    let client = client(&args, &view).await?;
    let ledger = Arc::<Ledger>::default();
    let reader = Reader::new(&args.namespace, &args.revision, Arc::clone(&ledger));
    let (events, receiver) = mpsc::channel(config::QUEUE);
    let sources = match (&client, &args.config_dir) {
        (Some(client), _) => watch_kubernetes(client, &reader, &events, &mut tasks),
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
        receiver, sources, debounce, published, observers,
    ));
    let networks = Networks::new(args.jwks_allowed_networks.clone());
    let fetcher = Fetcher::new(networks)?;
    tasks.spawn(key_sets::run(fetcher, snapshots.clone(), events));

    let connections = Arc::new(Connections::default());
    let debug = Debug {
        published: snapshots.clone(),
        connections: Arc::clone(&connections),
        versions,
        cluster_id: args.cluster_id.clone(),
    };
    let tokens = client.clone().map(|client| Arc::new(Tokens::new(client)));
    let access = Access::new(tokens.clone(), args.debug_readers());
    let ads = Ads::new(
        snapshots.clone(),
        Arc::clone(&connections),
        Arc::clone(&metrics),
        Arc::new(debug_answers(&args, &debug, &access)),
        SecretAccess::new(client.clone(), snapshots.clone()),
        &mut tasks,
    );
    let monitor = Monitor {
        published: snapshots.clone(),
        connections: Arc::clone(&connections),
        debug,
        access,
        metrics,
    };
    for address in [&args.monitoring, &args.http] {
        if let Some(address) = args.address(address, &view)? {
            monitor.serve(address, &mut tasks).await?;
        }
    }
    let (candidacy, leadership) = client
        .as_ref()
        .map(|client| Candidacy::begin(client, &args))
        .unzip();
    if let Some((client, leadership)) = client.clone().zip(leadership.clone()) {
        let (published, connections) = (snapshots.clone(), Arc::clone(&connections));
        let refusals = move || status::refusals(&published.borrow().clone(), &connections);
        tasks.spawn(write_addresses(
            client.clone(),
            leadership.clone(),
            snapshots.clone(),
        ));
        let write = (ledger, snapshots.clone());
        tasks.spawn(write_status(client, leadership, write, refusals));
    }
    let cluster = client.zip(leadership).zip(tokens);
    let serve = async {
        serve_xds((&args, &view), cluster, snapshots, &ads, &mut tasks).await?;
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

/// Gives hosts of ServiceEntries addresses, as leader.
fn write_addresses(
    client: Client,
    leadership: Leadership,
    snapshots: watch::Receiver<Arc<Published>>,
) -> impl Future<Output = ()> {
    let write = move || addresses::write(client.clone(), snapshots.clone());
    leadership.run(write)
}

/// Writes the status of objects, as leader.
fn write_status(
    client: Client,
    leadership: Leadership,
    (ledger, published): (Arc<Ledger>, watch::Receiver<Arc<Published>>),
    refusals: impl Fn() -> Refusals + Clone,
) -> impl Future<Output = ()> {
    let write = move || {
        let (client, published) = (client.clone(), published.clone());
        status::write(client, Arc::clone(&ledger), published, refusals.clone())
    };
    leadership.run(write)
}

/// The debug types of the ADS stream, as the pages show them.
fn debug_answers(args: &Args, debug: &Debug, access: &Access) -> DebugAnswers {
    let (debug, access) = (debug.clone(), access.clone());
    let identifier = serde_json::json!({
        "Component": "istiod", "ID": args.pod_name, "Info": { "version": env!("CARGO_PKG_VERSION") },
    });
    DebugAnswers {
        identifier: identifier.to_string(),
        allows: Box::new(move |identity| access.allows(identity)),
        answer: Box::new(move |request| debug.exchange(request)),
    }
}

async fn serve_xds(
    (args, view): (&Args, &HostView),
    cluster: Option<((Client, Leadership), Arc<Tokens>)>,
    snapshots: watch::Receiver<Arc<Published>>,
    ads: &Ads,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    if let Some(address) = args.plaintext_xds {
        ads.serve_plaintext(address, tasks).await?;
    }
    let Some(((client, leadership), tokens)) = cluster else {
        if args.plaintext_xds.is_none() {
            let message = "failed to serve proxies: without a cluster there is nobody who could check their tokens; \
                           give --plaintext-xds 127.0.0.1:15010";
            return Err(BadUsage(message.to_owned()).into());
        }
        return Ok(());
    };
    let Some(address) = args.address(&args.secure_xds, view)? else {
        return Ok(());
    };
    let (serving, authority) =
        cluster::certificates(&client, args, leadership.clone(), tasks).await?;
    let settings = cluster::settings(&client, args, tasks);
    cluster::gateways(
        (&client, args),
        &snapshots,
        &settings,
        leadership.clone(),
        tasks,
    );
    if let Some(address) = args.address(&args.webhooks, view)? {
        let root = Arc::clone(authority.root_pem());
        let at = (address, settings);
        cluster::webhooks(&client, args, at, &serving, root, leadership, tasks).await?;
    }
    let config = serving.server_config(&[b"h2"]);
    let issuer = CertificateIssuer::new(authority, Arc::clone(&tokens), snapshots);
    ads.serve_tls(address, config, tokens, issuer, tasks).await
}

/// What is different where this process runs.
fn host_view() -> anyhow::Result<HostView> {
    let (view, mistakes) = HostView::read(|name| std::env::var(name).ok());
    match mistakes.as_slice() {
        [] => Ok(view),
        mistakes => Err(BadUsage(mistakes.join("; ")).into()),
    }
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
