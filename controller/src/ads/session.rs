//! One stream: feeds its protocol state with requests and snapshots, and sends what comes out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mesh_ir::ProxyKind;
use mesh_xds::resource::VirtualHosts;
use mesh_xds::server::Received;
use mesh_xds::service::Requests;
use mesh_xds::{NodeInfo, ResourceType};
use prost::Message as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::Status;

use super::Shared;
use super::connections::Registration;
use super::debug::DebugExchange;
use super::discovery_stream::DiscoveryStream;
use super::encodings::{Key, Subscription};
use super::quota::Share;
use super::throttle::Permit;
use crate::identity::{Identity, SecretScope, TokenOwner};

/// How long a client may take to say who it is.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Shortest time between two snapshots that a proxy is sent: ten pushes a second, however often something changes.
const PACE: Duration = Duration::from_millis(100);
/// How often a gateway that may not have Secrets is asked for again.
const SECRETS_AGAIN: Duration = Duration::from_secs(60);
/// A time that does not come.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// One stream.
pub struct Session<M: DiscoveryStream> {
    shared: Arc<Shared>,
    stream: M,
    requests: Requests<M::Request>,
    caller: Caller,
    /// Who it is, once it has said so.
    client: Option<Client>,
    /// What people's tools ask.
    debug: DebugExchange<M::Response>,
    /// The last large response, while it counts as being on its way.
    permit: Option<(ResourceType, Permit)>,
    began: Instant,
}

/// What is known before the client speaks.
pub struct Caller {
    /// Whose token it has presented, where tokens are asked for.
    pub owner: Option<TokenOwner>,
    /// Where it comes from.
    pub peer: Option<SocketAddr>,
    /// Counts it among the streams.
    pub _permit: OwnedSemaphorePermit,
    /// Counts it among those of its service account.
    pub _share: Option<Share<Identity>>,
}

// === impl Caller ===

impl Caller {
    fn identity(&self) -> Option<&Identity> {
        self.owner.as_ref().map(|owner| &owner.identity)
    }
}

struct Client {
    registration: Registration,
    /// What it is sent; without Secrets while it may not have them.
    subscription: Subscription,
    /// Counts it among the streams of the proxy.
    _share: Share<String>,
    /// When it is asked again whether it may have Secrets; none if it may, or needs none.
    secrets_again: Option<Instant>,
    /// The generation that the stream works on; 0 while there is none.
    generation: u64,
    /// When that was published.
    published: Option<Instant>,
    /// When the stream may go on to the next snapshot.
    next_update: Instant,
    /// Whether there is a newer snapshot.
    outdated: bool,
    /// Whether something was sent of the generation.
    told: bool,
    /// Types of which the registry has not been told what happened last.
    unreported: Vec<ResourceType>,
    /// When it came.
    since: Instant,
    /// Its permit to get everything for the first time.
    admission: Option<Permit>,
    /// The newest generation that it has acknowledged; 0 when its initial sync timed out.
    synced: Option<u64>,
}

// === impl Session ===

impl<M: DiscoveryStream> Session<M> {
    pub(super) fn new(shared: Arc<Shared>, requests: Requests<M::Request>, caller: Caller) -> Self {
        Self {
            stream: M::new(
                concat!(
                    "{\"Component\":\"istiod\",\"Info\":{\"version\":\"",
                    env!("CARGO_PKG_VERSION"),
                    "\"}}"
                )
                .to_owned(),
            ),
            debug: DebugExchange::new(Arc::clone(&shared.debug)),
            shared,
            requests,
            caller,
            client: None,
            permit: None,
            began: Instant::now(),
        }
    }

    /// The next response; none when the stream ends.
    pub async fn next(&mut self) -> Option<Result<M::Response, Status>> {
        loop {
            if let Some(response) = self.debug.next() {
                return Some(Ok(response));
            }
            if let Some(response) = self.due().await {
                return Some(Ok(response));
            }
            let timer = self.timer();
            tokio::select! {
                request = self.requests.message() => match request {
                    Ok(Some(request)) => if let Err(status) = self.take(request).await {
                        return Some(Err(status));
                    },
                    Ok(None) => return None,
                    Err(status) => {
                        tracing::debug!(%status, "a stream broke off");
                        // Who has sent what is no request is told so; who has gone does not mind.
                        return Some(Err(status));
                    }
                },
                () = newer(&mut self.client) => self.refresh(),
                () = tokio::time::sleep_until(timer) => {
                    if self.is_unknown() && self.began.elapsed() >= FIRST_REQUEST_TIMEOUT {
                        return Some(Err(Status::deadline_exceeded("no request came; the first one says who the client is")));
                    }
                    self.expire();
                    self.review_secrets().await;
                    self.refresh_if_due();
                }
            }
        }
    }

