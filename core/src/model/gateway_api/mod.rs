//! The kinds of the Kubernetes Gateway API (`gateway.networking.k8s.io`) as Rust types, of its release 1.6 with the experimental
//! fields. Fields that API servers with the upstream CRDs fill in have their defaults told in their comments; they may be
//! absent here.

mod backend;
mod filter;
mod shared;

mod backend_tls_policy;
mod gateway;
mod gateway_class;
mod grpc_route;
mod http_route;
mod listener;
mod listener_set;
mod reference_grant;
mod tcp_route;
mod tls_route;

pub use backend::*;
pub use backend_tls_policy::*;
pub use filter::*;
pub use gateway::*;
pub use gateway_class::*;
pub use grpc_route::*;
pub use http_route::*;
pub use listener::*;
pub use listener_set::*;
pub use reference_grant::*;
pub use shared::*;
pub use tcp_route::*;
pub use tls_route::*;
