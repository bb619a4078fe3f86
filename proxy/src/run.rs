//! A proxy from its start to its end.
//!
//! ```text
//! Bootstrap --> ports bound --> workers started --> discovery followed --config--> workers
//!                                                                           |
//!              exit <-- logs written <-- drained, or out of time <-- SIGTERM, /quitquitquit
//! ```
//!
//! The first signal ends the proxy gracefully, the second at once.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use mesh_ir::ProxyConfig;
use mesh_xds::client::Client;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin::{Door, LogLevel, Server, State};
use crate::bootstrap::Bootstrap;
use crate::lifecycle::{Lifecycle, Stage};
use crate::telemetry::access_log::AccessLogs;
use crate::telemetry::metrics::Metrics;
use crate::xds::{Connector, Follower, Known};

/// Limit for the last lines of the access logs to be written.
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
        logs: Arc::new(AccessLogs::new(bootstrap.root.clone())),
        known: Arc::new(ArcSwap::from_pointee(Known::default())),
        lifecycle: Lifecycle::new(),
        started: Instant::now(),
        started_at: SystemTime::now(),
        log,
        bootstrap,
    });
    serve_pages(&state).await?;
    let configs = follow(&state);
    let lifecycle = &state.lifecycle;
    tokio::select! {
        () = apply(configs, lifecycle) => {}
        () = lifecycle.reached(Stage::Quitting) => {}
        () = signals.next() => {}
    }
    tracing::info!("draining");
    lifecycle.advance(Stage::Draining);
    state.logs.flush(FLUSH_LIMIT);
    Ok(())
}

/// Binds the ports of people, probes and scrapers. A port that is taken is an error: a proxy that nobody can ask is of no use.
async fn serve_pages(state: &Arc<State>) -> anyhow::Result<()> {
    let network = &state.bootstrap.network;
    for (door, address) in [
        (Door::Admin, network.admin),
        (Door::Agent, network.agent),
        (Door::Health, network.health),
        (Door::Metrics, network.metrics),
    ] {
        let server = Server::bind(door, address).await?;
        tokio::spawn(server.run(state.clone()));
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

/// Hands every new configuration to the workers.
async fn apply(mut configs: watch::Receiver<Arc<ProxyConfig>>, lifecycle: &Lifecycle) {
    while configs.changed().await.is_ok() {
        let _config = configs.borrow_and_update().clone();
        lifecycle.advance(Stage::Live);
    }
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
