//! The API server: a Kubernetes API over objects in memory. It knows what every cluster knows, and nothing of meshes.
//!
//! ```text
//! server (TLS, HTTP) -> handle (who asks, what for) -> extensions | verbs | pages
//!                                                          verbs -> store -> watches
//!                                                                     ^
//!                                                          garbage ---+
//! ```
//!
//! What decides is pure and has rooms of its own: selectors, patches, owners of fields, shapes and schemas, defaults,
//! rules, tables. A verb puts them together under the store's lock, one step at a time.

mod server;
mod tls;

mod auth;
mod authorization;
mod call;
mod handle;
mod request;
mod response;
mod state;
mod status;

mod channels;
mod exec;
mod extensions;
mod pages;
mod verbs;

mod addresses;
mod admission;
mod body;
mod bounded;
mod defaults;
mod fields;
mod follow;
mod garbage;
mod initial;
mod json_patch;
mod kinds;
mod kubelet;
mod logs;
mod metadata;
mod portforward;
mod projection;
mod protobuf;
mod rules;
mod selector;
mod shape;
mod spdy;
mod store;
mod strategic;
mod table;

pub use addresses::ServiceAddresses;
pub use exec::{Reader, Session, Writer};
pub use kubelet::{ContainerRun, ExecRequest, HasEnded, Kubelet, LogOptions};
pub use server::{Server, ServerOptions};
pub use table::pod_status;
pub use tls::Identity;
