//! The node: the kubelet's and kube-proxy's roles, with pods as processes of this machine.
//!
//! ```text
//! cache of pods -> manager -> one task per pod -> one task per container -> process group
//!                                  |                     |
//!                                  +-- volumes, tokens   +-- probes, logs, restarts
//!                                  +-- status -> API server
//! ```
//!
//! [`Backend`] is the one place where plain loopback processes differ from pods in namespaces.

pub mod controllers;

mod address;
mod backend;
mod connections;
mod container;
mod context;
mod environment;
mod events;
mod forward;
mod hosts;
mod images;
mod log_reader;
mod logs;
mod low_ports;
mod manager;
mod network;
mod pod;
mod probe;
mod process;
mod quantity;
mod register;
mod state;
mod volumes;

pub use address::{API_PORT, Block, PodAddresses};
pub use backend::{Backend, Loopback, SIDECAR, dial_pod, has_sidecar};
pub use context::{NodeContext, log_path};
pub use events::Events;
pub use images::{Builtin, BuiltinLookup, COMMAND_ANNOTATION, Images, Program, repository};
pub use log_reader::{Selection, read as read_log};
pub use low_ports::LowPorts;
pub use manager::run;
pub use network::{Ingress, IngressTarget, run as run_network};
pub use process::{Processes, WATCH_VARIABLE, kill_recorded, start_time};
pub use register::{machine, register};
