//! The sandbox through the real binary: the README's story, the tutorials' stories, and what must not be left behind.
//!
//! ```text
//! Sandbox (meshctl sandbox up --detach) -> apply YAML -> requests to the ingress -> counts -> bounds
//! ```
//!
//! A sandbox is shared by the cases of one story, since starting it is what takes time. Bounds are those of the binomial
//! distribution at a chance of 1e-8 per assertion, so that a run fails wrongly less than once in a million.

mod backend_tls;
mod bookinfo;
mod chance;
mod chaos;
mod corpus;
mod demo;
mod dns;
mod exec;
mod first_istio;
mod gateway_api;
mod http;
mod ingress;
mod install;
mod lifecycle;
mod mutual_tls;
mod namespaces;
mod processes;
mod ready;
mod revisions;
mod rights;
mod samples;
mod sandbox;
mod shift;
mod shift_http_route;
mod traces;
mod traffic;
mod web_socket;
mod website;
