//! The aggregated discovery service on gRPC, `envoy.service.discovery.v3.AggregatedDiscoveryService`.
//!
//! Thin glue between tonic and the messages of [`crate::discovery`]; what is said on the streams is up to [`crate::server`] and
//! [`crate::client`].

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "server")]
mod framing;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "client")]
pub use client::AdsClient;
#[cfg(feature = "client")]
pub(crate) use client::unreachable;
#[cfg(feature = "server")]
pub use framing::Requests;
#[cfg(feature = "server")]
pub(crate) use server::no_method;
#[cfg(feature = "server")]
pub use server::{AdsServer, AdsService, ResponseStream};

/// Name of the service.
pub const NAME: &str = "envoy.service.discovery.v3.AggregatedDiscoveryService";

/// Path of the state-of-the-world method.
const SOTW_PATH: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// Path of the delta method.
const DELTA_PATH: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

#[cfg(all(test, feature = "client", feature = "server"))]
mod tests;
