//! A proxy from its start to its end.
//!
//! ```text
//! Bootstrap --> ports bound --> workers started --> discovery followed --config--> workers
//!                                     certificate kept --secrets--------------+
//!                                                                           |
//!              exit <-- logs written <-- drained, or out of time <-- SIGTERM, /quitquitquit
//! ```
//!
//! The first signal ends the proxy gracefully ([`Workers::drain`]), the second at once. Configurations are followed to the end.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use arc_swap::ArcSwap;
use mesh_ir::{List, ProxyConfig, Secret};
use mesh_xds::client::Client;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin::{AdminPort, LogLevel, Open, Server, State};
use crate::applier::Applier;
use crate::bootstrap::Bootstrap;
use crate::dns::{self, Lookup};
use crate::file_limit;
use crate::identity::Agent;
use crate::lifecycle::{Drain, Lifecycle, Stage};
use crate::telemetry::Reporter;
use crate::telemetry::access_log::AccessLogs;
use crate::telemetry::metrics::{Metrics, OwnMetadata};
use crate::worker::{Draining, Options, Workers};
use crate::xds::{Connector, Follower};

/// Limit for the last pages and lines of the access logs to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The signals that end a proxy.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Runs until a signal or the admin interface ends it.
///
/// # Errors
/// When a port cannot be bound, or the system gives no threads.
pub async fn run(bootstrap: Bootstrap, log: LogLevel) -> anyhow::Result<()> {
    let bootstrap = Arc::new(bootstrap);
    let mut signals = Signals::new()?;
    let state = Arc::new(State {
        metrics: Arc::new(Metrics::new()),
        reporter: Arc::new(reporter(&bootstrap)),
        known: Arc::default(),
        runtime: ArcSwap::default(),
        lifecycle: Lifecycle::new(),
        open: Open::default(),
        started: Instant::now(),
        started_at: SystemTime::now(),
        log,
        bootstrap,
    });
    serve_pages(&state).await?;
    let lookup = Arc::new(Lookup::of(&state.bootstrap.network.view));
    serve_dns(&state, &lookup).await?;
    let workers = Workers::start(options(&state, lookup)).context("failed to start the workers")?;
    let (configs, identities) = (follow(&state), identify(&state));
    let mut serving = pin!(serve(&workers, configs, identities, &state));
    tokio::select! {
        () = &mut serving => {}
        () = state.lifecycle.reached(Stage::Quitting) => {}
        () = signals.next() => {
            tracing::info!("ending, when nobody comes any more and {} connections have ended", workers.connections());
            state.lifecycle.drain(Drain { grace: true, exit: true, ..Drain::default() });
            tokio::select! {
                () = &mut serving => {}
                () = state.lifecycle.reached(Stage::Quitting) => {}
                () = signals.next() => tracing::warn!("ending at once, as a second signal asks"),
            }
        }
    }
    state.lifecycle.advance(Stage::Quitting);
    // Whoever asked for the end shall get an answer, but who does not take it does not keep us.
    let _ = tokio::time::timeout(FLUSH_LIMIT, state.open.all_closed()).await;
    state.reporter.files.flush(FLUSH_LIMIT);
    Ok(())
}

/// Applies configurations, also while it drains as it is asked to. Returns when the proxy is to end.
async fn serve(
    workers: &Workers,
    configs: watch::Receiver<Arc<ProxyConfig>>,
    identities: watch::Receiver<List<Secret>>,
    state: &State,
) {
    let applying = async {
        Applier::new(workers, state).run(configs, identities).await;
        std::future::pending().await
    };
    tokio::select! {
        () = applying => {}
        () = follow_health(workers, state) => {}
        () = drain(workers, state) => {}
    }
}

/// Drains whenever it is asked to; what is asked for last counts. Returns when the proxy is to end after that.
async fn drain(workers: &Workers, state: &State) {
    let limit = state.bootstrap.drain;
    let mut wanted = state.lifecycle.drains();
    // The sender lives as long as the state does.
    while wanted.changed().await.is_ok() {
        let how = *wanted.borrow_and_update();
        tracing::info!("draining");
        tokio::select! {
            all = workers.drain(how, limit) => if !all {
                tracing::warn!("{} connections have not ended within {} s", workers.connections(), limit.as_secs());
            },
            _ = wanted.changed() => {
                wanted.mark_changed();
                continue;
            }
        }
        if how.exit {
            return;
        }
    }
}

/// Lets connections end after their answers for as long as somebody says that the proxy is not fit. Never returns.
async fn follow_health(workers: &Workers, state: &State) {
    let mut health = state.lifecycle.health();
    while health.changed().await.is_ok() {
        let healthy = *health.borrow_and_update();
        if state.lifecycle.stage() < Stage::Draining {
            workers.announce(if healthy { Draining::No } else { Draining::All });
        }
    }
    std::future::pending().await
}

