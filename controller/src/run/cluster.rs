//! What a control plane does only with a cluster: it has an authority, serves over TLS, and takes part in the election.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use mesh_core::install::{LEADER_LEASE, revised};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::gateways;
use crate::identity::{Authority, publish_roots};
use crate::leader::{Election, Leadership};
use crate::publish::Published;
use crate::serving::{self, ServingCertificate};
use crate::webhook::{self, Webhooks};

/// Limit for giving up the Lease when the program ends.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The election that this process takes part in.
pub struct Candidacy {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

// === impl Candidacy ===

impl Candidacy {
    /// Stands for election among the replicas of this revision.
    pub fn begin(client: &Client, args: &Args) -> (Self, Leadership) {
        let lease = revised(LEADER_LEASE, &args.revision);
        let (election, leadership) =
            Election::new(client.clone(), &args.namespace, &lease, identity(args));
        let stop = CancellationToken::new();
        let task = tokio::spawn(election.run(stop.clone()));
        (Self { stop, task }, leadership)
    }

    /// Gives up what was won. The leader's work must have ended before.
    pub async fn end(self) {
        self.stop.cancel();
        if tokio::time::timeout(RELEASE_TIMEOUT, self.task)
            .await
            .is_err()
        {
            tracing::warn!("failed to give up the lease in time");
        }
    }
}

/// A name that no other replica has, and that this one has again after a crash: the pod's.
fn identity(args: &Args) -> String {
    match args.pod_name.as_str() {
        "" => format!(
            "istiod-{}-{:08x}",
            std::process::id(),
            rand::random::<u32>()
        ),
        name => name.to_owned(),
    }
}

/// The mesh's authority, and the serving certificate under the names of the Service, kept valid; and the root certificate in every
/// namespace.
///
/// # Errors
/// When the first certificate cannot be made.
pub async fn certificates(
    client: &Client,
    args: &Args,
    leadership: Leadership,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<(Arc<ServingCertificate>, Arc<Authority>)> {
    let authority = Arc::new(authority(client, &args.namespace).await);
    let root = Arc::clone(authority.root_pem());
    let names = names(args);
    let signing = Arc::clone(&authority);
    let issue = move |now| signing.issue_serving(&names, now);
    let serving = ServingCertificate::new(issue(SystemTime::now())?);
    tasks.spawn(serving::rotate(
        Arc::clone(&serving),
        issue,
        SystemTime::now,
    ));
    let (client, published) = (client.clone(), root);
    let publish = move || publish_roots(client.clone(), Arc::clone(&published));
    tasks.spawn(leadership.run(publish));
    Ok((serving, authority))
}

/// The injector's settings, read again whenever they change.
pub fn settings(client: &Client, args: &Args, tasks: &mut JoinSet<()>) -> webhook::Settings {
    let settings = webhook::Settings::default();
    tasks.spawn(webhook::watch_settings(
        client.clone(),
        args.namespace.clone(),
        args.revision.clone(),
        Arc::clone(&settings),
    ));
    settings
}

/// What Gateways of the Gateway API run on, kept by the leader.
pub fn gateways(
    (client, args): (&Client, &Args),
    published: &watch::Receiver<Arc<Published>>,
    settings: &webhook::Settings,
    leadership: Leadership,
    tasks: &mut JoinSet<()>,
) {
    let (client, published) = (client.clone(), published.clone());
    let (settings, revision) = (Arc::clone(settings), args.revision.clone());
    let keep = move || {
        gateways::keep(
            client.clone(),
            published.clone(),
            Arc::clone(&settings),
            revision.clone(),
        )
    };
    tasks.spawn(leadership.run(keep));
}

/// The webhooks, and the configurations by which the API server finds them.
///
/// # Errors
/// When the address cannot be bound.
pub async fn webhooks(
    client: &Client,
    args: &Args,
    (address, settings): (SocketAddr, webhook::Settings),
    serving: &Arc<ServingCertificate>,
    root: Arc<str>,
    leadership: Leadership,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    Webhooks::new(settings)
        .serve(address, serving, tasks)
        .await?;
    let names = webhook::Names::new(&args.revision, &args.namespace);
    let client = client.clone();
    let keep =
        move || webhook::keep_configurations(client.clone(), names.clone(), Arc::clone(&root));
    tasks.spawn(leadership.run(keep));
    Ok(())
}

/// The DNS names of the Service. The unrevised ones are for proxies of the default revision, and for the tag `default`.
fn names(args: &Args) -> Vec<String> {
    let mut services = vec![revised("istiod", &args.revision), "istiod".to_owned()];
    services.dedup();
    let of_service = |service: String| {
        let local = format!("{service}.{}", args.namespace);
        let svc = format!("{local}.svc");
        let full = format!("{svc}.{}", args.domain);
        [svc, full, local]
    };
    services.into_iter().flat_map(of_service).collect()
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
