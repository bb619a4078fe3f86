//! The command line from outside: what it prints where, and how it ends. Needs nothing but the binary.

mod analyze;
mod authz;
mod bad_input;
mod clusters;
mod convert;
mod explain;
mod former;
mod help;
mod install;
mod kube_inject;
mod live;
mod place;
mod proxy_config;
mod samples;
mod shift;
mod whatif;
