//! Control plane, proxies and sample programs as real processes on loopback addresses, over a directory of YAML: traffic is sent
//! and counted.
//!
//! ```text
//! directory --mesh-controller--xDS--> mesh-proxy of the client --> mesh-proxy of each server --> mesh-samples
//!                                        ^
//! test: GET http://SERVICE ... ----------+  (as a program with http_proxy would)
//! ```

#[path = "../sandbox/chance.rs"]
mod chance;

mod certificates;
mod http;
mod issuer;
mod mesh;
mod process;
mod tls_client;
mod yaml;

mod authorization;
mod balancing;
mod control_plane;
mod drain;
mod external_authorization;
mod framing;
mod gateway;
mod gateway_tls;
mod global_rate_limits;
mod grpc;
mod h2spec;
mod limits;
mod mutual_tls;
mod open_files;
mod rate_limits;
mod routing;
mod security;
mod telemetry;
mod tokens;
