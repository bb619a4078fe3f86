//! Where configuration comes from: a delta stream to the control plane, opened again whenever it ends.
//!
//! ```text
//! connect (hosts file or DNS, TLS, token) --> stream --> mesh_xds::client --Changed--> watch<Arc<ProxyConfig>> --> workers
//!     ^                                         |                |
//!     +------- backoff with jitter <---- ends --+                +--> Known, for the admin interface
//! ```
//!
//! What was received stays in force when the control plane is gone, and is told to the next one, so that only changes come.
//! A resource that cannot be used is refused by name, and its last good version stays.

mod backoff;
mod connect;
mod known;
mod resolve;

pub(crate) use backoff::Backoff;
pub use connect::{ConnectError, Connector};
pub use known::{Known, Meta, Refusal, SharedKnown};

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mesh_ir::matching::RouteTable;
use mesh_ir::{Listener, Network, ProxyConfig, RouteConfig, Routes};
use mesh_xds::client::{Client, Event};
use mesh_xds::discovery::DeltaDiscoveryRequest;
use mesh_xds::resource::{self, Resource};
use mesh_xds::service::AdsClient;
use mesh_xds::{DeltaDiscoveryResponse, ResourceType};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::{Request, Status, Streaming};

use crate::runtime::{check_substitutions, check_supported};
use crate::telemetry;

/// Limit for a stream to be opened, after the connection was.
const OPEN_LIMIT: Duration = Duration::from_secs(15);

/// Names without an answer that are logged.
const MOST_SILENT: usize = 10;

/// Requests that wait for the connection to take them.
const REQUESTS: usize = 64;

/// Follows the control plane.
pub struct Follower {
    connector: Connector,
    client: Client,
    configs: watch::Sender<Arc<ProxyConfig>>,
    known: Arc<SharedKnown>,
    backoff: Backoff,
    /// What the client's times are counted from.
    started: Instant,
}

