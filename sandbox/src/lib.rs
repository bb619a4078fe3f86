//! The sandbox: a mesh on a laptop, without a cluster, Docker or root.
//!
//! ```text
//! up -> mesh-apiserver <- clients: kubectl, istiod, the mesh's own commands
//!            ^
//!            +-- mesh-node: controllers (Deployments -> Pods -> EndpointSlices), and pods as local processes
//! kubelet, images: what the one asks of the other, and which of our programs an image stands for
//! state: what of all that lies on disk and outlives a process
//! ```

mod backend;
mod background;
mod engine;
mod images;
mod kubelet;
mod state;
mod up;
mod workloads;
pub mod world;

pub mod builtin;

pub use background::{background_log, begin_background};
pub use engine::{Backend, Engine, EngineOptions, ServicesOf, own_executable};
pub use mesh_samples as samples;
pub use state::{
    BackendName, DEFAULT_NAME, IngressRecord, Paths, PodSummary, Record, Status, client, down,
    find, list, names, root, status,
};
pub use up::{Running, UpOptions, up};
pub use workloads::{WORKLOAD_KINDS, Workload, endpoint_versions, workloads};
