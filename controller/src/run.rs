//! Puts the parts together and runs them until a signal.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use mesh_core::snapshot::SnapshotOptions;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::ads::{Ads, Connections};
use crate::args::Args;
use crate::config::{self, watch_files, watch_kubernetes};
use crate::identity::{Authority, Tokens, publish_roots};
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::publish::{self, Debounce, Observers, Published};
use crate::versions::Versions;

/// Input that cannot be used: trying again would not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// What was asked for cannot be done as it was said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// Directory of the service account inside a pod.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

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
    tokio::select! {
        served = serve_xds(&args, client, &ads, &mut tasks) => served?,
        signal = signal() => {
            tracing::info!("stopping: {}", signal?);
            return Ok(());
        }
    }
    wait(tasks).await
}

/// The cluster's client, unless configuration comes from a directory.
async fn client(args: &Args) -> anyhow::Result<Option<Client>> {
    if args.config_dir.is_some() {
        return Ok(None);
    }
    let config = match &args.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).with_context(|| {
                BadInput(format!("failed to read the kubeconfig {}", path.display()))
            })?;
            let options = KubeConfigOptions {
                context: args.context.clone(),
                ..KubeConfigOptions::default()
            };
            let unusable = || BadInput(format!("failed to use the kubeconfig {}", path.display()));
            kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .with_context(unusable)?
        }
        None => in_cluster()?,
    };
    tracing::info!(server = %config.cluster_url, "watching the cluster");
    Ok(Some(Client::try_from(config)?))
}

/// The configuration that a pod finds in its environment and its service account's directory, below `MESH_ROOT` where the
/// container has no file system of its own.
fn in_cluster() -> anyhow::Result<kube::Config> {
    let variable = |name: &str| {
        std::env::var(name).map_err(|_| {
            BadUsage(format!("failed to find a cluster: {name} is not set; give --kubeconfig or --configDir outside of one"))
        })
    };
    let (host, port) = (
        variable("KUBERNETES_SERVICE_HOST")?,
        variable("KUBERNETES_SERVICE_PORT")?,
    );
    let root = std::env::var("MESH_ROOT").unwrap_or_default();
    let directory = format!("{root}{SERVICE_ACCOUNT}");
    let read = |file: &str| {
        let path = format!("{directory}/{file}");
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let url = format!("https://{host}:{port}")
        .parse()
        .context("failed to read the API server's address")?;
    let mut config = kube::Config::new(url);
    // Read again and again by the client, as the token is: both are rotated.
    config.root_cert_file = Some(format!("{directory}/ca.crt").into());
    config.default_namespace = read("namespace")?.trim().to_owned();
    config.auth_info.token_file = Some(format!("{directory}/token"));
    config.connect_timeout = Some(Duration::from_secs(10));
    Ok(config)
}

async fn serve_xds(
    args: &Args,
    client: Option<Client>,
    ads: &Ads,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    if let Some(address) = args.plaintext_xds {
        ads.serve_plaintext(address, tasks).await?;
    }
    let Some(client) = client else {
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
    let authority = authority(&client, &args.namespace).await;
    let service = format!("istiod.{}", args.namespace);
    let names = vec![
        format!("{service}.svc"),
        format!("{service}.svc.{}", args.domain),
        service,
    ];
    let config = authority.server_config(names)?;
    tasks.spawn(publish_roots(
        client.clone(),
        Arc::clone(authority.root_pem()),
    ));
    ads.serve_tls(address, config, Tokens::new(client), tasks)
        .await
}

/// The authority, as soon as the API server lets us have it.
async fn authority(client: &Client, namespace: &str) -> Authority {
    let mut pause = Duration::from_millis(200);
    loop {
        match Authority::of_cluster(client, namespace).await {
            Ok(authority) => return authority,
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "failed to get the mesh's authority; trying again"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}

/// Runs until a signal, or until a part that should never end does.
async fn wait(mut tasks: JoinSet<()>) -> anyhow::Result<()> {
    tokio::select! {
        signal = signal() => tracing::info!("stopping: {}", signal?),
        ended = tasks.join_next() => match ended {
            Some(Err(error)) => anyhow::bail!("a part of the control plane failed: {error}"),
            _ => anyhow::bail!("a part of the control plane ended unexpectedly"),
        },
    }
    Ok(())
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
