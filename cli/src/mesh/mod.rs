//! The mesh in a cluster as commands see it: its control plane, who is connected to it, and pods by the names that people use.

mod collector;
mod control_plane;
mod distribution;
mod pods;
mod scrape;

pub use collector::{Collector, Reading, proxies};
#[cfg(test)]
pub use control_plane::Refused;
pub use control_plane::{ControlPlane, SyncStatus};
pub use distribution::{Awaited, Progress, Refusal, distribution};
pub use pods::{Named, PodRef, resolve};
pub use scrape::{PROXY, Silent, has_proxy, scrape};
