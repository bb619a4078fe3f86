//! The order of responses, the same for delta and state-of-the-world streams.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::StreamError;
use super::kind::{Batch, KindState};
use super::status::{Exchange, TypeStatus};
use super::subscribed::SubscribedNames;
use crate::ResourceType;
use crate::discovery::{ControlPlane, Node};
use crate::resource::{PerType, ResourceSet, ResourceSnapshot};

/// Bytes of the names of one type that a client may subscribe to: those of some 400,000 clusters of Kubernetes services. Names that
/// exist are shared by all streams, so that in practice a stream costs a fraction of it.
const MAX_NAME_BYTES: usize = 32 << 20;

/// How long a client that resumes may take to ask for the types that it had.
const RESUME_GRACE: Duration = Duration::from_secs(5);

/// Removals go from what refers to what is referred to.
const BREAK_ORDER: [ResourceType; ResourceType::ALL.len()] = [
    ResourceType::Listener,
    ResourceType::Route,
    ResourceType::VirtualHost,
    ResourceType::Cluster,
    ResourceType::Endpoints,
    ResourceType::Secret,
    ResourceType::NameTable,
];

#[derive(Debug)]
pub(super) struct Core {
    node: Option<Node>,
    identifier: String,
    snapshot: Option<ResourceSnapshot>,
    kinds: PerType<KindState>,
    nonces: u64,
    /// Whether the client wants the virtual hosts of all route tables that it subscribes to, without naming them.
    follows_routes: bool,
    /// End of the time in which a resuming client's other types are waited for before anything is removed.
    grace: Option<SystemTime>,
}

/// The next response.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) kind: ResourceType,
    pub(super) nonce: Arc<str>,
    pub(super) version: u64,
    pub(super) batch: Batch,
}

// === impl Core ===

impl Core {
    pub(super) fn new(identifier: String) -> Self {
        Self {
            node: None,
            identifier,
            snapshot: None,
            kinds: PerType::new(KindState::new),
            nonces: 0,
            follows_routes: false,
            grace: None,
        }
    }

    pub(super) fn control_plane(&self) -> Option<ControlPlane> {
        (!self.identifier.is_empty()).then(|| ControlPlane {
            identifier: self.identifier.clone(),
        })
    }

    pub(super) fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// Keeps the node of the first request; later ones do not count.
    pub(super) fn set_node(&mut self, node: Option<Node>) {
        if self.node.is_none() {
            self.node = node;
        }
    }

    /// Notes that the client has resources from an earlier stream. It may still use what one type is to lose until it has asked for
    /// the others, so removals wait for that.
    pub(super) fn resume(&mut self, now: SystemTime) {
        self.grace.get_or_insert(now + RESUME_GRACE);
    }

    /// When the next call of [`Self::next`] may yield something without a request.
    pub(super) fn wake_at(&self) -> Option<SystemTime> {
        let kinds = ResourceType::ALL.into_iter();
        let tries = kinds.filter_map(|kind| self.kind(kind).wake_at());
        self.grace.into_iter().chain(tries).min()
    }

    pub(super) fn update(&mut self, snapshot: ResourceSnapshot) {
        self.snapshot = Some(snapshot);
    }

    /// The newest resources of a type.
    pub(super) fn newest(&self, kind: ResourceType) -> Option<Arc<ResourceSet>> {
        self.snapshot
            .as_ref()
            .map(|snapshot| snapshot.get(kind).clone())
    }

    pub(super) fn kind(&self, kind: ResourceType) -> &KindState {
        self.kinds.get(kind)
    }

    pub(super) fn kind_mut(&mut self, kind: ResourceType) -> &mut KindState {
        self.kinds.get_mut(kind)
    }

    /// Notes that the client wants the virtual hosts of all route tables that it subscribes to, now and later.
    pub(super) fn follow_routes(&mut self) {
        self.follows_routes = true;
        self.route_names_changed(&SubscribedNames::default(), true);
    }

    /// The route tables that the client subscribes to, as far as virtual hosts follow them.
    pub(super) fn followed_routes(&self) -> Option<SubscribedNames> {
        let names = || self.kind(ResourceType::Route).names().clone();
        self.follows_routes.then(names)
    }

