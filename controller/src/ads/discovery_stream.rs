//! The two variants of the protocol behind one trait, so that a session is written once.

use std::time::SystemTime;

use mesh_xds::ResourceType;
use mesh_xds::discovery::Node;
use mesh_xds::resource::ResourceSnapshot;
use mesh_xds::server::{DeltaStream, Received, SotwStream, StreamError, TypeStatus};

use super::debug::DebugVariant;

/// The server's side of a stream, as `mesh_xds` has it.
pub trait DiscoveryStream:
    DebugVariant<Request: prost::Message + Default + 'static, Response: prost::Message + 'static>
    + Send
    + 'static
{
    /// Name of the variant.
    const VARIANT: &'static str;
    /// Whether clients of the variant can discover virtual hosts.
    const HAS_VHDS: bool;

    fn new(identifier: String) -> Self;
    fn node(&self) -> Option<&Node>;
    fn update(&mut self, snapshot: ResourceSnapshot);
    fn on_request(
        &mut self,
        request: Self::Request,
        now: SystemTime,
    ) -> Result<Received, StreamError>;
    fn poll(&mut self, now: SystemTime) -> Option<Self::Response>;
    fn wake_at(&self) -> Option<SystemTime>;
    fn status(&self, kind: ResourceType) -> TypeStatus;
    fn synced(&self, kind: ResourceType) -> Option<u64>;
    /// The type of a response.
    fn kind(response: &Self::Response) -> Option<ResourceType>;
}

// === impl DiscoveryStream ===

/// Both variants have these methods of their own; a trait cannot be implemented for two types at once.
macro_rules! discovery_stream {
    ($stream:ty, $variant:literal, has_vhds: $has_vhds:literal) => {
        impl DiscoveryStream for $stream {
            const VARIANT: &'static str = $variant;
            const HAS_VHDS: bool = $has_vhds;

            fn new(identifier: String) -> Self {
                Self::new(identifier)
            }

            fn node(&self) -> Option<&Node> {
                self.node()
            }

            fn update(&mut self, snapshot: ResourceSnapshot) {
                self.update(snapshot);
            }

            fn on_request(
                &mut self,
                request: Self::Request,
                now: SystemTime,
            ) -> Result<Received, StreamError> {
                self.on_request(request, now)
            }

            fn poll(&mut self, now: SystemTime) -> Option<Self::Response> {
                self.poll(now)
            }

            fn wake_at(&self) -> Option<SystemTime> {
                self.wake_at()
            }

            fn status(&self, kind: ResourceType) -> TypeStatus {
                self.status(kind)
            }

            fn synced(&self, kind: ResourceType) -> Option<u64> {
                self.synced(kind)
            }

            fn kind(response: &Self::Response) -> Option<ResourceType> {
                ResourceType::from_type_url(&response.type_url)
            }
        }
    };
}

discovery_stream!(DeltaStream, "delta", has_vhds: true);
// Envoy discovers virtual hosts by delta streams only.
discovery_stream!(SotwStream, "sotw", has_vhds: false);