/// Why a stream has ended.
#[derive(Debug, thiserror::Error)]
enum StreamEnd {
    #[error("failed to reach the control plane: {0}")]
    Connect(#[from] ConnectError),
    #[error("the control plane took too long to answer")]
    Slow,
    #[error("the control plane ended the stream: {} ({:?})", .0.message(), .0.code())]
    Status(#[from] Status),
    #[error("the control plane ended the stream")]
    Closed,
}

// === impl Follower ===

impl Follower {
    /// A follower that has nothing yet. Complete configurations go to `configs`, all that is known to `known`.
    pub fn new(
        connector: Connector,
        client: Client,
        configs: watch::Sender<Arc<ProxyConfig>>,
        known: Arc<SharedKnown>,
    ) -> Self {
        Self {
            connector,
            client,
            configs,
            known,
            backoff: Backoff::default(),
            started: Instant::now(),
        }
    }

    /// Follows until nobody is interested in configurations any more.
    pub async fn run(mut self) {
        let interest = self.configs.clone();
        tokio::select! {
            () = self.follow() => {}
            () = interest.closed() => {}
        }
    }

    async fn follow(&mut self) {
        loop {
            let end = self.stream().await;
            self.known.change(|known| known.connected = None);
            let pause = self.backoff.pause(rand::random());
            let Err(error) = end;
            let pause_ms = pause.as_millis();
            if self.backoff.has_succeeded() {
                tracing::warn!(%error, "the last configuration stays in force, trying again in {pause_ms} ms");
            } else {
                tracing::warn!(%error, "there is no configuration yet, trying again in {pause_ms} ms");
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// One stream from its opening to its end.
    async fn stream(&mut self) -> Result<std::convert::Infallible, StreamEnd> {
        let (channel, token) = self.connector.connect().await?;
        let mut ads = AdsClient::new(channel);
        let (requests, mut queue) = mpsc::channel(REQUESTS);
        let outgoing = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
        let mut request = Request::new(outgoing);
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", token);
        }
        self.client.connect(self.started.elapsed());
        self.send(&requests).await?;
        let mut responses = open(&mut ads, request).await?;
        self.known
            .change(|known| known.connected = Some(SystemTime::now()));
        tracing::info!("connected to the control plane");
        loop {
            let deadline = self.client.deadline().map(|at| self.started + at);
            let overdue = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                response = responses.message() => {
                    let response = response?.ok_or(StreamEnd::Closed)?;
                    self.backoff.reset();
                    self.receive(response);
                    self.send(&requests).await?;
                }
                () = overdue => self.give_up(),
            }
        }
    }

    /// Goes on without what the control plane does not answer.
    fn give_up(&mut self) {
        let silent: Vec<String> = self
            .client
            .unanswered()
            .map(|(kind, name)| format!("{kind} {name}"))
            .take(MOST_SILENT)
            .collect();
        tracing::warn!(
            names = silent.join(", "),
            "the control plane does not answer; what refers to these names is not in force"
        );
        if self.client.give_up(self.started.elapsed()) == Some(Event::Changed) {
            let Self {
                client,
                configs,
                known,
                ..
            } = self;
            known.change(|known| {
                known.config = Arc::new(client.config());
                configs.send_replace(known.config.clone());
            });
        }
    }

    async fn send(
        &mut self,
        requests: &mpsc::Sender<DeltaDiscoveryRequest>,
    ) -> Result<(), StreamEnd> {
        while let Some(request) = self.client.next_request() {
            match tokio::time::timeout(OPEN_LIMIT, requests.send(request)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(StreamEnd::Closed),
                Err(_) => return Err(StreamEnd::Slow),
            }
        }
        Ok(())
    }

    fn receive(&mut self, response: DeltaDiscoveryResponse) {
        let now = SystemTime::now();
        let kind = ResourceType::from_type_url(&response.type_url);
        let named: Vec<String> = response
            .resources
            .iter()
            .map(|resource| resource.name.clone())
            .chain(response.removed_resources.iter().cloned())
            .collect();
        let offered: Vec<(String, String)> = response
            .resources
            .iter()
            .map(|resource| (resource.name.clone(), resource.version.clone()))
            .collect();
        let control_plane = response
            .control_plane
            .as_ref()
            .map(|it| it.identifier.clone());
        if kind.is_none() {
            tracing::warn!(
                url = response.type_url,
                "ignored resources of a type that nobody asked for"
            );
        }
        let events = self
            .client
            .receive_with(response, self.started.elapsed(), decode);
        let Self {
            client,
            configs,
            known,
            ..
        } = self;
        known.change(|known| {
            known.control_plane = control_plane.or(known.control_plane.take());
            let Some(kind) = kind else { return };
            known.answered(kind, &named);
            for event in events {
                match event {
                    Event::Changed => {
                        known.config = Arc::new(client.config());
                        configs.send_replace(known.config.clone());
                    }
                    Event::Refused { kind, name, reason } => {
                        tracing::warn!(%kind, name, reason, "refused a resource");
                        let version = offered.iter().find(|(offered, _)| *offered == name);
                        let version = version.map(|(_, version)| version.clone());
                        known.refuse(kind, name, reason, version.unwrap_or_default(), now);
                    }
                    Event::UnknownType(_) => {}
                }
            }
            known.note_versions(kind, named, client, now);
        });
    }
}

async fn open(
    ads: &mut AdsClient<tonic::transport::Channel>,
    request: Request<impl futures::Stream<Item = DeltaDiscoveryRequest> + Send + 'static>,
) -> Result<Streaming<DeltaDiscoveryResponse>, StreamEnd> {
    let opening = tokio::time::timeout(OPEN_LIMIT, ads.delta(request)).await;
    Ok(opening.map_err(|_| StreamEnd::Slow)??.into_inner())
}

/// Decodes a resource, and refuses what this proxy could not compile.
fn decode(kind: ResourceType, any: &[u8]) -> Result<Resource, String> {
    let resource = resource::decode(kind, any).map_err(|error| error.to_string())?;
    check(&resource)?;
    Ok(resource)
}

/// Whether a resource can be used.
fn check(resource: &Resource) -> Result<(), String> {
    check_supported(resource)?;
    match resource {
        Resource::Listener(listener) => check_listener(listener),
        Resource::Route(config) => check_routes(config),
        Resource::VirtualHost(discovered) => check_routes(&Arc::new(RouteConfig {
            name: discovered.name.clone(),
            virtual_hosts: vec![discovered.host.clone()],
            discovers_virtual_hosts: false,
            ignore_port_in_host: true,
        })),
        Resource::Cluster(_)
        | Resource::Endpoints(_)
        | Resource::Secret(_)
        | Resource::NameTable(_) => Ok(()),
    }
}

fn check_listener(listener: &Listener) -> Result<(), String> {
    for chain in listener.all_chains() {
        let policy = match &chain.network {
            Network::Http(http) => {
                if let Routes::Inline(config) = &http.routes {
                    check_routes(config)?;
                }
                &http.telemetry
            }
            Network::Tcp(tcp) => &tcp.telemetry,
        };
        telemetry::check(policy)?;
    }
    Ok(())
}

fn check_routes(config: &Arc<RouteConfig>) -> Result<(), String> {
    let (_, invalid) = RouteTable::compile(config.clone());
    match invalid.first() {
        Some(invalid) => Err(invalid.to_string()),
        None => check_substitutions(config),
    }
}

#[cfg(test)]
mod tests;
