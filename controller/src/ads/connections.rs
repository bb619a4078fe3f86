//! Who is connected, and how far each proxy has come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use mesh_xds::server::TypeStatus;
use mesh_xds::{NodeInfo, ResourceType};

use super::discovery_stream::DiscoveryStream;

/// All streams.
#[derive(Default)]
pub struct Connections {
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    last: u64,
    open: BTreeMap<u64, Arc<Connection>>,
}

/// One stream.
pub struct Connection {
    /// Counts up with every stream.
    pub id: u64,
    /// Who it is.
    pub node: NodeInfo,
    /// Variant of the protocol.
    pub variant: &'static str,
    /// When it came.
    pub since: SystemTime,
    progress: Mutex<Progress>,
}

/// How far a proxy has come.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Of the types that it has asked for.
    pub types: BTreeMap<ResourceType, TypeStatus>,
}

/// Keeps a stream in the list until dropped.
pub struct Registration {
    connections: Arc<Connections>,
    /// The entry.
    pub connection: Arc<Connection>,
}

// === impl Connections ===

impl Connections {
    /// Lists a stream for as long as the registration lives.
    pub fn register(self: &Arc<Self>, node: NodeInfo, variant: &'static str) -> Registration {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.last += 1;
        let connection = Arc::new(Connection {
            id: streams.last,
            node,
            variant,
            since: SystemTime::now(),
            progress: Mutex::default(),
        });
        streams.open.insert(connection.id, Arc::clone(&connection));
        Registration {
            connections: Arc::clone(self),
            connection,
        }
    }

    /// How many streams there are.
    pub fn count(&self) -> usize {
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .open
            .len()
    }

    /// All streams, the oldest first.
    pub fn open(&self) -> Vec<Arc<Connection>> {
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .open
            .values()
            .cloned()
            .collect()
    }

    /// The newest stream of each proxy by the proxy's name: one that has come back counts, not the stream it has left.
    pub fn proxies(&self) -> BTreeMap<String, Arc<Connection>> {
        self.open()
            .into_iter()
            .map(|connection| (connection.proxy(), connection))
            .collect()
    }
}

// === impl Connection ===

impl Connection {
    /// `POD.NAMESPACE`.
    pub fn proxy(&self) -> String {
        [self.node.pod.as_str(), &self.node.namespace].join(".")
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes how far it has come.
    pub fn update_progress<R>(&self, update: impl FnOnce(&mut Progress) -> R) -> R {
        update(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Progress ===

impl Progress {
    /// Takes over how far a stream is, of the types of which something has happened. What a client has of the others can come to be the
    /// newest there is without an exchange.
    pub(super) fn update(
        &mut self,
        stream: &impl DiscoveryStream,
        changed: impl Iterator<Item = ResourceType>,
    ) {
        for kind in changed {
            let status = stream.status(kind);
            if status.subscribed {
                self.types.insert(kind, status);
            } else {
                self.types.remove(&kind);
            }
        }
        for (kind, status) in &mut self.types {
            status.synced = stream.synced(*kind);
        }
    }

    /// The newest generation of which the proxy has acknowledged everything that concerns it.
    pub fn acknowledged(&self) -> Option<u64> {
        self.types
            .values()
            .map(|status| status.synced)
            .min()
            .flatten()
    }
}

// === impl Registration ===

impl Drop for Registration {
    fn drop(&mut self) {
        let mut streams = self
            .connections
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        streams.open.remove(&self.connection.id);
    }
}
