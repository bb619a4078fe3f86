//! Sidecar injection: from a pod template to the same template with the proxy beside the application.
//!
//! ```text
//! kube-inject text --inject_text--+
//!                                 +-> decide -> inject_pod -> changed value
//! admission request --admit_*   --+
//! ```
//!
//! Both entry points call one function. Objects are changed as raw values and only where injection changes something, so unknown
//! fields and old API versions survive. Documents that are not touched leave byte for byte as they came, and a second
//! injection changes nothing.

mod admit;
mod annotations;
mod config;
mod decide;
mod error;
mod overrides;
mod pod;
mod probes;
mod prometheus;
mod proxy_config;
mod router;
mod sidecar;
mod template;
mod text;
mod workload;

pub use admit::{admit_pod, admit_selected_pod};
pub use config::{ConfigError, InjectConfig, InjectorSettings, Policy, ProxyValues};
pub(crate) use decide::SYSTEM_NAMESPACES;
pub use decide::{Decision, Namespace, SkipReason, decide};
pub use error::InjectError;
pub use pod::{InjectedPod, Owner, inject_pod};
pub use text::{Injected, Skipped, inject_text};

pub(crate) use router::Router;
pub(crate) use sidecar::{PROXY_UID, env, volumes};
pub(crate) use workload::pod_template;

/// Version of this program; the tag of its images.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Name of the proxy's container.
pub const PROXY_CONTAINER: &str = "istio-proxy";

/// Name of the container that sets up the redirection of traffic.
pub const INIT_CONTAINER: &str = "istio-init";

/// Port of the agent: merged metrics and the application's probes.
pub const STATUS_PORT: u16 = 15020;