    /// The response that is due now, once its initial sync is permitted.
    async fn due(&mut self) -> Option<M::Response> {
        let client = self.client.as_mut()?;
        if client.admission.is_none() && client.synced.is_none() && client.generation > 0 {
            client.admission = self.shared.throttle.admission().await;
        }
        let response = self.stream.poll(SystemTime::now());
        let kind = response.as_ref().and_then(M::kind);
        client.told |= response.is_some();
        client.unreported.extend(kind);
        if !client.unreported.is_empty() {
            client.report(&self.stream, &self.shared);
        }
        let response = response?;
        let bytes = response.encoded_len();
        if let Some(kind) = kind {
            self.shared.metrics.pushed(kind, bytes);
            // Given up first: those that wait while they hold what others wait for would wait for ever.
            self.permit = None;
            let permit = self.shared.throttle.permit(bytes).await;
            self.permit = permit.map(|permit| (kind, permit));
        }
        Some(response)
    }

    /// Whether nothing has come yet.
    fn is_unknown(&self) -> bool {
        self.client.is_none() && !self.debug.is_used()
    }

    async fn take(&mut self, request: M::Request) -> Result<(), Status> {
        if let Some(asked) = M::asked(&request) {
            let identity = self.caller.identity();
            return self.debug.take::<M>(&asked, identity);
        }
        let received = self
            .stream
            .on_request(request, SystemTime::now())
            .map_err(|error| Status::resource_exhausted(error.to_string()))?;
        if self.client.is_none() {
            self.identify().await?;
        }
        if let Some(client) = &mut self.client {
            client.unreported.extend(received.kind());
        }
        match received {
            Received::Acknowledged(kind) => self.answered(kind),
            Received::Refused { kind, message } => {
                self.answered(kind);
                self.shared.metrics.refused(kind);
                tracing::warn!(proxy = self.name(), %kind, message, "a proxy refuses what it was sent; it keeps its last good version");
            }
            Received::UnknownType(url) => {
                tracing::debug!(
                    proxy = self.name(),
                    url,
                    "a proxy asks for a type that is not served"
                );
            }
            Received::Subscribed(_) | Received::Stale(_) => {}
        }
        Ok(())
    }

    fn answered(&mut self, kind: ResourceType) {
        self.permit.take_if(|(last, _)| *last == kind);
    }

    /// Understands who the client is, and checks that it may be that.
    async fn identify(&mut self) -> Result<(), Status> {
        let node = self.stream.node().cloned();
        let node = node.ok_or_else(|| {
            Status::invalid_argument("the first request does not say which node it is from")
        })?;
        let node = NodeInfo::try_from(node)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if let Some(owner) = &self.caller.owner {
            owner.may_be(&node).map_err(Status::permission_denied)?;
        }
        let hosts = if M::HAS_VHDS && node.has_vhds() {
            VirtualHosts::Discovered
        } else {
            VirtualHosts::Inline
        };
        let scope = node.scope();
        let needs_secrets = scope.kind == ProxyKind::Gateway;
        let identity = self.caller.identity();
        let key = Key {
            secrets: match needs_secrets {
                true => self.shared.secrets.scope(identity).await,
                false => SecretScope::None,
            },
            scope,
            hosts,
        };
        let registration = self.shared.connections.register(node, M::VARIANT);
        let proxy = registration.connection.proxy();
        let share = self.shared.proxies.take(proxy).ok_or_else(|| {
            Status::resource_exhausted("the proxy has too many streams; it needs only one")
        })?;
        let now = Instant::now();
        self.client = Some(Client {
            registration,
            secrets_again: (needs_secrets && key.secrets == SecretScope::None)
                .then_some(now + SECRETS_AGAIN),
            subscription: self.shared.encodings.subscribe(key),
            _share: share,
            generation: 0,
            published: None,
            next_update: now,
            outdated: true,
            told: false,
            unreported: ResourceType::ALL.to_vec(),
            since: now,
            admission: None,
            synced: None,
        });
        tracing::info!(proxy = self.name(), peer = ?self.caller.peer, variant = M::VARIANT, "a proxy has connected");
        self.refresh();
        Ok(())
    }

