//! The sample applications of the mesh, all in one library: bookinfo, a website in three colours,
//! hello and world, an echo that reports what it received, httpbin, a TCP echo, a load client, and an
//! authorizer.
//!
//! ```text
//! image name -> images::program_for_image -> program name -> run(name, Config) -> server -> Handler
//!                                                                                   |
//!                                              Client (proxy, hosts file, DNS) <- outgoing calls
//! ```
//!
//! Most programs are ordinary HTTP/1.1 servers; each knows nothing of the mesh. They pass trace and
//! user headers on, because only the application can tell which outgoing call belongs to which
//! incoming one. The YAML that deploys the programs is embedded and served by [`bundle`].

mod program;

mod bookinfo;
mod echo;
mod ext_authz;
mod hello;
mod helloworld;
mod httpbin;
mod load;
mod tcp_echo;
mod website;
mod websockets;

mod bundles;
mod images;

mod client;
mod config;
mod encoding;
mod handler;
mod hosts;
mod lines;
mod propagate;
mod server;
mod tcp;

pub use bundles::{BUNDLES, Bundle, bundle};
pub use config::{Config, ConfigError};
pub use images::{images, program_for_image};
pub use program::{Program, names, port, programs, run, run_until};

#[cfg(test)]
mod tests;
