//! The mesh on a real Kubernetes, as its users install, use and remove it.
//!
//! ```text
//! tests/cluster/run: a cluster (tests/cluster/up, or KUBECONFIG) and images --> install -> inject -> request -> shift -> uninstall
//! ```
//!
//! Everything goes through `meshctl` and `kubectl`, by the API server alone: no address of the cluster is reached from here.

#[path = "../sandbox/chance.rs"]
mod chance;
#[path = "../sandbox/http.rs"]
mod http;

mod cluster;
mod forward;
mod smoke;
