//! DNS for the workload: names that the control plane knows are answered here, all others by the servers of the pod's `resolv.conf`.
//!
//! ```text
//! question (UDP, TCP on 15053) --answer::decide--> known: answer of our own
//!                                            '--> Upstream --> servers of resolv.conf --> their answer, as it is
//! host names of clusters -------Lookup-----------^
//! ```
//!
//! Questions are redirected here where `ISTIO_META_DNS_CAPTURE` says so. The proxy's own lookups ask the servers directly: an address that
//! stands for a host within the mesh only leads to the proxy.

mod answer;
mod lookup;
mod resolv_conf;
mod server;
mod upstream;
mod wire;

pub use lookup::{Found, Lookup};
pub use server::Server;
