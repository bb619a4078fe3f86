//! Installation: from a profile and values to the objects that a cluster gets, in the order in which it gets them.
//!
//! ```text
//! profile + files + --set --layers--> InstallSpec (typed, checked) --settings--> Settings (decided)
//!     --objects--> typed Kubernetes objects --plan--> phases: CRDs, access, configuration, services, workloads, webhooks
//! ```
//!
//! The values have the names of Istio's `IstioOperator` and Helm values, so that what people know carries over; a key that is
//! not known is an error that names the nearest known one. Everything here is pure: `manifest generate` prints the plan,
//! `install` applies it, and both get it from [`plan`].

mod autoscaling;
mod config_maps;
mod crds;
mod gateway;
mod istiod;
mod keys;
mod layers;
mod merge;
mod namespace;
mod object;
mod plan;
mod profile;
mod rbac;
mod revision;
mod set;
mod settings;
mod spec;
mod tag;
mod values;
mod webhooks;
mod without_effect;
mod workload;

pub(crate) use workload::unprivileged;

pub use config_maps::{INJECTOR_CONFIG_MAP, MESH_CONFIG_MAP};
pub use crds::crds;
pub use layers::{Request, ValuesError, ValuesFile, values};
pub use object::{
    Component, FIELD_MANAGER, Identity, KINDS, LEFTOVERS, OWNER_LABEL, Object, Phase,
    REVISION_LABEL, ResourceType,
};
pub use plan::{Plan, plan};
pub use profile::Profile;
pub use rbac::LEADER_LEASE;
pub use revision::{DEFAULT_REVISION, check_revision, revised};
pub use tag::{TAG_LABEL, Tag};
pub use webhooks::{injector_webhook, validator_webhook};

#[cfg(test)]
mod tests;
