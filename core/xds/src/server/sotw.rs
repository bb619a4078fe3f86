//! State-of-the-world streams: whole sets for clusters and listeners, changed resources for the rest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use super::core::{Core, Next};
use super::kind::Answer;
use super::{Received, StreamError, TypeStatus};
use crate::ResourceType;
use crate::discovery::{DiscoveryRequest, DiscoveryResponse, Node};
use crate::resource::ResourceSnapshot;

/// Name that stands for everything.
const ALL: &str = "*";

/// The server's side of one state-of-the-world stream.
///
/// Clients take what is missing in a set of clusters or listeners for removed. Before removals are due, what is to go stays in the
/// sets; a refused resource appears in its last good version.
#[derive(Debug)]
pub struct SotwStream {
    core: Core,
}

// === impl SotwStream ===

impl SotwStream {
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
        request: DiscoveryRequest,
        now: SystemTime,
    ) -> Result<Received, StreamError> {
        let DiscoveryRequest {
            // What a client had on another stream cannot be compared, and on this one the nonce says more.
            version_info: _,
            node,
            resource_names,
            type_url,
            response_nonce,
            error_detail,
        } = request;
        self.core.set_node(node);
        let Some(kind) =
            ResourceType::from_type_url(&type_url).filter(|kind| kind.has_state_of_the_world())
        else {
            return Ok(Received::UnknownType(type_url));
        };
        let newest = self.core.newest(kind);
        let state = self.core.kind_mut(kind);
        let first = !state.is_subscribed();
        if first {
            state.begin(std::iter::empty());
            state.expect_leftovers();
        } else if !response_nonce.is_empty() && !state.is_last_nonce(&response_nonce) {
            // The client answers an old response; it will answer the newer one too, with the names it wants by then.
            return Ok(Received::Stale(kind));
        }
        let before = state.names().len();
        if resource_names.iter().any(|name| name == ALL)
            || (resource_names.is_empty() && kind.is_wildcard())
        {
            state.subscribe_all();
        }
        let wanted: BTreeSet<&str> = resource_names
            .iter()
            .map(String::as_str)
            .filter(|name| *name != ALL)
            .collect();
        let dropped: Vec<Arc<str>> = state
            .names()
            .iter()
            .filter(|name| !wanted.contains(&***name))
            .cloned()
            .collect();
        state.unsubscribe(dropped.iter().map(|name| &**name));
        let mut changed = !dropped.is_empty() || first || before != wanted.len();
        let new = wanted.into_iter();
        let new: Vec<&str> = new.filter(|name| !state.names().contains(name)).collect();
        changed |= !new.is_empty();
        state.subscribe(new, false, newest.as_deref());
        if first && !kind.is_wildcard() {
            state.settle_debt();
        }
        let message = error_detail.map(|status| status.message);
        let received = match state.answer(&response_nonce, message.as_deref(), now) {
            Answer::Accepted => Received::Acknowledged(kind),
            Answer::Refused => Received::Refused {
                kind,
                message: message.unwrap_or_default(),
            },
            Answer::Stale if changed => Received::Subscribed(kind),
            Answer::Stale => Received::Stale(kind),
        };
        self.core.check_names(kind)?;
        Ok(received)
    }

    /// The next response to send, if there is one now.
    pub fn poll(&mut self, now: SystemTime) -> Option<DiscoveryResponse> {
        loop {
            let Next {
                kind,
                nonce,
                version,
                batch,
            } = self.core.next(now)?;
            let resources: Vec<_> = if kind.is_full_state() {
                let state = self.core.kind(kind);
                state.state().map(|(_, entry)| entry.any.clone()).collect()
            } else if batch.resources.is_empty() && !batch.removed.is_empty() {
                // Nothing can say that something is gone: clients drop what they no longer refer to.
                self.core.kind_mut(kind).answer(&nonce, None, now);
                continue;
            } else {
                batch
                    .resources
                    .into_iter()
                    .map(|(_, entry)| entry.any.clone())
                    .collect()
            };
            return Some(DiscoveryResponse {
                version_info: version.to_string(),
                resources,
                type_url: kind.type_url().to_owned(),
                nonce: nonce.to_string(),
                control_plane: self.core.control_plane(),
            });
        }
    }

    /// When to poll again even if nothing happens: a client that refused resources without naming them gets the next part of them.
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
