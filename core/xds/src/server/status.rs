//! What is known about one type on one stream, for `proxy-status`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// Progress of one type on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeStatus {
    /// Whether the client has asked for the type.
    pub subscribed: bool,
    /// Whether an answer is outstanding.
    pub pending: bool,
    /// The last response.
    pub sent: Option<Exchange>,
    /// The last response that was accepted.
    pub acked: Option<Exchange>,
    /// The last refusal.
    pub nacked: Option<(Exchange, String)>,
    /// The version of the newest snapshot of which the client has everything of this type that it does not refuse.
    pub synced: Option<u64>,
    /// Resources whose current version the client refuses.
    pub refused: BTreeMap<Arc<str>, Refusal>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Version of the snapshot.
    pub version: u64,
    /// Nonce.
    pub nonce: Arc<str>,
    /// When it was sent or answered.
    pub at: SystemTime,
}

/// A refused resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The version that was refused.
    pub version: u64,
    /// What the client said.
    pub reason: Arc<str>,
}