    /// Asks once more for a gateway that may not have Secrets, when it is time.
    async fn review_secrets(&mut self) {
        let now = Instant::now();
        let due = |client: &Client| client.secrets_again.is_some_and(|at| at <= now);
        if !self.client.as_ref().is_some_and(due) {
            return;
        }
        let identity = self.caller.identity();
        let allowed = self.shared.secrets.scope(identity).await;
        let Some(client) = &mut self.client else {
            return;
        };
        if allowed == SecretScope::None {
            client.secrets_again = Some(Instant::now() + SECRETS_AGAIN);
            return;
        }
        client.secrets_again = None;
        let key = Key {
            secrets: allowed,
            ..client.subscription.key().clone()
        };
        client.subscription = self.shared.encodings.subscribe(key);
        // What it has is of the same generation as what it gets.
        client.generation = 0;
        client.outdated = true;
    }

    /// Notes that there is a newer snapshot, and goes on to it once it may.
    fn refresh(&mut self) {
        if let Some(client) = &mut self.client {
            client.outdated = true;
        }
        self.refresh_if_due();
    }

    fn refresh_if_due(&mut self) {
        let now = Instant::now();
        let Some(client) = &mut self.client else {
            return;
        };
        if !client.outdated || client.next_update > now {
            return;
        }
        let latest = client.subscription.latest();
        client.outdated = false;
        let generation = latest.snapshot.version();
        if generation > client.generation {
            client.generation = generation;
            client.published = latest.published;
            client.next_update = now + PACE;
            client.told = false;
            client.unreported.extend(ResourceType::ALL);
            self.stream.update(latest.snapshot);
        }
    }

    /// Slow answers hold up others for a while, and no longer.
    fn expire(&mut self) {
        let now = Instant::now();
        self.permit.take_if(|(_, permit)| permit.until <= now);
        if let Some(client) = &mut self.client
            && client
                .admission
                .as_ref()
                .is_some_and(|admission| admission.until <= now)
        {
            client.admission = None;
            client.synced = Some(0);
        }
    }

    fn timer(&self) -> Instant {
        let now = Instant::now();
        let wake = self.stream.wake_at().map(|at| {
            now + at
                .duration_since(SystemTime::now())
                .unwrap_or(Duration::ZERO)
        });
        let permit = self.permit.as_ref().map(|(_, permit)| permit.until);
        let admission = self
            .client
            .as_ref()
            .and_then(|client| Some(client.admission.as_ref()?.until));
        let update = self
            .client
            .as_ref()
            .and_then(|client| client.outdated.then_some(client.next_update));
        let secrets = self.client.as_ref().and_then(|client| client.secrets_again);
        let introduction = self
            .is_unknown()
            .then(|| self.began + FIRST_REQUEST_TIMEOUT);
        [wake, permit, admission, update, secrets, introduction]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + NEVER)
    }

    fn name(&self) -> String {
        self.client
            .as_ref()
            .map(|client| client.registration.connection.proxy())
            .unwrap_or_default()
    }
}

/// Waits for a newer snapshot than the one that the stream works on or waits for.
async fn newer(client: &mut Option<Client>) {
    match client {
        Some(client) if !client.outdated => client.subscription.changed().await,
        _ => std::future::pending().await,
    }
}

impl<M: DiscoveryStream> Drop for Session<M> {
    fn drop(&mut self) {
        if self.client.is_some() {
            tracing::info!(proxy = self.name(), "a proxy has gone");
        }
    }
}

// === impl Client ===

impl Client {
    /// Notes how far the proxy has come.
    fn report<M: DiscoveryStream>(&mut self, stream: &M, shared: &Shared) {
        let acknowledged = self.registration.connection.update_progress(|progress| {
            progress.update(stream, self.unreported.drain(..));
            progress.acknowledged()
        });
        if acknowledged > Some(0) {
            self.synced = acknowledged;
            self.admission = None;
        }
        if self.told
            && acknowledged >= Some(self.generation)
            && let Some(published) = self.published
        {
            self.told = false;
            shared
                .metrics
                .converged(published.max(self.since).elapsed());
        }
    }
}
