//! Everything known at one moment, immutable and indexed once.
//!
//! ```text
//! resources --build--> Snapshot { services, instances, rules by host } --> translate, analyze, shift
//! ```

mod service;

pub use service::{
    Exposure, Instance, MeshService, Protocol, Registry, Resolution, ServicePort, TargetPort,
};