/// Who tells of the traffic.
fn reporter(bootstrap: &Bootstrap) -> Reporter {
    let node = bootstrap.node.to_node();
    let workload = &bootstrap.peer.workload;
    // What others find out by the downward API is known already.
    let mut environment: BTreeMap<String, String> = [
        ("CANONICAL_SERVICE", &workload.canonical_name),
        ("CANONICAL_REVISION", &workload.canonical_revision),
        ("POD_NAMESPACE", &workload.namespace),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_string()))
    .into();
    environment.extend(
        std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }),
    );
    let mut reporter = Reporter::new(Arc::new(AccessLogs::new(
        bootstrap.network.view.root.clone(),
    )));
    reporter.service = bootstrap.node.cluster.as_str().into();
    reporter.node_id = node.id.into();
    let zone = node.locality.map(|locality| locality.zone);
    reporter.zone = zone.unwrap_or_default().into();
    reporter.environment = environment;
    reporter
}

/// What workers need to know of the bootstrap.
fn options(state: &State, lookup: Arc<Lookup>) -> Options {
    let bootstrap = &state.bootstrap;
    let network = &bootstrap.network;
    Options {
        kind: bootstrap.node.kind,
        capture: bootstrap.node.scope().capture,
        concurrency: bootstrap.workers,
        max_connections: file_limit::client_connections(file_limit::current()),
        view: network.view.clone(),
        lookup,
        namespace: bootstrap.node.namespace.as_str().into(),
        service_cluster: bootstrap.node.cluster.as_str().into(),
        identity: Some(bootstrap.peer.clone()),
        metadata: Some(Arc::new(OwnMetadata::new(
            &bootstrap.node.to_node().id,
            &bootstrap.peer,
        ))),
        metrics: state.metrics.clone(),
        reporter: state.reporter.clone(),
    }
}

/// Binds the ports of people, probes and scrapers. A port that is taken is an error: a proxy that nobody can ask is of no use.
async fn serve_pages(state: &Arc<State>) -> anyhow::Result<()> {
    let network = &state.bootstrap.network;
    for (port, address) in [
        (AdminPort::Admin, network.admin),
        (AdminPort::Agent, network.agent),
        (AdminPort::Health, network.health),
        (AdminPort::Metrics, network.metrics),
    ] {
        let server = Server::bind(port, address).await?;
        tokio::spawn(server.run(state.clone()));
    }
    Ok(())
}

/// Answers DNS where it is captured. Before the first configuration all names are for the servers of `resolv.conf`.
async fn serve_dns(state: &Arc<State>, lookup: &Arc<Lookup>) -> anyhow::Result<()> {
    for (index, address) in state.bootstrap.dns.iter().enumerate() {
        let server = match dns::Server::bind(*address, &state.bootstrap.network.view).await {
            Ok(server) => server,
            // Such as an address of IPv6 where there is none.
            Err(_) if index > 0 => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("failed to answer DNS on {address}"));
            }
        };
        let names = {
            let state = state.clone();
            let has_ipv6 = state.bootstrap.node.has_ipv6();
            move |name: &str| {
                let known = state.runtime.load().addresses(name).cloned()?;
                Some(dns::reachable(known, has_ipv6))
            }
        };
        let search = lookup.config.search.clone();
        tokio::spawn(server.run(names, search, lookup.upstream.clone()));
    }
    Ok(())
}

/// Follows the control plane on a task of its own.
fn follow(state: &State) -> watch::Receiver<Arc<ProxyConfig>> {
    let bootstrap = &state.bootstrap;
    let (sender, configs) = watch::channel(Arc::default());
    let connector = Connector::new(bootstrap.discovery.clone(), bootstrap.network.clone());
    let client = Client::new(bootstrap.node.to_node());
    let follower = Follower::new(connector, client, sender, state.known.clone());
    tokio::spawn(follower.run());
    configs
}

/// Keeps the proxy's certificate on a task of its own, where there is somebody to ask.
fn identify(state: &State) -> watch::Receiver<List<Secret>> {
    let bootstrap = &state.bootstrap;
    let (sender, identities) = watch::channel(List::default());
    if let Some(mounted) = bootstrap.mounted.clone() {
        tokio::spawn(mounted.run(sender));
    } else if let Some(agent) = Agent::new(&bootstrap.discovery, &bootstrap.network, sender) {
        tokio::spawn(agent.run());
    }
    identities
}

// === impl Signals ===

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for either.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
