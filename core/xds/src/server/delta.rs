//! Delta streams: changes only, by name.

use std::sync::Arc;
use std::time::SystemTime;

use super::core::{Core, Next};
use super::kind::Answer;
use super::{Received, StreamError, TypeStatus};
use crate::ResourceType;
use crate::discovery::{DeltaDiscoveryRequest, EncodedDeltaResponse, Node};
use crate::resource::{Entry, ResourceSnapshot, parse_version};

/// Name that stands for everything.
const ALL: &str = "*";

/// The server's side of one delta stream.
#[derive(Debug)]
pub struct DeltaStream {
    core: Core,
}

// === impl DeltaStream ===

impl DeltaStream {
    /// A new stream. The identifier tells the client who answers; empty for nothing.
    pub fn new(identifier: impl Into<String>) -> Self {
        Self {
            core: Core::new(identifier.into()),
        }
    }

    /// Who the client is, once the first request has come.
    pub fn node(&self) -> Option<&Node> {
        self.core.node()
    }

    /// Sets what the client should have from now on.
    pub fn update(&mut self, snapshot: ResourceSnapshot) {
        self.core.update(snapshot);
    }

    /// Takes a request.
    ///
    /// # Errors
    /// When the client asks for too much; the stream must be ended.
    pub fn on_request(
        &mut self,
        request: DeltaDiscoveryRequest,
        now: SystemTime,
    ) -> Result<Received, StreamError> {
        let DeltaDiscoveryRequest {
            node,
            type_url,
            resource_names_subscribe,
            resource_names_unsubscribe,
            initial_resource_versions,
            response_nonce,
            error_detail,
        } = request;
        self.core.set_node(node);
        let Some(kind) = ResourceType::from_type_url(&type_url) else {
            return Ok(Received::UnknownType(type_url));
        };
        if !initial_resource_versions.is_empty() {
            self.core.resume(now);
        }
        let newest = self.core.newest(kind);
        let resumes = !initial_resource_versions.is_empty();
        let routes = self.core.followed_routes();
        let state = self.core.kind_mut(kind);
        let first = !state.is_subscribed();
        let changes =
            !resource_names_subscribe.is_empty() || !resource_names_unsubscribe.is_empty();
        if first {
            state.begin(initial_resource_versions.iter().map(|(name, version)| {
                // The bytes are the client's; only the version is compared.
                let entry = Entry::told(parse_version(version));
                (Arc::from(name.as_str()), Arc::new(entry))
            }));
            if resource_names_subscribe.is_empty() && kind.is_wildcard() {
                state.subscribe_all();
            }
        }
        let subscribed = resource_names_subscribe.iter().map(String::as_str);
        if subscribed.clone().any(|name| name == ALL) {
            state.subscribe_all();
        }
        let subscribed = subscribed.filter(|name| *name != ALL);
        state.subscribe(subscribed, first, newest.as_deref());
        let unsubscribed = resource_names_unsubscribe.iter().map(String::as_str);
        if unsubscribed.clone().any(|name| name == ALL) {
            state.unsubscribe_all();
        }
        state.unsubscribe(unsubscribed.filter(|name| *name != ALL));
        if first && !kind.is_wildcard() {
            // Named resources are answered one by one, also those that do not exist.
            state.settle_debt();
        }
        let names_nothing = resource_names_subscribe.is_empty();
        let received = if response_nonce.is_empty() || first {
            Received::Subscribed(kind)
        } else {
            let message = error_detail.map(|status| status.message);
            match state.answer(&response_nonce, message.as_deref(), now) {
                Answer::Accepted => Received::Acknowledged(kind),
                Answer::Refused => Received::Refused {
                    kind,
                    message: message.unwrap_or_default(),
                },
                Answer::Stale if changes => Received::Subscribed(kind),
                Answer::Stale => Received::Stale(kind),
            }
        };
        match (kind, routes) {
            // Envoy asks for virtual hosts only because a route table told it to, and then names nothing: it wants those of all its tables.
            (ResourceType::VirtualHost, _) if first && names_nothing => self.core.follow_routes(),
            (ResourceType::Route, Some(before)) => {
                self.core.route_names_changed(&before, first && resumes);
                self.core.check_names(ResourceType::VirtualHost)?;
            }
            _ => {}
        }
        self.core.check_names(kind)?;
        Ok(received)
    }

    /// The next response to send, if there is one now.
    pub fn poll(&mut self, now: SystemTime) -> Option<EncodedDeltaResponse> {
        let Next {
            kind,
            nonce,
            version,
            batch,
        } = self.core.next(now)?;
        Some(EncodedDeltaResponse {
            system_version_info: version.to_string(),
            resources: batch
                .resources
                .into_iter()
                .map(|(_, entry)| entry.named.clone())
                .collect(),
            type_url: kind.type_url().to_owned(),
            nonce: nonce.to_string(),
            removed_resources: batch
                .removed
                .into_iter()
                .map(|name| name.to_string())
                .collect(),
            control_plane: self.core.control_plane(),
        })
    }

    /// When to poll again even if nothing happens: a client that resumes gets removals no later than then, and one that refused
    /// resources without naming them gets the next part of them.
    pub fn wake_at(&self) -> Option<SystemTime> {
        self.core.wake_at()
    }

    /// Progress of one type.
    pub fn status(&self, kind: ResourceType) -> TypeStatus {
        self.core.status(kind)
    }

    /// The version of the newest snapshot of which the client has everything of a type that it does not refuse.
    pub fn synced(&self, kind: ResourceType) -> Option<u64> {
        self.core.synced(kind)
    }
}