    /// Lets virtual hosts follow the route tables that the client subscribes to. `before` are those that it has subscribed to so far. A
    /// table that is named again is sent again, and so are its virtual hosts.
    pub(super) fn route_names_changed(&mut self, before: &SubscribedNames, resumes: bool) {
        let routes = self.kind(ResourceType::Route).names().clone();
        let gone = before.iter().filter(|name| !routes.contains(name));
        let new = routes.iter().filter(|name| !before.contains(name));
        let new: BTreeSet<Arc<str>> = new.cloned().collect();
        let hosts = self.kind_mut(ResourceType::VirtualHost);
        hosts.unsubscribe(gone.map(|name| &**name));
        hosts.follow(new, resumes);
    }

    pub(super) fn check_names(&self, kind: ResourceType) -> Result<(), StreamError> {
        if self.kind(kind).names().bytes() > MAX_NAME_BYTES {
            return Err(StreamError::TooManyNames {
                kind,
                limit: MAX_NAME_BYTES,
            });
        }
        Ok(())
    }

    pub(super) fn status(&self, kind: ResourceType) -> TypeStatus {
        self.kind(kind).status()
    }

    pub(super) fn synced(&self, kind: ResourceType) -> Option<u64> {
        self.kind(kind).synced()
    }

    /// The next response; nothing while there is no snapshot, nothing to say, or the client has to answer first.
    pub(super) fn next(&mut self, now: SystemTime) -> Option<Next> {
        let snapshot = self.snapshot.take()?;
        for kind in ResourceType::ALL {
            let state = self.kind_mut(kind);
            if state.is_subscribed() {
                state.rebase(snapshot.get(kind));
            }
        }
        if self
            .grace
            .is_some_and(|end| now >= end || self.is_complete(&snapshot))
        {
            self.grace = None;
        }
        let version = snapshot.version();
        let next = match self.next_make(now) {
            Some(kind) => Some((
                kind,
                KindState::take_additions as fn(&mut KindState, Exchange) -> Batch,
            )),
            None => self
                .next_break(now)
                .map(|kind| (kind, KindState::take_removals as _)),
        }
        .map(|(kind, take)| {
            self.nonces += 1;
            let nonce: Arc<str> = self.nonces.to_string().into();
            let exchange = Exchange {
                version,
                nonce: nonce.clone(),
                at: now,
            };
            let batch = take(self.kind_mut(kind), exchange);
            Next {
                kind,
                nonce,
                version,
                batch,
            }
        });
        for kind in ResourceType::ALL {
            self.kind_mut(kind).note_synced(version, now);
        }
        self.snapshot = Some(snapshot);
        next
    }

    /// The type whose additions may go now.
    fn next_make(&self, now: SystemTime) -> Option<ResourceType> {
        let mut blocked = false;
        for kind in ResourceType::ALL {
            let state = self.kind(kind);
            // Endpoints and secrets are sent for what the client knows already, and let it finish with it.
            let waits = blocked && !matches!(kind, ResourceType::Endpoints | ResourceType::Secret);
            if state.is_subscribed() && state.has_additions(now) {
                if !waits && !state.is_pending() {
                    return Some(kind);
                }
                blocked = true;
            }
            // New clusters count as known once they are acknowledged: before that the client asks for their endpoints.
            blocked |= kind == ResourceType::Cluster && state.adds_in_flight();
        }
        None
    }

    /// Whether the types that refer to others have been asked for.
    fn is_complete(&self, snapshot: &ResourceSnapshot) -> bool {
        let hosts = !snapshot.get(ResourceType::VirtualHost).is_empty();
        [
            ResourceType::Cluster,
            ResourceType::Listener,
            ResourceType::Route,
        ]
        .into_iter()
        .chain(hosts.then_some(ResourceType::VirtualHost))
        .all(|kind| self.kind(kind).is_subscribed())
    }

    /// The type whose removals may go now: none before all is added and answered.
    fn next_break(&self, now: SystemTime) -> Option<ResourceType> {
        let busy = ResourceType::ALL.into_iter().any(|kind| {
            let state = self.kind(kind);
            state.is_subscribed() && (state.is_pending() || state.has_additions(now))
        });
        if busy || self.grace.is_some() {
            return None;
        }
        BREAK_ORDER.into_iter().find(|kind| {
            let state = self.kind(*kind);
            state.is_subscribed() && state.has_removals()
        })
    }
}
