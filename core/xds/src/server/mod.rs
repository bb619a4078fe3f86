//! The server's side of a discovery stream, without I/O.
//!
//! ```text
//! requests --on_request--> DeltaStream | SotwStream --poll--> responses
//!                               ^
//!          ResourceSnapshot --update----+
//! ```
//!
//! The caller feeds requests and snapshots in any order and sends what [`DeltaStream::poll`] yields until it yields nothing. Time comes in as
//! an argument. What both kinds of streams guarantee:
//!
//! * **Order.** Clusters and endpoints come before listeners and routes; listeners and routes wait until new clusters are
//!   acknowledged, because only then the client has asked for their endpoints.
//! * **Make before break.** Removals come when nothing is left to add and everything sent is acknowledged: listeners, then routes,
//!   then virtual hosts, then clusters, then endpoints. Virtual hosts are the exception: theirs come with the additions, because a
//!   domain may pass from one to another. A route configuration comes before its virtual hosts.
//! * **Backpressure.** At most one response per type is unanswered. Snapshots that arrive meanwhile replace each other.
//! * **Isolation.** A resource that the client refuses is not sent again until it changes; its last good version stays, all others
//!   go on. Where the refusal does not say which resource it means, halves are tried until it is found, but not without limit.
//!
//! A stream holds the snapshot that its client has and the differences, not a copy: a thousand streams of equal proxies share
//! everything but a few bytes.

mod core;
mod delta;
mod kind;
mod probes;
mod refusal;
mod sotw;
mod status;
mod subscribed;

pub use delta::DeltaStream;
pub use sotw::SotwStream;
pub use status::{Exchange, Refusal, TypeStatus};

/// Why a stream must be ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The client asks for more names than any proxy needs.
    #[error("the names of {kind} that the client subscribes to have more than {limit} bytes")]
    TooManyNames {
        /// The type.
        kind: crate::ResourceType,
        /// How many bytes are allowed.
        limit: usize,
    },
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A subscription or its change.
    Subscribed(crate::ResourceType),
    /// The last response of the type was accepted.
    Acknowledged(crate::ResourceType),
    /// The last response of the type was refused; [`TypeStatus`] says which resources.
    Refused {
        /// The type.
        kind: crate::ResourceType,
        /// What the client says.
        message: String,
    },
    /// It answers an older response and says nothing new.
    Stale(crate::ResourceType),
    /// The type is not served here; nothing will ever be sent.
    UnknownType(String),
}

// === impl Received ===

impl Received {
    /// The type that it is about; none for a type that is not served.
    pub fn kind(&self) -> Option<crate::ResourceType> {
        match self {
            Self::Subscribed(kind) | Self::Acknowledged(kind) | Self::Stale(kind) => Some(*kind),
            Self::Refused { kind, .. } => Some(*kind),
            Self::UnknownType(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
