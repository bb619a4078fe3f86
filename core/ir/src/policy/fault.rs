//! Failures that are injected.

use std::time::Duration;

use crate::Fraction;

/// Failures of a route: the delay comes first, then the abort.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Requests wait.
    pub delay: Option<FaultDelay>,
    /// Requests are answered with an error.
    pub abort: Option<FaultAbort>,
}

/// Requests wait before they go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FaultDelay {
    /// How long.
    pub duration: DelayDuration,
    /// Which share of the requests.
    pub percentage: Fraction,
}

/// How long a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DelayDuration {
    /// So long.
    Fixed(Duration),
    /// As many milliseconds as the request's header `x-envoy-fault-delay-request` says, for the share that
    /// `x-envoy-fault-delay-request-percentage` names, up to the configured one.
    Header,
}

/// Requests are answered without an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FaultAbort {
    /// With what.
    pub status: AbortStatus,
    /// Which share of the requests.
    pub percentage: Fraction,
}

/// The status of an aborted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbortStatus {
    /// An HTTP status code, 200 to 599.
    Http(u16),
    /// A gRPC status, answered with HTTP 200 to gRPC requests.
    Grpc(u32),
    /// The HTTP code of the request's header `x-envoy-fault-abort-request`, or the gRPC status of `x-envoy-fault-abort-grpc-request`, for
    /// the share that `x-envoy-fault-abort-request-percentage` names, up to the configured one.
    Header,
}
