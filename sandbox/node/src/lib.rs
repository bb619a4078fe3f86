//! The node: the kubelet's and kube-proxy's roles, with pods as processes of this machine.
//!
//! ```text
//! cache of pods -> manager -> one task per pod -> one task per container -> process group
//!                                  |                     |
//!                                  +-- volumes, tokens   +-- probes, logs, restarts
//!                                  +-- status -> API server
//! ```
//!
//! [`PodRuntime`] and [`ServiceNetwork`] are what back ends are behind; nothing else differs between them.

pub mod controllers;

mod attachment;
mod connections;
mod container;
mod context;
mod environment;
mod events;
mod exec;
mod forward;
mod images;
mod log_reader;
mod logs;
mod manager;
mod network;
mod pod;
mod probe;
mod quantity;
mod register;
mod runtime;
mod state;
mod terminal;
mod volumes;

pub use context::{NodeContext, log_path};
pub use events::Events;
pub use exec::{Program as ExecProgram, attach, exec};
pub use images::{
    Builtin, BuiltinLookup, COMMAND_ANNOTATION, Images, Program, file_name, repository,
};
pub use log_reader::{Selection, read as read_log};
pub use manager::run;
pub use network::{Ingress, IngressTarget, run as run_network};
pub use register::{machine, register};
pub use runtime::namespaces;
pub use runtime::{
    API_PORT, Block, Exit, Group, KnownServices, Launch, Loopback, LoopbackServices, LowPorts,
    PodError, PodHandle, PodRuntime, PodSpec, Pods, Process, Processes, ServiceNetwork, Streams,
    VolumeMount, WATCH_VARIABLE, kill_recorded, start_time,
};
