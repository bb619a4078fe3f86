//! The sample applications of the mesh, all in one library: bookinfo, a website in three colours,
//! hello and world, an echo that reports what it received, and an authorizer.
//!
//! ```text
//! image name -> images::program_for_image -> program name -> run(name, Config) -> server -> Handler
//!                                                                                   |
//!                                              Client (proxy, hosts file, DNS) <- outgoing calls
//! ```
//!
//! Each program is an ordinary HTTP/1.1 server that knows nothing of the mesh. It passes trace and
//! user headers on, because only the application can tell which outgoing call belongs to which
//! incoming one. The YAML that deploys the programs is embedded and served by [`bundle`].

mod program;

mod bookinfo;
mod echo;
mod ext_authz;
mod hello;
mod helloworld;
mod website;

mod bundles;
mod images;

mod client;
mod config;
mod encoding;
mod handler;
mod hosts;
mod propagate;
mod server;

pub use bundles::{BUNDLES, Bundle, bundle};
pub use config::{Config, ConfigError};
pub use images::{images, program_for_image};
pub use program::{Program, names, programs, run, run_until};

#[cfg(test)]
mod tests;
