//! The sandbox: a mesh on a laptop, without a cluster, Docker or root.
//!
//! ```text
//! up -> API server (api) <- clients: kubectl, istiod, the mesh's own commands
//!            ^
//!            +-- controllers: Deployments -> ReplicaSets -> Pods -> EndpointSlices
//!            +-- node: Pods -> local processes, probes, logs, the service network
//! state: what of all that lies on disk and outlives a process
//! ```

mod background;
mod engine;
mod state;
mod up;
mod workloads;

pub mod api;
pub mod builtin;
pub mod controllers;
pub mod node;

pub use background::{background_log, begin_background};
pub use engine::{Engine, EngineOptions, own_executable};
pub use mesh_samples as samples;
pub use state::{
    DEFAULT_NAME, IngressRecord, Paths, PodSummary, Record, Status, client, down, find, list,
    names, root, status,
};
pub use up::{Running, UpOptions, up};
pub use workloads::{WORKLOAD_KINDS, Workload, endpoint_versions, workloads};
